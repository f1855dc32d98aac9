package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// condition is how an sfproxy is that runs already. The zero value is that none
// does.
type condition struct {
	state  string
	ill    bool
	remedy string // may be empty
}

func (c condition) result(where string) Result {
	r := passed("%s; sfproxy runs there: %s", where, c.state)
	if c.ill {
		r.Status = Warning
	}
	if c.remedy != "" {
		r = r.fix(c.remedy)
	}
	return r
}

// readiness is what the doctor reads of /readyz.
type readiness struct {
	Ready       *bool           `json:"ready"`
	Reason      string          `json:"reason"`
	Token       json.RawMessage `json:"token"`
	LastFailure *struct {
		Error string    `json:"error"`
		Hint  string    `json:"hint"`
		At    time.Time `json:"at"`
	} `json:"last_failure"`
}

// running asks the admin port of a proxy that may run already.
func running(ctx context.Context, admin string) condition {
	if admin == "" {
		return condition{}
	}
	resp, err := knock(ctx, admin, "http", "/readyz")
	if err != nil {
		return condition{}
	}
	defer resp.Body.Close()
	var r readiness
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&r); err != nil || r.Ready == nil {
		return condition{}
	}
	return r.condition()
}

// condition tells how the proxy is. Once it was ready it stays so, whatever
// befalls its tokens; without one and after a failure it may serve nothing but
// errors.
func (r readiness) condition() condition {
	c := condition{state: "it is ready"}
	if r.LastFailure != nil {
		c.remedy = auth.Foreign(r.LastFailure.Hint)
	}
	switch {
	case !*r.Ready:
		c.state, c.ill = "it is not ready: "+auth.Foreign(r.Reason), true
	case r.Token == nil && r.LastFailure != nil:
		c.state, c.ill = fmt.Sprintf("it is ready, but has no token; its last grant that failed, at %s: %s",
			r.LastFailure.At.UTC().Format(time.RFC3339), auth.Foreign(r.LastFailure.Error)), true
	default:
		c.remedy = ""
	}
	return c
}

// isProxy reports whether an sfproxy answers at address. The request holds
// nothing secret, so the certificate does not matter.
func isProxy(ctx context.Context, address string, secure bool) bool {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	resp, err := knock(ctx, address, scheme, "/")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.Header.Get("X-SFProxy-Error") != ""
}

// demandsCertificate reports whether what listens at address turns away who has
// no certificate of a client's, as a proxy does before it hears of a request. In
// TLS 1.3 the alert comes after the handshake, with the first read.
func demandsCertificate(ctx context.Context, address string) bool {
	const certificateRequired = tls.AlertError(116) // RFC 8446 section 6
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // #nosec G402 -- it asks what is there, and tells it nothing
	conn, err := dialer.DialContext(ctx, networkOf(address), reachable(address))
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(knockTimeout))
	_, err = conn.Read(make([]byte, 1))
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error" && alert.Err.Error() == certificateRequired.Error()
}

const knockTimeout = 3 * time.Second // for a step of asking what runs on this machine

// knock asks for a page of what may run at address on this machine already.
func knock(ctx context.Context, address, scheme, path string) (*http.Response, error) {
	host := reachable(address)
	if isSocket(address) {
		host = "localhost"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+path, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: knockTimeout,
		TLSHandshakeTimeout:   knockTimeout,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: knockTimeout}).DialContext(ctx, networkOf(address), reachable(address))
		},
		// #nosec G402 -- it asks what is there, and tells it nothing
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	return transport.RoundTrip(req)
}

// reachable returns an address to connect to: one that stands for every
// interface is reached by loopback, a socket by its path.
func reachable(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return path
	}
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
