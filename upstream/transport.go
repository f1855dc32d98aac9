package upstream

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Transport is an [http.RoundTripper] for ordinary requests over HTTP/1.1: those
// without a body or with one of up to 64 KiB and known length, which is read
// before anything is sent; to the host itself or through a company proxy that is
// reached by plain HTTP and asked for a tunnel. The rest goes to a copy of the base:
// uploads, those that ask before they send (Expect), through other proxies, with
// a [net/http/httptrace.ClientTrace], with a Connection header, or odd in some
// other way. Safe for concurrent use.
type Transport struct {
	base    *http.Transport // how to dial and wait
	uploads *http.Transport // sends what this one does not take
	pool    pool
	lastTLS atomic.Pointer[hostTLS]
}

// New returns a Transport that dials, shakes hands and waits as base is set up
// to, and has its own idle connections. base must not be changed any more. One
// with settings that this one does not know gets all requests itself:
// those that speak HTTP/2, compress, bound the connections of a host or dial TLS
// themselves;
// so does any base where the system is no Unix. The connections that it dials
// should be [syscall.Conn], as TCP's are: others cannot be asked, before they
// are used again, whether anything came meanwhile.
func New(base *http.Transport) *Transport {
	t := &Transport{base: base}
	t.pool.limits = func() (int, time.Duration) {
		return cmp.Or(base.MaxIdleConnsPerHost, http.DefaultMaxIdleConnsPerHost), base.IdleConnTimeout
	}
	t.uploads = t.forUploads()
	return t
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.pool.closeIdle()
	t.uploads.CloseIdleConnections()
}

// Idle returns how many connections wait for their next request, without those
// of the base.
func (t *Transport) Idle() int { return t.pool.size() }

// RoundTrip implements [http.RoundTripper]. A request that died with a
// connection that was used before is sent once more, on a new one, if none of it
// was sent, or if its method changes nothing and no answer had begun: a POST of
// which anything was sent is never sent again.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	takes, proxy := t.takes(req)
	if !takes {
		return t.leave(req)
	}
	m, err := newMessage(req, req.Body)
	if err == errOdd {
		return t.leave(req)
	}
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	if ctx.Err() != nil {
		m.free()
		return nil, context.Cause(ctx)
	}
	if c := t.pool.take(originOf(req.URL, proxy)); c != nil {
		resp, again, err := t.exchange(c, req, m)
		if err == nil || !again || ctx.Err() != nil {
			return resp, err
		}
		if m, err = repeated(req); err != nil {
			return nil, err
		}
	}
	c, err := t.dial(ctx, req.URL, proxy)
	if err != nil {
		m.free()
		return nil, err
	}
	resp, _, err := t.exchange(c, req, m)
	return resp, err
}

// leave has net/http send a request.
func (t *Transport) leave(req *http.Request) (*http.Response, error) {
	resp, err := t.uploads.RoundTrip(req)
	return resp, withoutBytes(err)
}

// exchange sends a request, frees m, and reads the head of the answer. again is
// whether the request may be sent once more after the error.
func (t *Transport) exchange(c *conn, req *http.Request, m *message) (resp *http.Response, again bool, err error) {
	timeout := t.base.ResponseHeaderTimeout
	x := watch(req.Context(), c, &t.pool)
	sent, sendErr := c.send(*m, timeout)
	m.free() // it would wait as long as the request
	if sent > 0 {
		resp, err = c.answer(req, cmp.Or(t.base.MaxResponseHeaderBytes, http.DefaultMaxHeaderBytes), sendErr)
	}
	if resp == nil {
		err = brokenBy(cmp.Or(sendErr, err), timeout)
		_, late := err.(*timeoutError)
		return nil, !late && mayRepeat(req, sent, c.heard), x.fail(err)
	}
	if timeout > 0 || sendErr != nil {
		c.wire.SetDeadline(time.Time{})
	}
	x.reusable = sendErr == nil && !resp.Close
	resp.TLS = c.state
	if resp.Body == http.NoBody {
		x.finish()
		return resp, false, nil
	}
	b := &body{ReadCloser: resp.Body, exchange: x, sized: resp.ContentLength >= 0}
	if resp.ContentLength < 0 {
		b.settle()
	}
	resp.Body = b
	return resp, false, nil
}

// mayRepeat reports whether a request can be sent again after its connection
// broke, as net/http sees it: with a body, only if that can be had again, though
// it is all here. An Idempotency-Key is no leave, for Salesforce knows none.
func mayRepeat(req *http.Request, sent int, heard bool) bool {
	if heard || hasBody(req) && req.GetBody == nil {
		return false
	}
	if sent == 0 {
		return true
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// originOf returns what a connection for u leads to. proxy may be nil.
func originOf(u, proxy *url.URL) origin {
	to := origin{scheme: u.Scheme, host: u.Host}
	if proxy != nil {
		to.through = proxy.Host
	}
	return to
}
