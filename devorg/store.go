package devorg

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// A record is one state of one record. Immutable: a change makes another.
type record struct {
	id       string
	sobject  *sobject
	values   map[string]any // by field name: string, float64, bool, time.Time or nil
	blob     *blob
	revision int
}

func (r *record) deleted() bool { return r.values["IsDeleted"] == true }

func (r *record) modified() time.Time { t, _ := r.values["SystemModstamp"].(time.Time); return t }

// etag names this state of the record.
func (r *record) etag() string { return fmt.Sprintf(`"%s-%d"`, r.id, r.revision) }

// A store holds the org's records.
type store struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows; held for a whole transaction
	records map[string]*record
	order   map[*sobject][]string // ids as they were created
	serial  int
}

func newStore(now func() time.Time) *store {
	return &store{now: now, records: make(map[string]*record), order: make(map[*sobject][]string)}
}

// A tx is the store within a transaction.
type tx struct {
	*store
	undo []func()
}

type txKey struct{}

// do runs f in a transaction, which a failure undoes. Within a composite call that is all
// or none, that call's own transaction is in ctx, and f becomes a part of it.
func (s *store) do(ctx context.Context, f func(*tx) *apiError) *apiError {
	t, nested := ctx.Value(txKey{}).(*tx)
	if !nested {
		s.mu.Lock()
		defer s.mu.Unlock()
		t = &tx{store: s}
	}
	mark := len(t.undo)
	failure := f(t)
	if failure != nil {
		t.rollback(mark)
	}
	return failure
}

func (t *tx) rollback(mark int) {
	for i := len(t.undo) - 1; i >= mark; i-- {
		t.undo[i]()
	}
	t.undo = t.undo[:mark]
}

// find returns a record that is there; id is in its 18-character form.
func (t *tx) find(id string) (*record, *apiError) {
	r := t.records[id]
	if r == nil {
		return nil, notFound()
	}
	if r.deleted() {
		return nil, restError(404, "ENTITY_IS_DELETED", "entity is deleted")
	}
	return r, nil
}

// matching returns the records of s, not deleted, that have an external id.
func (t *tx) matching(s *sobject, f *field, value string) []*record {
	var found []*record
	for _, id := range t.order[s] {
		r := t.records[id]
		text, _ := r.values[f.name].(string)
		if !r.deleted() && text != "" && strings.EqualFold(text, value) {
			found = append(found, r)
		}
	}
	return found
}

// all returns the records of s in the order of their creation.
func (t *tx) all(s *sobject, deleted bool) []*record {
	var list []*record
	for _, id := range t.order[s] {
		if r := t.records[id]; deleted || !r.deleted() {
			list = append(list, r)
		}
	}
	return list
}

// create adds a record of values that have been checked.
func (t *tx) create(s *sobject, values map[string]any, content *blob) *record {
	t.serial++
	id := newID(s.prefix, t.serial)
	now := t.now().UTC().Truncate(time.Second)
	values["Id"], values["IsDeleted"] = id, false
	values["CreatedDate"], values["LastModifiedDate"], values["SystemModstamp"] = now, now, now
	if name := sizeFields[s.name]; name != "" && content != nil {
		values[name] = float64(content.size)
	}
	r := &record{id: id, sobject: s, values: values, blob: content}
	t.records[id] = r
	t.order[s] = append(t.order[s], id)
	t.undo = append(t.undo, func() {
		delete(t.records, id)
		t.order[s] = t.order[s][:len(t.order[s])-1]
	})
	return r
}

// update replaces some values of a record, and its content unless that is nil.
func (t *tx) update(old *record, values map[string]any, content *blob) *record {
	merged := maps.Clone(old.values)
	maps.Copy(merged, values)
	now := t.now().UTC().Truncate(time.Second)
	merged["LastModifiedDate"], merged["SystemModstamp"] = now, now
	r := &record{id: old.id, sobject: old.sobject, values: merged, blob: old.blob, revision: old.revision + 1}
	if content != nil {
		r.blob = content
		merged[sizeFields[old.sobject.name]] = float64(content.size)
	}
	t.records[r.id] = r
	t.undo = append(t.undo, func() { t.records[old.id] = old })
	return r
}

func (t *tx) delete(r *record) { t.update(r, map[string]any{"IsDeleted": true}, nil) }
