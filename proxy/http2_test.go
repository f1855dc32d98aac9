package proxy_test

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
	sender "github.com/sfproxy/sfproxy/upstream"
)

type orgConn struct{} // the key of a request's connection at the org

// startHTTP2 runs a proxy whose org speaks HTTP/2, and fails the test at a
// request that comes by another version.
func startHTTP2(t *testing.T, org http.HandlerFunc) *rig {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("a request came by %s", r.Proto)
		}
		org(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, orgConn{}, c) }
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := sender.New(proxy.NewTransport(proxy.TransportConfig{Roots: roots, HTTP2: true}))
	t.Cleanup(transport.CloseIdleConnections)
	return start(t, proxy.Config{Tokens: newTokens(server.URL), Transport: transport})
}

// A stream that breaks, and a connection that does, take a request with them
// that may have been carried out.
func TestHTTP2SendsPostOnce(t *testing.T) {
	var posts atomic.Int32
	r := startHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.Copy(io.Discard, r.Body)
			posts.Add(1)
			if r.Header.Get("X-Break") == "connection" {
				r.Context().Value(orgConn{}).(net.Conn).Close()
			}
			panic(http.ErrAbortHandler)
		}
	})
	for _, body := range []string{"", "body", strings.Repeat("x", 200<<10)} { // the last is not kept
		for _, what := range []string{"stream", "connection"} {
			r.send(t, "GET", limitsPath, nil)
			posts.Store(0)
			got := r.send(t, "POST", limitsPath, strings.NewReader(body), "Idempotency-Key: k", "X-Break: "+what)
			got.wantFault(t, http.StatusBadGateway, "PROXY_INSTANCE_BROKE_OFF")
			if n := posts.Load(); n != 1 {
				t.Errorf("a POST of %d bytes whose %s broke was sent %d times", len(body), what, n)
			}
		}
	}
}

// An answer comes as it is, without those of 1xx before it, whether or not the
// org has read what was sent.
func TestHTTP2PassesAnswers(t *testing.T) {
	r := startHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Early") == "" {
			io.Copy(io.Discard, r.Body)
		}
		w.Header().Set("Link", "</hint>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header()["Sforce-Limit-Info"] = []string{"api-usage=1/2", "per-app-api-usage=1/2(appName=x)"}
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "the answer")
	})
	for _, size := range []int{0, 1000, 200 << 10, 3 << 20} {
		for _, header := range []string{"X-Other: 1", "X-Early: 1"} {
			got := r.send(t, "POST", limitsPath, strings.NewReader(strings.Repeat("x", size)), header)
			if got.status != http.StatusConflict || got.body != "the answer" || len(got.header["Link"]) > 0 ||
				!slices.Equal(got.header["Sforce-Limit-Info"], []string{"api-usage=1/2", "per-app-api-usage=1/2(appName=x)"}) {
				t.Errorf("%s, %d bytes: %d %v %s", header, size, got.status, got.header, got.body)
			}
		}
	}
}
