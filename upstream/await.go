package upstream

import (
	"bufio"
	"sync"
)

const bufferSize = 4 << 10 // bytes that are read at once, bodies aside

// readers are what answers are read with. A connection has one from the first
// byte of an answer to its end, and none while it waits: Salesforce may think for
// minutes, and of idle connections there are many.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

func (c *conn) acquire() {
	c.in = readers.Get().(*bufio.Reader)
	c.in.Reset(c)
}

// release gives the reader back, of which nobody reads any more.
func (c *conn) release() {
	c.in.Reset(nil)
	readers.Put(c.in)
	c.in = nil
}

// await waits for the first byte of an answer. What TLS has in store by itself
// counts for nothing, and does not keep it from waiting: the tickets after a
// handshake, a part of a record.
func (c *conn) await() error {
	for quiet := c.isQuiet; ; quiet = true {
		if quiet {
			if err := c.wire.wait(); err != nil {
				return err
			}
		}
		c.acquire()
		c.wire.asking = c.wire.raw != nil
		_, err := c.in.Peek(1)
		c.wire.asking = false
		if err != errQuiet {
			return err
		}
		c.release()
	}
}
