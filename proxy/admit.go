package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/policy"
)

var (
	errTarget   = errors.New("the request target is not a path")
	errTrace    = errors.New("TRACE is never forwarded: its answer would show the token")
	errNotAPath = errors.New("is not among the paths that are forwarded: to allow it, add a prefix of it to PROXY_ALLOW_PATHS")
)

// admit decides whether this client may send this request.
func (p *Proxy) admit(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		denied, _ := p.judge(ex, r)
		switch {
		case ex.body != nil && ex.body.broken.Load():
			p.refuseBody(w, r, ex.body)
		case denied != nil:
			p.refuse(w, r, denied)
		default:
			next(w, r)
		}
	}
}

// judge applies first what holds for all clients and then the client's policy,
// which may take over the body. A nil fault lets the request pass; effect says
// what it would do, "" where that was not looked into.
func (p *Proxy) judge(ex *exchange, r *http.Request) (denied *fault, effect string) {
	switch {
	case ex.rawPath == "" || r.Method == http.MethodConnect:
		return denial(http.StatusBadRequest, "PROXY_BAD_TARGET", errTarget), ""
	case strings.EqualFold(r.Method, http.MethodTrace):
		return denial(http.StatusForbidden, "PROXY_METHOD_NOT_ALLOWED", errTrace), ""
	case ex.ambiguous:
		return denial(http.StatusForbidden, "PROXY_AMBIGUOUS_PATH", errAmbiguous), ""
	}
	if denied = p.judgePath(ex.path); denied != nil || ex.client.Policy == nil && !p.looksWithin {
		return denied, ""
	}
	decision := cmp.Or(ex.client.Policy, anything).Decide(p.policyRequest(ex, r))
	if !decision.Allowed {
		return denial(http.StatusForbidden, policyCodes[decision.Rule], decision), decision.Effect
	}
	return nil, decision.Effect
}

// judgePath applies what holds for all clients to a canonical path.
func (p *Proxy) judgePath(canonical string) (denied *fault) {
	switch {
	case forbidden(canonical):
		return denial(http.StatusForbidden, "PROXY_PATH_NEVER_ALLOWED",
			fmt.Errorf("%s is never forwarded: it would hand out, show or end the login that all clients share", canonical))
	case !p.allows(canonical):
		return denial(http.StatusForbidden, "PROXY_PATH_NOT_ALLOWED", fmt.Errorf("%s %w", canonical, errNotAPath))
	}
	return nil
}

// policyCodes are the codes of what a policy denies.
var policyCodes = map[policy.Rule]string{
	policy.Paths:        "PROXY_POLICY_PATHS",
	policy.APIVersions:  "PROXY_POLICY_API_VERSIONS",
	policy.Body:         "PROXY_POLICY_BODY",
	policy.ReadOnly:     "PROXY_POLICY_READ_ONLY",
	policy.ReadObjects:  "PROXY_POLICY_READ_OBJECTS",
	policy.WriteObjects: "PROXY_POLICY_WRITE_OBJECTS",
}

// allows reports whether a canonical path is among those that are forwarded.
func (p *Proxy) allows(canonical string) bool {
	return slices.ContainsFunc(p.cfg.AllowPaths, func(prefix string) bool { return within(canonical, prefix) })
}
