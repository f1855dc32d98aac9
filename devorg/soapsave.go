package devorg

import "encoding/xml"

// A soapRecord is a record as it was sent. A value that its field cannot hold is the
// record's own failure; whatever is wrong with its shape is the call's.
type soapRecord struct {
	sobject *sobject
	fields  map[string]any
	failure *apiError
}

func (c *soapCall) create() *apiError { return c.save(opInsert) }

func (c *soapCall) update() *apiError { return c.save(opUpdate) }

func (c *soapCall) upsert() *apiError { return c.save(opUpsert) }

func (c *soapCall) save(op operation) *apiError {
	names := []string{"sObjects"}
	if op == opUpsert {
		names = append(names, "externalIDFieldName")
	}
	given, failure := c.arguments(names...)
	if failure != nil {
		return failure
	}
	key := ""
	if op == opUpsert {
		if key, failure = c.text(given, "externalIDFieldName"); failure != nil {
			return failure
		}
	}
	writings := make([]writing, len(given["sObjects"]))
	records := make([]*soapRecord, len(writings))
	for i, n := range given["sObjects"] {
		if records[i], failure = c.readRecord(n); failure != nil {
			return failure
		}
		s := records[i].sobject
		writings[i] = writing{operation: op, sobject: s, user: c.session.user}
		if op == opUpsert {
			if writings[i].key = s.keyFor(key); writings[i].key == nil {
				return badRequest("INVALID_FIELD", "Field name provided, %s does not match an External ID, Salesforce Id, or indexed field for %s", key, s.name)
			}
		}
	}
	ids, created := make([]string, len(records)), make([]bool, len(records))
	return c.each(len(records), func(t *tx, i int) (failure *apiError) {
		if failure = records[i].failure; failure == nil {
			ids[i], created[i], failure = t.apply(writings[i], records[i].fields)
		}
		return failure
	}, func(i int, failure *apiError) object {
		result := outcomeOf(ids[i], failure)
		if op == opUpsert {
			result = append(object{{"created", failure == nil && created[i]}}, result...)
		}
		return result
	})
}

func (c *soapCall) delete() *apiError {
	given, failure := c.arguments("ids")
	if failure != nil {
		return failure
	}
	ids, failure := c.texts(given["ids"])
	if failure != nil {
		return failure
	}
	return c.each(len(ids), func(t *tx, i int) *apiError {
		if failure := t.remove(ids[i]); failure != nil {
			return inRecord(failure)
		}
		return nil
	}, func(i int, failure *apiError) object {
		id, _ := normalID(ids[i])
		return outcomeOf(id, failure)
	})
}

// each does something with n records, each for itself or all or none, and writes what
// became of them.
func (c *soapCall) each(n int, do func(t *tx, i int) *apiError, outcome func(i int, failure *apiError) object) *apiError {
	if n > maxCollection {
		return badRequest("EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than %d records in this call", maxCollection)
	}
	for i, failure := range c.org.attempt(c.ctx, c.options.allOrNone, n, do) {
		c.out.members(object{{"result", outcome(i, failure)}})
	}
	return nil
}

func outcomeOf(id string, failure *apiError) object {
	if failure == nil {
		return object{{"id", id}, {"success", true}}
	}
	return object{
		{"errors", object{{"fields", failure.Fields}, {"message", failure.Message}, {"statusCode", failure.Code}}},
		{"id", nil}, {"success", false},
	}
}

// readRecord reads one record. As in Salesforce, an element that is empty or null says
// nothing: fieldsToNull is what empties a field.
func (c *soapCall) readRecord(n *node) (*soapRecord, *apiError) {
	s, failure := c.typeOf(n)
	if failure != nil {
		return nil, failure
	}
	r := &soapRecord{sobject: s, fields: make(map[string]any)}
	for _, child := range n.children {
		if child.name.Space != c.api.namespace && child.name.Space != c.api.records {
			return nil, c.cannotRead("unexpected element " + child.name.Local)
		}
		if child.name.Local == "type" && !c.api.typed {
			continue
		}
		if failure := r.set(child); failure != nil {
			return nil, failure
		}
	}
	return r, nil
}

// typeOf finds what a record is: the partner API has an element for it, the enterprise
// API its xsi:type.
func (c *soapCall) typeOf(n *node) (*sobject, *apiError) {
	abstract := badRequest("INVALID_TYPE", "Must send a concrete entity type.")
	if c.api.typed {
		name, valid := n.qualified(n.attr(schemaInstance, "type"))
		if !valid || name.Space != c.api.records {
			return nil, abstract
		}
		return sobjectOf(name.Local)
	}
	types := append(n.named(xml.Name{Space: c.api.namespace, Local: "type"}), n.named(xml.Name{Space: c.api.records, Local: "type"})...)
	if len(types) != 1 || types[0].text == "" {
		return nil, abstract
	}
	return sobjectOf(types[0].text)
}

// set takes one child of a record.
func (r *soapRecord) set(child *node) *apiError {
	name, emptied := child.name.Local, child.name.Local == "fieldsToNull"
	if emptied {
		name = child.text
	}
	if child.null() && child.text != "" {
		return badRequest("INVALID_FIELD", "%s is null and has a value", name)
	}
	if emptied && name == "" {
		return nil
	}
	f := r.sobject.field(name)
	if f == nil {
		return noSuchColumn(r.sobject, name)
	}
	if len(child.children) > 0 {
		return badRequest("INVALID_FIELD", "%s must be a value and not a record", name)
	}
	if emptied {
		return r.put(f, nil)
	}
	if child.text == "" {
		return nil
	}
	value, failure := f.fromText(child.text)
	if failure != nil {
		r.failure = failure
		return nil
	}
	return r.put(f, value)
}

// put refuses a field that comes twice, but for the id, which a record that was queried has
// twice when it is sent back.
func (r *soapRecord) put(f *field, value any) *apiError {
	if old, twice := r.fields[f.name]; twice && (f.kind != kindID || old != value) {
		return badRequest("INVALID_FIELD", "%s is given more than once", f.name)
	}
	r.fields[f.name] = value
	return nil
}
