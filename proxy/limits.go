package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Limits of a request's head. Salesforce refuses more than 16,384 bytes of URI,
// and of URI and headers together; what a client sends beside its own headers
// (credentials, cookies, what proxies add) does not reach Salesforce.
const (
	maxURI         = 16 << 10 // bytes
	maxHeaders     = 200      // lines
	maxHeaderBytes = 32 << 10
)

// MaxHeadBytes is what [http.Server.MaxHeaderBytes] has to be for the proxy's
// own limits to be met first: HTTP/2 counts 32 bytes more a header.
const MaxHeadBytes = 64 << 10

var (
	errURI         = errors.New("the request target is longer than 16,384 bytes, which Salesforce refuses: send a long query or list of ids in the body of a composite request")
	errHeaderCount = errors.New("the request has more than 200 headers: send fewer, or look at what is between the app and the proxy")
	errHeaderBytes = errors.New("the request has more than 32 KiB of headers: send fewer or shorter ones, cookies among them, or look at what is between the app and the proxy")
)

// Names of limits, for metrics.
const (
	limitURI               = "uri"
	limitHeaders           = "headers"
	limitRequests          = "requests"
	limitRequestsPerClient = "requests_per_client"
)

// retrySoon is when what found no room may find some.
const retrySoon = time.Second

// bound refuses a request whose head is over a limit, and those over the number
// that may run at a time. It comes before all that costs something.
func (p *Proxy) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, over := headOver(r)
		if over == nil && !p.running.enter(p.cfg.MaxRequests) {
			limit, over = limitRequests, tooMany(p.cfg.MaxRequests, tooManyRequests)
			p.warnTooMany(&p.running, slog.Int("limit", p.cfg.MaxRequests))
		}
		if over != nil {
			p.shareAnswer(w.Header(), r) // so that a page may read why
			p.refuseOver(w, r, limit, over)
			return
		}
		defer p.running.leave()
		next.ServeHTTP(w, r)
	})
}

// boundClient refuses a request over the number that its client may have running
// at a time.
func (p *Proxy) boundClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := exchangeOf(r.Context()).client
		if !c.running.enter(c.MaxRequests) {
			p.warnTooMany(c.running, slog.Int("limit", c.MaxRequests), slog.String("client", c.Name))
			p.refuseOver(w, r, limitRequestsPerClient, tooMany(c.MaxRequests, tooManyOfClient))
			return
		}
		defer c.running.leave()
		next.ServeHTTP(w, r)
	})
}

// boundUnknown calls read, which waits for the body of a request whose client is
// not known before, unless as many such run as one client may have: whoever has no
// credential is to leave room to those who have. It reports whether it did.
func (p *Proxy) boundUnknown(w http.ResponseWriter, r *http.Request, read func()) bool {
	limit := p.cfg.MaxRequestsPerClient
	if !p.unknown.enter(limit) {
		p.warnTooMany(&p.unknown, slog.Int("limit", limit), slog.String("of", "logins, and SOAP requests whose client is not known yet"))
		p.refuseOver(w, r, limitRequestsPerClient, tooMany(limit, tooManyUnknown))
		return false
	}
	defer p.unknown.leave()
	read()
	return true
}

// headOver returns which limit the head of a request goes over and the fault
// that says so, nil if it does not.
func headOver(r *http.Request) (limit string, over *fault) {
	if len(r.RequestURI) > maxURI {
		return limitURI, &fault{status: http.StatusRequestURITooLong, code: "PROXY_URI_TOO_LONG", message: errURI.Error()}
	}
	lines, size := 1, headerLine("Host", r.Host)
	for name, values := range r.Header {
		lines += len(values)
		for _, value := range values {
			size += headerLine(name, value)
		}
	}
	switch {
	case lines > maxHeaders:
		return limitHeaders, &fault{status: http.StatusRequestHeaderFieldsTooLarge, code: "PROXY_TOO_MANY_HEADERS", message: errHeaderCount.Error()}
	case size > maxHeaderBytes:
		return limitHeaders, &fault{status: http.StatusRequestHeaderFieldsTooLarge, code: "PROXY_HEADERS_TOO_LARGE", message: errHeaderBytes.Error()}
	}
	return "", nil
}

// headerLine returns the bytes of a header in HTTP/1.1.
func headerLine(name, value string) int { return len(name) + len(": ") + len(value) + len("\r\n") }

const (
	tooManyRequests = "requests run already, and no more may at a time: try again, or raise PROXY_MAX_REQUESTS"
	tooManyUnknown  = "logins and SOAP requests run already whose client is not known yet, and no more may at a time: try again, or raise PROXY_MAX_REQUESTS_PER_CLIENT"
	tooManyOfClient = "requests of this client run already, and no more may at a time: try again, or raise PROXY_MAX_REQUESTS_PER_CLIENT, or PROXY_CLIENT_<n>_MAX_REQUESTS for it alone"
)

// tooMany is the fault that limit of something run already.
func tooMany(limit int, what string) *fault {
	return &fault{status: http.StatusTooManyRequests, code: "PROXY_TOO_MANY_REQUESTS", retryAfter: retrySoon,
		message: fmt.Sprintf("%d %s", limit, what)}
}

// refuseOver answers a request that goes over a limit.
func (p *Proxy) refuseOver(w http.ResponseWriter, r *http.Request, limit string, over *fault) {
	exchangeOf(r.Context()).over = limit
	if p.cfg.OnLimited != nil {
		p.cfg.OnLimited(limit)
	}
	p.refuseWith(w, r, *over, errors.New(over.message))
}

// warnTooMany says, once a minute, that requests find no room.
func (p *Proxy) warnTooMany(r *running, attrs ...slog.Attr) {
	if refused, due := r.notice.Due(); due {
		p.logger.LogAttrs(context.Background(), slog.LevelWarn, "requests are refused: as many run as may at a time", append(attrs, slog.Int("refused", refused))...)
	}
}

// ConnectionRefusal returns what a client is answered, in HTTP/1.1, whose
// connection goes over a limit, whatever it asks for.
func ConnectionRefusal() []byte {
	const message = "the proxy has as many connections as it may: try again, with fewer at a time, or raise PROXY_MAX_CONNECTIONS or PROXY_MAX_CONNECTIONS_PER_ADDRESS"
	const code = "PROXY_TOO_MANY_CONNECTIONS"
	body := marshalJSON([]restFault{{Code: code, Message: message}})
	return fmt.Appendf(nil, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n"+
		"Cache-Control: no-store\r\n%s: %s\r\nRetry-After: %d\r\nConnection: close\r\n\r\n%s", len(body), errorHeader, code, int(retrySoon.Seconds()), body)
}
