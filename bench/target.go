package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// target is something that sfproxy is to reach.
type target struct {
	what   string
	figure func(r *report) float64 // NaN if it was not measured
	verb   string                  // for the figure
	limit  float64                 // that the figure must not exceed
}

// targets are judged by medians.
var targets = []target{
	{"CPU of a record, to bare", cpuRatio("record"), "%.2f", 1},
	{"CPU of a page, to bare", cpuRatio("page"), "%.2f", 1},
	{"CPU of a create, to bare", cpuRatio("create"), "%.2f", 1},
	{"CPU of a blob down, to bare", cpuRatio("down"), "%.2f", 1.1},
	{"CPU of a blob up, to bare", cpuRatio("up"), "%.2f", 1.1},
	{"CPU to Caddy, the worst shape", worstToCaddy, "%.2f", 1 / 1.7},
	{"CPU of a page, to nginx with its default buffers", pageTo(stockNginx), "%.2f", 1},
	{"CPU of a page, to nginx, tuned", pageTo(nginx), "%.2f", 1},
	{"added p50, µs", added("p50"), "%.0f", 150},
	{"added p99 less that of bare, µs", func(r *report) float64 { return r.addedBy("p99", sfproxy.name) - r.addedBy("p99", reference) }, "%.0f", 0},
	{"allocations of a record on top of bare's", moreAllocations, "%.1f", 12},
	{"start to first answer, ms", start, "%.0f", 50},
	{"KB in use a waiting request", func(r *report) float64 { return r.waitingKB(sfproxy.name).inUse }, "%.0f", 40},
	{"p99 of seconds with a renewal, to that of others (medians)", renewalRatio, "%.2f", 1.1},
	{"longest request at a renewal, to the grant's time", longestAtRenewal, "%.2f", 0.9},
	{"Manager.Token, fresh, ns", micro("BenchmarkManagerFreshToken", "ns/op"), "%.0f", 20},
	{"Manager.Token, fresh, allocations", micro("BenchmarkManagerFreshToken", "allocs/op"), "%.0f", 0},
	{"bytes a subject with a live token", micro("BenchmarkManagerSubjects", "B/subject"), "%.0f", 1024},
}

func cpuRatio(shape string) func(*report) float64 {
	return func(r *report) float64 { return spreadOf(r.cpu.ratios(cell{shape, sfproxy.name})).median }
}

// cpuTo returns sfproxy's CPU a request as a ratio to another peer's.
func (r *report) cpuTo(shape, peer string) float64 {
	own, others := r.cpu[cell{shape, sfproxy.name}], r.cpu[cell{shape, peer}]
	var ratios []float64
	for i := range min(len(own), len(others)) {
		ratios = append(ratios, own[i]/others[i])
	}
	return spreadOf(ratios).median
}

func pageTo(p *peer) func(*report) float64 {
	return func(r *report) float64 { return r.cpuTo("page", p.name) }
}

func worstToCaddy(r *report) float64 {
	worst := math.NaN()
	for _, s := range r.options.shapes {
		if ratio := r.cpuTo(s.name, caddy.name); !(ratio <= worst) && !math.IsNaN(ratio) {
			worst = ratio
		}
	}
	return worst
}

func (r *report) addedBy(quantile, peer string) float64 {
	return spreadOf(r.added[cell{quantile, peer}]).median
}

func added(quantile string) func(*report) float64 {
	return func(r *report) float64 { return r.addedBy(quantile, sfproxy.name) }
}

func moreAllocations(r *report) float64 {
	return spreadOf(r.allocations[cell{"record", sfproxy.name}]).median - spreadOf(r.allocations[cell{"record", reference}]).median
}

func start(r *report) float64 {
	i := slices.IndexFunc(r.peers, func(p *peerReport) bool { return p.name == sfproxy.name })
	if i < 0 {
		return math.NaN()
	}
	return spreadOf(r.peers[i].starts).median
}

// waitingKB returns what a waiting request takes in KB, not in bytes.
func (r *report) waitingKB(peer string) waitingReport {
	each, ok := r.waiting[peer]
	if !ok {
		return waitingReport{math.NaN(), math.NaN()}
	}
	return waitingReport{each.inUse / 1024, each.peak / 1024}
}

func renewalRatio(r *report) float64 {
	if r.renewal == nil || len(r.renewal.during) == 0 || len(r.renewal.others) == 0 {
		return math.NaN()
	}
	return float64(quantile(r.renewal.during, 0.5)) / float64(quantile(r.renewal.others, 0.5))
}

func longestAtRenewal(r *report) float64 {
	if r.renewal == nil || r.renewal.renewals == 0 {
		return math.NaN()
	}
	return float64(r.renewal.longest) / float64(renewalGrant)
}

func micro(benchmark, unit string) func(*report) float64 {
	return func(r *report) float64 { return r.metric(benchmark, unit) }
}

// met says whether a figure is within the limit.
func (t target) met(figure float64) string {
	switch {
	case math.IsNaN(figure):
		return "not measured"
	case figure <= t.limit:
		return "yes"
	}
	return "**no**"
}

// targetTable writes which targets are met.
func (r *report) targetTable(w io.Writer) {
	fmt.Fprint(w, "\n**Targets of sfproxy**\n\n| | at most | median | met |\n| --- | --- | --- | --- |\n")
	for _, t := range targets {
		figure := t.figure(r)
		shown := "–"
		if !math.IsNaN(figure) {
			shown = fmt.Sprintf(t.verb, figure)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", t.what, fmt.Sprintf(t.verb, t.limit), shown, t.met(figure))
	}
}

// scenarioLines writes what the scenarios gave.
func (r *report) scenarioLines(w io.Writer) {
	if v := r.renewal; v != nil {
		fmt.Fprintf(w, "\n**Renewal under load**: %d renewals, each answered by the org after %v, at 800 requests a second. p99 of the seconds with one: %s; of %d others: median %s, highest %s. "+
			"Longest request in a second with one: %s. Failed requests: %d.\n", v.renewals, renewalGrant, micros(v.during), len(v.others),
			shortly(quantile(v.others, 0.5)), shortly(quantile(v.others, 1)), shortly(v.longest), v.failures)
	}
	if len(r.waiting) > 0 {
		own, bare := r.waitingKB(sfproxy.name), r.waitingKB(reference)
		fmt.Fprintf(w, "\n**%d requests that wait %v**: %.0f KB in use for each at sfproxy, %.0f KB at the bare ReverseProxy; at the highest, garbage included, %.0f KB and %.0f KB resident.\n",
			waitingRequests, waitingLatency, own.inUse, bare.inUse, own.peak, bare.peak)
	}
}

func micros(durations []time.Duration) string {
	var all []string
	for _, d := range durations {
		all = append(all, shortly(d))
	}
	return cmp.Or(strings.Join(all, ", "), "none")
}

// shortly writes a duration in milliseconds.
func shortly(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
