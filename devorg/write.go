package devorg

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// An operation is what SOAP and the Bulk APIs do with a record that they are sent.
type operation string

const (
	opInsert operation = "insert"
	opUpdate operation = "update"
	opUpsert operation = "upsert"
	opDelete operation = "delete"
)

// A writing is one operation on records of one sobject.
type writing struct {
	operation operation
	sobject   *sobject
	key       *field // what an upsert goes by
	user      *user
}

// keyFor finds the field that an upsert may go by.
func (s *sobject) keyFor(name string) *field {
	if f := s.field(name); f != nil && (f.externalID || f.kind == kindID) {
		return f
	}
	return nil
}

// apply does the writing with one record, whose fields go by the names in the schema. The
// errors are those that these APIs have for one record among many.
func (t *tx) apply(w writing, fields map[string]any) (id string, created bool, failure *apiError) {
	switch w.operation {
	case opInsert:
		id, failure = t.add(w.sobject, fields, w.user)
		created = true
	case opUpdate:
		id, failure = t.amend(w.sobject, fields)
	case opUpsert:
		id, created, failure = t.upsert(w, fields)
	case opDelete:
		if id, _ = fields["Id"].(string); id == "" {
			failure = missingArgument("Id not specified in a delete call")
		} else if id, failure = w.sobject.idOf(id); failure == nil {
			failure = t.remove(id)
		}
	}
	if failure != nil {
		return "", false, inRecord(failure)
	}
	return id, created, nil
}

func missingArgument(text string) *apiError { return badRequest("MISSING_ARGUMENT", "%s", text) }

func (t *tx) add(s *sobject, fields map[string]any, owner *user) (string, *apiError) {
	r, failure := t.insert(s, &input{fields: fields}, owner)
	if failure != nil {
		return "", failure
	}
	return r.id, nil
}

// amend changes the record that the field Id names.
func (t *tx) amend(s *sobject, fields map[string]any) (string, *apiError) {
	raw, _ := fields["Id"].(string)
	if raw == "" {
		return "", missingArgument("Id not specified in an update call")
	}
	fields = maps.Clone(fields)
	delete(fields, "Id")
	r, failure := t.findOf(s, raw)
	if failure != nil {
		return "", failure
	}
	return r.id, t.change(r, &input{fields: fields})
}

func (t *tx) upsert(w writing, fields map[string]any) (id string, created bool, failure *apiError) {
	value, _ := fields[w.key.name].(string)
	if w.key.kind == kindID {
		if value == "" {
			delete(fields, "Id")
			id, failure = t.add(w.sobject, fields, w.user)
			return id, true, failure
		}
		id, failure = t.amend(w.sobject, fields)
		return id, false, failure
	}
	if value == "" {
		return "", false, missingArgument(w.key.name + " not specified")
	}
	found := t.matching(w.sobject, w.key, value)
	if len(found) == 0 {
		id, failure = t.add(w.sobject, fields, w.user)
		return id, true, failure
	}
	if len(found) > 1 {
		return "", false, badRequest("DUPLICATE_EXTERNAL_ID", "%s: more than one record found for external id field", w.key.name)
	}
	return found[0].id, false, t.change(found[0], &input{fields: fields})
}

// remove deletes the record of an id in either form.
func (t *tx) remove(raw string) *apiError {
	id, valid := normalID(raw)
	if !valid {
		return badRequest("MALFORMED_ID", "malformed id %s", raw)
	}
	r, failure := t.find(id)
	if failure != nil {
		return failure
	}
	if r.sobject.fixed {
		return cannotWrite(r.sobject)
	}
	t.delete(r)
	return nil
}

// inRecord puts the errors that are about REST into the words of the other APIs.
func inRecord(failure *apiError) *apiError {
	switch failure.Code {
	case "NOT_FOUND":
		return badRequest("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	case "JSON_PARSER_ERROR":
		return restError(failure.status, "INVALID_TYPE_ON_FIELD_IN_RECORD", failure.Message, failure.Fields...)
	}
	return failure
}

var numberText = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// fromText turns text into what JSON would have held.
func (f *field) fromText(text string) (any, *apiError) {
	switch f.kind {
	case kindBoolean:
		switch strings.ToLower(text) {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
	case kindDouble, kindInt:
		if numberText.MatchString(text) {
			return json.Number(text), nil
		}
	default:
		return text, nil
	}
	return nil, restError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", f.label+": value not of required type: "+text, f.name)
}

const soapTime = "2006-01-02T15:04:05.000Z"

// text is a field's value as SOAP and the Bulk APIs write it; none is reported as such.
func (r *record) text(f *field) (text string, given bool) {
	if f.kind == kindBlob {
		if r.blob == nil {
			return "", false
		}
		data := make([]byte, r.blob.size)
		r.blob.ReadAt(data, 0)
		return base64.StdEncoding.EncodeToString(data), true
	}
	switch v := r.values[f.name].(type) {
	case nil:
		return "", false
	case time.Time:
		return v.UTC().Format(soapTime), true
	case float64:
		if f.kind == kindDouble {
			return javaDouble(v), true
		}
		return strconv.FormatFloat(v, 'f', 0, 64), true
	default:
		return fmt.Sprint(v), true
	}
}

// javaDouble writes a number as Java does: 420000.0 and 1.25E7.
func javaDouble(v float64) string {
	if size := math.Abs(v); v == 0 || (size >= 1e-3 && size < 1e7) {
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	power, _ := strconv.Atoi(exponent)
	return fmt.Sprintf("%sE%d", mantissa, power)
}

// of is the record that a column of the row is about, nil if the reference leads nowhere.
func (r row) of(c column) *record {
	if c.via == nil {
		return r.record
	}
	return r.related[c.via]
}

// label is the column's name in an answer of lines.
func (c column) label() string {
	if c.via == nil {
		return c.field.name
	}
	return c.via.relation + "." + c.field.name
}
