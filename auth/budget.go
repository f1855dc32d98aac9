package auth

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate" // a token bucket, kept by the Go team
)

// Every grant is a login, and Salesforce locks a user out after 3,600 in an
// hour. A subject has a burst and a rate that stay below it together.
const (
	grantBurst   = 60
	grantsPerSec = 3000.0 / 3600
)

// budget bounds the grants of one subject. Its flights run one at a time, so
// await and spend need not be one step.
type budget struct{ bucket *rate.Limiter }

func newBudget() budget { return budget{rate.NewLimiter(grantsPerSec, grantBurst)} }

// wait returns how long it is until a grant is allowed.
func (b budget) wait() time.Duration {
	missing := 1 - b.bucket.Tokens()
	if missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing / grantsPerSec * float64(time.Second)))
}

// left returns how many grants are allowed at once.
func (b budget) left() int { return max(0, int(b.bucket.Tokens())) }

// await returns once a grant is allowed, or a *BudgetError at once if that is
// later than ctx allows.
func (b budget) await(ctx context.Context, subject string) error {
	delay := b.wait()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		return &BudgetError{Subject: subject, RetryAfter: delay}
	}
	return sleep(ctx, delay)
}

// spend takes one grant off the budget, also where rounding left a little less
// than one in it.
func (b budget) spend() { b.bucket.Reserve() }

// sleep waits for d or for ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
