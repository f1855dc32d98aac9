package login

import (
	"fmt"
	"sync"
	"time"
)

// A guesser is slowed by its address, for a minute: no client is locked out for
// good, and none from elsewhere.
const (
	maxFailures   = 5 // in a failureWindow from one address
	failureWindow = time.Minute
	maxAddresses  = 10_000 // that are remembered at a time
)

// throttle counts failed logins by address. Safe for concurrent use.
type throttle struct {
	mu       sync.Mutex
	failures map[string][]time.Time // address → times of its last failures; guarded by mu
	pruned   time.Time              // when what is too old was last dropped; guarded by mu
}

func newThrottle() *throttle { return &throttle{failures: map[string][]time.Time{}} }

// wait returns how long an address has to wait for its next try; 0 for none.
func (t *throttle) wait(address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := t.recent(address)
	if len(recent) < maxFailures {
		return 0
	}
	return time.Until(recent[len(recent)-maxFailures].Add(failureWindow))
}

// failed notes a failed login.
func (t *throttle) failed(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); len(t.failures) >= maxAddresses && now.Sub(t.pruned) >= time.Second {
		t.pruned = now
		for other := range t.failures {
			if len(t.recent(other)) == 0 {
				delete(t.failures, other)
			}
		}
	}
	if len(t.failures) >= maxAddresses && t.failures[address] == nil {
		for other := range t.failures { // one gives way, whichever
			delete(t.failures, other)
			break
		}
	}
	t.failures[address] = append(t.recent(address), time.Now())
}

// recent returns the failures of an address that still count. mu is held.
func (t *throttle) recent(address string) []time.Time {
	times := t.failures[address]
	for len(times) > 0 && time.Since(times[0]) >= failureWindow {
		times = times[1:]
	}
	return times
}

// throttledError says that an address has to wait after failed logins.
type throttledError struct{ wait time.Duration }

func (e *throttledError) Error() string {
	return fmt.Sprintf("too many failed logins from this address; try again in %s", e.wait.Round(time.Second))
}
