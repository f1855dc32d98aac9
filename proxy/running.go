package proxy

import "sync/atomic"

// running counts requests that run at a time. The zero value is ready; safe for
// concurrent use.
type running struct {
	count atomic.Int64
	// That requests are refused: since as many run, for the reserve, and for want of
	// a place in the queue.
	crowded, reserved, unplaced Notice
}

// enter counts one more, unless as many as limit run already; 0 is no limit. A
// request that has entered has to leave.
func (r *running) enter(limit int) bool {
	for {
		n := r.count.Load()
		if limit > 0 && n >= int64(limit) {
			return false // without a write, so that a storm of refusals costs the others nothing
		}
		if r.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (r *running) leave() { r.count.Add(-1) }
