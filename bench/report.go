package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// cell is a place in a table.
type cell struct{ shape, peer string }

// figures are measurements, one a round; NaN for one that does not count.
type figures map[cell][]float64

// report is what came out.
type report struct {
	options *options
	date    time.Time
	peers   []*peerReport
	notes   []string

	cpu         figures // µs a request
	throughput  figures // requests a second
	allocations figures // objects a request
	added       figures // µs, by quantile instead of shape
	cpuAtRate   figures // µs a request at the rate of the latencies; no shape

	renewal *renewalReport           // nil if it was not measured
	waiting map[string]waitingReport // by peer
	micro   map[string]float64       // see lowest
}

// peerReport is what a peer is and what was measured of it once.
type peerReport struct {
	*runningPeer
	size       int64     // bytes of the program
	peakMemory int64     // bytes resident
	starts     []float64 // ms from each start to the first answer
}

func newReport(o *options) *report {
	return &report{options: o, date: time.Now(), cpu: figures{}, throughput: figures{}, allocations: figures{},
		added: figures{}, cpuAtRate: figures{}}
}

// add takes a peer; starts are how long it took from each start to the first
// answer, in ms.
func (r *report) add(p *runningPeer, starts []float64) {
	added := &peerReport{runningPeer: p, starts: starts}
	if info, err := os.Stat(p.program); err == nil {
		added.size = info.Size()
	}
	r.peers = append(r.peers, added)
}

func (r *report) peer(name string) *peerReport {
	i := slices.IndexFunc(r.peers, func(p *peerReport) bool { return p.name == name })
	return r.peers[i]
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// closed takes the result of a closed loop.
func (r *report) closed(c cell, round int, m *result) {
	r.cpu.set(c, round, m.perRequest(float64(m.CPU)/float64(time.Microsecond)))
	r.throughput.set(c, round, 1/m.perRequest(m.Elapsed.Seconds()))
	if m.Allocations > 0 {
		r.allocations.set(c, round, m.perRequest(m.Allocations))
	}
}

// set notes the figure of a round; rounds come in order.
func (f figures) set(c cell, round int, value float64) {
	for len(f[c]) < round {
		f[c] = append(f[c], math.NaN())
	}
	f[c] = append(f[c], value)
}

// ratios returns the figures of a cell, each divided by that of the reference in
// the same round.
func (f figures) ratios(c cell) []float64 {
	base := f[cell{c.shape, reference}]
	var all []float64
	for i, value := range f[c] {
		if i < len(base) {
			all = append(all, value/base[i])
		}
	}
	return all
}

// spread is the middle and the ends of some figures.
type spread struct{ median, low, high float64 }

// spreadOf ignores NaN; of nothing else, all are NaN.
func spreadOf(values []float64) spread {
	counted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(counted) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(counted)
	middle := counted[len(counted)/2]
	if len(counted)%2 == 0 {
		middle = (middle + counted[len(counted)/2-1]) / 2
	}
	return spread{middle, counted[0], counted[len(counted)-1]}
}

// with writes the spread by a verb for one number; "–" if there is none.
func (s spread) with(verb string) string {
	if math.IsNaN(s.median) {
		return "–"
	}
	if s.low == s.high {
		return fmt.Sprintf(verb, s.median)
	}
	return fmt.Sprintf(verb+" ("+verb+"–"+verb+")", s.median, s.low, s.high)
}

// markdown returns the report.
func (r *report) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s · %s, %d cores · %s · Linux %s\n\n", r.date.Format("2006-01-02 15:04 MST"), processor(), runtime.NumCPU(), runtime.Version(), kernel())
	protocols := "HTTP/1.1"
	if r.options.http2 {
		protocols += " and HTTP/2"
	}
	fmt.Fprintf(&b, "%d rounds of %v, %d connections (at most 4 with blobs), keep-alive, upstream over HTTPS on %s, latency of the upstream %v. Median of the rounds (lowest–highest).\n",
		r.options.rounds, r.options.duration, r.options.connections, protocols, r.options.latency)
	r.table(&b, "CPU a request, as a ratio to the bare tuned ReverseProxy of the same round", func(c cell) string {
		return spreadOf(r.cpu.ratios(c)).with("%.2f")
	})
	r.table(&b, "CPU a request, µs", func(c cell) string { return spreadOf(r.cpu[c]).with("%.0f") })
	r.table(&b, "Requests a second, all on the same "+fmt.Sprint(runtime.NumCPU())+" cores", func(c cell) string { return spreadOf(r.throughput[c]).with("%.0f") })
	r.table(&b, "Allocations a request (of the Go programs)", func(c cell) string { return spreadOf(r.allocations[c]).with("%.0f") })
	r.latencyTable(&b)
	r.peerTable(&b)
	r.scenarioLines(&b)
	r.targetTable(&b)
	fmt.Fprintln(&b)
	for _, note := range r.notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.Bytes()
}

// table writes a table of peers and shapes.
func (r *report) table(w io.Writer, title string, text func(cell) string) {
	fmt.Fprintf(w, "\n**%s**\n\n| |", title)
	for _, s := range r.options.shapes {
		fmt.Fprintf(w, " %s |", s.what)
	}
	fmt.Fprintf(w, "\n| --- |%s\n", strings.Repeat(" --- |", len(r.options.shapes)))
	for _, p := range r.peers {
		fmt.Fprintf(w, "| %s |", p.what)
		for _, s := range r.options.shapes {
			fmt.Fprintf(w, " %s |", text(cell{s.name, p.name}))
		}
		fmt.Fprintln(w)
	}
}

// latencyTable writes what peers add to the latency of a record.
func (r *report) latencyTable(w io.Writer) {
	if len(r.added) == 0 {
		return
	}
	fmt.Fprintf(w, "\n**At %d requests a second of a record: latency on top of the upstream's own, µs (%d rounds of %v), and CPU**\n\n| |", r.options.rate, r.options.rateRounds, r.options.rateTime)
	for _, q := range quantiles {
		fmt.Fprintf(w, " %s |", q.name)
	}
	fmt.Fprintf(w, " CPU, to bare |\n| --- |%s --- |\n", strings.Repeat(" --- |", len(quantiles)))
	for _, p := range r.peers {
		fmt.Fprintf(w, "| %s |", p.what)
		for _, q := range quantiles {
			fmt.Fprintf(w, " %s |", spreadOf(r.added[cell{q.name, p.name}]).with("%.0f"))
		}
		fmt.Fprintf(w, " %s |\n", spreadOf(r.cpuAtRate.ratios(cell{"", p.name})).with("%.2f"))
	}
}

// peerTable writes what was measured of each peer once.
func (r *report) peerTable(w io.Writer) {
	fmt.Fprint(w, "\n**The programs**\n\n| | version | start to first answer, ms | binary, MB | peak memory, MB |\n| --- | --- | --- | --- | --- |\n")
	for _, p := range r.peers {
		fmt.Fprintf(w, "| %s | %s | %s | %.1f | %.0f |\n", p.what, cmp.Or(p.version, "–"), spreadOf(p.starts).with("%.0f"), float64(p.size)/1e6, float64(p.peakMemory)/1e6)
	}
}

// processor names the CPU's model.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}
