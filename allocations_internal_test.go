//go:build !race

package main

import (
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

// instantly answers every request with a small record, without a connection.
type instantly struct{}

func (instantly) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}, "Sforce-Limit-Info": {"api-usage=18/15000"}, "Date": {"Tue, 01 Jun 2027 12:00:00 GMT"}},
		Body:   io.NopCloser(strings.NewReader(`{"Id":"0015g0000000002AAA","Name":"Acme"}`))}, nil
}

// sink is an answer that nobody reads.
type sink struct{ header http.Header }

func newSink() *sink { return &sink{http.Header{}} }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Flush()                      {}

// allocationsOf returns how many allocations a handler needs for a request.
func allocationsOf(t *testing.T, h http.Handler) float64 {
	asked := shapes()[0]
	made := testing.AllocsPerRun(200, func() { asked.request(t.Context()); _ = newSink() })
	return testing.AllocsPerRun(200, func() { h.ServeHTTP(newSink(), asked.request(t.Context())) }) - made
}

// TestAllocations bounds what the proxy, with all that is on by default, adds to
// ReverseProxy. Time is not measured here: it varies with the machine.
func TestAllocations(t *testing.T) {
	const most = 12
	bare := &httputil.ReverseProxy{Transport: instantly{}, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(instance)
		r.Out.Header.Set("Authorization", "Bearer 00D!token")
	}}
	own := allocationsOf(t, newMeasuredProxy(t, instantly{}, nil)) - allocationsOf(t, bare)
	t.Logf("%v allocations more than ReverseProxy", own)
	if own > most {
		t.Errorf("%v allocations more than ReverseProxy, want %d at most", own, most)
	}
}
