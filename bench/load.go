package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// task is what the load is to do. It is read as JSON from standard input.
type task struct {
	Address       string // host:port
	CAFile        string // speak TLS and trust these roots; "" for plain HTTP
	Shape         string
	Authorization string
	Connections   int
	// Rate is how many requests are started a second, whether or not earlier
	// ones are done (open loop); with 0, each connection sends its next one
	// when it has its answer (closed loop).
	Rate     int
	WarmUp   time.Duration
	Duration time.Duration
	PIDs     []int  // processes whose CPU time is counted
	Metrics  string // URL of the page that has go_memstats_mallocs_total; "" for none
}

// result is what the load measured between the end of the warm-up and the end.
type result struct {
	Requests     float64 // by bytes of bodies, so that one half done counts half
	Failures     int
	FirstFailure string
	Elapsed      time.Duration
	CPU          time.Duration
	Allocations  float64 // of objects
	// Of an open loop only: latencies in the order of their intended starts, the
	// first of which was at Started.
	Started   time.Time
	Latencies []time.Duration
}

// runLoad is the role of the load: one task, one result.
func runLoad(ctx context.Context, _ []string) error {
	var t task
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return err
	}
	l, err := newLoad(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.WarmUp+t.Duration+30*time.Second) // should a peer not answer at all
	defer cancel()
	measured, err := l.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(measured)
}

// load sends requests of one shape.
type load struct {
	task    task
	shape   *shape
	request []byte
	tls     *tls.Config // nil for plain HTTP

	mu       sync.Mutex
	failures int
	first    error
}

func newLoad(t task) (*load, error) {
	s, err := shapeNamed(t.Shape)
	if err != nil {
		return nil, err
	}
	l := &load{task: t, shape: s, request: s.request(t.Address, t.Authorization)}
	if t.CAFile != "" {
		roots, err := readRoots(t.CAFile)
		if err != nil {
			return nil, err
		}
		l.tls = &tls.Config{RootCAs: roots, ServerName: "localhost"}
	}
	return l, nil
}

func (l *load) run(ctx context.Context) (*result, error) {
	if l.task.Rate > 0 {
		return l.runAtRate(ctx)
	}
	return l.runClosed(ctx)
}

// fail notes a request without its right answer.
func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures++; l.first == nil {
		l.first = err
	}
}

// runClosed keeps every connection busy.
func (l *load) runClosed(ctx context.Context) (*result, error) {
	ctx, stop := context.WithCancel(ctx)
	workers := make([]*worker, l.task.Connections)
	var busy sync.WaitGroup
	defer busy.Wait()
	defer stop()
	for i := range workers {
		workers[i] = &worker{load: l}
		busy.Go(func() { workers[i].loop(ctx) })
	}
	m := &measurement{load: l, moved: func() (sum int64) {
		for _, w := range workers {
			sum += w.moved.Load()
		}
		return sum
	}}
	time.Sleep(l.task.WarmUp)
	if err := m.begin(); err != nil {
		return nil, err
	}
	select {
	case <-time.After(l.task.Duration):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return m.end()
}

// measurement is what stood on the meters when it began.
type measurement struct {
	load        *load
	moved       func() int64 // bytes of bodies so far
	bytes       int64
	allocations float64
	cpu         time.Duration
	started     time.Time
}

func (m *measurement) begin() (err error) {
	if m.allocations, err = m.load.readAllocations(); err != nil {
		return err
	}
	m.started = time.Now()
	m.bytes = m.moved()
	m.cpu, err = cpuTime(m.load.task.PIDs)
	return err
}

func (m *measurement) end() (*result, error) {
	cpu, err := cpuTime(m.load.task.PIDs)
	if err != nil {
		return nil, err
	}
	r := &result{
		Requests: float64(m.moved()-m.bytes) / float64(m.load.shape.bytes()),
		Elapsed:  time.Since(m.started),
		CPU:      cpu - m.cpu,
	}
	allocations, err := m.load.readAllocations()
	if err != nil {
		return nil, err
	}
	r.Allocations = allocations - m.allocations
	m.load.mu.Lock()
	defer m.load.mu.Unlock()
	r.Failures = m.load.failures
	if m.load.first != nil {
		r.FirstFailure = m.load.first.Error()
	}
	return r, nil
}

// readAllocations returns how many objects a Go program has allocated so far.
func (l *load) readAllocations() (float64, error) {
	if l.task.Metrics == "" {
		return 0, nil
	}
	text, err := get(l.task.Metrics)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s has no go_memstats_mallocs_total", l.task.Metrics)
}

// worker is one connection.
type worker struct {
	load  *load
	conn  net.Conn // nil while there is none
	r     *bufio.Reader
	moved atomic.Int64
}

// loop sends request after request until ctx ends.
func (w *worker) loop(ctx context.Context) {
	defer w.close()
	for ctx.Err() == nil {
		if err := w.exchange(ctx); err != nil {
			w.close()
			w.load.fail(err)
			time.Sleep(10 * time.Millisecond) // not to be a flood of failures
		}
	}
}

func (w *worker) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// exchange sends a request and reads its answer.
func (w *worker) exchange(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	if err := w.send(); err != nil {
		return err
	}
	return w.receive()
}

// open connects, unless there is a connection. What waits on it is given up when
// ctx ends.
func (w *worker) open(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.load.task.Address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	if w.conn = conn; w.load.tls != nil {
		w.conn = tls.Client(conn, w.load.tls)
	}
	w.r = bufio.NewReaderSize(w.conn, 32<<10)
	return nil
}

// send writes the request. What of it is body counts as it is written.
func (w *worker) send() error {
	const piece = 64 << 10
	head := len(w.load.request) - len(w.load.shape.body)
	for from := 0; from < len(w.load.request); {
		to := min(from+piece, len(w.load.request))
		if _, err := w.conn.Write(w.load.request[from:to]); err != nil {
			return err
		}
		w.moved.Add(int64(to - max(from, head)))
		from = to
	}
	return nil
}

var errShort = errors.New("the answer's body has another length than it should")

// receive reads an answer and checks that it is the right one.
func (w *worker) receive() error {
	h, err := readHead(w.r)
	if err != nil {
		return err
	}
	n, err := h.discardBody(w.r, func(n int) { w.moved.Add(int64(n)) })
	if err != nil {
		return err
	}
	_, status, _ := strings.Cut(h.first, " ")
	switch {
	case status != strconv.Itoa(w.load.shape.status):
		return fmt.Errorf("status %s instead of %d", status, w.load.shape.status)
	case n != int64(len(w.load.shape.answer)):
		return errShort
	}
	if h.closes {
		w.close()
	}
	return nil
}
