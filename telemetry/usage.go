package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/quota"
)

// FollowUsage shows what Salesforce has told last of the org's API requests, and
// what is left of them to each client; reserves are the clients' by their names.
// Before it has, there is nothing to show. To be called once.
func (m *Metrics) FollowUsage(u *quota.Usage, reserves map[string]quota.Reserve) {
	m.registry.MustRegister(apiUsage{u, reserves})
}

// apiUsage is a usage as a collector.
type apiUsage struct {
	usage    *quota.Usage
	reserves map[string]quota.Reserve
}

var (
	usedDesc = prometheus.NewDesc(namespace+"_org_api_calls_used", "API calls of the org in the last 24 hours, "+
		"whoever made them, as Salesforce told last; absent until it has.", nil, nil)
	limitDesc = prometheus.NewDesc(namespace+"_org_api_calls_limit", "API calls that the org may have in 24 hours, "+
		"as Salesforce told last; absent until it has.", nil, nil)
	appUsedDesc = prometheus.NewDesc(namespace+"_app_api_calls_used", "API calls of the app that the proxy logs in as (SF_CLIENT_ID) in the last 24 hours, "+
		"as Salesforce told last; absent where the app has no limit of its own in the org.", nil, nil)
	appLimitDesc = prometheus.NewDesc(namespace+"_app_api_calls_limit", "API calls that the app may have in 24 hours, "+
		"as Salesforce told last; absent where it has no limit of its own in the org.", nil, nil)
	clientLeftDesc = prometheus.NewDesc(namespace+"_client_api_calls_left", "API calls that are left to the client: those left to the org, or to the app if that is fewer, "+
		"without what the client leaves to others (PROXY_API_RESERVE); absent until Salesforce has told.", []string{"client"}, nil)
)

// Describe implements [prometheus.Collector].
func (u apiUsage) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{usedDesc, limitDesc, appUsedDesc, appLimitDesc, clientLeftDesc} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (u apiUsage) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	if org := u.usage.Org(); org.Limit > 0 {
		gauge(usedDesc, org.Used)
		gauge(limitDesc, org.Limit)
	}
	if app := u.usage.App(); app.Limit > 0 {
		gauge(appUsedDesc, app.Used)
		gauge(appLimitDesc, app.Limit)
	}
	for client, reserve := range u.reserves {
		if left, known := u.usage.Left(reserve); known {
			gauge(clientLeftDesc, left, client)
		}
	}
}
