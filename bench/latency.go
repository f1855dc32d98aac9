package main

import (
	"context"
	"fmt"
	"time"
)

// quantiles of the added latency that are reported.
var quantiles = []struct {
	name string
	of   float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}}

// measureLatency measures what the peers add to the latency of a record at a
// fixed rate: their quantiles less those of requests that go to the upstream
// directly in the same round.
func (b *benchmark) measureLatency(ctx context.Context) error {
	if b.rate == 0 {
		return nil
	}
	for round := range b.rateRounds {
		progress("latency, round %d of %d", round+1, b.rateRounds)
		direct, err := b.latencies(ctx, b.directTask())
		if err != nil {
			return fmt.Errorf("the upstream itself: %w", err)
		}
		for i := range b.running {
			r := b.running[(i+round)%len(b.running)]
			t := b.taskFor(r, shapes[0])
			measured, err := b.latencies(ctx, t)
			if err != nil {
				return fmt.Errorf("%s, latency: %w", r.name, err)
			}
			b.report.open(r.name, round, measured, direct)
		}
	}
	return nil
}

// latencies has the load do a task at the rate.
func (b *benchmark) latencies(ctx context.Context, t task) (*result, error) {
	t.Rate, t.WarmUp, t.Duration, t.Connections = b.rate, 300*time.Millisecond, b.rateTime, max(64, b.connections)
	r, err := runTask(ctx, t)
	if err == nil && r.Failures > 0 {
		err = fmt.Errorf("%d requests failed, the first: %s", r.Failures, r.FirstFailure)
	}
	return r, err
}

// directTask is one without a proxy.
func (b *benchmark) directTask() task {
	return task{Address: ipv4(b.site.upstream), CAFile: b.site.path(caFile), Shape: shapes[0].name, Authorization: "Bearer " + accessToken}
}

// open takes the result of an open loop and that of the requests without a
// proxy in the same round.
func (r *report) open(peer string, round int, m, direct *result) {
	for _, q := range quantiles {
		added := quantile(m.Latencies, q.of) - quantile(direct.Latencies, q.of)
		r.added.set(cell{q.name, peer}, round, float64(added)/float64(time.Microsecond))
	}
	r.cpuAtRate.set(cell{"", peer}, round, m.perRequest(float64(m.CPU)/float64(time.Microsecond)))
}
