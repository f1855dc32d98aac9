package proxy

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// Listener returns l with its connections paced: a client that does not take
// what is written to it is cut. A server that has it should have
// [Proxy.ConnContext] too. TLS belongs on top.
func (p *Proxy) Listener(l net.Listener) net.Listener {
	if !p.isPaced() {
		return l
	}
	return &pacedListener{l, p}
}

type pacedListener struct {
	net.Listener
	proxy *Proxy
}

func (l *pacedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newPacedConn(l.proxy, c), nil
}

type pacedConnKey struct{}

// ConnContext is for [http.Server.ConnContext]: with it a request finds its
// connection.
func (p *Proxy) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if over, ok := c.(wrapper); ok { // TLS
		c = over.NetConn()
	}
	if conn, ok := c.(*pacedConn); ok {
		return context.WithValue(ctx, pacedConnKey{}, conn)
	}
	return ctx
}

// wrapper is a connection on top of another, as a [tls.Conn] is.
type wrapper interface{ NetConn() net.Conn }

// pacedConnOf returns the connection of a request, nil if it is not a paced one
// or has several requests at a time.
func pacedConnOf(r *http.Request) *pacedConn {
	c, _ := r.Context().Value(pacedConnKey{}).(*pacedConn)
	if r.ProtoMajor != 1 {
		return nil
	}
	return c
}

// maxUnsent is how many bytes of an answer the kernel holds beyond those that are
// on their way.
const maxUnsent = 256 << 10

// pacedConn is a client's connection. Whatever net/http writes to it is paced;
// what it reads is where a request's body is read.
type pacedConn struct {
	net.Conn
	proxy          *Proxy
	socket         net.Conn        // below what wraps it
	raw            syscall.RawConn // the socket's, nil if there is none
	received, sent atomic.Int64    // bytes that were read and written
	reading        pace            // of the body of the request
	writing        pace
	cork           cork

	exchange   atomic.Pointer[exchange] // the request's, nil between requests
	sentBefore atomic.Int64             // bytes, when it began
	last       requestNote              // of the one before; guarded by writing.mu
}

func newPacedConn(p *Proxy, conn net.Conn) *pacedConn {
	c := &pacedConn{Conn: conn, proxy: p, socket: conn}
	for over, ok := conn.(wrapper); ok; over, ok = c.socket.(wrapper) {
		c.socket = over.NetConn()
	}
	if s, ok := c.socket.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	if c.raw != nil {
		boundUnsent(c.raw, maxUnsent)
	}
	p.initPace(&c.reading, c.received.Load, c.cutRead)
	p.initPace(&c.writing, c.taken, c.cutWrite)
	return c
}

func (c *pacedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *pacedConn) Write(b []byte) (int, error) { return c.cork.write(b, c.write) }

func (c *pacedConn) write(b []byte) (int, error) {
	c.writing.begin()
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	c.writing.end()
	return n, err
}

// SetWriteDeadline is how TLS, as it is closed, bounds the time for its last words.
// A write of its own that is under way it would break off; of what the cork writes
// it does not know, and would wait for a client that does not read.
func (c *pacedConn) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() && c.cork.pulling.Load() {
		at = longAgo
	}
	return c.Conn.SetWriteDeadline(at)
}

// CloseWrite is how net/http's server ends a connection that the client may
// still be sending on.
func (c *pacedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// taken returns the bytes that the client has taken. What was written may still
// be in the kernel, which asks for more only after a large part of its buffer
// has gone: megabytes, for which a slow reader takes many minutes.
func (c *pacedConn) taken() int64 {
	if c.raw != nil {
		if acked, ok := bytesAcked(c.raw); ok {
			return acked
		}
	}
	return c.sent.Load()
}

// serve says that a request begins, done that its handler has returned: some of
// the answer may still have to be written.
func (c *pacedConn) serve(ex *exchange) {
	c.sentBefore.Store(c.sent.Load())
	c.exchange.Store(ex)
}

func (c *pacedConn) done(ex *exchange) {
	if ex.answered.Load() && ex.inbound.ProtoAtLeast(1, 1) {
		c.cork.loosen() // net/http's server still writes the last chunk
	} else {
		c.cork.pull(c.write) // what it fails with is told by the next write
	}
	c.writing.mu.Lock()
	defer c.writing.mu.Unlock()
	c.last = ex.note()
	c.exchange.Store(nil) // and what it keeps of a body
}

// cutRead ends a read of the request's body. The answer can still be written.
func (c *pacedConn) cutRead() {
	if ex := c.exchange.Load(); ex != nil {
		c.proxy.noteSlow(ex.note(), slowBody, ex.received.bytes.Load())
	}
	c.Conn.SetReadDeadline(longAgo)
}

// cutWrite ends the connection, with what the kernel has still to send.
func (c *pacedConn) cutWrite() {
	note := c.last
	if ex := c.exchange.Load(); ex != nil {
		note = ex.note()
	}
	note.address = c.RemoteAddr().String()
	c.proxy.noteSlow(note, slowReader, max(c.taken()-c.sentBefore.Load(), 0))
	if tcp, ok := c.socket.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	c.Conn.Close()
}
