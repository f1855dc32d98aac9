package integration_test

import (
	"net/http"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestHeapGoal looks at how large the heap of a proxy that has served is to
// become before it is collected.
func TestHeapGoal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		settings    []string
		least, most float64 // MiB
	}{
		{"by default", nil, 28, 40},
		{"with a memory limit", []string{"GOMEMLIMIT=40MiB"}, 10, 24},
		{"with a GOGC of the operator's", []string{"GOGC=100"}, 1, 14},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, with(startOrg(t, devorg.Config{}).env, tt.settings...))
			collections := func() float64 { return p.metrics(t)("go_gc_duration_seconds_count") }
			before := collections()
			eventually(t, "the heap is collected twice", func() bool {
				for range 200 {
					fetch(t, http.MethodPost, p.URL+echoPath, string(make([]byte, 100<<10)))
				}
				return collections() >= before+2
			})
			if goal := p.metrics(t)("go_memstats_next_gc_bytes") / (1 << 20); goal < tt.least || goal > tt.most {
				t.Errorf("the next collection is at %.1f MiB, want %.0f to %.0f", goal, tt.least, tt.most)
			}
		})
	}
}
