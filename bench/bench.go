package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// bench is the whole run: it starts the upstream and the peers, measures, writes
// the report and stops what it started.
func bench(ctx context.Context, o *options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "sfproxy-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	if err := writeCertificates(dir); err != nil {
		return err
	}
	org, err := startUpstream(ctx, dir, "-latency", o.latency.String(), fmt.Sprintf("-http2=%t", o.http2))
	if err != nil {
		return err
	}
	defer org.stop()
	b := &benchmark{options: o, report: newReport(o), site: &site{dir: dir, cache: filepath.Join(cache, "sfproxy-bench"),
		upstream: org.address, profiles: o.profiles != "", build: o.build}}
	defer b.stop()
	if err := b.start(ctx); err != nil {
		return err
	}
	if o.profiles != "" {
		return b.profile(ctx)
	}
	for _, step := range []func(context.Context) error{b.measure, b.measureLatency, b.measureMemory, b.runScenarios} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	text := b.report.markdown()
	if o.markdown != "" {
		if err := os.WriteFile(o.markdown, text, 0o644); err != nil {
			return err
		}
	}
	_, err = out.Write(text)
	return err
}

// benchmark is what is running.
type benchmark struct {
	*options
	site    *site
	running []*runningPeer
	report  *report
}

// progress tells the person who waits what goes on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// startUpstream starts the role of the upstream.
func startUpstream(ctx context.Context, dir string, flags ...string) (*upstreamProcess, error) {
	cmd, err := roleCommand(context.WithoutCancel(ctx), "upstream", append([]string{"-dir", dir}, flags...)...)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd.Stdout = w
	p, err := startProcess(dir, "upstream", cmd)
	w.Close()
	if err != nil {
		return nil, err
	}
	origin, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, p.failure("the upstream did not start")
	}
	address, err := url.Parse(strings.TrimSpace(origin))
	if err != nil {
		p.stop()
		return nil, err
	}
	return &upstreamProcess{process: p, address: address.Host}, nil
}

type upstreamProcess struct {
	*process
	address string // localhost:port
}

// start prepares and starts the peers; one that cannot be had is left out.
func (b *benchmark) start(ctx context.Context) error {
	for _, p := range b.peers {
		progress("preparing %s", p.name)
		program, version, err := p.prepare(ctx, b.site)
		if errors.Is(err, errAbsent) {
			b.report.note("%s: %v", p.name, err)
			progress("%s: %v", p.name, err)
			continue
		}
		if err != nil {
			return err
		}
		running, starts, err := b.startOften(ctx, p, program, version)
		if err != nil {
			return err
		}
		b.running = append(b.running, running)
		b.report.add(running, starts)
	}
	return nil
}

// startOften starts a peer again and again and leaves the last one running. It
// returns how long each took to its first answer, in ms.
func (b *benchmark) startOften(ctx context.Context, p *peer, program, version string) (*runningPeer, []float64, error) {
	var starts []float64
	for {
		r, took, err := startPeer(ctx, b.site, p, program, version)
		if err != nil {
			return nil, nil, err
		}
		starts = append(starts, took.Seconds()*1000)
		if len(starts) == b.starts {
			return r, starts, nil
		}
		r.process.stop()
	}
}

func (b *benchmark) stop() {
	for _, r := range b.running {
		r.process.stop()
	}
}

// measure runs the rounds. Each round measures all peers with all shapes, so
// that what else the machine does falls on all alike; each begins with another
// peer.
func (b *benchmark) measure(ctx context.Context) error {
	for round := range b.rounds {
		progress("round %d of %d", round+1, b.rounds)
		for _, s := range b.shapes {
			for i := range b.running {
				r := b.running[(i+round)%len(b.running)]
				if err := b.measureOne(ctx, r, s, round); err != nil {
					return fmt.Errorf("%s, %s: %w", r.name, s.name, err)
				}
			}
		}
	}
	return nil
}

// measureMemory reads the highest that each peer ever had.
func (b *benchmark) measureMemory(context.Context) error {
	for _, r := range b.running {
		peak, err := memory(r.pids, "VmHWM")
		if err != nil {
			return err
		}
		b.report.peer(r.name).peakMemory = peak
	}
	return nil
}

// measureOne measures a peer with a shape.
func (b *benchmark) measureOne(ctx context.Context, r *runningPeer, s *shape, round int) error {
	measured, err := runTask(ctx, b.taskFor(r, s))
	if err != nil {
		return err
	}
	if measured.Failures > 0 {
		b.report.note("%s, %s, round %d: %d requests failed, so that the round does not count; the first: %s",
			r.name, s.name, round+1, measured.Failures, measured.FirstFailure)
	}
	b.report.closed(cell{s.name, r.name}, round, measured)
	return nil
}

func (b *benchmark) taskFor(r *runningPeer, s *shape) task {
	connections := b.connections
	if s.connections > 0 {
		connections = min(connections, s.connections)
	}
	return task{Address: r.address, Shape: s.name, Authorization: "Bearer " + clientKey, Connections: connections,
		WarmUp: b.warmUp, Duration: b.duration, PIDs: r.pids, Metrics: r.metrics}
}

// runTask has the load do a task.
func runTask(ctx context.Context, t task) (*result, error) {
	cmd, err := roleCommand(ctx, "load")
	if err != nil {
		return nil, err
	}
	own(cmd)
	input, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	var failure bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &failure
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the load: %w: %s", err, bytes.TrimSpace(failure.Bytes()))
	}
	r := new(result)
	return r, json.Unmarshal(out, r)
}

// perRequest returns a figure of the window a request, NaN if some failed.
func (r *result) perRequest(figure float64) float64 {
	if r.Failures > 0 || r.Requests == 0 {
		return math.NaN()
	}
	return figure / r.Requests
}
