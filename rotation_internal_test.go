package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/key"
	"github.com/sfproxy/sfproxy/telemetry"
)

func newTestKeys(t *testing.T) keys {
	t.Helper()
	k, err := key.Generate(key.Template{CommonName: "test", Bits: 2048, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return keys{first: k}
}

// TestRotationRetriesLessOften has a new key that the org never takes: it is
// tried every minute while a certificate may be under way, then seldom, and each
// further key is begun with anew.
func TestRotationRetriesLessOften(t *testing.T) {
	r := newRotation(newTestKeys(t), telemetry.NewMetrics("test"), audit{}, slog.New(slog.DiscardHandler))
	tries := func() (n int) {
		for range int(time.Hour / retryInterval) {
			if r.due() {
				n++
			}
		}
		return n
	}
	if got := tries(); got != 0 {
		t.Errorf("%d tries while no key waits, want none", got)
	}
	for range 2 {
		r.set(newTestKeys(t))
		if first, second := tries(), tries(); first != 15+3 || second != 4 {
			t.Errorf("%d tries in the first hour and %d in the second, want 18 and 4", first, second)
		}
	}
}
