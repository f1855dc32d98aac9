package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"time"
)

const maxInterim = 8 // answers of 1xx before the one that counts

// conn is a connection to an origin. One goroutine has it at a time; abort may
// be called by any.
type conn struct {
	to    origin
	wire  *wire
	top   net.Conn             // wire, or TLS over it
	state *tls.ConnectionState // nil for plain HTTP
	in    *bufio.Reader        // of what Read gets from top; nil while nothing is read

	idleSince time.Time
	isQuiet   bool // nothing had come before the request was sent

	left  int64 // bytes that may be read yet
	heard bool  // something was read since the request was sent
	ended bool  // reading has failed or come to an end
	one   [1]byte
}

// dial opens a connection for u, through proxy if it is not nil. The errors are
// those of net and crypto/tls, a *timeoutError, or why ctx ended; what went
// wrong on the way to the proxy is a [net.OpError] of "proxyconnect".
func (t *Transport) dial(ctx context.Context, u, proxy *url.URL) (*conn, error) {
	type dialled struct {
		*conn
		err error
	}
	// On a goroutine that ends with it: what dialling and a handshake grow a stack
	// to, 32 KiB, would stay with a request that waits long for its answer.
	done := make(chan dialled)
	go func() {
		widen()
		c, err := t.dialHere(ctx, u, proxy)
		done <- dialled{c, err}
	}()
	d := <-done // soon after ctx has ended, at the latest
	return d.conn, d.err
}

// widen grows the stack at once to what a handshake needs. In steps it would take
// stacks of the size that those of requests have, and leave holes between them.
//
//go:noinline
func widen() {
	var room [16 << 10]byte
	runtime.KeepAlive(&room)
}

func (t *Transport) dialHere(ctx context.Context, u, proxy *url.URL) (*conn, error) {
	c, err := t.dialPlain(ctx, u, proxy)
	if err == nil && u.Scheme == "https" {
		err = c.startTLS(ctx, t.tlsOf(u.Hostname()), t.base.TLSHandshakeTimeout)
	}
	if err == nil {
		return c, nil
	}
	if c != nil {
		c.abort()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, err
}

func (t *Transport) dialPlain(ctx context.Context, u, proxy *url.URL) (*conn, error) {
	if proxy != nil {
		return t.dialThrough(ctx, u, proxy)
	}
	network, err := t.base.DialContext(ctx, "tcp", addressOf(u))
	if err != nil {
		return nil, err
	}
	return newConn(network, originOf(u, nil)), nil
}

func newConn(network net.Conn, to origin) *conn {
	c := &conn{to: to, wire: newWire(network)}
	c.top = c.wire
	return c
}

// addressOf returns the host and the port of u.
func addressOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// hostTLS are the TLS settings of a host's connections.
type hostTLS struct {
	host     string
	settings *tls.Config
}

// tlsOf returns the TLS settings of a host: roots, versions and sessions are those
// of the base. The connections to the host that was dialled last share theirs.
func (t *Transport) tlsOf(host string) *tls.Config {
	if last := t.lastTLS.Load(); last != nil && last.host == host {
		return last.settings
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if own := t.base.TLSClientConfig; own != nil {
		settings = own.Clone()
	}
	settings.NextProtos = nil // HTTP/1.1 is what is spoken without
	if settings.ServerName == "" {
		settings.ServerName = host
	}
	t.lastTLS.Store(&hostTLS{host, settings})
	return settings
}

// startTLS makes the connection a TLS one.
func (c *conn) startTLS(ctx context.Context, settings *tls.Config, timeout time.Duration) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	over := tls.Client(c.wire, settings)
	if err := over.HandshakeContext(limited); err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			return &timeoutError{"the TLS handshake was not done", timeout}
		}
		return err
	}
	state := over.ConnectionState()
	c.top, c.state = over, &state
	return nil
}

// Read reads from the connection on behalf of in.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLongHead
	}
	n, err := c.top.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.heard = c.heard || n > 0
	if n > 0 && err == errQuiet { // TLS has looked for its end behind the data
		err = nil
	}
	c.ended = c.ended || err != nil && err != errQuiet
	return n, err
}

var errLongHead = errors.New("the head of the answer is too long")

// send writes a request and returns how much of it was sent, at least.
func (c *conn) send(m message, timeout time.Duration) (int, error) {
	c.heard = false
	if timeout > 0 {
		c.wire.SetDeadline(time.Now().Add(timeout))
	}
	return c.top.Write(m)
}

// lastWord is how long an answer is waited for that should be here already.
const lastWord = time.Second

// answer reads the head of the answer to req, which was sent but for sendErr.
// Its body reads from c. Who refuses a request may answer and close before it
// was all sent.
func (c *conn) answer(req *http.Request, maxHead int64, sendErr error) (*http.Response, error) {
	c.left = maxHead
	if sendErr != nil {
		c.wire.SetReadDeadline(time.Now().Add(lastWord))
	}
	if err := c.await(); err != nil {
		return nil, err
	}
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(c.in, req)
		if err != nil {
			return nil, withoutBytes(err)
		}
		switch {
		case resp.ProtoMajor != 1:
			return nil, fmt.Errorf("the answer is in %.20q", resp.Proto)
		case resp.StatusCode < 100, resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("the answer has the status %d, which nothing asked for", resp.StatusCode)
		case resp.StatusCode >= 200:
			c.left = math.MaxInt64
			return resp, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim answers and no final one", maxInterim)
}

// clean reports whether nothing was read beyond the answer.
func (c *conn) clean() bool { return !c.ended && c.in.Buffered() == 0 }

// quiet reports whether nothing has come since the last answer: neither the end
// of the connection nor something that would be taken for the next answer.
func (c *conn) quiet() bool {
	c.wire.asking, c.wire.came = true, false
	n, err := c.top.Read(c.one[:]) // through TLS, which may have records of its own in store
	c.wire.asking = false
	c.isQuiet = n == 0 && err == errQuiet && !c.wire.came
	return c.isQuiet
}

// abort ends the connection at once.
func (c *conn) abort() { c.wire.Close() }

// close ends a connection that nothing waits for. TLS says so to the far end.
func (c *conn) close() { c.top.Close() }

// timeoutError is a [net.Error].
type timeoutError struct {
	what  string
	after time.Duration
}

func (e *timeoutError) Error() string        { return fmt.Sprintf("%s within %v", e.what, e.after) }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Temporary() bool      { return true }
func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// brokenBy returns the error of an exchange that ended before an answer.
func brokenBy(err error, timeout time.Duration) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &timeoutError{"there was no answer", timeout}
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return errNoAnswer
	}
	return err
}

var errNoAnswer = fmt.Errorf("the connection ended before the answer: %w", io.ErrUnexpectedEOF)
