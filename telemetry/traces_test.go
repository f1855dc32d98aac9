package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// tracesOf returns what a receiver gets of what follow does: OTLP's protobuf, in
// which text stands as it is.
func tracesOf(t *testing.T, follow func(*telemetry.Traces)) string {
	t.Helper()
	var mu sync.Mutex
	var got strings.Builder
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		io.Copy(&got, r.Body)
	}))
	defer receiver.Close()
	traces, err := telemetry.NewTraces(t.Context(), receiver.URL, "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	follow(traces)
	traces.Close(t.Context())
	mu.Lock()
	defer mu.Unlock()
	return got.String()
}

// Why there is no token is in the spans, and whose it would be is not.
func TestTracesOfFailedGrantsNameNobody(t *testing.T) {
	const user = "ada@example.com"
	budget := &auth.BudgetError{Subject: user, RetryAfter: time.Minute}
	got := tracesOf(t, func(traces *telemetry.Traces) {
		grant := traces.Grants(func(context.Context, string) (*auth.Token, error) { return nil, budget })
		if _, err := grant(t.Context(), user); err != budget {
			t.Errorf("err = %v", err)
		}
		request := traces.Start(httptest.NewRequest("GET", "/", nil), "1")
		request.Begin(proxy.PartToken).End(0, budget)
		request.End("billing", "/", "PROXY_GRANT_BUDGET", &proxy.Observation{Status: 429, Whole: true})
	})
	if n := strings.Count(got, "the budget of grants is used up"); n != 2 {
		t.Errorf("%d spans say what is wrong, want 2", n)
	}
	if strings.Contains(got, user) {
		t.Error("a span names the user")
	}
}

// Methods are whatever a client sends, and names of spans are few.
func TestTracesHaveFewNames(t *testing.T) {
	got := tracesOf(t, func(traces *telemetry.Traces) {
		r := httptest.NewRequest("ODD-METHOD", "/", nil)
		traces.Start(r, "1").End("", "/", "", &proxy.Observation{Status: 405, Whole: true})
	})
	if !strings.Contains(got, "HTTP other") || !strings.Contains(got, "_OTHER") || strings.Contains(got, "ODD-METHOD other") {
		t.Errorf("traces = %q", got)
	}
}

// A path is whatever a client sends. OTLP takes text in UTF-8 alone: one span with
// something else in it would take all away that are sent with it.
func TestTracesOfOddPaths(t *testing.T) {
	got := tracesOf(t, func(traces *telemetry.Traces) {
		for id, path := range map[string]string{"plain": "/services/data", "odd": "/caf\xe9", "long": "/" + strings.Repeat("é", 1<<15)} {
			request := traces.Start(httptest.NewRequest("GET", "/", nil), id)
			request.Begin(proxy.PartUpstream).End(0, errors.New("no answer: "+path))
			request.End("billing", path, "", &proxy.Observation{Status: 502, Whole: true})
		}
	})
	for _, want := range []string{"plain", "odd", "long", "/services/data", "no answer: /caf\ufffd"} {
		if !strings.Contains(got, want) {
			t.Errorf("no span has %q", want)
		}
	}
	if len(got) > 8<<10 {
		t.Errorf("the spans have %d bytes", len(got))
	}
}

// The SDK puts a header that it cannot read into a line of its own, on stderr:
// what is wrong is told in the log, and the header, which is a key, is not.
func TestTracesTellNoHeaders(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key:s3cr3t")
	var log bytes.Buffer
	traces, err := telemetry.NewTraces(t.Context(), "http://127.0.0.1:1", "1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	traces.Close(t.Context())
	if !strings.Contains(log.String(), "parse headers") || strings.Contains(log.String(), "s3cr3t") {
		t.Errorf("log = %s, want the fault without the header", &log)
	}
}
