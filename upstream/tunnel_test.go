package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// company runs a company proxy that answers CONNECT by answer, and passes on if
// that is a 200. Its URL has a user.
func company(t *testing.T, answer func(head string) string) *url.URL {
	t.Helper()
	address := peer(t, nil, false, func(_ int, c net.Conn) {
		head := hear(c)
		text := answer(head)
		say(c, text)
		if !strings.HasPrefix(text, "HTTP/1.1 200") {
			return
		}
		target, _, _ := strings.Cut(strings.TrimPrefix(head, "CONNECT "), " ")
		far, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer far.Close()
		go func() { io.Copy(far, c); far.Close() }()
		io.Copy(c, far)
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("user", "secret")
	return u
}

// A tunnel through a company proxy is asked for as net/http asks for it, and
// used for the next request as well.
func TestTunnel(t *testing.T) {
	var asked [2]atomic.Value
	for i, client := range []func(*http.Transport) http.RoundTripper{ours, theirs} {
		base := newBase()
		target := peer(t, base, true, number)
		var tunnels atomic.Int32
		proxy := company(t, func(head string) string {
			tunnels.Add(1)
			asked[i].Store(strings.ReplaceAll(head, strings.TrimPrefix(target, "https://"), "target"))
			return "HTTP/1.1 200 Connection established\r\n\r\n"
		})
		base.Proxy = http.ProxyURL(proxy)
		base.ProxyConnectHeader = http.Header{"X-Department": {"sales"}}
		transport := client(base)
		t.Cleanup(transport.(interface{ CloseIdleConnections() }).CloseIdleConnections)
		want(t, transport, "GET", target, "", 1)
		want(t, transport, "POST", target, "body", 1)
		if tunnels.Load() != 1 {
			t.Errorf("%d tunnels for two requests", tunnels.Load())
		}
		if ownTransport, isOwn := transport.(*Transport); isOwn && ownTransport.Idle() != 1 {
			t.Error("the requests went by net/http")
		}
	}
	if got, want := asked[0].Load(), asked[1].Load(); got != want {
		t.Errorf("asked     %q\nnet/http %q", got, want)
	}
}

func TestTunnelThatIsNone(t *testing.T) {
	refused := errors.New("refused")
	for _, tt := range []struct {
		name, answer string
		check        bool // by OnProxyConnectResponse
	}{
		{"refused", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", false},
		{"refused and checked", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", true},
		{"another success", "HTTP/1.1 201 Created\r\n\r\n", false},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\n", false},
		{"more than asked for", "HTTP/1.1 200 OK\r\n\r\n" + second, false},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", false},
		{"nothing", "", false},
		{"endless", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxTunnelHead), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := newBase()
			base.Proxy = http.ProxyURL(company(t, func(string) string { return tt.answer }))
			if tt.check {
				base.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return refused }
			}
			_, _, err := send(t, newTransport(t, base), "POST", "https://127.0.0.1:1/", "body")
			operation, ok := errors.AsType[*net.OpError](err)
			if tt.check && err != refused || !tt.check && (!ok || operation.Op != "proxyconnect") {
				t.Errorf("err = %v", err)
			}
			if tt.name == "endless" && !errors.Is(err, errLongHead) {
				t.Errorf("err = %v, want %v", err, errLongHead)
			}
			if strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("err = %v holds the password", err)
			}
		})
	}
	base := newBase()
	base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	_, _, err := send(t, newTransport(t, base), "GET", "https://org.example/", "")
	if operation, ok := errors.AsType[*net.OpError](err); !ok || operation.Op != "proxyconnect" {
		t.Errorf("no proxy there: %v", err)
	}
}

// The certificate is that of the far end of the tunnel, and of its name.
func TestTunnelIsVerified(t *testing.T) {
	target := peer(t, newBase(), true, number)
	base := newBase()
	base.Proxy = http.ProxyURL(company(t, func(string) string { return "HTTP/1.1 200 OK\r\n\r\n" }))
	_, _, err := send(t, newTransport(t, base), "GET", target, "")
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("err = %v, want an untrusted certificate", err)
	}
}

func TestTunnelIsGivenUp(t *testing.T) {
	left := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	silent, err := url.Parse(peer(t, nil, false, func(_ int, c net.Conn) {
		hear(c)
		cancel(left)
		io.Copy(io.Discard, c)
	}))
	if err != nil {
		t.Fatal(err)
	}
	base := newBase()
	base.Proxy = http.ProxyURL(silent)
	req := newRequest(t, "GET", "https://127.0.0.1:1/", "").WithContext(ctx)
	began := time.Now()
	if _, err := newTransport(t, base).RoundTrip(req); err != left || time.Since(began) > patience {
		t.Errorf("err = %v after %v, want %v at once", err, time.Since(began), left)
	}
}

// Requests that go another way do not share a connection.
func TestTunnelIsOneWayOfTwo(t *testing.T) {
	base := newBase()
	target := peer(t, base, true, number)
	proxy := company(t, func(string) string { return "HTTP/1.1 200 OK\r\n\r\n" })
	base.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.Method == http.MethodGet {
			return nil, nil
		}
		return proxy, nil
	}
	transport := newTransport(t, base)
	for range 2 {
		want(t, transport, "GET", target, "", 1)
		want(t, transport, "POST", target, "body", 2)
	}
}
