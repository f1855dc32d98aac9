package proxy

import (
	"sync"
	"sync/atomic"
)

// corkSize has room for what one write of an answer becomes: the head, 64 KiB of
// the body, which the kernel sends on as one piece, and what frames it.
const corkSize = 64<<10 + 4<<10

var corkBuffers = sync.Pool{New: func() any { return new([corkSize]byte) }}

// cork holds back what is written to a connection, so that it goes out at once:
// net/http's server writes each piece of an answer in three, the frame for itself.
type cork struct {
	pulling atomic.Bool // what was held back is being written

	mu   sync.Mutex // TLS may write of its own accord
	in   bool       // writes are held back
	held *[corkSize]byte
	n    int
	err  error // what writing has failed with
}

// put begins to hold writes back. A pull follows.
func (c *cork) put() {
	c.mu.Lock()
	c.in = true
	c.mu.Unlock()
}

// loosen has the next write take what was held back along.
func (c *cork) loosen() {
	c.mu.Lock()
	c.in = false
	c.mu.Unlock()
}

// pull writes what was held back.
func (c *cork) pull(write func([]byte) (int, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = false
	c.pulling.Store(true)
	defer c.pulling.Store(false)
	c.empty(write)
	return c.err
}

// write is the connection's Write.
func (c *cork) write(b []byte, write func([]byte) (int, error)) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n+len(b) > corkSize {
		c.empty(write)
	}
	if c.err != nil {
		return 0, c.err
	}
	if !c.in && c.held == nil || len(b) > corkSize {
		return write(b)
	}
	if c.held == nil {
		c.held = corkBuffers.Get().(*[corkSize]byte)
	}
	c.n += copy(c.held[c.n:], b)
	if !c.in {
		c.empty(write)
	}
	return len(b), c.err
}

// empty writes what is held. c.mu is held.
func (c *cork) empty(write func([]byte) (int, error)) {
	if c.held == nil {
		return
	}
	if c.err == nil {
		_, c.err = write(c.held[:c.n])
	}
	corkBuffers.Put(c.held)
	c.held, c.n = nil, 0
}
