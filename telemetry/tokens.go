package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/auth"
)

// FollowTokens adds metrics of tokens, which are asked for at each reading:
// outcome tells how the default subject's token stands, live of how many
// subjects there are tokens. To be called once.
func (m *Metrics) FollowTokens(outcome func() auth.Outcome, live func() int) {
	m.registry.MustRegister(&tokens{outcome, live})
}

// tokens collects how tokens stand.
type tokens struct {
	outcome func() auth.Outcome
	live    func() int
}

var (
	tokenIssuedDesc = prometheus.NewDesc(namespace+"_token_issue_timestamp_seconds", "When the default subject's token was granted, "+
		"in seconds since 1970; absent where there is none.", nil, nil)
	tokenExpiryDesc = prometheus.NewDesc(namespace+"_token_expiry_timestamp_seconds", "When the default subject's token counts as expired, "+
		"in seconds since 1970; it is renewed before if it is used. Absent where there is none.", nil, nil)
	liveTokensDesc = prometheus.NewDesc(namespace+"_live_tokens", "Subjects that have a token that is good.", nil, nil)
	grantsLeftDesc = prometheus.NewDesc(namespace+"_grants_left", "Grants that the default subject may have at once before it has to wait, "+
		"so that Salesforce does not lock the user out; it fills up by 3,000 an hour.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (t *tokens) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{tokenIssuedDesc, tokenExpiryDesc, liveTokensDesc, grantsLeftDesc} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (t *tokens) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	o := t.outcome()
	if o.Token != nil {
		gauge(tokenIssuedDesc, float64(o.Token.IssuedAt.Unix()))
		gauge(tokenExpiryDesc, float64(o.Token.ExpiresAt.Unix()))
	}
	gauge(liveTokensDesc, float64(t.live()))
	gauge(grantsLeftDesc, float64(o.GrantsLeft))
}
