package upstream

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// forUploads returns the base as it sends what this transport does not take, large
// bodies above all: with connections that write at once what TLS makes of each
// write. net/http writes 32 KiB of a body at a time, of which TLS makes two
// records and two writes, and a system call costs more than a copy.
func (t *Transport) forUploads() *http.Transport {
	if !t.knowsBase() {
		return t.base
	}
	uploads := t.base.Clone()
	uploads.DialTLSContext = t.dialUpload
	return uploads
}

// dialUpload is for [http.Transport.DialTLSContext]; answers that come by such a
// connection have no TLS field.
func (t *Transport) dialUpload(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	socket, err := t.base.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	records := &records{Conn: socket}
	c := newConn(records, origin{})
	if err := c.startTLS(ctx, t.tlsOf(host), t.base.TLSHandshakeTimeout); err != nil {
		c.abort()
		return nil, err
	}
	return &upload{c.top, records}, nil
}

// upload is a TLS connection over records.
type upload struct {
	net.Conn
	records *records
}

// Write returns 0 only if nothing was sent: net/http then sends the request again.
func (u *upload) Write(p []byte) (int, error) {
	u.records.hold()
	n, err := u.Conn.Write(p)
	sent, failed := u.records.release()
	switch {
	case failed == nil:
		return n, err
	case sent == 0:
		return 0, failed
	}
	return len(p), failed
}

// recordsSize has room for the two records of a write, with what frames them.
const recordsSize = 33 << 10

var recordBuffers = sync.Pool{New: func() any { return new([recordsSize]byte) }}

// records is a connection below TLS that can hold back what is written, for as
// long as one write above TLS takes.
type records struct {
	net.Conn
	releasing atomic.Bool // what was held back is being written

	mu   sync.Mutex // TLS may write of its own accord
	in   bool       // writes are held back
	held *[recordsSize]byte
	n    int
	err  error // what writing has failed with
}

// hold begins to hold writes back. A release follows.
func (r *records) hold() {
	r.mu.Lock()
	r.in = true
	r.mu.Unlock()
}

// release writes what was held back, and returns how much of that was sent.
func (r *records) release() (sent int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in = false
	r.releasing.Store(true)
	defer r.releasing.Store(false)
	return r.empty(), r.err
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n+len(p) > recordsSize {
		r.empty()
	}
	switch {
	case r.err != nil:
		return 0, r.err
	case !r.in || len(p) > recordsSize:
		return r.Conn.Write(p)
	case r.held == nil:
		r.held = recordBuffers.Get().(*[recordsSize]byte)
	}
	r.n += copy(r.held[r.n:], p)
	return len(p), nil
}

// empty writes what is held, and returns how much was sent. r.mu is held.
func (r *records) empty() (sent int) {
	if r.held == nil {
		return 0
	}
	if r.err == nil {
		sent, r.err = r.Conn.Write(r.held[:r.n])
	}
	recordBuffers.Put(r.held)
	r.held, r.n = nil, 0
	return sent
}

// SetWriteDeadline is how TLS, as it is closed, bounds the time for its last words.
// A write of its own that is under way it would break off; of a release it does
// not know, and would wait for an org that does not read.
func (r *records) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() && r.releasing.Load() {
		at = time.Unix(1, 0)
	}
	return r.Conn.SetWriteDeadline(at)
}
