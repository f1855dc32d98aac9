package devorg

import (
	"sync"
	"sync/atomic"
)

// Stats is what the org has seen since its start.
type Stats struct {
	GrantAttempts       int64 `json:"grant_attempts"`        // requests at the token endpoint
	Grants              int64 `json:"grants"`                // tokens issued
	RefusedGrants       int64 `json:"refused_grants"`        // refusals, including faults a test asked for
	MaxConcurrentGrants int64 `json:"max_concurrent_grants"` // most token requests in flight at once
	Requests            int64 `json:"requests"`              // requests on the instance host
	Unauthorized        int64 `json:"unauthorized"`          // requests refused for their token, in whatever dialect
	Leaks               int64 `json:"leaks"`                 // requests refused with DEVORG_LEAK
	Forbidden           int64 `json:"forbidden"`             // requests that no proxy should let through: revoke, frontdoor, the token endpoint of the instance, logout
	LiveTokens          int64 `json:"live_tokens"`           // tokens that are good now
	APIUsage            int64 `json:"api_usage"`             // API requests of the day
	MaxConcurrent       int64 `json:"max_concurrent"`        // most requests on the instance host at once
}

type counters struct {
	grantAttempts, grants, refusedGrants               atomic.Int64
	requests, apiUsage, unauthorized, leaks, forbidden atomic.Int64

	mu                        sync.Mutex // guards what follows
	grantsRunning, grantsPeak int64
	running, peak             int64 // requests on the instance host
}

// requestStarted counts a request on the instance host and returns what to call at its end.
func (c *counters) requestStarted() func() {
	c.requests.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	c.peak = max(c.peak, c.running)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}
}

// grantStarted counts a token request and returns what to call at its end.
func (c *counters) grantStarted() func() {
	c.grantAttempts.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grantsRunning++
	c.grantsPeak = max(c.grantsPeak, c.grantsRunning)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.grantsRunning--
	}
}

// Stats returns the counts so far.
func (o *Org) Stats() Stats {
	c := &o.stats
	c.mu.Lock()
	grantsPeak, peak := c.grantsPeak, c.peak
	c.mu.Unlock()
	return Stats{
		GrantAttempts:       c.grantAttempts.Load(),
		Grants:              c.grants.Load(),
		RefusedGrants:       c.refusedGrants.Load(),
		MaxConcurrentGrants: grantsPeak,
		Requests:            c.requests.Load(),
		Unauthorized:        c.unauthorized.Load(),
		Leaks:               c.leaks.Load(),
		Forbidden:           c.forbidden.Load(),
		LiveTokens:          int64(o.sessions.count(o.now())),
		APIUsage:            c.apiUsage.Load(),
		MaxConcurrent:       peak,
	}
}
