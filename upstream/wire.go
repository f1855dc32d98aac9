package upstream

import (
	"io"
	"net"
	"syscall"
)

// wire is a network connection that can be read without waiting.
type wire struct {
	net.Conn
	raw syscall.RawConn // nil if the system or the dialer has none: then nothing seems to have come

	// Of the goroutine that has the connection:
	beforeWait func() // called when a Read is about to wait; nil for not
	asking     bool   // Read takes what has arrived and does not wait
	came       bool   // it has found something
	buf        []byte
	n          int
	err        error
	now        func(fd uintptr) bool // readNow, bound once
	ready      func(fd uintptr) bool // hasCome, bound once
	looked     bool                  // hasCome has
}

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	w.now, w.ready = w.readNow, w.hasCome
	if s, ok := c.(syscall.Conn); ok && canReadNow {
		w.raw, _ = s.SyscallConn()
	}
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	switch {
	case w.asking:
		return w.readArrived(p)
	case w.beforeWait != nil:
		if n, err := w.readArrived(p); err != errQuiet {
			return n, err
		}
		w.beforeWait()
	}
	return w.Conn.Read(p)
}

// readArrived reads without waiting.
func (w *wire) readArrived(p []byte) (int, error) {
	if w.raw == nil {
		return 0, errQuiet
	}
	w.buf, w.n, w.err = p, 0, nil
	err := w.raw.Read(w.now)
	w.buf = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == syscall.EAGAIN:
		return 0, errQuiet
	case w.err != nil:
		return 0, w.err
	}
	w.came = true
	if w.n == 0 {
		return 0, io.EOF
	}
	return w.n, nil
}

// readNow reads from the descriptor, which does not block: Go's never do.
func (w *wire) readNow(fd uintptr) bool {
	for {
		w.n, w.err = readNow(fd, w.buf)
		if w.err != syscall.EINTR {
			return true
		}
	}
}

// wait waits until there is something to read, if only the end. It needs neither
// a buffer nor the calls through TLS meanwhile.
func (w *wire) wait() error {
	if w.raw == nil {
		return nil
	}
	w.looked, w.err = false, nil
	if err := w.raw.Read(w.ready); err != nil {
		return err
	}
	return w.err
}

// hasCome reports whether there is something to read. It is called again when the
// system says so. A failure is kept: Linux tells of a reset once, to whoever looks
// first.
func (w *wire) hasCome(fd uintptr) bool {
	if w.looked {
		return true
	}
	w.looked = true
	if err := look(fd); err != syscall.EAGAIN {
		w.err = err
		return true
	}
	return false
}

// errQuiet is that nothing has arrived. Being temporary, it does not end a TLS
// connection.
var errQuiet net.Error = quiet{}

type quiet struct{}

func (quiet) Error() string   { return "nothing has arrived" }
func (quiet) Timeout() bool   { return true }
func (quiet) Temporary() bool { return true }
