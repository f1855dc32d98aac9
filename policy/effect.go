package policy

import (
	"slices"
	"strings"
)

// effect is what a request would do at Salesforce, as far as it can be told.
type effect struct {
	what    string // the kind of request, such as "a query"
	changes string // why it is not known to change nothing, as a clause; "" for a read
	reads   []string
	writes  []string
	renames bool   // whether a query in it may give its results names of its own
	remedy  string // what would make a read of what changes; "" for nothing
	unknown string // why not all of its objects can be told, as a clause; "" if they can
}

// metadata is the effect of a request that touches no record.
func metadata(what string) effect { return effect{what: what} }

// reading is the effect of a request that reads records of some objects.
func reading(what string, names ...string) effect { return effect{what: what, reads: names} }

// readingUnknown is the effect of one that reads records of who knows what.
func readingUnknown(what string) effect {
	return effect{what: what, unknown: "the objects of " + what + " cannot be told"}
}

// writing is the effect of a request that changes records of some objects.
func writing(what string, names ...string) effect {
	return effect{what: what, changes: what + " may change something", writes: names}
}

// writingUnknown is the effect of one that may change anything, or read it.
func writingUnknown(what string) effect {
	return effect{what: what, changes: what + " may change something", unknown: "the objects of " + what + " cannot be told"}
}

// with returns both effects as one.
func (e effect) with(other effect) effect {
	if e.what == "" {
		return other
	}
	if other.what != "" && !slices.Contains(strings.Split(e.what, ", "), other.what) {
		e.what += ", " + other.what
	}
	if e.changes == "" {
		e.changes, e.remedy = other.changes, other.remedy
	}
	if e.unknown == "" {
		e.unknown = other.unknown
	}
	e.renames = e.renames || other.renames
	e.reads = append(slices.Clip(e.reads), other.reads...)
	e.writes = append(slices.Clip(e.writes), other.writes...)
	return e
}

// String tells a person.
func (e effect) String() string {
	text := e.what
	for _, part := range []struct {
		verb  string
		names []string
	}{{"reads", e.reads}, {"writes", e.writes}} {
		if len(part.names) > 0 {
			names := slices.Compact(slices.Sorted(slices.Values(part.names)))
			text += "; it " + part.verb + " " + strings.Join(names, ", ")
		}
	}
	if e.changes == "" {
		text += "; it changes nothing"
	}
	if e.unknown != "" {
		text += "; not all of its objects can be told"
	}
	return text
}
