package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

var nan = math.NaN()

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   string
	}{
		{nil, "–"},
		{[]float64{nan, nan}, "–"},
		{[]float64{2}, "2.0"},
		{[]float64{nan, 2, nan}, "2.0"},
		{[]float64{9, 1, 2}, "2.0 (1.0–9.0)"},
		{[]float64{4, 1, 2, 9}, "3.0 (1.0–9.0)"},
		{[]float64{4, 1, nan, 2, 9}, "3.0 (1.0–9.0)"},
	} {
		if got := spreadOf(test.values).with("%.1f"); got != test.want {
			t.Errorf("spread of %v = %s, want %s", test.values, got, test.want)
		}
	}
}

// The machine slows down in the second round, and the peer fails in the third:
// ratios are to the reference of their own round.
func TestRatiosAreOfARound(t *testing.T) {
	o := &options{shapes: shapes[:1], rounds: 4}
	r := newReport(o)
	for _, name := range []string{reference, "nginx"} {
		r.add(&runningPeer{peer: &peer{name: name, what: "the " + name}}, nil)
	}
	for round, cpu := range []time.Duration{100, 300, 100, 100} {
		r.closed(cell{"record", reference}, round, &result{Requests: 10, CPU: cpu * time.Millisecond, Elapsed: time.Second})
	}
	for round, m := range []result{
		{Requests: 10, CPU: 50 * time.Millisecond, Elapsed: time.Second},
		{Requests: 10, CPU: 150 * time.Millisecond, Elapsed: time.Second},
		{Requests: 10, CPU: time.Millisecond, Elapsed: time.Second, Failures: 1},
		{Requests: 20, CPU: 120 * time.Millisecond, Elapsed: time.Second},
	} {
		r.closed(cell{"record", "nginx"}, round, &m)
	}
	text := string(r.markdown())
	for _, want := range []string{
		"| the bare | 1.00 |\n| the nginx | 0.50 (0.50–0.60) |\n", // of 5, 15, none and 6 ms
		"| the bare | 10000 (10000–30000) |\n| the nginx | 6000 (5000–15000) |\n",
		"| the bare | 10 |\n| the nginx | 10 (10–20) |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report = %s\nwant in it:\n%s", text, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, test := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.999, 7},
		{[]time.Duration{7}, 0.001, 7},
		{[]time.Duration{3, 1, 2}, 0.5, 2},
		{[]time.Duration{1, 2}, 0.5, 1},
		{hundred, 0.5, 50},
		{hundred, 0.9, 90},
		{hundred, 0.99, 99},
		{hundred, 0.999, 100},
		{hundred, 1, 100},
	} {
		if got := quantile(test.of, test.q); got != test.want {
			t.Errorf("quantile(%d durations, %v) = %d, want %d", len(test.of), test.q, got, test.want)
		}
	}
}
