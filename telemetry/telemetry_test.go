package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/telemetry"
)

func TestLoggerFormats(t *testing.T) {
	for _, tt := range []struct {
		format string
		json   bool
	}{{"json", true}, {"text", false}, {"auto", true}} { // a buffer is no terminal
		var b bytes.Buffer
		logger := telemetry.NewLogger(&b, slog.LevelInfo, tt.format)
		logger.Debug("left out")
		logger.Info("listening", "address", "127.0.0.1:8080")
		if got := b.String(); json.Valid([]byte(got)) != tt.json || strings.Contains(got, "left out") || !strings.Contains(got, "127.0.0.1:8080") {
			t.Errorf("format %s: %q, want one line, JSON: %t", tt.format, got, tt.json)
		}
		if strings.Contains(b.String(), "\x1b[") {
			t.Errorf("format %s: colours in a file: %q", tt.format, b.String())
		}
	}
}

func TestReadiness(t *testing.T) {
	var outcome auth.Outcome
	h := &telemetry.Health{Outcome: func() auth.Outcome { return outcome }}
	ask := func(path string) (int, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s = %s: %v", path, w.Body, err)
		}
		return w.Code, body
	}
	want := func(status int, reason string) map[string]any {
		t.Helper()
		got, body := ask("/readyz")
		if text, _ := body["reason"].(string); got != status || !strings.Contains(text, reason) || (reason == "") != (text == "") {
			t.Errorf("/readyz = %d %v, want %d and reason %q", got, body, status, reason)
		}
		return body
	}

	want(http.StatusServiceUnavailable, "no token has been granted yet")
	outcome.Failure, outcome.FailureAt = errors.New("audience is invalid"), time.Now()
	want(http.StatusServiceUnavailable, "audience is invalid")

	h.Granted()
	outcome.Grants = 1
	outcome.Token = &auth.Token{AccessToken: auth.NewAccessToken("00D!secret"), Subject: "user@example.com",
		InstanceURL: &url.URL{Scheme: "https", Host: "example.my.salesforce.com"}}
	token, _ := want(http.StatusOK, "")["token"].(map[string]any)
	if token["subject"] != "user@example.com" || token["instance"] != "example.my.salesforce.com" || token["format"] != "opaque" {
		t.Errorf("token = %v", token)
	}

	outcome.Token = nil // a later fault of Salesforce
	if body := want(http.StatusOK, ""); body["last_failure"] == nil {
		t.Errorf("/readyz does not tell of the last failure: %v", body)
	}
	h.Stopping()
	want(http.StatusServiceUnavailable, "stopping")
	if got, _ := ask("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz = %d while stopping, want 200", got)
	}
}
