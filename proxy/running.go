package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// running counts requests that run at a time. The zero value is ready; safe for
// concurrent use.
type running struct {
	count  atomic.Int64
	notice Notice // that requests are refused
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

// Notice spares the log: of events that come in storms it has one told in a
// minute. The zero value is ready; safe for concurrent use.
type Notice struct {
	mu     sync.Mutex
	told   time.Time // guarded by mu
	untold int       // guarded by mu
}

// Due counts an event and reports whether it is one to tell of. If so, events is
// how many there were since the last that was told, this one included.
func (n *Notice) Due() (events int, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.untold++
	if !n.told.IsZero() && time.Since(n.told) < time.Minute {
		return 0, false
	}
	events, n.told, n.untold = n.untold, time.Now(), 0
	return events, true
}
