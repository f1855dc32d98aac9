package telemetry

import (
	"math"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/proxy"
)

// apiUsage is what Salesforce has told last of the org's API calls, as a
// collector: before it has, there is nothing to collect.
type apiUsage struct {
	// packed is the number used in the upper half and the limit in the lower one,
	// so that both are of the same answer. A limit of 0 says that none is known.
	packed atomic.Uint64
}

var (
	usedDesc = prometheus.NewDesc(namespace+"_org_api_calls_used", "API calls of the org in the last 24 hours, "+
		"whoever made them, as Salesforce told last; absent until it has.", nil, nil)
	limitDesc = prometheus.NewDesc(namespace+"_org_api_calls_limit", "API calls that the org may have in 24 hours, "+
		"as Salesforce told last; absent until it has.", nil, nil)
)

// set takes what an answer has told, which is the zero value if it has not.
func (u *apiUsage) set(told proxy.APIUsage) {
	if told.Limit > 0 {
		u.packed.Store(uint64(min(told.Used, math.MaxUint32))<<32 | uint64(min(told.Limit, math.MaxUint32)))
	}
}

// Describe implements [prometheus.Collector].
func (u *apiUsage) Describe(to chan<- *prometheus.Desc) { to <- usedDesc; to <- limitDesc }

// Collect implements [prometheus.Collector].
func (u *apiUsage) Collect(to chan<- prometheus.Metric) {
	packed := u.packed.Load()
	if packed == 0 {
		return
	}
	to <- prometheus.MustNewConstMetric(usedDesc, prometheus.GaugeValue, float64(packed>>32))
	to <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(packed&math.MaxUint32))
}
