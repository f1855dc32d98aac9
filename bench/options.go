package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options are what the command line asks for.
type options struct {
	rounds      int
	peers       []*peer
	shapes      []*shape
	connections int
	duration    time.Duration // of a measurement
	warmUp      time.Duration // before it
	latency     time.Duration // of the upstream
	rate        int           // requests a second when latencies are measured; 0 for not
	rateRounds  int
	rateTime    time.Duration // of a measurement of latencies
	starts      int           // how often each peer is started
	scenarios   bool          // those of scenario.go
	build       bool          // peers that are not built yet
	http2       bool          // the upstream offers it
	profiles    string        // directory that profiles of sfproxy and bare are written to
	markdown    string        // file that the table is written to
}

func parseOptions(args []string) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "a first look, in under a minute: one short round, no scenarios")
	only := flags.String("only", "", "peers, with commas between them, besides "+reference+": "+names(peers, func(p *peer) string { return p.name }))
	chosen := flags.String("shapes", "", "shapes, with commas between them: "+names(shapes, func(s *shape) string { return s.name }))
	flags.IntVar(&o.rounds, "rounds", 5, "how often each peer is measured with each shape")
	flags.IntVar(&o.connections, "connections", 32, "of clients to a peer")
	flags.DurationVar(&o.duration, "duration", 1200*time.Millisecond, "of a measurement")
	flags.DurationVar(&o.latency, "latency", 0, "of the upstream, before each answer")
	flags.IntVar(&o.rate, "rate", 800, "requests a second when latencies are measured; 0 does without")
	flags.BoolVar(&o.http2, "http2", false, "the upstream offers HTTP/2, and "+sfproxyHTTP2.name+" and "+bareHTTP2.name+" are peers that speak it")
	flags.BoolVar(&o.scenarios, "scenarios", true, "renewal under load, requests that wait, the token manager")
	flags.StringVar(&o.profiles, "cpuprofile", "", "write profiles (.cpu, .allocs) of sfproxy and "+reference+" into this directory, a shape at a time, instead of measuring")
	flags.StringVar(&o.markdown, "markdown", "", "write the table to this file, too")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q (see -help)", flags.Arg(0))
	}
	o.warmUp, o.rateRounds, o.rateTime, o.starts, o.build = 300*time.Millisecond, 6, 1500*time.Millisecond, 5, true
	if *quick {
		o.rounds, o.duration, o.warmUp = 1, 300*time.Millisecond, 150*time.Millisecond
		o.rateRounds, o.rateTime, o.starts, o.scenarios, o.build = 1, time.Second, 1, false, false
	}
	var err error
	if o.peers, err = choosePeers(*only); err != nil {
		return nil, err
	}
	if o.profiles != "" {
		o.peers, o.starts = []*peer{sfproxy, bare}, 1
	}
	if o.http2 {
		o.peers = append(slices.Clip(o.peers), sfproxyHTTP2, bareHTTP2)
	}
	if o.shapes, err = chooseShapes(*chosen); err != nil {
		return nil, err
	}
	return o, o.validate()
}

func (o *options) validate() error {
	switch {
	case o.rounds < 1:
		return fmt.Errorf("-rounds %d: at least one", o.rounds)
	case o.connections < 1 || o.connections > 4000:
		return fmt.Errorf("-connections %d: 1 to 4000", o.connections)
	case o.rate < 0 || o.rate > 20_000:
		return fmt.Errorf("-rate %d: 0 to 20000", o.rate)
	case o.duration < 100*time.Millisecond:
		return fmt.Errorf("-duration %v: at least 100ms", o.duration)
	case o.profiles != "":
		return os.MkdirAll(o.profiles, 0o755)
	}
	return nil
}

// names returns the names of the elements, with commas between them.
func names[E any](list []E, name func(E) string) string {
	var all []string
	for _, e := range list {
		all = append(all, name(e))
	}
	return strings.Join(all, ",")
}

// chooseShapes returns those named, in that order; all for "".
func chooseShapes(list string) ([]*shape, error) {
	if list == "" {
		return shapes, nil
	}
	var chosen []*shape
	for name := range strings.SplitSeq(list, ",") {
		s, err := shapeNamed(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}
