package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// TransportConfig is what a transport to an org is made of.
type TransportConfig struct {
	// Roots are those that a server certificate may lead to. Default: the
	// system's.
	Roots *x509.CertPool
	// AllowPrivate lets names of Salesforce's lead to addresses that are not
	// public. Otherwise a request for such a one fails before anything is sent,
	// with an [auth.PrivateAddressError]. A company proxy looks names up itself.
	AllowPrivate bool
	// HTTP2 has it spoken where the far end offers it. Default: HTTP/1.1.
	HTTP2 bool
}

// NewTransport returns the pooled transport to an org: many connections to few
// hosts. HTTPS_PROXY and its kin are honoured.
func NewTransport(cfg TransportConfig) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.HTTP2)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: checkTunnel,
		DialContext:            newDialer(cfg.AllowPrivate).DialContext,
		TLSClientConfig: &tls.Config{
			RootCAs:            cfg.Roots,
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(256),
		},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 512, // net/http's two would make a handshake of every other request under load
		IdleConnTimeout:     55 * time.Second,
		// Salesforce may think for 10 minutes before it answers.
		ResponseHeaderTimeout:  11 * time.Minute,
		MaxResponseHeaderBytes: 256 << 10, // its heads have about 2 KiB
		// How long a large upload waits for leave to start.
		ExpectContinueTimeout: 2 * time.Second,
		// A body's coding is between the client and Salesforce: ETags depend on it.
		DisableCompression: true,
		Protocols:          protocols,
		// One connection has many requests, for which a dead one would be silent.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// checkTunnel makes a company proxy's refusal of CONNECT an error of the way to
// it, which tells that nothing was sent. net/http's own is the bare status text.
func checkTunnel(_ context.Context, companyProxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &net.OpError{Op: "proxyconnect", Net: "tcp",
		Err: fmt.Errorf("%s answered %d %s", companyProxy.Host, resp.StatusCode, http.StatusText(resp.StatusCode))}
}

// transport sends a request with the token of its client's subject. If
// Salesforce refuses the token, it renews once and replays once.
type transport struct {
	base     http.RoundTripper
	tokens   Tokens
	logger   *slog.Logger
	policies policyRefusals
	opinions opinions

	traceUpstream bool
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ex := exchangeOf(req.Context())
	resp, refusal, err := t.attempt(req, ex, PartUpstream)
	if err != nil || refusal == accepted {
		return resp, err
	}
	return t.again(req, ex, resp, refusal)
}

// again is what becomes of a request whose token was refused, in the answer resp.
func (t *transport) again(req *http.Request, ex *exchange, resp *http.Response, refusal refusal) (*http.Response, error) {
	if !t.curable(refusal, ex) {
		ex.seen.Refused = RefusalPassed
		return resp, nil
	}
	refused := ex.token
	t.tokens.Reject(refused)
	if !ex.replayable() {
		t.logger.Info("Salesforce refused the token and the request body is too large to be replayed; the next request has a new token",
			"request_id", ex.id, "path", ex.path)
		ex.seen.Refused = RefusalTooLarge
		return resp, nil
	}
	discard(resp)
	resp, refusal, err := t.attempt(req, ex, PartReplay)
	_, unsent := errors.AsType[*tokenError](err)
	ex.replayed = !unsent
	ex.seen.Refused = outcomeOf(refusal, err)
	if err == nil && refusal != accepted {
		t.opinions.of(ex.token).giveUp(ex.path)
	}
	if err == nil && refusal == refusedByPolicy && t.policies.inVain(ex.client.Subject) {
		t.logger.Warn("Salesforce does not take this user's sessions for the API that was called",
			"request_id", ex.id, "subject", ex.client.Subject, "path", ex.path,
			"hint", "check the app's OAuth scopes (api), the user's API Enabled permission, and the session security level and login IP ranges of the profile")
	}
	return resp, err
}

// outcomeOf returns what a replay has come to.
func outcomeOf(r refusal, err error) Refused {
	switch {
	case err != nil:
		return RefusalFailed
	case r != accepted:
		return RefusalRepeated
	}
	return RefusalCured
}

// attempt sends the request once and reads Salesforce's opinion of the token
// off the answer.
func (t *transport) attempt(req *http.Request, ex *exchange, sending Part) (*http.Response, refusal, error) {
	ctx := ex.inbound.Context()
	began := time.Since(ex.started)
	wait := ex.begin(PartToken)
	token, err := t.tokens.Token(wait.context(ctx), ex.client.Subject)
	wait.end(0, err)
	asked := time.Since(ex.started)
	ex.seen.Forwarded, ex.seen.Upstream = true, 0
	ex.seen.TokenWait += asked - began
	if err != nil {
		return nil, accepted, &tokenError{err}
	}
	ex.token = token
	if ex.envelope != nil && token.JWT() {
		return nil, accepted, errJWTForSOAP
	}
	out, err := outbound(ctx, req, ex)
	if err != nil {
		return nil, accepted, err
	}
	if ex.seen.SendDelay == 0 {
		ex.seen.SendDelay = asked
	}
	resp, err := t.send(out, ex, sending)
	if err != nil {
		return nil, accepted, err
	}
	ex.seen.Upstream = time.Since(ex.started) - asked
	refusal := refusalOf(resp, ex.path)
	if refusal == accepted {
		t.opinions.of(token).accept(ex.path)
	}
	return resp, refusal, nil
}

// send sends an attempt, which is the part p of the request.
func (t *transport) send(out *http.Request, ex *exchange, p Part) (*http.Response, error) {
	span := ex.begin(p)
	if t.traceUpstream {
		span.traceUpstream(out.Header, ex)
	}
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		span.end(0, err)
		return nil, err
	}
	span.end(resp.StatusCode, nil)
	return resp, nil
}

// replayable reports whether the request can be sent again from its first byte.
// If so, the attempt that was refused is over.
func (ex *exchange) replayable() bool {
	return ex.body == nil || ex.body.claim()
}

// curable reports whether a new token may help against a refusal.
func (t *transport) curable(r refusal, ex *exchange) bool {
	if r == refusedByPolicy {
		return t.policies.worthRenewing(ex.client.Subject, ex.token)
	}
	return !t.opinions.of(ex.token).isHopeless(ex.path)
}

// discard ends an answer that is not passed on. What is left of it is read, if
// it is little, so that the connection can be used again.
func discard(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
