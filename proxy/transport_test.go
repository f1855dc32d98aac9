package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// scripted runs an upstream that answers each request by answer, whose result
// says whether the connection lives on.
func scripted(t *testing.T, answer func(n int, r *http.Request, body string) (string, bool)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int32
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			serving.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for alive := true; alive; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					var text string
					text, alive = answer(int(n.Add(1)), r, string(body))
					io.WriteString(c, text)
				}
			})
		}
	})
	return "http://" + l.Addr().String()
}

const empty200 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// over returns the ways in which a request may be sent: the program's, and
// net/http's alone, which is that through a company proxy.
func over(t *testing.T) map[string]http.RoundTripper {
	t.Helper()
	plain := proxy.NewTransport(proxy.TransportConfig{})
	t.Cleanup(plain.CloseIdleConnections)
	return map[string]http.RoundTripper{"the program": nil, "net/http": struct{ http.RoundTripper }{plain}}
}

// net/http's transport sends a request with an Idempotency-Key again when a
// connection that was used before breaks. Salesforce knows no such key.
func TestTransportSendsPostOnce(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key", "X-Other"} {
		for way, transport := range over(t) {
			var posts atomic.Int32
			base := scripted(t, func(_ int, r *http.Request, _ string) (string, bool) {
				if r.Method == "GET" {
					return empty200, true
				}
				posts.Add(1)
				return "", false
			})
			r := start(t, proxy.Config{Tokens: newTokens(base), Transport: transport})
			for _, body := range []string{"", "body"} {
				posts.Store(0)
				r.send(t, "GET", limitsPath, nil)
				r.send(t, "POST", limitsPath, strings.NewReader(body), name+": k").wantFault(t, 502, "PROXY_INSTANCE_BROKE_OFF")
				if n := posts.Load(); n != 1 {
					t.Errorf("%s over %s, body %q: sent %d times", name, way, body, n)
				}
			}
		}
	}
}

// deadConn fails to write once it is told to.
type deadConn struct {
	net.Conn
	dead *atomic.Bool
}

func (c deadConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return 0, errors.New("the server has closed the idle connection")
	}
	return c.Conn.Write(p)
}

// A POST on a connection that died while idle, before a byte was written, goes
// over a new one, its body with it.
func TestTransportSurvivesStaleConnection(t *testing.T) {
	base := scripted(t, func(_ int, r *http.Request, body string) (string, bool) {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body), true
	})
	transport := proxy.NewTransport(proxy.TransportConfig{})
	t.Cleanup(transport.CloseIdleConnections)
	transport.ExpectContinueTimeout = 10 * time.Millisecond // this upstream never says 100
	var last atomic.Pointer[atomic.Bool]
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		dead := new(atomic.Bool)
		last.Store(dead)
		return deadConn{c, dead}, err
	}
	r := start(t, proxy.Config{Tokens: newTokens(base), Transport: transport, ReplayBuffer: 1000})
	for _, body := range []string{"", "body", strings.Repeat("x", 1000), strings.Repeat("x", 1001)} {
		r.send(t, "GET", limitsPath, nil)
		last.Load().Store(true)
		if got := r.send(t, "POST", limitsPath, strings.NewReader(body)); got.status != 200 || got.body != body {
			t.Errorf("a POST of %d bytes = %d %.100s", len(body), got.status, got.body)
		}
	}
}

// Salesforce closes the connection with its refusal.
func TestTransportReplaysOnNewConnection(t *testing.T) {
	base := scripted(t, func(n int, r *http.Request, body string) (string, bool) {
		if n == 1 {
			return fmt.Sprintf("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n%s", sessionFault), false
		}
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body), true
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	if got := r.send(t, "POST", limitsPath, strings.NewReader("body")); got.status != 200 || got.body != "body" {
		t.Errorf("answer = %d %s", got.status, got.body)
	}
}

// A company proxy that refuses has sent nothing on, and is what to look at.
func TestTransportTellsOfCompanyProxy(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusBadGateway} {
		company := upstream(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		companyURL, err := url.Parse(company)
		if err != nil {
			t.Fatal(err)
		}
		companyURL.User = url.UserPassword("user", "secret-password")
		transport := proxy.NewTransport(proxy.TransportConfig{})
		t.Cleanup(transport.CloseIdleConnections)
		transport.Proxy = http.ProxyURL(companyURL)
		r := start(t, proxy.Config{Tokens: newTokens("https://acme.my.salesforce.test"), Transport: transport})
		got := r.send(t, "POST", limitsPath, strings.NewReader("body"))
		got.wantFault(t, http.StatusServiceUnavailable, "PROXY_INSTANCE_UNREACHABLE")
		want := fmt.Sprintf("%s answered %d %s (the company proxy in HTTPS_PROXY cannot be reached or refuses: ", companyURL.Host, status, http.StatusText(status))
		if !strings.Contains(got.body, want) || strings.Contains(got.body+r.log.String(), "secret-password") {
			t.Errorf("answer = %s, want %q in it", got.body, want)
		}
	}
}
