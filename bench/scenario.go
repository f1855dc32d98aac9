package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runScenarios measures what is no comparison of peers but of sfproxy alone.
func (b *benchmark) runScenarios(ctx context.Context) error {
	if !b.scenarios || !slices.Contains(b.peers, sfproxy) {
		return nil
	}
	for _, scenario := range []func(context.Context) error{b.renewal, b.waiting, b.manager} {
		if err := scenario(ctx); err != nil {
			return err
		}
	}
	return nil
}

// alone starts a peer of its own, with an upstream of its own, for a scenario.
func (b *benchmark) alone(ctx context.Context, name string, s site, flags ...string) (*runningPeer, *upstreamProcess, error) {
	org, err := startUpstream(ctx, s.dir, flags...)
	if err != nil {
		return nil, nil, err
	}
	like := b.report.peer(name)
	s.upstream = org.address
	r, _, err := startPeer(ctx, &s, like.peer, like.program, like.version)
	if err != nil {
		org.stop()
		return nil, nil, err
	}
	return r, org, nil
}

const (
	renewalTTL   = 10 * time.Second // the shortest that sfproxy takes
	renewalGrant = 300 * time.Millisecond
	renewalTime  = 30 * time.Second
)

// renewal has tokens renewed under load, which takes the org 300 ms each time: a
// request that waited for that would show.
func (b *benchmark) renewal(ctx context.Context) error {
	progress("renewal under load, %v", renewalTime)
	s := *b.site
	s.tokenTTL = renewalTTL
	r, org, err := b.alone(ctx, sfproxy.name, s, "-grant-latency", renewalGrant.String())
	if err != nil {
		return err
	}
	defer org.stop()
	defer r.process.stop()
	t := b.taskFor(r, shapes[0])
	t.Rate, t.Connections, t.WarmUp, t.Duration = 800, 64, time.Second, renewalTime
	m, err := runTask(ctx, t)
	if err != nil {
		return err
	}
	grants, err := grantTimes(s.path(caFile), org.address)
	if err != nil {
		return err
	}
	b.report.renewal = newRenewalReport(m, grants)
	return nil
}

// renewalReport compares the seconds in which a token was renewed with others.
type renewalReport struct {
	renewals int
	failures int
	during   []time.Duration // p99 of each second in which one was
	others   []time.Duration // p99 of each other second
	longest  time.Duration   // that a request of those during took
}

// newRenewalReport sorts the seconds of m. A renewal lasts from its grant's
// start to renewalGrant later.
func newRenewalReport(m *result, grants []time.Time) *renewalReport {
	r := &renewalReport{failures: m.Failures}
	perSecond := len(m.Latencies) / int(renewalTime/time.Second)
	renewing := map[int]bool{}
	for _, g := range grants {
		from, to := g.Sub(m.Started), g.Add(renewalGrant).Sub(m.Started)
		if from < 0 || to > renewalTime {
			continue
		}
		r.renewals++
		renewing[int(from/time.Second)], renewing[int(to/time.Second)] = true, true
	}
	second := 0
	for latencies := range slices.Chunk(m.Latencies, max(perSecond, 1)) {
		p99 := quantile(latencies, 0.99)
		if renewing[second] {
			r.during = append(r.during, p99)
			r.longest = max(r.longest, slices.Max(latencies))
		} else {
			r.others = append(r.others, p99)
		}
		second++
	}
	return r
}

// grantTimes asks the upstream when tokens were asked for.
func grantTimes(caFile, address string) ([]time.Time, error) {
	roots, err := readRoots(caFile)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + address + "/bench/grants")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var grants []time.Time
	return grants, json.NewDecoder(resp.Body).Decode(&grants)
}

const (
	waitingRequests = 2000
	waitingLatency  = 2 * time.Second
	waitingWarmUp   = 6 * time.Second // handshakes
)

// waitingReport is how many bytes a waiting request takes.
type waitingReport struct {
	inUse float64 // of heap and stacks, while all wait
	peak  float64 // of resident memory: handshakes, garbage and what it leaves between
}

// waiting has many requests wait for a slow upstream at once, and takes what
// memory they need.
func (b *benchmark) waiting(ctx context.Context) error {
	b.report.waiting = map[string]waitingReport{}
	for _, name := range []string{sfproxy.name, reference} {
		progress("%d requests that wait %v, %s", waitingRequests, waitingLatency, name)
		each, err := b.waitingAt(ctx, name)
		if err != nil {
			return err
		}
		b.report.waiting[name] = each
	}
	return nil
}

// waitingAt measures a peer; what it has after the first request does not count.
func (b *benchmark) waitingAt(ctx context.Context, name string) (waitingReport, error) {
	var none waitingReport
	s := *b.site
	s.profiles = true
	r, org, err := b.alone(ctx, name, s, "-latency", waitingLatency.String())
	if err != nil {
		return none, err
	}
	defer org.stop()
	defer r.process.stop()
	resident, err := memory(r.pids, "VmRSS")
	if err != nil {
		return none, err
	}
	before, err := r.inUse()
	if err != nil {
		return none, err
	}
	var during int64
	var failure error
	asked := make(chan struct{})
	time.AfterFunc(waitingWarmUp+waitingLatency, func() {
		defer close(asked)
		during, failure = r.inUse()
	})
	t := b.taskFor(r, shapes[0])
	t.Connections, t.WarmUp, t.Duration, t.Metrics = waitingRequests, waitingWarmUp, 3*waitingLatency, ""
	m, err := runTask(ctx, t)
	if err != nil {
		return none, err
	}
	if m.Failures > 0 {
		b.report.note("%s, waiting requests: %d failed, the first: %s", name, m.Failures, m.FirstFailure)
	}
	select {
	case <-asked:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	peak, err := memory(r.pids, "VmHWM")
	return waitingReport{float64(during-before) / waitingRequests, float64(peak-resident) / waitingRequests}, errors.Join(err, failure)
}

// inUse returns the bytes of heap and stacks that a Go program uses. It collects
// its garbage first, several times: each time, a stack loses half of its room
// if little of it is used.
func (r *runningPeer) inUse() (int64, error) {
	var page []byte
	for range 3 {
		var err error
		if page, err = get(strings.TrimSuffix(r.metrics, "/metrics") + "/debug/pprof/heap?gc=1&debug=1"); err != nil {
			return 0, err
		}
	}
	var sum int64
	for _, name := range []string{"HeapAlloc", "Stack"} {
		_, rest, found := strings.Cut(string(page), "\n# "+name+" = ")
		value, _, _ := strings.Cut(rest, "\n")
		value, _, _ = strings.Cut(value, " / ") // in use, of what the system gave
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s of %s (found: %t): %w", name, r.name, found, err)
		}
		sum += n
	}
	return sum, nil
}

// manager runs the micro-benchmarks of package auth, each five times: what else
// the machine does only ever adds, so the lowest counts.
func (b *benchmark) manager(ctx context.Context) error {
	progress("the token manager")
	cmd := exec.CommandContext(ctx, "go", "test", "github.com/sfproxy/sfproxy/auth", "-run", "^$", "-bench", "^BenchmarkManager", "-benchtime", "200ms", "-count", "5", "-cpu", "1")
	own(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	b.report.micro = lowest(string(out))
	return nil
}

// lowest returns the lowest value of each metric in the output of go test
// -bench, by "Benchmark/unit".
func lowest(output string) map[string]float64 {
	found := map[string]float64{}
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for pair := range slices.Chunk(fields[2:], 2) {
			value, err := strconv.ParseFloat(pair[0], 64)
			if err != nil || len(pair) < 2 {
				break
			}
			key := fields[0] + " " + pair[1]
			if last, ok := found[key]; !ok || value < last {
				found[key] = value
			}
		}
	}
	return found
}

// metric returns the lowest value of a micro-benchmark, NaN if it was not run.
func (r *report) metric(benchmark, unit string) float64 {
	if value, ok := r.micro[benchmark+" "+unit]; ok {
		return value
	}
	return math.NaN()
}
