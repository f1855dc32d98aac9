package devorg

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// soapPageSize is how many records an answer has unless the client asks for another number.
const soapPageSize = 500

func (c *soapCall) query() *apiError { return c.find(false) }

func (c *soapCall) queryAll() *apiError { return c.find(true) }

func (c *soapCall) find(deleted bool) *apiError {
	given, failure := c.arguments("queryString")
	if failure != nil {
		return failure
	}
	soql, failure := c.text(given, "queryString")
	if failure != nil {
		return failure
	}
	statement, rows, failure := c.org.find(c.ctx, soql, deleted)
	if failure != nil {
		return failure
	}
	size := cmp.Or(c.options.batchSize, soapPageSize)
	found := &cursor{owner: c.session.user, size: size, rows: rows, query: statement}
	if statement.count {
		c.result(object{{"done", true}, {"queryLocator", nil}, {"size", len(rows)}})
		return nil
	}
	id := ""
	if len(rows) > size {
		id = c.org.cursors.add(found)
	}
	c.page(found, id, 0, size)
	return nil
}

func (c *soapCall) queryMore() *apiError {
	given, failure := c.arguments("queryLocator")
	if failure != nil {
		return failure
	}
	locator, failure := c.text(given, "queryLocator")
	if failure != nil {
		return failure
	}
	found, id, start, failure := c.org.locate(locator, c.session.user)
	if failure != nil {
		return failure
	}
	c.page(found, id, start, cmp.Or(c.options.batchSize, found.size))
	return nil
}

// result writes a QueryResult.
func (c *soapCall) result(members object) {
	c.out.WriteString(`<result xsi:type="QueryResult">`)
	c.out.members(members)
	c.out.WriteString(`</result>`)
}

func (c *soapCall) page(found *cursor, id string, start, size int) {
	end := min(start+size, len(found.rows))
	var records xmlText
	for _, r := range found.rows[start:end] {
		c.writeRow(&records, "records", r, found.query.fields)
	}
	var locator any
	if end < len(found.rows) {
		locator = fmt.Sprintf("%s-%d", id, end)
	}
	c.result(object{{"done", end == len(found.rows)}, {"queryLocator", locator},
		{"records", rawXML(records.String())}, {"size", len(found.rows)}})
}

// writeRow writes one record. The partner API has its type first and its id next, and
// the id once more where it was asked for; the enterprise API has each field once and all
// in the order of their names, as its WSDL does.
func (c *soapCall) writeRow(b *xmlText, element string, r row, columns []column) {
	own := columnsVia(columns, nil)
	c.openRecord(b, element, r.record, own)
	if c.api.typed {
		columns = slices.Clone(columns)
		slices.SortStableFunc(columns, func(x, y column) int { return strings.Compare(x.element(), y.element()) })
	}
	done := make(map[*field]bool)
	for _, column := range columns {
		switch {
		case column.via == nil:
			c.writeField(b, r.record, column.field)
		case !done[column.via]:
			done[column.via] = true
			c.writeRelated(b, r.related[column.via], column.via, columnsVia(columns, column.via))
		}
	}
	b.WriteString("</" + element + ">")
}

func (c *soapCall) writeRelated(b *xmlText, target *record, via *field, fields []*field) {
	element := "sf:" + via.relation
	if target == nil {
		b.nothing(element)
		return
	}
	c.openRecord(b, element, target, fields)
	for _, f := range fields {
		c.writeField(b, target, f)
	}
	b.WriteString("</" + element + ">")
}

// element is the name of the column's element.
func (c column) element() string {
	if c.via != nil {
		return c.via.relation
	}
	return c.field.name
}

// columnsVia are the fields that were asked for of the record itself, or of a related one.
func columnsVia(columns []column, via *field) []*field {
	var fields []*field
	for _, c := range columns {
		if c.via == via {
			fields = append(fields, c.field)
		}
	}
	return fields
}

// openRecord writes all that comes before a record's fields.
func (c *soapCall) openRecord(b *xmlText, element string, r *record, fields []*field) {
	kind := "sf:sObject"
	if c.api.typed {
		kind = "sf:" + r.sobject.name
	}
	b.WriteString("<" + element + ` xsi:type="` + kind + `">`)
	if !c.api.typed {
		b.leaf("sf:type", r.sobject.name)
	}
	if slices.ContainsFunc(fields, func(f *field) bool { return f.kind == kindID }) {
		b.leaf("sf:Id", r.id)
	} else {
		b.nothing("sf:Id")
	}
}

func (c *soapCall) writeField(b *xmlText, r *record, f *field) {
	if f.kind == kindID && c.api.typed {
		return
	}
	text, given := r.text(f)
	if !given {
		b.nothing("sf:" + f.name)
		return
	}
	b.leaf("sf:"+f.name, text)
}

// retrieve answers with the records of some ids in their order, and null for one that is
// not there.
func (c *soapCall) retrieve() *apiError {
	given, failure := c.arguments("fieldList", "sObjectType", "ids")
	if failure != nil {
		return failure
	}
	list, failure := c.text(given, "fieldList")
	if failure != nil {
		return failure
	}
	s, failure := c.sobjectNamed(given, "sObjectType")
	if failure != nil {
		return failure
	}
	ids, failure := c.texts(given["ids"])
	if failure != nil {
		return failure
	}
	if list == "" {
		return badRequest("INVALID_FIELD", "the list of fields is empty")
	}
	if len(ids) > maxRetrieved {
		return badRequest("EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than %d records in this call", maxRetrieved)
	}
	fields, failure := s.fieldList(list)
	if failure != nil {
		return failure
	}
	var columns []column
	for _, f := range fields {
		columns = append(columns, column{field: f})
	}
	return c.org.store.do(c.ctx, func(t *tx) *apiError {
		for _, raw := range ids {
			id, failure := s.idOf(raw)
			if failure != nil {
				return failure
			}
			if r, absent := t.find(id); absent == nil {
				c.writeRow(&c.out, "result", row{record: r}, columns)
			} else {
				c.out.nothing("result")
			}
		}
		return nil
	})
}

// sobjectNamed reads the argument that names a sobject.
func (c *soapCall) sobjectNamed(given map[string][]*node, argument string) (*sobject, *apiError) {
	name, failure := c.text(given, argument)
	if failure != nil {
		return nil, failure
	}
	return sobjectOf(name)
}

func sobjectOf(name string) (*sobject, *apiError) {
	s := sobjectNamed(name)
	if s == nil {
		return nil, badRequest("INVALID_TYPE", "sObject type '%s' is not supported.", name)
	}
	return s, nil
}
