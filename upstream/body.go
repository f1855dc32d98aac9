package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
)

// body is an answer's body. At its end, if it is whole, the connection takes the
// next request; whatever else happens to the body, it is closed.
type body struct {
	io.ReadCloser // net/http's, which knows where it ends
	exchange
	sized bool        // its length was announced
	over  atomic.Bool // the connection is no longer this body's
	ended error       // what Read has ended with; of the goroutine that reads
	ahead []byte      // read already
}

// settle reads a chunked body that has come together with its head, as small
// ones do, so that its length is known and its connection free before anybody
// has read it. It waits for nothing.
func (b *body) settle() {
	here, _ := b.conn.in.Peek(b.conn.in.Buffered())
	if !areAllChunks(here) {
		return
	}
	ahead := make([]byte, len(here))
	n, err := b.ReadCloser.Read(ahead)
	b.ahead = ahead[:n]
	if err != nil {
		b.ended = b.end(err)
	}
}

// areAllChunks reports whether b is a body's chunks up to the last, and nothing
// else: no extension, no trailer. It only tells whether reading them would have
// to wait for more; what they hold, net/http reads.
func areAllChunks(b []byte) bool {
	for {
		line, rest, _ := bytes.Cut(b, lineEnd)
		size, err := strconv.ParseUint(string(line), 16, 16)
		switch {
		case err != nil:
			return false
		case size == 0:
			return bytes.Equal(rest, lineEnd)
		case uint64(len(rest)) < size || !bytes.HasPrefix(rest[size:], lineEnd):
			return false
		}
		b = rest[size+uint64(len(lineEnd)):]
	}
}

var lineEnd = []byte("\r\n")

// Whole returns the length of a body that is here already, to its end.
func (b *body) Whole() (int64, bool) { return int64(len(b.ahead)), b.ended == io.EOF }

// BeforeWait has f called, on the goroutine that reads the body, each time that
// a Read is about to wait for more of it: what came before may be held back
// until then, and no longer. It is for before the first Read.
func (b *body) BeforeWait(f func()) {
	if !b.over.Load() {
		b.conn.wire.beforeWait = f
	}
}

var errBodyClosed = errors.New("the answer's body is read after Close")

func (b *body) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	if b.over.Load() {
		if b.ended != nil {
			return 0, b.ended
		}
		return 0, errBodyClosed
	}
	n, err := b.ReadCloser.Read(p)
	if b.sized {
		n, err = b.readOn(p, n, err)
	}
	if err != nil {
		b.ended = b.end(err)
	}
	return n, b.ended
}

// readOn reads what else has arrived, without waiting, so that p is as full as
// it can be: TLS gives one record at a time.
func (b *body) readOn(p []byte, n int, err error) (int, error) {
	b.conn.wire.asking = true
	for more := 1; n < len(p) && more > 0 && err == nil; n += more {
		more, err = b.ReadCloser.Read(p[n:])
	}
	b.conn.wire.asking = false
	if err == errQuiet {
		err = nil
	}
	return n, err
}

// end is called with what a Read has returned, and returns what to tell.
func (b *body) end(err error) error {
	switch {
	case !b.over.CompareAndSwap(false, true):
		return err // closed meanwhile
	case err == io.EOF:
		b.finish()
		return err
	}
	return b.fail(withoutBytes(err))
}

// Close ends the request. The rest of a body that was not read to its end is
// not waited for: its connection is closed.
func (b *body) Close() error {
	if b.over.CompareAndSwap(false, true) {
		b.stop()
		b.conn.abort()
	}
	return nil
}

// exchange is one request and its answer on a connection.
type exchange struct {
	ctx      context.Context
	stop     func() bool // ends watching ctx; false if that has ended
	conn     *conn
	pool     *pool
	reusable bool // what the answer says
}

// watch begins an exchange: the connection is closed if ctx ends before it.
func watch(ctx context.Context, c *conn, p *pool) exchange {
	return exchange{ctx: ctx, stop: context.AfterFunc(ctx, c.abort), conn: c, pool: p}
}

// finish ends an exchange after a whole answer.
func (x *exchange) finish() {
	x.conn.wire.beforeWait = nil
	if !x.stop() { // abort is running, or has
		return
	}
	if !x.reusable || !x.conn.clean() {
		x.conn.close()
		return
	}
	x.conn.release()
	x.pool.put(x.conn)
}

// fail ends an exchange that broke off and returns the error to tell.
func (x *exchange) fail(err error) error {
	x.stop()
	x.conn.abort()
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	return err
}
