package config

import (
	"fmt"
	"slices"
	"strings"
)

// Error holds everything that is wrong with a configuration.
type Error struct {
	Faults []Fault // at least one
}

// Error returns one line for each fault.
func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Fault is what is wrong with one variable. It holds no secret.
type Fault struct {
	Variable string
	Problem  string
	Example  string // a value that would do; may be empty
}

// String returns the fault in one line.
func (f Fault) String() string {
	if f.Example == "" {
		return f.Variable + ": " + f.Problem
	}
	return fmt.Sprintf("%s: %s (example: %s)", f.Variable, f.Problem, f.Example)
}

// fault records a fault with the variable's usual example.
func (p *parser) fault(variable, format string, args ...any) {
	p.faultLike(variable, p.known[variable].example, format, args...)
}

// faultLike records a fault with an example of its own. Only the first fault
// of a variable counts, since others tend to follow from it.
func (p *parser) faultLike(variable, example, format string, args ...any) {
	if !p.isFaulty(variable) {
		p.faults = append(p.faults, Fault{variable, fmt.Sprintf(format, args...), example})
	}
}

// faultOfSecret records a fault of a secret's text, which the file has that it
// is in, if it is in one.
func (p *parser) faultOfSecret(variable, format string, args ...any) {
	source := p.sourceOf(variable)
	if source == variable {
		p.fault(variable, format, args...)
		return
	}
	p.faultLike(source, p.known[variable].example, "%s %s", shownPath(p.env[source]), fmt.Sprintf(format, args...))
}

// sourceOf returns the variable that was set for a secret: the secret's own, or
// that of its file.
func (p *parser) sourceOf(variable string) string {
	if _, inFile := p.contents[variable]; inFile {
		return variable + "_FILE"
	}
	return variable
}

// isFaulty reports whether one of the variables has a fault.
func (p *parser) isFaulty(variables ...string) bool {
	return slices.ContainsFunc(p.faults, func(f Fault) bool { return slices.Contains(variables, f.Variable) })
}

// warn records what is to be logged at start.
func (p *parser) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// isWarnedOf reports whether a warning names the variable.
func (p *parser) isWarnedOf(variable string) bool {
	return slices.ContainsFunc(p.warnings, func(w string) bool { return strings.Contains(w, variable) })
}

// maxShown is how many bytes of a value a message repeats at most.
const maxShown = 120

// shown returns value as a message may repeat it: quoted, and withheld where
// it may hold a credential, such as the password in a URL or the text of a key.
func shown(value string) string {
	switch {
	case strings.ContainsAny(value, "@?#\r\n") || strings.Contains(value, "-----"):
		return "the value (not shown)"
	case len(value) > maxShown:
		return fmt.Sprintf("the value (%d bytes)", len(value))
	}
	return fmt.Sprintf("%q", value)
}
