package proxy_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// instantUpstream answers without a network.
type instantUpstream struct{}

func (instantUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: 2,
		Header: http.Header{"Content-Type": {"application/json"}, "Sforce-Limit-Info": {"api-usage=18/15000"}},
		Body:   io.NopCloser(strings.NewReader("{}"))}, nil
}

// BenchmarkObserver compares requests that are counted with such as are not.
func BenchmarkObserver(b *testing.B) {
	for _, bc := range []struct {
		name     string
		observer proxy.Observer
	}{{"without", nil}, {"with", telemetry.NewMetrics("bench")}} {
		b.Run(bc.name, func(b *testing.B) {
			handler := newHandler(b, proxy.Config{Tokens: newTokens("https://acme.my.salesforce.com"), Transport: instantUpstream{}, Observer: bc.observer,
				Logger: slog.New(slog.DiscardHandler)}, io.Discard)
			r := httptest.NewRequest("GET", "/services/data/v60.0/sobjects/Account/001000000000001AAA", nil)
			r.Host = "localhost"
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
