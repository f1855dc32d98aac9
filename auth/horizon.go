package auth

import (
	"math"
	"sync/atomic"
	"time"
)

// horizonWindow is how long a horizon is believed. It bounds how late a step of
// the clock, or the time that a laptop slept, is noticed.
const horizonWindow = 100 * time.Millisecond

// noHorizon is later than any token is due.
const noHorizon = math.MaxInt64

// horizon is a time that the wall clock has not reached. What is fresh then is
// fresh now, so that a request need not read the clock, which costs more than
// all else that Token does. Safe for concurrent use.
//
// It is set from the clock when somebody asks and there is none, and a timer
// ends it, so that an idle manager does nothing. The timer's clock stands still
// while a laptop sleeps: after that, and after a step of the clock, the horizon
// is wrong for up to a window.
type horizon struct {
	at    atomic.Int64 // Unix nanoseconds, or noHorizon
	timer *time.Timer  // runs end; reset by whoever sets at
}

func newHorizon() *horizon {
	h := &horizon{}
	h.end()
	h.timer = time.AfterFunc(horizonWindow, h.end)
	return h
}

func (h *horizon) end() { h.at.Store(noHorizon) }

// set sets the horizon from now, Unix nanoseconds, unless there is one, and
// reports whether it did.
func (h *horizon) set(now int64) bool {
	if !h.at.CompareAndSwap(noHorizon, now+int64(horizonWindow)) {
		return false
	}
	h.timer.Reset(horizonWindow) // after the swap: no horizon is without a timer that ends it
	return true
}
