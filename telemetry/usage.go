package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/quota"
)

// FollowUsage shows what Salesforce has told last of the org's API requests.
// Before it has, there is nothing to show.
func (m *Metrics) FollowUsage(u *quota.Usage) { m.registry.MustRegister(apiUsage{u}) }

// apiUsage is a usage as a collector.
type apiUsage struct{ usage *quota.Usage }

var (
	usedDesc = prometheus.NewDesc(namespace+"_org_api_calls_used", "API calls of the org in the last 24 hours, "+
		"whoever made them, as Salesforce told last; absent until it has.", nil, nil)
	limitDesc = prometheus.NewDesc(namespace+"_org_api_calls_limit", "API calls that the org may have in 24 hours, "+
		"as Salesforce told last; absent until it has.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (u apiUsage) Describe(to chan<- *prometheus.Desc) { to <- usedDesc; to <- limitDesc }

// Collect implements [prometheus.Collector].
func (u apiUsage) Collect(to chan<- prometheus.Metric) {
	now := u.usage.Org()
	if now.Limit == 0 {
		return
	}
	to <- prometheus.MustNewConstMetric(usedDesc, prometheus.GaugeValue, float64(now.Used))
	to <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(now.Limit))
}
