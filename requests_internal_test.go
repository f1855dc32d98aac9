package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/telemetry"
	"github.com/sfproxy/sfproxy/upstream"
)

// What a request costs is measured in this process, from the handler to the
// connection to the org, with all that is on by default: its allocations, its
// instructions and, for people to compare, its time.

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

// sink is an answer that nobody reads.
type sink struct {
	header http.Header
	status int
	size   int
}

func newSink() *sink { return &sink{header: http.Header{}} }

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(status int) {
	if status >= 200 {
		s.status = status
	}
}
func (s *sink) Write(b []byte) (int, error) {
	s.size += len(b)
	return len(b), nil
}
func (s *sink) Flush() {}

// instance is plain HTTP, so that ciphers are not measured.
var instance = &url.URL{Scheme: "http", Host: "127.0.0.1:8443"}

// newMeasuredProxy returns the proxy with all that is on by default. transport
// may be nil: then the program's own, whose connections have the answer.
func newMeasuredProxy(t testing.TB, transport http.RoundTripper, answer []byte) http.Handler {
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

// BenchmarkRequest is what TestInstructions counts the instructions of.
func BenchmarkRequest(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			p := newMeasuredProxy(b, nil, s.answer)
			ctx, cancel := context.WithCancel(b.Context()) // a server's ends with its connection
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				w := newSink()
				if p.ServeHTTP(w, s.request(ctx)); w.status/100 != 2 || w.size == 0 {
					b.Fatalf("answered %d, %d bytes", w.status, w.size)
				}
			}
		})
	}
}
