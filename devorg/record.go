package devorg

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// sobjects answers under /services/data/vNN.0/sobjects.
func (o *Org) sobjects(c *call, path []string) (*result, *apiError) {
	if len(path) == 0 {
		return c.get(func() (*result, *apiError) { return ok(describeAll(c)) })
	}
	s := sobjectNamed(path[0])
	if s == nil {
		return nil, notFound()
	}
	switch {
	case len(path) == 1:
		return o.collection(c, s)
	case len(path) == 2 && path[1] == "describe":
		return c.get(func() (*result, *apiError) { return ok(s.describeFully(c.root(), o.InstanceURL())) })
	case len(path) == 2:
		return o.row(c, s, path[1])
	case len(path) == 3:
		if f := s.field(path[1]); f != nil && f.externalID {
			return o.rowByExternalID(c, s, f, path[2])
		}
		if f := s.field(path[2]); f != nil && f.kind == kindBlob {
			return c.get(func() (*result, *apiError) { return o.readBlob(c, s, path[1]) })
		}
	}
	return nil, notFound()
}

func describeAll(c *call) object {
	var list []object
	for _, s := range schema {
		list = append(list, s.describe(c.root()))
	}
	return object{{"encoding", "UTF-8"}, {"maxBatchSize", 200}, {"sobjects", list}}
}

// collection answers for /sobjects/X.
func (o *Org) collection(c *call, s *sobject) (*result, *apiError) {
	if c.method == http.MethodGet {
		return ok(object{{"objectDescribe", s.describe(c.root())}, {"recentItems", []any{}}})
	}
	if c.method != http.MethodPost {
		return nil, methodNotAllowed(c.method, "GET, POST")
	}
	in, failure := c.readRecord(s)
	if failure != nil {
		return nil, failure
	}
	var made *record
	failure = o.store.do(c.ctx, func(t *tx) (failure *apiError) {
		made, failure = t.insert(s, in, c.session.user)
		return failure
	})
	if failure != nil {
		return nil, failure
	}
	return created(c, made, false), nil
}

// created is the answer to a create, and to an upsert that created.
func created(c *call, r *record, upsert bool) *result {
	answer := jsonResult(http.StatusCreated, saved(r.id))
	if upsert {
		answer.body = append(saved(r.id), member{"created", true})
	}
	answer.header = http.Header{"Location": {r.url(c)}}
	return answer
}

func saved(id string) object {
	return object{{"id", id}, {"success", true}, {"errors", []any{}}}
}

func (r *record) url(c *call) string { return c.root() + "/sobjects/" + r.sobject.name + "/" + r.id }

// row answers for /sobjects/X/ID.
func (o *Org) row(c *call, s *sobject, rawID string) (*result, *apiError) {
	id, failure := s.idOf(rawID)
	if failure != nil {
		return nil, failure
	}
	var in *input
	if c.method == http.MethodPatch {
		if in, failure = c.readRecord(s); failure != nil {
			return nil, failure
		}
	}
	var answer *result
	failure = o.store.do(c.ctx, func(t *tx) *apiError {
		r, failure := t.find(id)
		if failure != nil {
			return failure
		}
		answer, failure = t.touch(c, r, in)
		return failure
	})
	return answer, failure
}

// touch reads, changes or deletes a record, as the call's method says.
func (t *tx) touch(c *call, r *record, in *input) (*result, *apiError) {
	switch c.method {
	case http.MethodGet, http.MethodHead:
		return r.read(c)
	case http.MethodPatch:
		if !c.preconditionHolds(r) {
			return nil, restError(http.StatusPreconditionFailed, "PRECONDITION_FAILED", "The record has changed.")
		}
		return &result{status: http.StatusNoContent}, t.change(r, in)
	case http.MethodDelete:
		if r.sobject.fixed {
			return nil, cannotWrite(r.sobject)
		}
		t.delete(r)
		return &result{status: http.StatusNoContent}, nil
	}
	return nil, methodNotAllowed(c.method, "DELETE, GET, HEAD, PATCH")
}

func cannotWrite(s *sobject) *apiError {
	return badRequest("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "entity type %s cannot be written", s.name)
}

// preconditionHolds compares If-Match, which as in Salesforce only Accounts know.
func (c *call) preconditionHolds(r *record) bool {
	match := c.header.Get("If-Match")
	return match == "" || match == "*" || r.sobject.name != "Account" || c.names(match, r)
}

func (c *call) names(tags string, r *record) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		plain := strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if strings.Replace(plain, `-gzip"`, `"`, 1) == r.etag() {
			return true
		}
	}
	return false
}

func (r *record) read(c *call) (*result, *apiError) {
	header := http.Header{"Last-Modified": {r.modified().Format(http.TimeFormat)}}
	unchanged := false
	if since, err := http.ParseTime(c.header.Get("If-Modified-Since")); err == nil {
		unchanged = !r.modified().After(since)
	}
	if r.sobject.name == "Account" {
		header.Set("Etag", r.etag())
		if tags := c.header.Get("If-None-Match"); tags != "" {
			unchanged = c.names(tags, r)
		}
	}
	if unchanged {
		return &result{status: http.StatusNotModified, header: header}, nil
	}
	fields, failure := r.sobject.fieldList(c.query.Get("fields"))
	if failure != nil {
		return nil, failure
	}
	return &result{status: http.StatusOK, header: header, body: r.render(c, fields)}, nil
}

// fieldList parses the fields parameter; empty means all.
func (s *sobject) fieldList(raw string) ([]*field, *apiError) {
	if raw == "" {
		return s.fields, nil
	}
	var fields []*field
	for name := range strings.SplitSeq(raw, ",") {
		f := s.field(strings.TrimSpace(name))
		if f == nil {
			return nil, noSuchColumn(s, name)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func noSuchColumn(s *sobject, name string) *apiError {
	return badRequest("INVALID_FIELD", "No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name.", name, s.name)
}

func (r *record) attributes(c *call) object {
	return object{{"type", r.sobject.name}, {"url", r.url(c)}}
}

func (r *record) render(c *call, fields []*field) object {
	o := object{{"attributes", r.attributes(c)}}
	for _, f := range fields {
		o = append(o, member{f.name, r.json(c, f)})
	}
	return o
}

const datetimeLayout = "2006-01-02T15:04:05.000-0700"

// json is a field's value as JSON has it; a blob is the path it can be had from.
func (r *record) json(c *call, f *field) any {
	if f.kind == kindBlob {
		return r.url(c) + "/" + f.name
	}
	switch v := r.values[f.name].(type) {
	case time.Time:
		return v.UTC().Format(datetimeLayout)
	case float64:
		if f.kind == kindDouble && v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return json.RawMessage(fmt.Sprintf("%.1f", v))
		}
		return v
	default:
		return v
	}
}

// rowByExternalID answers for /sobjects/X/FIELD/VALUE.
func (o *Org) rowByExternalID(c *call, s *sobject, f *field, value string) (*result, *apiError) {
	var in *input
	if c.method == http.MethodPatch {
		var failure *apiError
		if in, failure = c.readRecord(s); failure != nil {
			return nil, failure
		}
		if _, both := in.fields[f.name]; both {
			return nil, badRequest("INVALID_FIELD", "The %s field should not be specified in the sobject data.", f.name)
		}
	}
	var answer *result
	failure := o.store.do(c.ctx, func(t *tx) (failure *apiError) {
		found := t.matching(s, f, value)
		switch {
		case len(found) > 1:
			answer = severalChoices(c, found)
		case len(found) == 1:
			if answer, failure = t.touch(c, found[0], in); failure == nil && in != nil {
				answer = updated(c, found[0])
			}
		case in == nil:
			failure = notFound()
		default:
			in.fields[f.name] = value
			var r *record
			if r, failure = t.insert(s, in, c.session.user); failure == nil {
				answer = created(c, r, true)
			}
		}
		return failure
	})
	return answer, failure
}

func severalChoices(c *call, found []*record) *result {
	var urls []string
	for _, r := range found {
		urls = append(urls, r.url(c))
	}
	return jsonResult(http.StatusMultipleChoices, urls)
}

// updated is the answer to an upsert that updated; before version 46 it had no body.
func updated(c *call, r *record) *result {
	if c.version < "v46.0" {
		return &result{status: http.StatusNoContent}
	}
	return jsonResult(http.StatusOK, append(saved(r.id), member{"created", false}))
}

// An input is a record as a client sent it.
type input struct {
	fields map[string]any // as decoded from JSON
	blob   *blob          // from a multipart body
}

// readRecord reads the body of a create or an update.
func (c *call) readRecord(s *sobject) (*input, *apiError) {
	if strings.HasPrefix(c.header.Get("Content-Type"), "multipart/form-data") {
		return c.readMultipart(s)
	}
	in := &input{}
	if failure := c.readJSON(&in.fields); failure != nil {
		return nil, failure
	}
	if in.fields == nil {
		return nil, badRequest("JSON_PARSER_ERROR", "The body must be a JSON object.")
	}
	return in, nil
}

// insert checks a record as it was sent and adds it.
func (t *tx) insert(s *sobject, in *input, owner *user) (*record, *apiError) {
	if s.fixed {
		return nil, cannotWrite(s)
	}
	values, content, failure := t.check(s, in)
	if failure != nil {
		return nil, failure
	}
	var missing []string
	for _, f := range s.fields {
		absent := values[f.name] == nil
		if f.kind == kindBlob {
			absent = content == nil
		}
		if f.required && absent {
			missing = append(missing, f.name)
		}
	}
	if missing != nil {
		return nil, requiredMissing(missing)
	}
	if values["OwnerId"] == nil {
		values["OwnerId"] = owner.id
	}
	return t.create(s, values, content), nil
}

func requiredMissing(names []string) *apiError {
	return restError(http.StatusBadRequest, "REQUIRED_FIELD_MISSING",
		"Required fields are missing: ["+strings.Join(names, ", ")+"]", names...)
}

// change checks what was sent for an existing record and applies it.
func (t *tx) change(r *record, in *input) *apiError {
	if r.sobject.fixed {
		return cannotWrite(r.sobject)
	}
	values, content, failure := t.check(r.sobject, in)
	if failure != nil {
		return failure
	}
	for _, f := range r.sobject.fields {
		if value, given := values[f.name]; given && value == nil && (f.required || f.name == "OwnerId") {
			return requiredMissing([]string{f.name})
		}
	}
	t.update(r, values, content)
	return nil
}

// check turns what was sent into values, by the rules of each field.
func (t *tx) check(s *sobject, in *input) (map[string]any, *blob, *apiError) {
	values, content := make(map[string]any), in.blob
	for _, name := range slices.Sorted(maps.Keys(in.fields)) {
		sent := in.fields[name]
		if name == "attributes" {
			if attributes, _ := sent.(map[string]any); attributes["type"] != s.name {
				return nil, nil, badRequest("INVALID_TYPE", "attributes.type must be %s.", s.name)
			}
			continue
		}
		f := s.field(name)
		if f == nil {
			return nil, nil, badRequest("INVALID_FIELD", "No such column '%s' on sobject of type %s", name, s.name)
		}
		if f.readOnly {
			return nil, nil, restError(http.StatusBadRequest, "INVALID_FIELD_FOR_INSERT_UPDATE",
				"Unable to create/update fields: "+f.name+". Please check the security settings of this field and verify that it is read/write for your profile or permission set.", f.name)
		}
		if _, twice := values[f.name]; twice {
			return nil, nil, badRequest("INVALID_FIELD", "Duplicate field %s.", f.name)
		}
		value, failure := t.checkValue(f, sent)
		if failure != nil {
			return nil, nil, failure
		}
		if f.kind == kindBlob {
			if content != nil {
				return nil, nil, badRequest("INVALID_FIELD", "%s is both in the JSON and in a part of its own.", f.name)
			}
			content, _ = value.(*blob)
			continue
		}
		values[f.name] = value
	}
	return values, content, nil
}

// checkValue turns one value; the empty string is none.
func (t *tx) checkValue(f *field, sent any) (any, *apiError) {
	wrongType := restError(http.StatusBadRequest, "JSON_PARSER_ERROR",
		fmt.Sprintf("Cannot read a value of type %s for field %s.", f.kind, f.name), f.name)
	switch v := sent.(type) {
	case nil:
		return nil, nil
	case bool:
		if f.kind != kindBoolean {
			return nil, wrongType
		}
		return v, nil
	case json.Number:
		number, err := v.Float64()
		if err != nil || (f.kind != kindDouble && f.kind != kindInt) || (f.kind == kindInt && number != math.Trunc(number)) {
			return nil, wrongType
		}
		return number, nil
	case string:
		if f.kind != kindBlob && !f.isText() {
			return nil, wrongType
		}
		if v == "" {
			return nil, nil
		}
		return t.checkText(f, v)
	}
	return nil, wrongType
}

func (t *tx) checkText(f *field, text string) (any, *apiError) {
	switch f.kind {
	case kindBlob:
		if len(text) > maxBase64 {
			return nil, restError(http.StatusBadRequest, "STRING_TOO_LONG", f.label+": data value too large", f.name)
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, restError(http.StatusBadRequest, "JSON_PARSER_ERROR", f.name+" is not base64.", f.name)
		}
		return blobOf(data), nil
	case kindReference:
		id, failure := sobjectNamed(f.refersTo).idOf(text)
		if failure != nil {
			return nil, restError(http.StatusBadRequest, "MALFORMED_ID", f.label+": id value of incorrect type: "+text, f.name)
		}
		if _, failure := t.find(id); failure != nil {
			return nil, restError(http.StatusBadRequest, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", f.name)
		}
		return id, nil
	case kindEmail:
		if !strings.Contains(text, "@") {
			return nil, restError(http.StatusBadRequest, "INVALID_EMAIL_ADDRESS", f.label+": invalid email address: "+text, f.name)
		}
	}
	if utf8.RuneCountInString(text) > f.length {
		return nil, restError(http.StatusBadRequest, "STRING_TOO_LONG",
			fmt.Sprintf("%s: data value too large: (max length=%d)", f.label, f.length), f.name)
	}
	return text, nil
}
