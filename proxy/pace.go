package proxy

import (
	"sync"
	"time"
)

// paceChecks is how many times in an allowance a pace is looked at.
const paceChecks = 8

// pace is how a client keeps up in one direction. It has an allowance of time:
// waiting for it uses that up, and each byte that it moves gives 1/rate seconds
// back. What the proxy waits for elsewhere, an answer of Salesforce above all,
// uses up nothing.
//
// It is looked at by a timer, and only while there are waits: begin and end are
// on the way of every body and do as little as they can.
type pace struct {
	rate      int64 // bytes a second
	allowance time.Duration
	moved     func() int64 // bytes that the client has moved; never fewer than before
	cut       func()       // ends the wait under way; called once, with mu held

	mu      sync.Mutex
	since   time.Time     // of the wait under way; zero for none
	waited  time.Duration // before that, and not yet judged
	left    time.Duration // of the allowance
	judged  int64         // bytes that have given theirs back
	slow    bool          // was cut
	over    bool          // is not to be cut any more
	watched bool          // the timer runs
	timer   *time.Timer   // nil before the first wait
}

// begin says that the proxy waits for the client from now on. There is one wait
// at a time.
func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
	switch {
	case p.watched:
		return
	case p.timer == nil:
		p.timer = time.AfterFunc(p.allowance/paceChecks, p.check)
	default:
		p.timer.Reset(p.allowance / paceChecks)
	}
	p.watched = true
}

// end says that the wait is over, and reports whether it was cut.
func (p *pace) end() (slow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waited += time.Since(p.since)
	p.since = time.Time{}
	return p.slow
}

// restart gives the client a full allowance.
func (p *pace) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.waited, p.judged, p.slow = p.allowance, 0, p.moved(), false
}

// stop has the pace cut nothing from now on.
func (p *pace) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// isSlow reports whether the pace has cut a wait.
func (p *pace) isSlow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slow
}

// check judges what was waited since the last time, and looks again if that was
// anything.
func (p *pace) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	waits := !p.since.IsZero()
	if p.over || p.slow || !waits && p.waited == 0 {
		p.watched = false
		return
	}
	p.judge(waits)
	if p.left <= 0 && waits {
		p.slow, p.watched = true, false
		p.cut()
		return
	}
	p.timer.Reset(min(p.allowance/paceChecks, max(p.left, time.Millisecond)))
}

// judge settles what was waited and moved since the last time. p.mu is held.
func (p *pace) judge(waits bool) {
	if waits {
		now := time.Now()
		p.waited += now.Sub(p.since)
		p.since = now
	}
	moved := p.moved()
	back := p.allowance
	if seconds := float64(moved-p.judged) / float64(p.rate); seconds < p.allowance.Seconds() {
		back = time.Duration(seconds * float64(time.Second))
	}
	// A check that comes late, on a busy machine, is not the client's fault: what
	// it moved counts in full.
	p.left = min(max(p.left-p.waited, 0)+back, p.allowance)
	p.waited, p.judged = 0, moved
}
