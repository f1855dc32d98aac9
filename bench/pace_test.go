package main

import (
	"bufio"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// serveRecords answers requests for a record over plain HTTP on loopback; before
// each it calls before with how many there were already.
func serveRecords(t *testing.T, before func(n int64)) (address string, served *atomic.Int64) {
	t.Helper()
	record, err := shapeNamed("record")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{responses: map[string][]byte{record.method + " " + record.path: record.response()}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	served = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for r := bufio.NewReader(conn); ; {
					if _, err := r.Peek(1); err != nil {
						return
					}
					before(served.Add(1) - 1)
					if u.answer(conn, r) != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String(), served
}

// measured has a load on the server do a task.
func measured(t *testing.T, do task) *result {
	t.Helper()
	do.Shape, do.Authorization = "record", "Bearer "+accessToken
	l, err := newLoad(do)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Failures > 0 {
		t.Fatalf("%d requests failed: %s", r.Failures, r.FirstFailure)
	}
	return r
}

// The only connection is busy for 400 ms with the first request. Those that were
// to start meanwhile were late by what was left of that, though each of them was
// answered at once when it was sent.
func TestLatencyCountsFromTheIntendedStart(t *testing.T) {
	const stall, interval = 400 * time.Millisecond, 20 * time.Millisecond
	address, _ := serveRecords(t, func(n int64) {
		if n == 0 {
			time.Sleep(stall)
		}
	})
	r := measured(t, task{Address: address, Connections: 1, Rate: int(time.Second / interval), Duration: time.Second})
	if len(r.Latencies) != 50 || r.Requests != 50 {
		t.Fatalf("%d latencies of %v requests, want 50", len(r.Latencies), r.Requests)
	}
	for i, latency := range r.Latencies {
		if least := stall - time.Duration(i)*interval; latency < least || latency <= 0 {
			t.Errorf("latency of request %d = %v, want at least %v", i, latency, least)
		}
	}
}

// What is left out as warm-up is neither in the latencies nor in their start.
func TestWarmUpDoesNotCount(t *testing.T) {
	address, served := serveRecords(t, func(int64) {})
	began := time.Now()
	r := measured(t, task{Address: address, Connections: 2, Rate: 100, WarmUp: 200 * time.Millisecond, Duration: 300 * time.Millisecond})
	if len(r.Latencies) != 30 || served.Load() != 50 {
		t.Errorf("%d latencies of %d requests, want 30 of 50", len(r.Latencies), served.Load())
	}
	if after := r.Started.Sub(began); after < 200*time.Millisecond {
		t.Errorf("the latencies start %v after the first request", after)
	}
}

// A closed loop counts what was answered within its window: not what was before,
// and not what comes after.
func TestClosedLoopCounts(t *testing.T) {
	const connections, answered = 4, 20
	silent := make(chan struct{})
	defer close(silent)
	address, served := serveRecords(t, func(n int64) {
		if n >= answered {
			<-silent
		}
	})
	all := measured(t, task{Address: address, Connections: connections, Duration: time.Second})
	if all.Requests != answered || all.Elapsed < time.Second {
		t.Errorf("without warm-up: %v requests in %v, want %d in a second", all.Requests, all.Elapsed, answered)
	}
	served.Store(0)
	none := measured(t, task{Address: address, Connections: connections, WarmUp: time.Second, Duration: 100 * time.Millisecond})
	if none.Requests != 0 {
		t.Errorf("%v requests, all of them of the warm-up", none.Requests)
	}
}
