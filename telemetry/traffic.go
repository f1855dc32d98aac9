package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/proxy"
)

// traffic are the metrics of requests. A request costs no look-up of labels:
// what counts it is looked up when it is first needed, and then kept.
type traffic struct {
	inFlight atomic.Int64

	requests  *prometheus.CounterVec
	received  *prometheus.CounterVec
	sent      *prometheus.CounterVec
	calls     *prometheus.CounterVec
	failures  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	upstream  *prometheus.HistogramVec
	sendDelay prometheus.Histogram
	tokenWait prometheus.Histogram
	refusals  [proxy.Refusals]prometheus.Counter // of the first there is none

	durations, upstreams [proxy.Families]atomic.Pointer[prometheus.Observer]
}

// answerBuckets are seconds: Salesforce answers within some hundredths of one at
// best, and may think for ten minutes.
var answerBuckets = []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

// waitBuckets are seconds: a good token is there at once, a grant takes some
// tenths, and nobody waits for longer than 30.
var waitBuckets = []float64{.0001, .001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// delayBuckets are seconds: the proxy's own work takes some ten-thousandths, and
// what else there is to wait for may take long.
var delayBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5, 30}

// newTraffic returns traffic whose metrics are in registry.
func newTraffic(registry *prometheus.Registry) *traffic {
	t := &traffic{
		requests: counter("requests_total", "Requests by client, family of APIs, class of the answer's status, and who answered or broke off. "+
			"The status is aborted where there was no whole answer.", "client", "family", "status", "source"),
		received: counter("request_body_bytes_total", "Bytes that were read of the bodies of requests.", "client"),
		sent:     counter("response_body_bytes_total", "Bytes that were sent of the bodies of answers.", "client"),
		calls: counter("api_calls_total", "Requests that Salesforce has answered and counts against the API limit of the org: "+
			"those whose answer tells of the limit, and all to SOAP and Bulk APIs.", "client"),
		failures: counter("failures_total", "Requests that got no answer from Salesforce, by the code that the proxy answered with, as in X-SFProxy-Error.", "code"),
		duration: histogram("request_duration_seconds", "Time from the head of a request to the end of its answer, "+
			"of requests that were forwarded or for which there was no token.", answerBuckets, "family"),
		upstream: histogram("upstream_duration_seconds", "Time from the sending of a request to Salesforce to the head of the answer, "+
			"the request's body included; of a replayed request, the second time.", answerBuckets, "family"),
		sendDelay: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "send_delay_seconds",
			Help: "Time from the head of a request to its sending to Salesforce: the proxy's own work, reading a body that is kept for a replay, " +
				"and waiting for a place among SF_MAX_CONCURRENT and for a token.", Buckets: delayBuckets}),
		tokenWait: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "token_wait_seconds",
			Help: "Time that a request waited for a token, next to nothing where there is a good one.", Buckets: waitBuckets}),
	}
	refusals := counter("token_refusals_total", "Requests whose token Salesforce refused: replayed with a new token that it took (cured) or refused again (repeated), "+
		"no new token or no answer to the replay (failed), the body too large to be replayed (too_large), "+
		"or passed on at once, since a new token was of no use before (passed).", "result")
	for r := proxy.NotRefused + 1; int(r) < proxy.Refusals; r++ {
		t.refusals[r] = refusals.WithLabelValues(r.String())
	}
	inFlight := gauge("requests_in_flight", "Requests that have come in and whose answer has not ended.", t.inFlight.Load)
	registry.MustRegister(t.requests, t.received, t.sent, t.calls, t.failures, t.duration, t.upstream, t.sendDelay, t.tokenWait, refusals, inFlight)
	return t
}

// histogram returns one with fixed buckets and no native ones beside them: those
// would make an observation cost half as much again, and a Prometheus that reads
// them drops the fixed ones, which the queries in deploy/ ask for.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// Arrived implements [proxy.Observer].
func (m *Metrics) Arrived() { m.traffic.inFlight.Add(1) }

// Client implements [proxy.Observer].
func (m *Metrics) Client(name string) proxy.ClientObserver {
	return &clientTraffic{
		all:      m.traffic,
		name:     name,
		received: m.traffic.received.WithLabelValues(name),
		sent:     m.traffic.sent.WithLabelValues(name),
		calls:    m.traffic.calls.WithLabelValues(name),
	}
}

// clientTraffic counts the requests of one client.
type clientTraffic struct {
	all                   *traffic
	name                  string
	received, sent, calls prometheus.Counter
	requests              [proxy.Families][proxy.Sources][statuses]atomic.Pointer[prometheus.Counter]
}

// Done implements [proxy.ClientObserver].
func (c *clientTraffic) Done(o *proxy.Observation) {
	c.countRequest(o)
	if o.Forwarded {
		c.countForwarded(o)
	}
	c.all.inFlight.Add(-1) // once the rest is counted
}

// countRequest counts what there is of every request.
func (c *clientTraffic) countRequest(o *proxy.Observation) {
	c.request(o.Family, o.Source, statusOf(o)).Inc()
	if o.Received > 0 {
		c.received.Add(float64(o.Received))
	}
	if o.Sent > 0 {
		c.sent.Add(float64(o.Sent))
	}
	if o.Failure != "" {
		c.all.failures.WithLabelValues(o.Failure).Inc()
	}
}

// countForwarded counts what there is only of those that were to be forwarded.
func (c *clientTraffic) countForwarded(o *proxy.Observation) {
	observer(&c.all.durations[o.Family], c.all.duration, o.Family).Observe(o.Duration.Seconds())
	c.all.tokenWait.Observe(o.TokenWait.Seconds())
	if o.SendDelay > 0 {
		c.all.sendDelay.Observe(o.SendDelay.Seconds())
	}
	if o.Upstream > 0 {
		observer(&c.all.upstreams[o.Family], c.all.upstream, o.Family).Observe(o.Upstream.Seconds())
	}
	if o.Refused != proxy.NotRefused {
		c.all.refusals[o.Refused].Inc()
	}
	if o.Counted {
		c.calls.Inc()
	}
}

// request returns the counter of a kind of request.
func (c *clientTraffic) request(f proxy.Family, s proxy.Source, st status) prometheus.Counter {
	kept := &c.requests[f][s][st]
	if known := kept.Load(); known != nil {
		return *known
	}
	found := c.all.requests.WithLabelValues(c.name, f.String(), st.String(), s.String())
	kept.Store(&found)
	return found
}

// observer returns the histogram of a family, from vec unless it is kept.
func observer(kept *atomic.Pointer[prometheus.Observer], vec *prometheus.HistogramVec, f proxy.Family) prometheus.Observer {
	if known := kept.Load(); known != nil {
		return *known
	}
	found := vec.WithLabelValues(f.String())
	kept.Store(&found)
	return found
}

// status is a class of statuses, or that an answer broke off.
type status uint8

const (
	aborted status = iota
	status2xx
	status3xx
	status4xx
	status5xx
	statuses
)

func (s status) String() string { return [...]string{"aborted", "2xx", "3xx", "4xx", "5xx"}[s] }

// statusOf returns the class of an answer. An answer without a status is one
// that net/http makes a 200 of.
func statusOf(o *proxy.Observation) status {
	switch {
	case !o.Whole:
		return aborted
	case o.Status >= 500:
		return status5xx
	case o.Status >= 400:
		return status4xx
	case o.Status >= 300:
		return status3xx
	}
	return status2xx
}
