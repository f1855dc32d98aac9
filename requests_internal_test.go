package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
	"github.com/sfproxy/sfproxy/upstream"
)

// What a request costs is measured in this process, with all that is on by
// default: from the app's connection to the org's, which are in memory, its
// instructions and, for people to compare, its time; of the handler alone, its
// allocations.

// shape is a request that apps often send, and its answer.
type shape struct {
	name, method, target, body string
	answer                     []byte // whole, as Salesforce sends it
}

func shapes() []shape {
	const query = "/services/data/v60.0/query?q=SELECT+Id,Name+FROM+Account"
	return []shape{
		{"record", "GET", "/services/data/v60.0/sobjects/Account/0015g0000000002AAA", "", answerOf("200 OK", strings.Repeat("r", 350))},
		{"page", "GET", query, "", answerOf("200 OK", strings.Repeat("p", 130<<10))},
		{"create", "POST", "/services/data/v60.0/sobjects/Account", strings.Repeat("c", 1<<10), answerOf("201 Created", `{"id":"0015g0000000002AAA","success":true,"errors":[]}`)},
	}
}

// answerOf returns an answer in chunks, as Salesforce's are.
func answerOf(status, body string) []byte {
	const piece = 8 << 10
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\nDate: Tue, 01 Jun 2027 12:00:00 GMT\r\nContent-Type: application/json;charset=UTF-8\r\n"+
		"Cache-Control: no-cache,must-revalidate,max-age=0,no-store,private\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n"+
		"Strict-Transport-Security: max-age=63072000; includeSubDomains\r\nSet-Cookie: BrowserId=a; domain=.salesforce.com; path=/\r\n"+
		"Sforce-Limit-Info: api-usage=18/15000\r\nTransfer-Encoding: chunked\r\n\r\n", status)
	for len(body) > 0 {
		n := min(piece, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}

// request returns the request as the server makes it.
func (s shape) request(ctx context.Context) *http.Request {
	var body io.Reader
	if s.body != "" {
		body = strings.NewReader(s.body)
	}
	r, err := http.NewRequestWithContext(ctx, s.method, s.target, body)
	if err != nil {
		panic(err)
	}
	r.RequestURI, r.Host, r.RemoteAddr = s.target, "localhost:8080", "127.0.0.1:50000"
	r.Header = http.Header{"Authorization": {"Bearer billing-billing-billing"}, "Accept": {"application/json"}, "User-Agent": {"app/1.0"}}
	if s.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// orgConn is a connection to an org that has the answer to whatever is sent.
type orgConn struct{ answer, left []byte }

func (c *orgConn) Write(p []byte) (int, error) {
	c.left = c.answer
	return len(p), nil
}

func (c *orgConn) Read(p []byte) (int, error) {
	n := copy(p, c.left)
	if c.left = c.left[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *orgConn) Close() error                     { return nil }
func (c *orgConn) LocalAddr() net.Addr              { return new(net.TCPAddr) }
func (c *orgConn) RemoteAddr() net.Addr             { return new(net.TCPAddr) }
func (c *orgConn) SetDeadline(time.Time) error      { return nil }
func (c *orgConn) SetReadDeadline(time.Time) error  { return nil }
func (c *orgConn) SetWriteDeadline(time.Time) error { return nil }

// oneToken is Tokens of one token.
type oneToken struct{ token *auth.Token }

func (o oneToken) Token(context.Context, string) (*auth.Token, error) { return o.token, nil }
func (o oneToken) Reject(*auth.Token) bool                            { return false }

// instance is plain HTTP, so that ciphers are not measured.
var instance = &url.URL{Scheme: "http", Host: "127.0.0.1:8443"}

// newMeasuredProxy returns the proxy with all that is on by default. transport
// may be nil: then the program's own, whose connections have the answer.
func newMeasuredProxy(t testing.TB, transport http.RoundTripper, answer []byte) *proxy.Proxy {
	t.Helper()
	cfg, err := config.Parse([]string{"SF_CLIENT_ID=key", "SF_USERNAME=user@example.com", "SF_JWT_KEY=none",
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY=billing-billing-billing"})
	if err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.NewMetrics("v1")
	if transport == nil {
		connections, err := newTransport(cfg.Salesforce)
		if err != nil {
			t.Fatal(err)
		}
		connections.DialContext = metrics.CountDials(func(context.Context, string, string) (net.Conn, error) { return &orgConn{answer: answer}, nil })
		transport = upstream.New(connections)
	}
	token := &auth.Token{Subject: "user@example.com", AccessToken: auth.NewAccessToken("00D!token"), InstanceURL: instance, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	p, err := newProxy(cfg, oneToken{token}, nil, transport, signals{metrics: metrics, logger: telemetry.NewLogger(io.Discard, cfg.Log.Level, cfg.Log.Format)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// appConn is an app's connection to the proxy.
type appConn struct {
	net.Conn
	question []byte
	answer   []byte // room for it; all have one length
}

// connect returns a connection to a server of the program's own kind, with the
// proxy behind it.
func connect(b *testing.B, s shape) *appConn {
	p := newMeasuredProxy(b, nil, s.answer)
	server := newHTTPServer(p, slog.New(slog.DiscardHandler))
	server.ConnContext = p.ConnContext
	near, far := net.Pipe()
	near.SetDeadline(time.Now().Add(5 * time.Minute)) // rather than for ever
	listener := make(dialled, 1)
	listener <- far
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(p.Listener(listener)) })
	b.Cleanup(func() {
		near.Close()
		server.Close()
		serving.Wait()
	})

	c := &appConn{Conn: near}
	var question, answer bytes.Buffer
	if err := s.request(b.Context()).Write(&question); err != nil {
		b.Fatal(err)
	}
	c.question = question.Bytes()
	if _, err := c.Write(c.question); err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(near, &answer)), nil)
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n == 0 || resp.StatusCode/100 != 2 {
		b.Fatalf("answered %s, %d bytes, %v", resp.Status, n, err)
	}
	c.answer = make([]byte, answer.Len())
	return c
}

// dialled is a listener to the connections that are put into it.
type dialled chan net.Conn

func (d dialled) Accept() (net.Conn, error) {
	if c, ok := <-d; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (d dialled) Addr() net.Addr { return new(net.TCPAddr) }
func (d dialled) Close() error {
	close(d)
	return nil
}

// ask sends the request and reads its answer.
func (c *appConn) ask(b *testing.B) {
	if _, err := c.Write(c.question); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, c.answer); err != nil || !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 20")) {
		b.Fatalf("%v: the answer begins with %.20q", err, c.answer)
	}
}

// BenchmarkRequest is what TestInstructions counts the instructions of.
func BenchmarkRequest(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			c := connect(b, s)
			b.ReportAllocs()
			for b.Loop() {
				c.ask(b)
			}
		})
	}
}
