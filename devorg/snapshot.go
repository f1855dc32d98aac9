package devorg

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Snapshot returns the state of all records as text, a line each, deleted ones
// included: two are equal if nothing has changed in between.
func (o *Org) Snapshot() string {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	var text strings.Builder
	for _, id := range slices.Sorted(maps.Keys(o.store.records)) {
		r := o.store.records[id]
		fmt.Fprintf(&text, "%s %s revision %d %v\n", r.sobject.name, id, r.revision, r.values) // fmt sorts a map's keys
	}
	return text.String()
}
