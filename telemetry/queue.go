package telemetry

import "github.com/sfproxy/sfproxy/quota"

// FollowQueue shows how q stands. To be called once.
func (m *Metrics) FollowQueue(q *quota.Queue) {
	m.registry.MustRegister(
		gauge("queue_running_requests", "Requests that have a place among SF_MAX_CONCURRENT; absent where that is not set.", q.Running),
		gauge("queue_waiting_requests", "Requests that wait for one; absent where SF_MAX_CONCURRENT is not set.", q.Waiting))
}
