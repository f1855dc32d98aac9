package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

// The second of a renewal is that of its grant, and the next one if the grant
// ends in it.
func TestRenewalReport(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m := &result{Started: start, Failures: 3}
	for second := range int(renewalTime / time.Second) {
		for range 100 {
			m.Latencies = append(m.Latencies, time.Duration(second+1)*time.Millisecond)
		}
	}
	m.Latencies[550] = 200 * time.Millisecond // one of a hundred is above p99
	m.Latencies[1450] = 900 * time.Millisecond
	r := newRenewalReport(m, []time.Time{
		start.Add(-time.Second), // the first token
		start.Add(5500 * time.Millisecond),
		start.Add(9900 * time.Millisecond),
		start.Add(renewalTime - 100*time.Millisecond), // is not seen to its end
	})
	want := []time.Duration{6 * time.Millisecond, 10 * time.Millisecond, 11 * time.Millisecond}
	if !slices.Equal(r.during, want) {
		t.Errorf("during = %v, want %v", r.during, want)
	}
	if r.renewals != 2 || r.failures != 3 || r.longest != 200*time.Millisecond || len(r.others) != int(renewalTime/time.Second)-3 {
		t.Errorf("report = %+v", r)
	}
}

func TestLowest(t *testing.T) {
	got := lowest(`goos: linux
BenchmarkManagerFreshToken 	 100	 25.50 ns/op	 0 B/op	 0 allocs/op
BenchmarkManagerFreshToken 	 100	 19.25 ns/op	 0 B/op	 1 allocs/op
BenchmarkManagerSubjects   	 1	 6293649832 ns/op	 609.3 B/subject
PASS
ok  	github.com/sfproxy/sfproxy/auth	13.595s
`)
	r := &report{micro: got}
	for _, test := range []struct {
		benchmark, unit string
		want            float64
	}{
		{"BenchmarkManagerFreshToken", "ns/op", 19.25},
		{"BenchmarkManagerFreshToken", "allocs/op", 0},
		{"BenchmarkManagerSubjects", "B/subject", 609.3},
	} {
		if got := r.metric(test.benchmark, test.unit); got != test.want {
			t.Errorf("%s %s = %v, want %v", test.benchmark, test.unit, got, test.want)
		}
	}
	if got := r.metric("BenchmarkManagerFreshToken", "B/subject"); !math.IsNaN(got) {
		t.Errorf("a metric that is not there = %v", got)
	}
}

// What was not measured is not met, and a ratio to another peer is of rounds,
// not of medians.
func TestTargets(t *testing.T) {
	r := newReport(&options{shapes: shapes[:2]})
	for _, target := range targets {
		if got := target.met(target.figure(r)); got != "not measured" {
			t.Errorf("%s, without figures: %s", target.what, got)
		}
	}
	for round, cpu := range []float64{10, 40, 30} {
		r.cpu.set(cell{"record", sfproxy.name}, round, cpu)
		r.cpu.set(cell{"record", reference}, round, []float64{10, 80, 30}[round])
		r.cpu.set(cell{"record", caddy.name}, round, []float64{20, 80, 60}[round])
		r.cpu.set(cell{"page", sfproxy.name}, round, 3*cpu)
		r.cpu.set(cell{"page", caddy.name}, round, 5*cpu)
	}
	if got := cpuRatio("record")(r); got != 1 {
		t.Errorf("record to bare = %v, want 1, the middle of 1, 0.5 and 1", got)
	}
	if got := worstToCaddy(r); got != 0.6 {
		t.Errorf("worst to Caddy = %v, want 0.6, that of a page", got)
	}
	limit := target{limit: 1, verb: "%.2f"}
	for figure, want := range map[float64]string{1: "yes", 1.001: "**no**", math.NaN(): "not measured"} {
		if got := limit.met(figure); got != want {
			t.Errorf("%v of at most 1: %s, want %s", figure, got, want)
		}
	}
}
