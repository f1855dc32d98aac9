package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/auth"
)

// FollowTokens adds metrics of tokens, which are asked for at each reading:
// outcome tells how a subject's token stands, live of how many subjects there
// are tokens. To be called once.
func (m *Metrics) FollowTokens(subjects *Subjects, outcome func(subject string) auth.Outcome, live func() int) {
	m.registry.MustRegister(&tokens{subjects, outcome, live})
}

// tokens collects how tokens stand.
type tokens struct {
	subjects *Subjects
	outcome  func(subject string) auth.Outcome
	live     func() int
}

var (
	tokenIssuedDesc = prometheus.NewDesc(namespace+"_token_issue_timestamp_seconds", "When the subject's token was granted, "+
		"in seconds since 1970; absent where there is none.", bySubject, nil)
	tokenExpiryDesc = prometheus.NewDesc(namespace+"_token_expiry_timestamp_seconds", "When the subject's token counts as expired, "+
		"in seconds since 1970; it is renewed before if it is used. Absent where there is none.", bySubject, nil)
	liveTokensDesc = prometheus.NewDesc(namespace+"_live_tokens", "Subjects that have a token that is good.", nil, nil)
	grantsLeftDesc = prometheus.NewDesc(namespace+"_grants_left", "Grants that the subject may have at once before it has to wait, "+
		"so that Salesforce does not lock the user out; it fills up by 3,000 an hour.", bySubject, nil)
	clientInfoDesc = prometheus.NewDesc(namespace+"_client_info", "Always 1, for each client; the label subject is that of the metrics "+
		"of the token that its requests are sent with.", []string{"client", "subject"}, nil)
	bySubject = []string{"subject"}
)

// Describe implements [prometheus.Collector].
func (t *tokens) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{tokenIssuedDesc, tokenExpiryDesc, liveTokensDesc, grantsLeftDesc, clientInfoDesc} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (t *tokens) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, subject := range t.subjects.list {
		o, name := t.outcome(subject), t.subjects.name(subject)
		if o.Token != nil {
			gauge(tokenIssuedDesc, float64(o.Token.IssuedAt.Unix()), name)
			gauge(tokenExpiryDesc, float64(o.Token.ExpiresAt.Unix()), name)
		}
		gauge(grantsLeftDesc, float64(o.GrantsLeft), name)
	}
	gauge(liveTokensDesc, float64(t.live()))
	for client, subject := range t.subjects.clients {
		gauge(clientInfoDesc, 1, client, t.subjects.name(subject))
	}
}
