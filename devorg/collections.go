package devorg

import (
	"context"
	"net/http"
	"strings"
)

// maxRetrieved is how many records one call reads.
const maxRetrieved = 2000

// collections answers under /composite/sobjects: many records in one call.
func (o *Org) collections(c *call, path []string) (*result, *apiError) {
	if len(path) == 1 {
		s := sobjectNamed(path[0])
		if s == nil {
			return nil, notFound()
		}
		return o.retrieve(c, s)
	}
	if len(path) > 1 {
		return nil, notFound()
	}
	switch c.method {
	case http.MethodPost, http.MethodPatch:
		return o.saveAll(c)
	case http.MethodDelete:
		return o.deleteAll(c)
	}
	return nil, methodNotAllowed(c.method, "DELETE, PATCH, POST")
}

func (o *Org) saveAll(c *call) (*result, *apiError) {
	var in struct {
		AllOrNone bool             `json:"allOrNone"`
		Records   []map[string]any `json:"records"`
	}
	if failure := c.readJSON(&in); failure != nil {
		return nil, failure
	}
	return o.each(c, in.AllOrNone, len(in.Records), func(t *tx, i int) (string, *apiError) {
		return t.save(c, in.Records[i])
	})
}

// save creates or updates one record of a collection.
func (t *tx) save(c *call, fields map[string]any) (string, *apiError) {
	attributes, _ := fields["attributes"].(map[string]any)
	name, _ := attributes["type"].(string)
	s := sobjectNamed(name)
	if s == nil {
		return "", badRequest("INVALID_TYPE", "sObject type '%s' is not supported.", name)
	}
	if c.method == http.MethodPost {
		return t.add(s, fields, c.session.user)
	}
	raw := ""
	for _, key := range []string{"id", "Id"} {
		if value, isText := fields[key].(string); isText {
			raw = value
			delete(fields, key)
		}
	}
	r, failure := t.findOf(s, raw)
	if failure != nil {
		return "", failure
	}
	return r.id, t.change(r, &input{fields: fields})
}

func (t *tx) findOf(s *sobject, raw string) (*record, *apiError) {
	id, failure := s.idOf(raw)
	if failure != nil {
		return nil, failure
	}
	return t.find(id)
}

func (o *Org) deleteAll(c *call) (*result, *apiError) {
	ids := splitList(c.query.Get("ids"))
	return o.each(c, c.query.Get("allOrNone") == "true", len(ids), func(t *tx, i int) (string, *apiError) {
		id, _ := normalID(ids[i])
		return id, t.remove(ids[i])
	})
}

func splitList(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// each does something with n records, each for itself or all or none, and lists what
// became of them.
func (o *Org) each(c *call, allOrNone bool, n int, do func(t *tx, i int) (string, *apiError)) (*result, *apiError) {
	if n == 0 || n > maxCollection {
		return nil, badRequest("INVALID_INPUT", "the number of records must be from 1 to %d.", maxCollection)
	}
	ids := make([]string, n)
	failures := o.attempt(c.ctx, allOrNone, n, func(t *tx, i int) (failure *apiError) {
		ids[i], failure = do(t, i)
		return failure
	})
	outcomes := make([]object, n)
	for i, failure := range failures {
		outcomes[i] = saved(ids[i])
		if failure != nil {
			outcomes[i] = object{{"success", false}, {"errors", []object{failure.ofRecord()}}}
		}
	}
	return ok(outcomes)
}

// attempt does something with n records, each for itself or all or none, and returns what
// each failed with.
func (o *Org) attempt(ctx context.Context, allOrNone bool, n int, do func(t *tx, i int) *apiError) []*apiError {
	failures := make([]*apiError, n)
	undone := o.together(ctx, allOrNone, func(ctx context.Context) (failed bool) {
		for i := range n {
			failures[i] = o.store.do(ctx, func(t *tx) *apiError { return do(t, i) })
			failed = failed || failures[i] != nil
		}
		return failed
	})
	for i := range failures {
		if failures[i] == nil && undone {
			failures[i] = badRequest("ALL_OR_NONE_OPERATION_ROLLED_BACK",
				"Record rolled back because not all records were valid and the request was using AllOrNone header")
		}
	}
	return failures
}

// ofRecord is an error as the collection calls word it.
func (e *apiError) ofRecord() object {
	return object{{"statusCode", e.Code}, {"message", e.Message}, {"fields", append([]string{}, e.Fields...)}}
}

// retrieve reads many records of one sobject; null stands for one that is not there.
func (o *Org) retrieve(c *call, s *sobject) (*result, *apiError) {
	var in struct {
		IDs    []string `json:"ids"`
		Fields []string `json:"fields"`
	}
	switch c.method {
	case http.MethodGet:
		in.IDs, in.Fields = splitList(c.query.Get("ids")), splitList(c.query.Get("fields"))
	case http.MethodPost:
		if failure := c.readJSON(&in); failure != nil {
			return nil, failure
		}
	default:
		return nil, methodNotAllowed(c.method, "GET, POST")
	}
	if len(in.IDs) == 0 || len(in.IDs) > maxRetrieved || len(in.Fields) == 0 {
		return nil, badRequest("INVALID_INPUT", "ids (at most %d) and fields are needed.", maxRetrieved)
	}
	fields, failure := s.fieldList(strings.Join(in.Fields, ","))
	if failure != nil {
		return nil, failure
	}
	records := make([]any, len(in.IDs))
	failure = o.store.do(c.ctx, func(t *tx) *apiError {
		for i, raw := range in.IDs {
			id, failure := s.idOf(raw)
			if failure != nil {
				return failure
			}
			if r, absent := t.find(id); absent == nil {
				records[i] = r.render(c, fields)
			}
		}
		return nil
	})
	if failure != nil {
		return nil, failure
	}
	return ok(records)
}
