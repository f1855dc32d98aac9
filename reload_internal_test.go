package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/telemetry"
)

// TestReloadRefusesOnce has a hangup and the notice of the change that it was
// about: one refusal is told. Another content is refused anew, and an operator
// who asks is answered.
func TestReloadRefusesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "billing.key")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"SF_CLIENT_ID=consumer", "SF_USERNAME=a@example.com", "SF_JWT_KEY=text",
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY_FILE=" + path}
	write("0123456789abcdef")
	cfg, err := config.Parse(environ)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := &reloader{environ: environ, cfg: cfg, signals: signals{logger: slog.New(slog.NewTextHandler(&log, nil)), metrics: telemetry.NewMetrics("test")}}
	for _, step := range []struct {
		text string
		why  cause
		want int // refusals so far
	}{
		{"short", onDemand, 1},
		{"short", onChange, 1},
		{"short", unasked, 1},
		{"brief", onChange, 2},
		{"brief", onDemand, 3},
		{"", onChange, 4},
	} {
		write(step.text)
		r.reload(t.Context(), step.why)
		if got := strings.Count(log.String(), "is not used; all stays as it was"); got != step.want {
			t.Fatalf("after %q, for cause %d, %d refusals are told, want %d:\n%s", step.text, step.why, got, step.want, &log)
		}
	}
}
