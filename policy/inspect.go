package policy

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// maxDepth is how deep requests may lie within requests.
const maxDepth = 3

// inspector finds out what a request would do.
type inspector struct {
	policy  *Policy
	resolve func(rawPath string) (string, error)
	depth   int
}

// call is a request, or one within a request.
type call struct {
	method   string
	path     []string // the segments of the canonical path
	rawQuery string
	header   http.Header
	body     func() ([]byte, error)
	value    any // the body, of a request within a request
	within   bool
}

// bodyError is that a body cannot be looked into, or can be read in two ways.
type bodyError struct{ reason string }

func (e *bodyError) Error() string { return e.reason }

func unreadable(format string, args ...any) error {
	return &bodyError{fmt.Sprintf(format, args...)}
}

// denialError is a denial of a request within the request.
type denialError struct{ Decision }

// denialOf makes a Decision of what inspect fails with.
func denialOf(err error) Decision {
	if denial, ok := errors.AsType[*denialError](err); ok {
		return denial.Decision
	}
	return Decision{Rule: Body, Reason: "this client's policy has to look into the request, and " + err.Error(),
		Remedy: "send it in a plain form, or lift the rules of PROXY_CLIENT_<n> that need it"}
}

// inspect returns what a request would do. The error is a *bodyError, a
// *denialError or the caller's own.
func inspect(p *Policy, r *Request) (effect, error) {
	in := &inspector{policy: p, resolve: r.Resolve}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.HasBody {
		return effect{}, unreadable("a GET with a body can be read in two ways")
	}
	c := &call{path: segments(r.Path), rawQuery: r.RawQuery, header: r.Header, body: once(r.Body)}
	e, err := in.methods(c, r.Method, overrides(r))
	return e.withHeader(r.Header), err
}

// once returns a function that calls body the first time only.
func once(body func() ([]byte, error)) func() ([]byte, error) {
	var data []byte
	var err error
	done := body == nil
	return func() ([]byte, error) {
		if !done {
			data, err = body()
			done = true
		}
		return data, err
	}
}

// methods returns the effect of a call by its method and by those that it asks
// for in its place: which of them Salesforce takes is not for us to guess.
func (in *inspector) methods(c *call, method string, instead []string) (effect, error) {
	var sum effect
	for _, m := range append([]string{method}, instead...) {
		c.method = m // as it is: GET reads, what get does is not known
		e, err := in.call(c)
		if err != nil {
			return effect{}, err
		}
		sum = sum.with(e)
	}
	if len(instead) > 0 && sum.changes == "" {
		sum.changes = "a request that overrides its method may change something"
	}
	if name := updates(c.rawQuery); name != "" && sum.changes == "" {
		sum.changes = "a request with " + name + " changes what Salesforce keeps about its records"
	}
	return sum, nil
}

// withHeader returns e with what headers of Salesforce's add to it. A
// defaultNamespace gives names without a prefix the meaning of others:
// Account__c may then be ns__Account__c.
func (e effect) withHeader(h http.Header) effect {
	for name, values := range h {
		text := strings.ToLower(strings.Join(values, ","))
		switch strings.ToLower(name) {
		case "sforce-call-options":
			if strings.Contains(text, "defaultnamespace") {
				e.unknown = errNamespace
			}
		case "sforce-mru":
			if strings.ReplaceAll(text, " ", "") != "updatemru=false" && e.changes == "" {
				e.changes = countsAsUse
			}
		}
	}
	return e
}

const countsAsUse = "a request with updateMru changes what Salesforce keeps about its records"

const errNamespace = "its call options have a defaultNamespace, by which its names may be those of other objects"

// updates returns the first parameter of a query that asks Salesforce to count
// a read as a view or a use, "" if there is none.
func updates(rawQuery string) string {
	for pair := range strings.FieldsFuncSeq(rawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		switch name = unescapeLeniently(name); strings.ToLower(name) {
		case "updateviewstat", "updatetracking", "updatemru":
			if !strings.EqualFold(unescapeLeniently(value), "false") {
				return name
			}
		}
	}
	return ""
}

// overrides returns the methods that a request asks for beside its own: by
// Salesforce's parameter, or by the headers that other servers know.
func overrides(r *Request) []string {
	var found []string
	for pair := range strings.FieldsFuncSeq(r.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(unescapeLeniently(name), "_HttpMethod") {
			found = append(found, unescapeLeniently(value))
		}
	}
	return append(found, overrideHeaders(r.Header)...)
}

func overrideHeaders(h http.Header) []string {
	var found []string
	for name, values := range h {
		switch strings.ToLower(name) {
		case "x-http-method-override", "x-http-method", "x-method-override", "_httpmethod":
			found = append(found, values...)
		}
	}
	return found
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// plainSegment is a segment of a path that no server reads as another one.
var plainSegment = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,=:@{}|\[\]-]+$`)

// call returns the effect of a call by its own method.
func (in *inspector) call(c *call) (effect, error) {
	for i, segment := range c.path {
		// The value of an external id may be anything.
		if !plainSegment.MatchString(segment) && !(i == 6 && c.is(3, "sobjects")) {
			return effect{}, unreadable("%q in its path can be read in more than one way", segment)
		}
	}
	if slices.ContainsFunc(c.path, runsCode) {
		return writingUnknown("a path that runs code"), nil
	}
	switch {
	case c.is(0, "services", "data"):
		return in.rest(c.from(2))
	case c.is(0, "services", "async"):
		return in.bulk(c.from(2))
	case c.is(0, "services", "soap"):
		return in.soap(c.from(2))
	case c.is(0, "services", "apexrest"):
		return writingUnknown("a class in Apex"), nil // its GET may do anything
	case c.is(0, "cometd"):
		return in.cometd(c)
	case c.is(0, "id"), c.is(0, "services", "oauth2", "userinfo"):
		if c.reads() || c.method == http.MethodPost {
			return metadata("a look at who one is"), nil
		}
	}
	return writingUnknown("a path of no known API"), nil
}

// runsCode reports whether a segment is a resource that runs code by GET, with
// whatever suffix: of an old API version it may be a format, of another reader's
// a parameter. Where in the path it stands does not matter.
func runsCode(segment string) bool {
	segment = strings.ToLower(segment)
	return strings.HasPrefix(segment, "executeanonymous") || strings.HasPrefix(segment, "runtests")
}

// reads reports whether the method says that nothing changes.
func (c *call) reads() bool { return c.method == http.MethodGet || c.method == http.MethodHead }

// is reports whether the path has some names, in lower case, from a segment on.
func (c *call) is(from int, names ...string) bool {
	if len(c.path) < from+len(names) {
		return false
	}
	for i, name := range names {
		if !strings.EqualFold(c.path[from+i], name) {
			return false
		}
	}
	return true
}

// from returns c with a part of its path.
func (c *call) from(segment int) *call {
	part := *c
	part.path = c.path[segment:]
	return &part
}

// at returns a segment in lower case, "" if there is none.
func (c *call) at(i int) string {
	if i >= len(c.path) {
		return ""
	}
	return strings.ToLower(c.path[i])
}

// text returns the body as text of one of some media types.
func (c *call) text(mediaTypes ...string) ([]byte, error) {
	types := c.header["Content-Type"]
	if len(types) != 1 {
		return nil, unreadable("it has no Content-Type, or several")
	}
	mediaType, parameters, err := mime.ParseMediaType(types[0])
	if err != nil {
		return nil, unreadable("its Content-Type is malformed")
	}
	switch charset := strings.ToLower(parameters["charset"]); charset {
	case "", "utf-8", "utf8", "us-ascii", "iso-8859-1":
	default:
		return nil, unreadable("its charset is %q, not UTF-8", charset)
	}
	for _, one := range mediaTypes {
		if mediaType == one {
			return c.body()
		}
	}
	return nil, unreadable("its Content-Type is %q, not %s", mediaType, strings.Join(mediaTypes, " or "))
}

// document returns the body as a JSON value.
func (c *call) document() (any, error) {
	if c.within {
		return c.value, nil
	}
	text, err := c.text("application/json")
	if err != nil {
		return nil, err
	}
	return parseJSON(text)
}
