package telemetry_test

import (
	"testing"

	"github.com/sfproxy/sfproxy/telemetry"
)

// BenchmarkDone is the counting of a request: by one, and by as many at a time
// as there are processors.
func BenchmarkDone(b *testing.B) {
	m := telemetry.NewMetrics("v1.2.3")
	client, o := m.Client("billing"), seen()
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Arrived()
			client.Done(o)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				m.Arrived()
				client.Done(o)
			}
		})
	})
}
