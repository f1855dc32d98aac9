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
func (p *Proxy) bound(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.isWithin(w, r) {
			defer p.running.leave()
			next(w, r)
		}
	}
}

func (p *Proxy) isWithin(w http.ResponseWriter, r *http.Request) bool {
	if over := headOver(r); over != nil {
		p.refuseOver(w, r, over)
		return false
	}
	return p.enter(w, r, &p.running, p.cfg.MaxRequests, crowd{limit: limitRequests, message: tooManyRequests})
}

// boundClient refuses a request over the number that its client may have running
// at a time.
func (p *Proxy) boundClient(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := exchangeOf(r.Context()).client
		if p.hasRoom(c, w, r) {
			defer c.running.leave()
			next(w, r)
		}
	}
}

func (p *Proxy) hasRoom(c *Client, w http.ResponseWriter, r *http.Request) bool {
	return p.enter(w, r, c.running, c.MaxRequests, crowd{limitRequestsPerClient, tooManyOfClient, slog.String("client", c.Name)})
}

// boundUnknown calls read, which waits for the body of a request whose client is
// not known before, unless as many such run as one client may have: whoever has no
// credential is to leave room to those who have. It reports whether it did.
func (p *Proxy) boundUnknown(w http.ResponseWriter, r *http.Request, read func()) bool {
	unknown := crowd{limitRequestsPerClient, tooManyUnknown, slog.String("of", "logins, and SOAP requests whose client is not known yet")}
	if !p.enter(w, r, &p.unknown, p.cfg.MaxRequestsPerClient, unknown) {
		return false
	}
	defer p.unknown.leave()
	read()
	return true
}

// crowd is what a limit on requests that run at a time is about.
type crowd struct {
	limit   string // its name
	message string // for the client, after the number
	whose   slog.Attr
}

// enter counts a request among those that run, and reports whether it may: where
// as many as limit do, it is refused, and the log is told once a minute.
func (p *Proxy) enter(w http.ResponseWriter, r *http.Request, among *running, limit int, c crowd) bool {
	if among.enter(limit) {
		return true
	}
	if refused, due := among.crowded.Due(); due {
		p.logger.LogAttrs(context.Background(), slog.LevelWarn, "requests are refused: as many run as may at a time",
			slog.Int("limit", limit), c.whose, slog.Int("refused", refused))
	}
	over := overLimit(c.limit, http.StatusTooManyRequests, "PROXY_TOO_MANY_REQUESTS", fmt.Errorf("%d %s", limit, c.message))
	over.retryAfter = retrySoon
	p.refuseOver(w, r, over)
	return false
}

// headOver returns the fault of a request whose head goes over a limit, nil if it
// does not.
func headOver(r *http.Request) *fault {
	if len(r.RequestURI) > maxURI {
		return overLimit(limitURI, http.StatusRequestURITooLong, "PROXY_URI_TOO_LONG", errURI)
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
		return overLimit(limitHeaders, http.StatusRequestHeaderFieldsTooLarge, "PROXY_TOO_MANY_HEADERS", errHeaderCount)
	case size > maxHeaderBytes:
		return overLimit(limitHeaders, http.StatusRequestHeaderFieldsTooLarge, "PROXY_HEADERS_TOO_LARGE", errHeaderBytes)
	}
	return nil
}

// headerLine returns the bytes of a header in HTTP/1.1.
func headerLine(name, value string) int { return len(name) + len(": ") + len(value) + len("\r\n") }

const (
	tooManyRequests = "requests run already, and no more may at a time: try again, or raise PROXY_MAX_REQUESTS"
	tooManyUnknown  = "logins and SOAP requests run already whose client is not known yet, and no more may at a time: try again, or raise PROXY_MAX_REQUESTS_PER_CLIENT"
	tooManyOfClient = "requests of this client run already, and no more may at a time: try again, or raise PROXY_MAX_REQUESTS_PER_CLIENT, or PROXY_CLIENT_<n>_MAX_REQUESTS for it alone"
)

// overLimit is the fault of a request that goes over the limit of that name.
func overLimit(limit string, status int, code string, reason error) *fault {
	f := denial(status, code, reason)
	f.limit = limit
	return f
}

// refuseOver answers a request that goes over a limit.
func (p *Proxy) refuseOver(w http.ResponseWriter, r *http.Request, over *fault) {
	if p.cfg.OnLimited != nil {
		p.cfg.OnLimited(over.limit)
	}
	p.refuse(w, r, over)
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
