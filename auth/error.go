package auth

import (
	"errors"
	"fmt"
	"time"
)

// GrantError is why a grant gave no token. It never holds an assertion, a
// token or an answer's body.
type GrantError struct {
	// Code and Description are the OAuth error (RFC 6749 section 5.2), bounded
	// in length. Code is empty if the endpoint answered otherwise or not at all.
	Code        string
	Description string
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	// Permanent reports that trying again gives the same result until a person
	// changes something. Otherwise the fault is a passing one.
	Permanent bool
	// RetryAfter is how long the fault takes to pass, 0 if that is not known.
	RetryAfter time.Duration
	// Hint says in one line what is wrong and what to change, from the
	// catalogue (see [Entry]); it may be empty.
	Hint string

	subject  string
	endpoint string // scheme, host and path of the token endpoint
	cause    error  // what happened, where it is not an OAuth error
	entry    Entry  // of the catalogue, where it is not an OAuth error; may be empty
	logins   int    // that the whole grant may have been
}

// with completes e with a failure that is not an OAuth error.
func (e *GrantError) with(id string, cause error) *GrantError {
	e.entry, e.cause = failure(id), cause
	e.Permanent, e.Hint = !e.entry.Passing, e.entry.Hint()
	return e
}

// Error says what happened in one line, without the hint.
func (e *GrantError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("grant for %s refused: %s: %s", e.subject, e.Code, e.Description)
	}
	return fmt.Sprintf("grant for %s: token endpoint %s: %v", e.subject, e.endpoint, e.cause)
}

// Unwrap returns the cause, such as a network error.
func (e *GrantError) Unwrap() error { return e.cause }

// BudgetError says that a subject has used up its budget of grants.
type BudgetError struct {
	Subject    string
	RetryAfter time.Duration // until the next grant is allowed
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("the budget of grants for %s is used up; the next is due in %s", e.Subject, e.RetryAfter.Round(time.Second))
}

// ErrClosed is what Token returns once the Manager is closed.
var ErrClosed = errors.New("token manager is closed")

// IsPermanent reports whether err is a refusal that lasts until a person
// changes something.
func IsPermanent(err error) bool {
	e, ok := errors.AsType[*GrantError](err)
	return ok && e.Permanent
}

// Hint returns what to do about err, or "".
func Hint(err error) string {
	if e, ok := errors.AsType[*GrantError](err); ok {
		return e.Hint
	}
	return ""
}
