package main

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// runAtRate starts requests at fixed times, as clients do that know nothing of
// each other. A latency counts from the time that a request was to start at, so
// that a slow answer is not hidden by the requests that it kept from starting.
func (l *load) runAtRate(ctx context.Context) (*result, error) {
	p := &pace{load: l, idle: make(chan *worker, l.task.Connections)}
	for range l.task.Connections {
		p.idle <- &worker{load: l}
	}
	p.interval = time.Second / time.Duration(l.task.Rate)
	skipped := int(l.task.WarmUp / p.interval)
	p.latencies = make([]time.Duration, skipped+int(l.task.Duration/p.interval))
	m := &measurement{load: l, moved: func() int64 { return 0 }}
	if err := m.begin(); err != nil {
		return nil, err
	}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	r, err := m.end()
	if err != nil {
		return nil, err
	}
	r.Requests = float64(len(p.latencies))
	r.Latencies = p.latencies[skipped:]
	r.Started = p.start.Add(time.Duration(skipped) * p.interval)
	return r, nil
}

// pace hands requests to idle connections.
type pace struct {
	load      *load
	interval  time.Duration
	start     time.Time // of the first request
	idle      chan *worker
	latencies []time.Duration // each written by the one request that it is of
}

func (p *pace) run(ctx context.Context) error {
	runtime.LockOSThread() // whose sleeps are then nobody else's
	defer runtime.UnlockOSThread()
	var pending sync.WaitGroup
	defer pending.Wait()
	p.start = time.Now().Add(p.interval)
	for i := range p.latencies {
		intended := p.start.Add(time.Duration(i) * p.interval)
		sleepUntil(intended)
		var w *worker
		select {
		case w = <-p.idle: // waits for one if all are busy
		case <-ctx.Done():
			return ctx.Err()
		}
		err := w.open(ctx)
		if err == nil {
			err = w.send()
		}
		if err != nil {
			p.done(w, i, intended, err)
			continue
		}
		pending.Go(func() { p.done(w, i, intended, w.receive()) })
	}
	return nil
}

// done notes a latency and gives the connection back.
func (p *pace) done(w *worker, i int, intended time.Time, err error) {
	p.latencies[i] = time.Since(intended)
	if err != nil {
		w.close()
		p.load.fail(err)
	}
	p.idle <- w
}

// quantile returns the smallest of the durations that a part of at least q of
// them does not exceed (nearest rank); q is over 0 and at most 1. Zero for none.
func quantile(durations []time.Duration, q float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9)) // 0.9 × 10 is a little over 9
	return sorted[min(max(rank, 1), len(sorted))-1]
}
