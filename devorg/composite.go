package devorg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	maxSubrequests = 25
	maxCollection  = 200
)

// composite answers under /composite.
func (o *Org) composite(c *call, path []string) (*result, *apiError) {
	if len(path) > 0 && path[0] == "sobjects" {
		return o.collections(c, path[1:])
	}
	if len(path) > 1 || (len(path) == 1 && path[0] != "batch") {
		return nil, notFound()
	}
	if c.method != http.MethodPost {
		return nil, methodNotAllowed(c.method, "POST")
	}
	if len(path) == 1 {
		return o.batch(c)
	}
	return o.sequence(c)
}

// together runs f, and undoes what it did if allOrNone is set and f reports a failure.
func (o *Org) together(ctx context.Context, allOrNone bool, f func(ctx context.Context) (failed bool)) (undone bool) {
	if !allOrNone {
		f(ctx)
		return false
	}
	failure := o.store.do(ctx, func(t *tx) *apiError {
		if f(context.WithValue(ctx, txKey{}, t)) {
			return errRolledBack
		}
		return nil
	})
	return failure != nil
}

var errRolledBack = badRequest("PROCESSING_HALTED",
	"The transaction was rolled back since another operation in the same transaction failed.")

// A subrequest is one call within a composite one.
type subrequest struct {
	Method      string            `json:"method"`
	URL         string            `json:"url"`
	ReferenceID string            `json:"referenceId"`
	Header      map[string]string `json:"httpHeaders"`
	Body        any               `json:"body"`      // of a composite request
	RichInput   any               `json:"richInput"` // of a batch
}

// An outcome is what became of a subrequest.
type outcome struct {
	status int
	header http.Header
	body   any
}

func (out outcome) failed() bool { return out.status >= 400 }

func failedOutcome(failure *apiError) outcome {
	return outcome{status: failure.status, body: []errorItem{failure.errorItem}}
}

// sequence runs subrequests that may refer to the results of earlier ones.
func (o *Org) sequence(c *call) (*result, *apiError) {
	var in struct {
		AllOrNone bool         `json:"allOrNone"`
		Requests  []subrequest `json:"compositeRequest"`
	}
	if failure := c.readJSON(&in); failure != nil {
		return nil, failure
	}
	if n := len(in.Requests); n == 0 || n > maxSubrequests {
		return nil, badRequest("INVALID_INPUT", "compositeRequest must have 1 to %d subrequests.", maxSubrequests)
	}
	known := make(map[string]any)
	for _, sub := range in.Requests {
		if _, twice := known[sub.ReferenceID]; twice || !referenceName.MatchString(sub.ReferenceID) {
			return nil, badRequest("INVALID_INPUT", "each referenceId must be a name of its own.")
		}
		known[sub.ReferenceID] = nil
	}
	outcomes := make([]outcome, len(in.Requests))
	culprit := -1
	undone := o.together(c.ctx, in.AllOrNone, func(ctx context.Context) bool {
		for i, sub := range in.Requests {
			outcomes[i] = o.step(ctx, c, sub, known)
			if outcomes[i].failed() && in.AllOrNone {
				culprit = i
				return true
			}
			known[sub.ReferenceID] = plain(outcomes[i].body)
		}
		return false
	})
	answers := make([]object, len(outcomes))
	for i, out := range outcomes {
		if undone && i != culprit {
			out = failedOutcome(errRolledBack)
		}
		answers[i] = out.render(in.Requests[i].ReferenceID)
	}
	return ok(object{{"compositeResponse", answers}})
}

func (out outcome) render(reference string) object {
	header := object{}
	if location := out.header.Get("Location"); location != "" {
		header = object{{"Location", location}}
	}
	return object{{"body", out.body}, {"httpHeaders", header}, {"httpStatusCode", out.status}, {"referenceId", reference}}
}

// plain is a result as a client would decode it.
func plain(value any) any {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // a value of ours that JSON cannot hold
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var decoded any
	decoder.Decode(&decoded)
	return decoded
}

func (o *Org) step(ctx context.Context, c *call, sub subrequest, known map[string]any) outcome {
	target, err := substitute(sub.URL, known)
	if err != nil {
		return failedOutcome(badRequest("PROCESSING_HALTED", "%v", err))
	}
	body, err := substituteIn(sub.Body, known)
	if err != nil {
		return failedOutcome(badRequest("PROCESSING_HALTED", "%v", err))
	}
	rest, inData := strings.CutPrefix(target, "/services/data/")
	if !inData {
		return failedOutcome(badRequest("INVALID_INPUT", "a subrequest's url must start with /services/data/"))
	}
	return o.subcall(ctx, c, sub, rest, body)
}

// subcall runs one subrequest; target starts with the version.
func (o *Org) subcall(ctx context.Context, c *call, sub subrequest, target string, body any) outcome {
	u, err := url.Parse(strings.ReplaceAll(target, " ", "+"))
	if err != nil || u.Host != "" || u.Scheme != "" {
		return failedOutcome(badRequest("INVALID_INPUT", "a subrequest's url cannot be read"))
	}
	path, err := splitPath(u.EscapedPath())
	if err != nil || len(path) == 0 {
		return failedOutcome(notFound())
	}
	if len(path) > 1 && path[1] == "composite" && (len(path) < 3 || path[2] != "sobjects") {
		return failedOutcome(badRequest("INVALID_INPUT", "a composite request cannot hold another"))
	}
	if len(path) > 1 && path[1] == "jobs" {
		return failedOutcome(badRequest("INVALID_INPUT", "a composite request cannot hold bulk jobs"))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return failedOutcome(badRequest("MALFORMED_QUERY_STRING", "The query string cannot be read."))
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for name, value := range sub.Header {
		header.Set(name, value)
	}
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return failedOutcome(badRequest("INVALID_INPUT", "a subrequest's body cannot be read"))
		}
	}
	answer, failure := o.call(&call{
		ctx: ctx, method: sub.Method, version: path[0], path: path[1:],
		query: query, header: header, body: bytes.NewReader(data), session: c.session,
	})
	if failure != nil {
		return failedOutcome(failure)
	}
	if answer.blob != nil {
		return failedOutcome(badRequest("INVALID_INPUT", "a composite request cannot fetch binary data"))
	}
	return outcome{answer.status, answer.header, answer.body}
}

var (
	referenceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	reference     = regexp.MustCompile(`@\{([^}]*)\}`)
	referenceStep = regexp.MustCompile(`^(?:\.([A-Za-z0-9_]+)|\[(\d{1,6})\])`)
)

// substitute replaces each @{reference.path} by the text it stands for.
func substitute(text string, known map[string]any) (string, error) {
	var failure error
	replaced := reference.ReplaceAllStringFunc(text, func(found string) string {
		value, err := lookUp(found[2:len(found)-1], known)
		if err != nil {
			failure = err
		}
		return value
	})
	return replaced, failure
}

func lookUp(path string, known map[string]any) (string, error) {
	failure := errors.New("Invalid reference specified. No value for " + path + " found")
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return "", failure
	}
	value := known[path[:end]]
	for rest := path[end:]; rest != ""; {
		step := referenceStep.FindStringSubmatch(rest)
		if step == nil {
			return "", failure
		}
		rest = rest[len(step[0]):]
		switch v := value.(type) {
		case map[string]any:
			value = v[step[1]]
		case []any:
			i, err := strconv.Atoi(step[2])
			if err != nil || i >= len(v) {
				return "", failure
			}
			value = v[i]
		default:
			return "", failure
		}
	}
	switch v := value.(type) {
	case string:
		return v, nil
	case json.Number, bool:
		return fmt.Sprint(v), nil
	}
	return "", failure
}

// substituteIn does the same for each text in a JSON value.
func substituteIn(value any, known map[string]any) (any, error) {
	switch v := value.(type) {
	case string:
		return substitute(v, known)
	case []any:
		for i := range v {
			changed, err := substituteIn(v[i], known)
			if err != nil {
				return nil, err
			}
			v[i] = changed
		}
	case map[string]any:
		for name := range v {
			changed, err := substituteIn(v[name], known)
			if err != nil {
				return nil, err
			}
			v[name] = changed
		}
	}
	return value, nil
}

// batch runs subrequests that know nothing of each other.
func (o *Org) batch(c *call) (*result, *apiError) {
	var in struct {
		HaltOnError bool         `json:"haltOnError"`
		Requests    []subrequest `json:"batchRequests"`
	}
	if failure := c.readJSON(&in); failure != nil {
		return nil, failure
	}
	if n := len(in.Requests); n == 0 || n > maxSubrequests {
		return nil, badRequest("INVALID_INPUT", "batchRequests must have 1 to %d subrequests.", maxSubrequests)
	}
	hasErrors := false
	var results []object
	for _, sub := range in.Requests {
		out := failedOutcome(restError(http.StatusPreconditionFailed, "BATCH_PROCESSING_HALTED",
			"Batch processing halted per request"))
		if !hasErrors || !in.HaltOnError {
			out = o.subcall(c.ctx, c, sub, strings.TrimPrefix(sub.URL, "/services/data/"), sub.RichInput)
		}
		hasErrors = hasErrors || out.failed()
		results = append(results, object{{"statusCode", out.status}, {"result", out.body}})
	}
	return ok(object{{"hasErrors", hasErrors}, {"results", results}})
}
