//go:build !race

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/telemetry"
)

// record answers every request with a small record, as Salesforce does.
type record struct{}

func (record) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}, "Sforce-Limit-Info": {"api-usage=18/15000"}, "Date": {"Tue, 01 Jun 2027 12:00:00 GMT"}},
		Body:   io.NopCloser(strings.NewReader(`{"Id":"0015g0000000002AAA","Name":"Acme"}`))}, nil
}

// oneToken is Tokens of one token.
type oneToken struct{ token *auth.Token }

func (o oneToken) Token(context.Context, string) (*auth.Token, error) { return o.token, nil }
func (o oneToken) Reject(*auth.Token) bool                            { return false }

// sink is an answer that nobody reads.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Flush()                      {}

// allocationsOf returns how many allocations a handler needs for a request.
func allocationsOf(h http.Handler) float64 {
	request := func() *http.Request {
		r, _ := http.NewRequest("GET", "/services/data/v60.0/sobjects/Account/0015g0000000002AAA", nil)
		r.RequestURI, r.Host, r.RemoteAddr = r.URL.Path, "localhost:8080", "127.0.0.1:50000"
		r.Header = http.Header{"Authorization": {"Bearer billing-billing-billing"}, "Accept": {"application/json"}, "User-Agent": {"app/1.0"}}
		return r
	}
	made := testing.AllocsPerRun(200, func() { request(); _ = &sink{http.Header{}} })
	return testing.AllocsPerRun(200, func() { h.ServeHTTP(&sink{http.Header{}}, request()) }) - made
}

// TestAllocations bounds what the proxy, with all that is on by default, adds to
// ReverseProxy. Time is not measured here: it varies with the machine.
func TestAllocations(t *testing.T) {
	const most = 12
	cfg, err := config.Parse([]string{"SF_CLIENT_ID=key", "SF_USERNAME=user@example.com", "SF_JWT_KEY=none",
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY=billing-billing-billing"})
	if err != nil {
		t.Fatal(err)
	}
	instance, _ := url.Parse("https://org.my.salesforce.com")
	token := &auth.Token{Subject: "user@example.com", AccessToken: auth.NewAccessToken("00D!token"), InstanceURL: instance, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	ours, err := newProxy(cfg, oneToken{token}, nil, record{}, signals{metrics: telemetry.NewMetrics("v1"), logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	bare := &httputil.ReverseProxy{Transport: record{}, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(instance)
		r.Out.Header.Set("Authorization", "Bearer 00D!token")
	}}
	own := allocationsOf(ours) - allocationsOf(bare)
	t.Logf("%v allocations more than ReverseProxy", own)
	if own > most {
		t.Errorf("%v allocations more than ReverseProxy, want %d at most", own, most)
	}
}
