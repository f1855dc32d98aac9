package quota_test

import (
	"runtime"
	"testing"

	"github.com/sfproxy/sfproxy/quota"
)

// BenchmarkQueue is the taking of a place and the giving back: where there are
// free ones, by one request at a time and by several, and where each request
// waits for another's place.
func BenchmarkQueue(b *testing.B) {
	take := func(b *testing.B, q *quota.Queue) {
		if err := q.Acquire(b.Context(), "billing"); err != nil {
			b.Error(err)
		}
	}
	b.Run("free", func(b *testing.B) {
		q := quota.NewQueue(25)
		b.ReportAllocs()
		for b.Loop() {
			take(b, q)
			q.Release()
		}
	})
	for _, bc := range []struct {
		name   string
		places int
	}{{"parallel", 1000}, {"waiting", 1}} {
		b.Run(bc.name, func(b *testing.B) {
			q := quota.NewQueue(bc.places)
			b.ReportAllocs()
			b.SetParallelism(8) // times processors
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					take(b, q)
					if bc.places == 1 {
						runtime.Gosched() // or nobody would come meanwhile
					}
					q.Release()
				}
			})
		})
	}
}
