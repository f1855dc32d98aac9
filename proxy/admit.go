package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

var (
	errTarget   = errors.New("the request target is not a path")
	errTrace    = errors.New("TRACE is never forwarded: its answer would show the token")
	errReadOnly = errors.New("this client is read-only: it may send GET and HEAD")
)

// admit decides whether this client may send this request.
func (p *Proxy) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		_, _, ok := rawTarget(r)
		switch {
		case !ok || r.Method == http.MethodConnect:
			p.refuse(w, r, http.StatusBadRequest, "PROXY_BAD_TARGET", errTarget)
			return
		case strings.EqualFold(r.Method, http.MethodTrace):
			p.refuse(w, r, http.StatusForbidden, "PROXY_METHOD_NOT_ALLOWED", errTrace)
			return
		}
		canonical := ex.path
		switch {
		case ex.ambiguous:
			p.refuse(w, r, http.StatusForbidden, "PROXY_AMBIGUOUS_PATH", errAmbiguous)
		case forbidden(canonical):
			p.refuse(w, r, http.StatusForbidden, "PROXY_PATH_NEVER_ALLOWED",
				fmt.Errorf("%s is never forwarded: it would hand out, show or end the login that all clients share", canonical))
		case !slices.ContainsFunc(p.cfg.AllowPaths, func(prefix string) bool { return within(canonical, prefix) }):
			p.refuse(w, r, http.StatusForbidden, "PROXY_PATH_NOT_ALLOWED",
				fmt.Errorf("%s is not among the paths that are forwarded: to allow it, add a prefix of it to PROXY_ALLOW_PATHS", canonical))
		case ex.client.ReadOnly && !reads(r):
			p.refuse(w, r, http.StatusForbidden, "PROXY_READ_ONLY", errReadOnly)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// reads reports whether a request surely changes nothing: by its method, and
// without Salesforce's method override.
func reads(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	_, query, _ := rawTarget(r)
	return !hasParameter(query, func(name string) bool { return strings.EqualFold(name, "_HttpMethod") })
}
