package auth_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sfproxy/sfproxy/auth"
)

// BenchmarkManagerSubjects says how many bytes a subject with a live token
// takes, its token included.
func BenchmarkManagerSubjects(b *testing.B) {
	const subjects = 100_000
	for b.Loop() {
		before := heap()
		m := auth.NewManager((&fakeOrg{}).grant, nil)
		for i := range subjects {
			if _, err := m.Token(b.Context(), fmt.Sprintf("user-%d@example.com", i)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/subjects, "B/subject")
		m.Close()
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
