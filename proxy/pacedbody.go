package proxy

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// limitBodyRate is the name of the limit that a slow client goes below, for
// metrics.
const limitBodyRate = "body_rate"

// What a client is slow at, for the log.
const (
	slowBody   = "request body"
	slowReader = "answer"
)

// maxLinger is how long what is left of a body that nobody wants is read, so
// that its client comes to read the answer.
const maxLinger = 5 * time.Second

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// errTooSlow is also an [os.ErrDeadlineExceeded], by which package login knows it.
var errTooSlow error = slowError{}

type slowError struct{}

func (slowError) Error() string {
	return "the request body came too slowly, or not at all, and was given up: PROXY_MIN_BODY_RATE and PROXY_STALL_TIMEOUT say how slowly it may come"
}
func (slowError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// isPaced reports whether clients have to keep up.
func (p *Proxy) isPaced() bool { return p.cfg.MinBodyRate > 0 && p.cfg.StallTimeout > 0 }

func (p *Proxy) initPace(c *pace, moved func() int64, cut func()) {
	c.rate, c.allowance, c.left = p.cfg.MinBodyRate, p.cfg.StallTimeout, p.cfg.StallTimeout
	c.moved, c.cut = moved, cut
}

// paced has the client keep up with the request's body and, where its
// connection alone does not tell, with the answer.
func (p *Proxy) paced(next http.HandlerFunc) http.HandlerFunc {
	if !p.isPaced() {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ex, conn := exchangeOf(r.Context()), pacedConnOf(r)
		if conn != nil {
			conn.serve(ex)
			defer conn.done(ex)
		}
		writer := &ex.writer
		writer.ResponseWriter, writer.ex, writer.conn = w, ex, conn
		if r.Body != nil && r.Body != http.NoBody {
			p.paceBody(&writer.body, ex, w, r, conn) // of a request that observe has made
			defer writer.body.leave()
		}
		if r.ProtoMajor == 2 {
			writer.pace = p.paceStream(ex, writer)
			defer p.leaveStream(writer)
		}
		next(writer, r)
	}
}

// requestNote is what the log has of a request whose client is too slow.
type requestNote struct {
	id, method, path, client, address string
	started                           time.Time
}

func (ex *exchange) note() requestNote {
	n := requestNote{id: ex.id, method: ex.inbound.Method, path: ex.path, address: ex.inbound.RemoteAddr, started: ex.started}
	if ex.client != nil {
		n.client = ex.client.Name
	}
	return n
}

// noteSlow tells that a client is cut, and at what; bytes are what it has moved.
func (p *Proxy) noteSlow(n requestNote, slowAt string, bytes int64) {
	attrs := []any{slog.String("slow_at", slowAt), slog.String("address", n.address)}
	if n.id != "" {
		attrs = append(attrs, slog.String("request_id", n.id), slog.String("method", n.method), slog.String("path", n.path[:min(len(n.path), maxLoggedPath)]),
			slog.Int64("bytes", bytes), slog.Int64("rate", int64(float64(bytes)/max(time.Since(n.started).Seconds(), 1e-3))))
	}
	if n.client != "" {
		attrs = append(attrs, slog.String("client", n.client))
	}
	p.logger.Warn("client is too slow and is cut", append(attrs, slog.Int64("min_rate", p.cfg.MinBodyRate))...)
	if p.cfg.OnLimited != nil {
		p.cfg.OnLimited(limitBodyRate)
	}
}

// pacedBody is a request's body. A read that takes too long fails with
// errTooSlow.
type pacedBody struct {
	io.ReadCloser
	pace   *pace       // its connection's, or its own
	ended  atomic.Bool // well or not
	writer http.ResponseWriter
	http1  bool
	linger time.Duration
}

// paceBody makes b the body of r. conn is nil if it has no pace for it.
func (p *Proxy) paceBody(b *pacedBody, ex *exchange, w http.ResponseWriter, r *http.Request, conn *pacedConn) {
	b.ReadCloser, b.writer, b.http1, b.linger = r.Body, w, r.ProtoMajor == 1, min(p.cfg.StallTimeout, maxLinger)
	ex.upload, r.Body = b, b
	if conn != nil {
		b.pace = &conn.reading
		b.pace.restart()
		return
	}
	b.pace = new(pace)
	p.initPace(b.pace, ex.received.bytes.Load, func() {
		p.noteSlow(ex.note(), slowBody, ex.received.bytes.Load())
		b.setDeadline(longAgo)
	})
}

func (b *pacedBody) setDeadline(at time.Time) {
	http.NewResponseController(b.writer).SetReadDeadline(at)
}

func (b *pacedBody) Read(p []byte) (int, error) {
	b.pace.begin()
	n, err := b.ReadCloser.Read(p)
	slow := b.pace.end()
	if err != nil {
		b.ended.Store(true)
		if slow && err != io.EOF {
			err = errTooSlow
		}
	}
	return n, err
}

// Close may read on, for the connection's next request.
func (b *pacedBody) Close() error {
	b.giveUp()
	return b.ReadCloser.Close()
}

// giveUp says that nobody wants the rest of the body. net/http's server reads
// 256 KiB of it, for the connection's next request: not for long from now on.
// With HTTP/2 it reads nothing.
func (b *pacedBody) giveUp() {
	if b.http1 && !b.ended.Load() {
		b.setDeadline(time.Now().Add(b.linger))
	}
}

// leave is called when the handler returns. A stream's body has nothing to be
// cut after that.
func (b *pacedBody) leave() {
	b.giveUp()
	if !b.http1 {
		b.pace.stop()
	}
}

// isSlow reports whether the body was given up. b may be nil.
func (b *pacedBody) isSlow() bool { return b != nil && b.pace.isSlow() }
