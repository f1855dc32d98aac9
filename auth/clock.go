package auth

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clockTolerance is the difference between our clock and Salesforce's below
// which assertions are left alone: Date has whole seconds and answers travel.
const clockTolerance = 30 * time.Second

// clock tells Salesforce's time: ours, corrected by the Date header of the
// token endpoint's answers. The zero value is ready; safe for concurrent use.
type clock struct {
	offset atomic.Int64 // nanoseconds to add to our clock; 0 within the tolerance
}

func (c *clock) now() time.Time { return time.Now().Add(c.correction()) }

// correction returns what now adds to our clock.
func (c *clock) correction() time.Duration { return time.Duration(c.offset.Load()) }

// learn corrects the clock by the Date of an answer to a request that was sent
// at sent, and reports the new offset and whether it changed by more than the
// tolerance. Date is trusted as far as the connection is: it comes over TLS.
func (c *clock) learn(h http.Header, sent time.Time) (offset time.Duration, changed bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	received := time.Now()
	offset = date.Sub(sent.Add(received.Sub(sent) / 2))
	if offset.Abs() < clockTolerance {
		offset = 0
	}
	before := time.Duration(c.offset.Swap(int64(offset)))
	return offset, (offset - before).Abs() >= clockTolerance
}
