package proxy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
)

// Verdict is what the proxy would do with a request of a client.
type Verdict struct {
	Allowed bool
	// Code is that of the answer, and Rule the name of what denies; both are ""
	// for a request that is allowed.
	Code, Rule string
	// Reason says why, and Effect what the request would do, "" where that was
	// not looked into.
	Reason, Effect string
}

// Explain says what becomes of a client's request before it would be sent to
// Salesforce, and sends nothing. r.RequestURI is the target. The error is that
// there is no such client.
func (p *Proxy) Explain(client string, r *http.Request) (Verdict, error) {
	known := p.clients.Load().list
	i := slices.IndexFunc(known, func(c Client) bool { return c.Name == client })
	if i < 0 {
		return Verdict{}, fmt.Errorf("there is no client %q", client)
	}
	ex := newExchange(r)
	ex.client = &known[i]
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, ex))
	if isSOAP(ex, r) {
		if verdict := p.explainSOAP(ex, r); verdict != nil {
			return *verdict, nil
		}
	}
	denied, effect := p.judge(ex, r)
	if denied != nil {
		return *refusedBy(denied.code, denied.reason, effect), nil
	}
	return Verdict{Allowed: true, Effect: effect}, nil
}

func refusedBy(code string, reason error, effect string) *Verdict {
	return &Verdict{Code: code, Rule: ruleOf(code), Reason: reason.Error(), Effect: effect}
}

// explainSOAP is what readEnvelope makes of a request, nil if it passes it on.
func (p *Proxy) explainSOAP(ex *exchange, r *http.Request) *Verdict {
	if r.Method != http.MethodPost {
		return refusedBy("PROXY_METHOD_NOT_ALLOWED", errSOAPMethod, "")
	}
	if err := p.keepEnvelope(ex, r); err != nil {
		return refusedBy("PROXY_BAD_ENVELOPE", err, "")
	}
	switch name := ex.loginOperation(); name {
	case "login", "logout":
		return &Verdict{Allowed: true, Effect: "a " + name + "(), which the proxy answers itself"}
	case "invalidateSessions":
		return refusedBy("PROXY_LOGIN_IS_SHARED", errShared, "")
	}
	return nil
}
