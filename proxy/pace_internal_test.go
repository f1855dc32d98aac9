package proxy

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace has clients move and wait for an hour, by a clock of the test's own,
// with the settings that are the default.
func TestPace(t *testing.T) {
	const rate, allowance = 240, 2 * time.Minute
	tests := []struct {
		name      string
		bytes     int64         // that the client moves at a time
		wait      time.Duration // for each of that
		elsewhere time.Duration // after it
		from, to  time.Duration // when it is cut; 0 for never
	}{
		{name: "stops", wait: 2 * time.Hour, from: allowance, to: allowance + time.Second},
		{name: "at the rate", bytes: 240, wait: time.Second},
		{name: "a little below the rate", bytes: 220, wait: time.Second, from: 20 * time.Minute, to: 30 * time.Minute},
		{name: "at half the rate", bytes: 120, wait: time.Second, from: 4*time.Minute - 5*time.Second, to: 4*time.Minute + 5*time.Second},
		{name: "a byte now and then", bytes: 1, wait: 10 * time.Second, from: allowance, to: allowance + 5*time.Second},
		{name: "in bursts, as kernels make room", bytes: 64 << 10, wait: 110 * time.Second},
		{name: "in bursts that are too far apart", bytes: 64 << 10, wait: 125 * time.Second, from: allowance, to: allowance + time.Second},
		{name: "while the proxy waits for Salesforce", bytes: 10, wait: 10 * time.Millisecond, elsewhere: 10 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, moved := time.Now(), new(atomic.Int64)
				cut := make(chan time.Duration, 1)
				p := new(pace)
				proxy := &Proxy{cfg: Config{MinBodyRate: rate, StallTimeout: allowance}}
				proxy.initPace(p, moved.Load, func() { cut <- time.Since(start) })
				for time.Since(start) < time.Hour && !p.isSlow() {
					p.begin()
					time.Sleep(tt.wait)
					moved.Add(tt.bytes)
					p.end()
					time.Sleep(tt.elsewhere)
				}
				select {
				case at := <-cut:
					if tt.to == 0 || at < tt.from || at > tt.to {
						t.Errorf("cut after %s, want it from %s to %s", at, tt.from, tt.to)
					}
				default:
					if tt.to != 0 {
						t.Error("not cut")
					}
				}
			})
		})
	}
}

// BenchmarkPaceWait measures what pacing adds to each read and write.
func BenchmarkPaceWait(b *testing.B) {
	p := new(pace)
	proxy := &Proxy{cfg: Config{MinBodyRate: 240, StallTimeout: 2 * time.Minute}}
	proxy.initPace(p, func() int64 { return 0 }, func() {})
	b.ReportAllocs()
	for b.Loop() {
		p.begin()
		p.end()
	}
}
