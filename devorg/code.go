package devorg

import (
	"context"
	"net/http"
	"strings"
)

// codeRunners are the resources that run code of the org, in lower case. All of
// it does the same: it creates an account, so that a test sees that it ran.
var codeRunners = []string{"tooling/executeanonymous", "tooling/runtestssynchronous", "tooling/runtestsasynchronous", "actions/custom/apex", "actions/custom/flow"}

// code answers a call that runs code; found is false if it is none. It takes a
// path as the most lenient of servers would: in any case, with a suffix, and
// with parameters behind a semicolon.
func (o *Org) code(c *call) (out *result, failure *apiError, found bool) {
	segments := make([]string, len(c.path))
	for i, segment := range c.path {
		segment, _, _ = strings.Cut(strings.ToLower(segment), ";")
		segments[i] = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(segment), ".json"), ".xml")
	}
	path := strings.Join(segments, "/")
	for _, runner := range codeRunners {
		switch isTooling := strings.HasPrefix(runner, "tooling"); {
		case path != runner && !strings.HasPrefix(path, runner+"/"):
		case !isTooling && c.method != http.MethodPost:
			out, failure = ok(object{{"name", path}})
			return out, failure, true
		default:
			if failure = o.runCode(c.ctx, c.session.user); failure != nil {
				return nil, failure, true
			}
			out, failure = ok(object{{"success", true}, {"compiled", true}})
			return out, failure, true
		}
	}
	return nil, nil, false
}

// runCode runs the org's code for a user.
func (o *Org) runCode(ctx context.Context, u *user) *apiError {
	return o.store.do(ctx, func(t *tx) *apiError {
		_, failure := t.insert(sobjectNamed("Account"), &input{fields: map[string]any{"Name": "Made by Apex"}}, u)
		return failure
	})
}
