package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Paths at which clients log in and out.
const (
	tokenPath  = "/services/oauth2/token" // #nosec G101 -- a path
	revokePath = "/services/oauth2/revoke"
)

// answerOAuth answers the token and the revocation endpoint. Where no client can
// log in, an app that tries is told what to set: nothing that it could send
// would make the request a good one.
func (p *Proxy) answerOAuth(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		switch {
		case ex.ambiguous || ex.path != tokenPath && ex.path != revokePath:
			next(w, r)
		case p.cfg.Logins != nil:
			p.boundUnknown(w, r, func() {
				w.Header().Set(requestIDHeader, ex.id)
				p.cfg.Logins.ServeOAuth(w, ex.forLogins(r), p.public(r))
			})
		case ex.path == tokenPath && r.Method == http.MethodPost:
			p.refuse(w, r, denial(http.StatusForbidden, loginOff, errLoginOff))
		default:
			next(w, r)
		}
	}
}

// forLogins returns a request with its path in canonical form: what it asks for is
// the same to those who answer it as to the proxy, which has read it so.
func (ex *exchange) forLogins(r *http.Request) *http.Request {
	target := *r.URL
	target.Path, target.RawPath = ex.path, ""
	r = r.WithContext(r.Context())
	r.URL = &target
	return r
}

// loginOff is the code of a login where no client can log in, and errLoginOff
// its message.
const loginOff = "PROXY_LOGIN_OFF"

var errLoginOff = errors.New("this proxy answers logins only for clients with a username and a password: set PROXY_CLIENT_<n>_USERNAME and PROXY_CLIENT_<n>_PASSWORD")

// oauthError is the error of the token endpoint (RFC 6749 section 5.2). Its codes
// are a fixed list, so that ours is in the header alone.
func oauthError(f *fault) (contentType string, body []byte) {
	body, _ = json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{"unsupported_grant_type", f.message})
	return "application/json;charset=UTF-8", body
}
