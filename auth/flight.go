package auth

import (
	"context"
	"sync/atomic"
)

// Flight is what a [Manager] does to get a token for all who wait for it: one
// grant, and more after passing faults. A [GrantFunc] finds in its context the one
// that it is called for, see [FlightOf], and a caller of [Manager.Token] may ask
// to be told of the one that it waited for, see [OnWait]. Safe for concurrent use.
type Flight struct {
	unattended bool
	noted      atomic.Pointer[any]

	// What came of it, set before it ends.
	token *Token
	err   error
	asked int64 // source.asked when it began
}

// Unattended reports whether nobody waited when it began: it renews a token that
// is still good. Others may wait for it all the same, should that be lost.
func (f *Flight) Unattended() bool { return f.unattended }

// Note leaves v to those who wait, in the place of what was noted before.
func (f *Flight) Note(v any) { f.noted.Store(&v) }

// Noted returns what was noted last, nil for nothing.
func (f *Flight) Noted() any {
	if v := f.noted.Load(); v != nil {
		return *v
	}
	return nil
}

type flightKey struct{}

// FlightOf returns the flight that ctx, the context of a [GrantFunc], is of; nil
// if it is of none.
func FlightOf(ctx context.Context) *Flight {
	f, _ := ctx.Value(flightKey{}).(*Flight)
	return f
}

type waitKey struct{}

// OnWait returns a copy of ctx with which [Manager.Token] calls told if it had to
// wait for a flight, before it returns, whoever began the flight and whether or
// not ctx ended first.
func OnWait(ctx context.Context, told func(*Flight)) context.Context {
	return context.WithValue(ctx, waitKey{}, told)
}

// waited tells the caller of f, which is nil if it has not begun yet.
func waited(ctx context.Context, f *Flight) {
	if told, ok := ctx.Value(waitKey{}).(func(*Flight)); ok && f != nil {
		told(f)
	}
}
