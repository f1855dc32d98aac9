package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // until a test gives up on what must happen

// newBase returns what a Transport of the tests is made of.
func newBase() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:           new(net.Dialer).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost:   512,
		ResponseHeaderTimeout: patience,
		ExpectContinueTimeout: patience,
		DisableCompression:    true,
		Protocols:             protocols,
	}
}

func newTransport(t testing.TB, base *http.Transport) *Transport {
	t.Helper()
	transport := New(base)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// peer is an upstream that speaks bytes. secure makes it one of TLS, which base
// then trusts.
func peer(t testing.TB, base *http.Transport, secure bool, talk func(n int, c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
		server := httptest.NewUnstartedServer(nil)
		server.StartTLS()
		server.Close()
		base.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		l = tls.NewListener(corking{l}, server.TLS)
	}
	var talking sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		talking.Wait()
	})
	talking.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			talking.Go(func() {
				defer c.Close()
				talk(n, c)
			})
		}
	})
	return scheme + l.Addr().String()
}

// corking is a listener whose connections can hold back what is written.
type corking struct{ net.Listener }

func (l corking) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &corked{Conn: c}, err
}

type corked struct {
	net.Conn
	on   bool
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.on {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// sayTogether has the TLS records of several texts arrive in one piece.
func sayTogether(c *tls.Conn, texts ...string) {
	cork := c.NetConn().(*corked)
	cork.on, cork.held = true, nil
	for _, text := range texts {
		say(c, text)
	}
	cork.on = false
	cork.Write(cork.held)
}

// hear reads the head of a request and returns it; "" at the end.
func hear(c net.Conn) string {
	var head []byte
	var one [1]byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := c.Read(one[:]); err != nil {
			return ""
		}
		head = append(head, one[0])
	}
	return string(head)
}

func say(c net.Conn, text string) { io.WriteString(c, text) }

const ok2 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// send sends a request and reads its answer to the end.
func send(t testing.TB, rt http.RoundTripper, method, url, body string) (*http.Response, string, error) {
	t.Helper()
	return sendRequest(rt, newRequest(t, method, url, body))
}

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func sendRequest(rt http.RoundTripper, req *http.Request) (*http.Response, string, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	content, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return resp, string(content), err
}

// script is a connection that says what it was given, once a request was
// written, and then nothing or the end.
type script struct {
	text    *bytes.Reader
	atOnce  int  // bytes a Read returns at most
	stall   bool // nothing follows, not even the end
	eager   bool // the end comes with the last of the text
	written bytes.Buffer
	asked   chan struct{}
	once    sync.Once
	closed  atomic.Bool
}

func newScript(text []byte, atOnce int, stall bool) *script {
	return &script{text: bytes.NewReader(text), atOnce: max(atOnce, 1), stall: stall, asked: make(chan struct{})}
}

var errStalled = errors.New("nothing more comes")

func (s *script) Read(p []byte) (int, error) {
	<-s.asked
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := s.text.Read(p[:min(len(p), s.atOnce)])
	if s.eager && s.text.Len() == 0 {
		err = io.EOF
	}
	if err == io.EOF && s.stall {
		err = errStalled
	}
	return n, err
}

func (s *script) Write(p []byte) (int, error) {
	s.written.Write(p)
	if bytes.Contains(s.written.Bytes(), []byte("\r\n\r\n")) {
		s.once.Do(func() { close(s.asked) })
	}
	return len(p), nil
}

func (s *script) Close() error {
	s.closed.Store(true)
	s.once.Do(func() { close(s.asked) })
	return nil
}

func (s *script) LocalAddr() net.Addr              { return new(net.TCPAddr) }
func (s *script) RemoteAddr() net.Addr             { return new(net.TCPAddr) }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// through returns a base whose connections are s.
func through(s net.Conn) *http.Transport {
	base := newBase()
	base.DialContext = func(context.Context, string, string) (net.Conn, error) { return s, nil }
	return base
}

// quietLog keeps net/http from writing of answers that nobody asked for.
func quietLog(t testing.TB) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(log.Default().Writer()) })
}
