package doctor

import (
	"fmt"
	"io"

	"github.com/sfproxy/sfproxy/auth"
)

// Status is the outcome of a check.
type Status string

// Outcomes. A warning is something that works, and may be better.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is what a check has found.
type Result struct {
	Check    string   `json:"check"`
	Status   Status   `json:"status"`
	Detail   string   `json:"detail"`
	Remedies []Remedy `json:"remedies,omitempty"` // most likely first

	usable bool // failed, and yet the checks that need it can go on
}

// Remedy is one thing to do.
type Remedy struct {
	Cause string   `json:"cause,omitempty"` // when it is the thing to do
	Fix   string   `json:"fix"`
	Where []string `json:"where,omitempty"` // menu paths in Setup
}

// Report is a whole run, for machines.
type Report struct {
	OK     bool     `json:"ok"`
	Checks []Result `json:"checks"`
}

func passed(format string, args ...any) Result  { return result(OK, format, args) }
func warning(format string, args ...any) Result { return result(Warning, format, args) }
func failed(format string, args ...any) Result  { return result(Failed, format, args) }
func skipped(format string, args ...any) Result { return result(Skipped, format, args) }

func result(s Status, format string, args []any) Result {
	return Result{Status: s, Detail: fmt.Sprintf(format, args...)}
}

// fix adds remedies that need no cause.
func (r Result) fix(fixes ...string) Result {
	for _, f := range fixes {
		r.Remedies = append(r.Remedies, Remedy{Fix: f})
	}
	return r
}

// explained adds the causes and remedies of a catalogue entry.
func (r Result) explained(e auth.Entry) Result {
	for _, c := range e.Causes {
		r.Remedies = append(r.Remedies, Remedy(c))
	}
	return r
}

var marks = map[Status]string{OK: "✓", Warning: "!", Failed: "✗", Skipped: "–"}

// WriteText writes the result for people: a line, and below it what to do.
func (r Result) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%s %-14s  %s\n", marks[r.Status], r.Check, r.Detail)
	for i, remedy := range r.Remedies {
		indent := "    "
		if remedy.Cause != "" {
			fmt.Fprintf(w, "    %d. %s\n", i+1, remedy.Cause)
			indent = "       "
		}
		fmt.Fprintf(w, "%s→ %s\n", indent, remedy.Fix)
		for _, path := range remedy.Where {
			fmt.Fprintf(w, "%s  %s\n", indent, path)
		}
	}
}

// count returns n things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
