package auth

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Entry is one way in which a grant fails, in words for the person who has to
// mend it.
type Entry struct {
	// ID names the entry, for links into the documentation.
	ID string
	// Code is the OAuth error, exact but for case. It is empty where the token
	// endpoint did not answer with one.
	Code string
	// Contains are parts of the description, in lower case, of which one must
	// be there; none stands for any description. Descriptions are free text
	// that drifts.
	Contains []string
	// Seen is the description as Salesforce has worded it; may be empty.
	Seen string
	// Meaning says in one clause what is wrong.
	Meaning string
	// Causes are in the order of likelihood, at least one.
	Causes []Cause
	// Passing reports that a later try may succeed with nothing changed.
	Passing bool
	// Clears is how long a refusal that passes with time may last; trying again
	// earlier makes it last longer. 0 for others.
	Clears time.Duration
	// Key reports that the reason may be the key which signed: another key may
	// be accepted.
	Key bool
}

// Cause is one possible reason for a failure, with its remedy.
type Cause struct {
	Cause string   // what may be so
	Fix   string   // what to do, in one line
	Where []string // menu paths in Setup, one for each kind of app; may be empty
}

// Hint returns the entry in one line: what it means and the first remedy.
func (e Entry) Hint() string {
	if e.Meaning == "" || len(e.Causes) == 0 {
		return ""
	}
	return e.Meaning + ": " + e.Causes[0].Fix
}

// Refusals returns the catalogue's entries for the OAuth errors of the token
// endpoint, most specific first. The last is for any other.
func Refusals() []Entry { return slices.Clone(refusals) }

// Failures returns the catalogue's entries for what is no OAuth error: no answer,
// or one that is not the token endpoint's.
func Failures() []Entry { return slices.Clone(failures) }

// Explain returns the entry for err, and whether there is one. Of errors that
// are not a [*GrantError] it knows nothing.
func Explain(err error) (Entry, bool) {
	e, ok := errors.AsType[*GrantError](err)
	switch {
	case !ok:
		return Entry{}, false
	case e.Code != "":
		return explain(e.Code, e.Description), true
	}
	return e.entry, e.entry.ID != ""
}

// IsKeyRefusal reports whether err is a refusal whose reason may be the key
// that signed the assertion, so that another key may be accepted.
func IsKeyRefusal(err error) bool {
	e, _ := Explain(err)
	return e.Key
}

// explain returns the first entry that an OAuth error matches. The last entry
// matches all.
func explain(code, description string) Entry {
	for _, e := range refusals {
		if e.Matches(code, description) {
			return e
		}
	}
	return Entry{}
}

// Matches reports whether the entry is that of an error with this code and
// description. An entry without a code matches any.
func (e Entry) Matches(code, description string) bool {
	code, description = strings.ToLower(code), strings.ToLower(description)
	if e.Code != "" && strings.ToLower(e.Code) != code {
		return false
	}
	return len(e.Contains) == 0 || slices.ContainsFunc(e.Contains, func(part string) bool {
		return strings.Contains(description, part)
	})
}

// failure returns the entry of an answer or a failure without an OAuth error.
func failure(id string) Entry {
	i := slices.IndexFunc(failures, func(e Entry) bool { return e.ID == id })
	return failures[i]
}
