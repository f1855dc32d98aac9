package proxy

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// maxLoggedPath is how many bytes of a path a log line has at most.
const maxLoggedPath = 2 << 10

// requestIDHeader carries the id that an answer and its log lines share.
const requestIDHeader = "X-Request-Id"

// observe gives each request its exchange and, when it is done, its log line:
// also when the answer broke off, which arrives here as a panic.
func (p *Proxy) observe(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ex := p.begin(w, r)
		defer func() {
			if !ex.seen.Whole {
				ex.passOnBroken()
			}
			p.logExchange(ex)
			p.finish(ex)
		}()
		next(&ex.recorder, ex.inbound)
		ex.seen.Whole = true
	}
}

// begin returns the exchange of a request, which is in the context of its inbound.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	ex := newExchange(r)
	ctx := context.WithValue(r.Context(), exchangeKey{}, ex)
	if p.cfg.Tracer != nil {
		if ex.trace = p.cfg.Tracer.Start(r, ex.id); ex.trace != nil {
			w.Header()[traceresponse] = []string{ex.trace.ID()}
			ctx = ex.trace.Context(ctx)
		}
	}
	ex.inbound = r.WithContext(ctx)
	ex.countBody(ex.inbound)
	ex.recorder = recorder{ResponseWriter: w, ex: ex}
	w.Header()["Content-Type"] = nil // no guessing where Salesforce sent none
	p.shareAnswer(w.Header(), ex.inbound)
	if p.cfg.Observer != nil {
		p.cfg.Observer.Arrived()
	}
	return ex
}

// logExchange writes the line of a request: at warn where the proxy could not
// do its work, else at debug. A client that hangs up is no failure.
func (p *Proxy) logExchange(ex *exchange) {
	ctx, rec, whole := ex.inbound.Context(), &ex.recorder, ex.seen.Whole
	level, message := slog.LevelDebug, "request"
	clientLeft := ctx.Err() != nil
	switch {
	case clientLeft && (!whole || rec.status == 0):
		message = "client left"
	case !whole:
		level, message = slog.LevelWarn, "answer broke off"
	case ex.fault != nil:
		level, message = ex.fault.line(rec.status)
	}
	if !p.logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("request_id", ex.id),
		slog.String("method", ex.inbound.Method),
		slog.String("path", ex.path[:min(len(ex.path), maxLoggedPath)]), // never the query: SOQL holds personal data
		slog.Int("status", rec.status),
		slog.Int64("bytes", rec.bytes.Load()),
		slog.Int64("duration_ms", time.Since(ex.started).Milliseconds()))
	if ex.client != nil && ex.client.Name != "" {
		attrs = append(attrs, slog.String("client", ex.client.Name))
	}
	if ex.token != nil {
		attrs = append(attrs, slog.String("instance", ex.token.InstanceURL.Host))
	}
	if ex.raisedFrom != "" {
		attrs = append(attrs, slog.String("asked_for", ex.raisedFrom))
	}
	if ex.replayed {
		attrs = append(attrs, slog.Bool("replayed", true))
	}
	if f := ex.fault; f != nil {
		if f.limit != "" {
			attrs = append(attrs, slog.String("limit", f.limit))
		}
		if f.rule != "" {
			attrs = append(attrs, slog.String("rule", f.rule))
		}
		attrs = append(attrs, slog.String("reason", f.reason.Error()))
	}
	p.logger.LogAttrs(ctx, level, message, attrs...)
}

// line returns what the log calls the request that is answered with the fault
// and a status.
func (f *fault) line(status int) (level slog.Level, message string) {
	switch {
	case f.limit != "", f.told:
		return slog.LevelDebug, "request refused" // in storms; a line at warn tells of them
	case f.rule == "" && status >= 500:
		return slog.LevelWarn, "request failed"
	case f.own == "" && status == http.StatusBadRequest:
		return slog.LevelDebug, "request" // the client's own fault
	}
	return slog.LevelWarn, "request refused"
}

// requestID takes the client's id if it is a plain one, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	unfit := func(c rune) bool { return c <= ' ' || c > '~' }
	if len(id) == 0 || len(id) > 64 || strings.ContainsFunc(id, unfit) {
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], rand.Uint64()) // #nosec G404 -- a name, which nobody gains by guessing
		return hex.EncodeToString(number[:])
	}
	return id
}

// public returns the origin that the client of a request knows the proxy by.
func (p *Proxy) public(r *http.Request) string {
	switch {
	case p.cfg.PublicURL != nil:
		return p.cfg.PublicURL.Scheme + "://" + p.cfg.PublicURL.Host
	case r.Host == "": // HTTP/1.0; what is a Location then becomes a relative one
		return ""
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
