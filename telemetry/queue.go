package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sfproxy/sfproxy/quota"
)

// FollowQueue shows how q stands; nil stands for none.
func (m *Metrics) FollowQueue(q *quota.Queue) {
	if q == nil {
		return
	}
	gauge := func(name, help string, value func() int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("queue_running_requests", "Requests that have a place among SF_MAX_CONCURRENT; absent where that is not set.", q.Running)
	gauge("queue_waiting_requests", "Requests that wait for one; absent where SF_MAX_CONCURRENT is not set.", q.Waiting)
}
