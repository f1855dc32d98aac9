package telemetry

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus" // metrics in the form that every monitoring reads
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sfproxy/sfproxy/auth"
)

// KeyResult is what has become of a new key.
type KeyResult string

// What may become of a key.
const (
	KeyAccepted   KeyResult = "accepted"   // the org took it, and it is in use
	KeyRefused    KeyResult = "refused"    // the org did not take it
	KeyUnreadable KeyResult = "unreadable" // the file holds no key that can be used
)

// ReloadResult is what has become of files that were read again.
type ReloadResult string

// What may become of a reload.
const (
	ReloadApplied   ReloadResult = "applied"   // something has changed and is in use
	ReloadUnchanged ReloadResult = "unchanged" // nothing that matters has changed
	ReloadRefused   ReloadResult = "refused"   // something is wrong and not used
)

// Metrics are the numbers that an operator's monitoring reads. All labels have
// few values, none of which a client can make up. Safe for concurrent use.
type Metrics struct {
	registry    *prometheus.Registry
	traffic     *traffic
	connections *connections
	grantTime   prometheus.Histogram
	keyChanges  *prometheus.CounterVec
	reloads     *prometheus.CounterVec
	pending     prometheus.Gauge
	certificate *prometheus.GaugeVec // without labels: it is there or not
	raised      *prometheus.CounterVec
	grants      *prometheus.CounterVec
	denials     *prometheus.CounterVec
	limited     *prometheus.CounterVec
	auditLost   prometheus.Counter
}

// NewMetrics returns Metrics of a program of that version, all at zero.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		keyChanges: counter("key_changes_total", "New private keys: taken by the org (accepted), not taken (refused), "+
			"or not usable, which counts at start as well (unreadable).", "result"),
		reloads: counter("config_reloads_total", "Times that the files of keys and credentials were read again: "+
			"something new is in use (applied), nothing is new (unchanged), or something is wrong and not used (refused).", "result"),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "key_pending",
			Help: "1 while a new private key waits for the org to take it and another one is in use, else 0."}),
		certificate: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "certificate_expiry_timestamp_seconds",
			Help: "When the certificate of the private key expires, in seconds since 1970; absent where no certificate is known."}, nil),
		raised: counter("api_version_raised_requests_total", "Requests that went to SF_MIN_API_VERSION "+
			"because they were for a lower API version.", "client"),
		grants: counter("grants_total", "Requests for an access token at the login host: answered with one (granted), "+
			"refused for good (refused), or failed in a way that may pass (failed).", "result", "subject"),
	}
	m.traffic = newTraffic(m.registry)
	m.connections = newConnections(m.registry)
	m.grantTime = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "grant_duration_seconds",
		Help: "Time that requests for an access token took, whatever came of them.", Buckets: grantBuckets})
	m.denials = counter("denials_total", "Requests that the proxy refused, by the rule and the client, which is empty where it is not known.", "client", "rule")
	m.limited = counter("limited_total", "Connections and requests that were refused or cut because they went over a limit, by the limit.", "limit")
	m.auditLost = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "audit_lines_lost_total",
		Help: "Audit lines that could not be written to LOG_AUDIT_FILE."})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info",
		Help: "Always 1; the label is the version of the program."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	for _, r := range []KeyResult{KeyAccepted, KeyRefused, KeyUnreadable} {
		m.keyChanges.WithLabelValues(string(r)) // so that a rate knows of the first one
	}
	for _, r := range []ReloadResult{ReloadApplied, ReloadUnchanged, ReloadRefused} {
		m.reloads.WithLabelValues(string(r))
	}
	for _, limit := range []string{"connections", "connections_per_address", "requests", "requests_per_client", "uri", "headers", "body_rate"} {
		m.limited.WithLabelValues(limit)
	}
	m.registry.MustRegister(build, m.keyChanges, m.reloads, m.pending, m.certificate, m.raised, m.grants, m.grantTime, m.denials, m.limited, m.auditLost,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

const namespace = "sfproxy"

// grantBuckets are seconds; one exchange may take 15.
var grantBuckets = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// gauge returns a gauge whose value is asked for at each reading.
func gauge[Number int | int64](name, help string, value func() Number) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, func() float64 { return float64(value()) })
}

// Handler serves the metrics in the text form of Prometheus or in OpenMetrics,
// as the request asks.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Gatherer returns where all metrics are to be had.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// KeyChanged counts a new key.
func (m *Metrics) KeyChanged(r KeyResult) { m.keyChanges.WithLabelValues(string(r)).Inc() }

// Reloaded counts a reload.
func (m *Metrics) Reloaded(r ReloadResult) { m.reloads.WithLabelValues(string(r)).Inc() }

// KeyPending says whether a new key waits for the org to take it.
func (m *Metrics) KeyPending(waits bool) {
	value := 0.0 // and set once, since it may be read at any time
	if waits {
		value = 1
	}
	m.pending.Set(value)
}

// CertificateExpires says when the certificate does; the zero time stands for
// no certificate.
func (m *Metrics) CertificateExpires(at time.Time) {
	if at.IsZero() {
		m.certificate.Reset()
		return
	}
	m.certificate.WithLabelValues().Set(float64(at.Unix()))
}

// FollowListenerCertificate shows when the certificate of the proxy's listener
// expires, which is asked for at each reading. To be called once.
func (m *Metrics) FollowListenerCertificate(expiry func() time.Time) {
	m.registry.MustRegister(gauge("listener_certificate_expiry_timestamp_seconds", "When the certificate in PROXY_TLS_CERT_FILE expires, "+
		"in seconds since 1970; absent where the listener has none.", func() int64 { return expiry().Unix() }))
}

// APIVersionRaised counts a request of a client, by its configured name.
func (m *Metrics) APIVersionRaised(client string) { m.raised.WithLabelValues(client).Inc() }

// Denied counts a request that was refused. client is its configured name, ""
// where it is not known. There are few rules.
func (m *Metrics) Denied(client, rule string) { m.denials.WithLabelValues(client, rule).Inc() }

// Limited counts a connection or a request that went over a limit. There are few
// limits; docs/limits.md names them.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// AuditLost counts an audit line that could not be written.
func (m *Metrics) AuditLost() { m.auditLost.Inc() }

// CountGrants returns grant with its results counted.
func (m *Metrics) CountGrants(subjects *Subjects, grant auth.GrantFunc) auth.GrantFunc {
	for _, subject := range subjects.list {
		for _, result := range []string{"granted", "refused", "failed"} {
			m.grants.WithLabelValues(result, subjects.name(subject))
		}
	}
	return func(ctx context.Context, subject string) (*auth.Token, error) {
		began := time.Now()
		token, err := grant(ctx, subject)
		m.grantTime.Observe(time.Since(began).Seconds())
		result := "failed"
		switch {
		case err == nil:
			result = "granted"
		case auth.IsPermanent(err):
			result = "refused"
		}
		m.grants.WithLabelValues(result, subjects.name(subject)).Inc()
		return token, err
	}
}
