package proxy

import (
	"sync"
	"time"
)

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
