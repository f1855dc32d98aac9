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
	ex := p.newExchange(r)
	ex.client = &known[i]
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, ex))
	if isEnvelope(ex, r) {
		if err := p.keepEnvelope(ex, r); err != nil {
			return refusedBy("PROXY_BAD_ENVELOPE", err), nil
		}
		if verdict := envelopeVerdict(ex); verdict != nil {
			return *verdict, nil
		}
	}
	verdict := Verdict{Allowed: true}
	denied, effect := p.judge(ex, r)
	if denied != nil {
		verdict = refusedBy(denied.code, denied.reason)
	}
	verdict.Effect = effect
	return verdict, nil
}

func refusedBy(code string, reason error) Verdict {
	return Verdict{Code: code, Rule: ruleOf(code), Reason: reason.Error()}
}

// isEnvelope reports whether a request has a SOAP envelope.
func isEnvelope(ex *exchange, r *http.Request) bool {
	return !ex.ambiguous && within(ex.path, "/services/Soap") && r.Method == http.MethodPost
}

// envelopeVerdict is what readEnvelope makes of an operation, nil for one that
// it passes on.
func envelopeVerdict(ex *exchange) *Verdict {
	switch name := ex.envelope.operation.Local; {
	case within(ex.path, "/services/Soap/class"):
	case name == "login" || name == "logout":
		return &Verdict{Allowed: true, Effect: "a " + name + "(), which the proxy answers itself"}
	case name == "invalidateSessions":
		refused := refusedBy("PROXY_LOGIN_IS_SHARED", errShared)
		return &refused
	}
	return nil
}
