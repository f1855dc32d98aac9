package proxy_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// maxAllocations is how many allocations more a request costs than at a
// ReverseProxy that puts a constant token on it, with what is on by default. It
// may become less. What package upstream spares against net/http is not in it.
const maxAllocations = 25

// Time differs from run to run; what a request allocates does not.
func TestAllocationsOfARequest(t *testing.T) {
	const instance, key = "https://acme.my.salesforce.com", "an-api-key-of-the-cost-test"
	target, err := url.Parse(instance)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := proxy.HashAPIKey(key)
	if err != nil {
		t.Fatal(err)
	}
	bare := &httputil.ReverseProxy{Transport: instantUpstream{}, Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		pr.Out.Header.Set("Authorization", "Bearer token")
	}}
	ours := newHandler(t, proxy.Config{
		Tokens: newTokens(instance), Transport: instantUpstream{}, Observer: telemetry.NewMetrics("test"),
		Clients: []proxy.Client{{Name: "billing", Subject: "ada@example.com", APIKey: hash}},
		Logger:  slog.New(slog.NewJSONHandler(io.Discard, nil)), // at info, which is silent about a request that goes well
	}, io.Discard)
	allocations := func(h http.Handler) float64 {
		r := httptest.NewRequest("GET", "/services/data/v60.0/sobjects/Account/001000000000001AAA", nil)
		r.Host = "127.0.0.1:8080"
		r.Header.Set("Authorization", "Bearer "+key)
		return testing.AllocsPerRun(100, func() {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != 200 {
				t.Fatalf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	without, with := allocations(bare), allocations(ours)
	t.Logf("%.0f, and %.0f at the bare ReverseProxy", with, without)
	if with-without > maxAllocations {
		t.Errorf("a request costs %.0f allocations, %.0f more than at the bare ReverseProxy, want at most %d more", with, with-without, maxAllocations)
	}
}
