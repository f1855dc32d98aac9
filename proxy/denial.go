package proxy

import (
	"net/http"
	"strings"
)

// Denial is a request that the proxy has refused, for metrics and audit logs.
type Denial struct {
	// Request is the client's: what it holds besides the method and the address
	// of the peer may be secret, and is not to be changed.
	Request   *http.Request
	RequestID string
	Path      string // in its canonical form if it has one, without the query
	Client    string // "" if it is not known, or nameless
	Subject   string // whom the request would have acted as; "" if that is not known
	Rule      string // see ruleOf
	Code      string // of the answer
	Reason    error  // holds no secret
}

// ruleOf returns the name of the rule that answers a request with a code: the
// code without what all codes begin with, in lower case. There are few rules.
// Salesforce's own codes are about sessions here.
func ruleOf(code string) string {
	rule, own := strings.CutPrefix(code, "PROXY_")
	if !own {
		return "session"
	}
	return strings.ToLower(strings.TrimPrefix(rule, "POLICY_"))
}

// denial is the fault of a request that is not forwarded.
func denial(status int, code string, reason error) *fault {
	return &fault{status: status, code: code, message: reason.Error(), reason: reason}
}

// refuse answers a request that is not forwarded. All refusals come by here.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, f *fault) {
	ex := exchangeOf(r.Context())
	if ex.upload.isSlow() { // whatever the stage that read the body makes of that
		f = overLimit(limitBodyRate, http.StatusRequestTimeout, "PROXY_TOO_SLOW", errTooSlow)
	}
	f.rule = ruleOf(f.ownCode())
	ex.fault = f
	if p.cfg.OnDenied != nil {
		d := Denial{Request: r, RequestID: ex.id, Path: ex.path, Rule: f.rule, Code: f.ownCode(), Reason: f.reason}
		if ex.client != nil {
			d.Client, d.Subject = ex.client.Name, ex.client.Subject
		}
		p.cfg.OnDenied(d)
	}
	writeFault(w, r, f)
}
