package auth_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// told is what callers were told of the flights that they waited for.
type told chan string

// caller returns the context of a caller of that name.
func (c told) caller(ctx context.Context, name string) context.Context {
	return auth.OnWait(context.WithValue(ctx, nameKey{}, name), func(f *auth.Flight) {
		noted, _ := f.Noted().(string)
		c <- name + " waited for " + noted
	})
}

// sorted returns what n callers were told.
func (c told) sorted(n int) []string {
	var all []string
	for range n {
		all = append(all, <-c)
	}
	slices.Sort(all)
	return all
}

type nameKey struct{}

// noteCaller has a grant note the name of the caller that began its flight.
func noteCaller(ctx context.Context) {
	flight := auth.FlightOf(ctx)
	name, _ := ctx.Value(nameKey{}).(string)
	if flight.Unattended() {
		name += "'s renewal"
	} else {
		name += "'s flight"
	}
	flight.Note(name)
}

func TestFlightIsToldToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{answer: func(ctx context.Context, n int) error {
			noteCaller(ctx)
			return held(release)(ctx, n)
		}}
		m := newManager(t, f)
		callers := make(told, 10)
		ctx, leave := context.WithCancel(t.Context())
		go m.Token(callers.caller(ctx, "first"), ada)
		synctest.Wait()
		go m.Token(callers.caller(t.Context(), "second"), ada)
		go m.Token(t.Context(), ada) // who did not ask
		synctest.Wait()
		leave()
		if got := <-callers; got != "first waited for first's flight" {
			t.Errorf("who left was told %q", got)
		}
		close(release)
		if got := <-callers; got != "second waited for first's flight" {
			t.Errorf("who waited was told %q", got)
		}
		if _, err := m.Token(callers.caller(t.Context(), "late"), ada); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(callers) > 0 {
			t.Errorf("who found a good token was told %q", <-callers)
		}
		wantGrants(t, f, 1)
	})
}

// A renewal in the background has the values of who set it off, and tells those
// who come to wait for it.
func TestFlightKnowsThatNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{}
		f.answer = func(ctx context.Context, n int) error {
			noteCaller(ctx)
			if n == 1 {
				return nil
			}
			return held(release)(ctx, n)
		}
		m := newManager(t, f)
		callers := make(told, 10)
		token, err := m.Token(callers.caller(t.Context(), "first"), ada)
		if err != nil {
			t.Fatal(err)
		}
		advance(75 * time.Minute) // the token is due
		m.Token(callers.caller(t.Context(), "second"), ada)
		synctest.Wait()
		m.Reject(token)
		go m.Token(callers.caller(t.Context(), "third"), ada)
		synctest.Wait()
		close(release)
		want := []string{"first waited for first's flight", "third waited for second's renewal"}
		if got := callers.sorted(2); !slices.Equal(got, want) {
			t.Errorf("callers were told %q, want %q", got, want)
		}
		synctest.Wait()
		if len(callers) > 0 {
			t.Errorf("who set off a renewal was told %q", <-callers)
		}
	})
}

// A grant has the values of its caller's context, and neither its end nor its
// deadline.
func TestFlightHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		f := &fakeOrg{answer: func(ctx context.Context, _ int) error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil
		}}
		m := newManager(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Token(ctx, ada); err != nil || left != flightTimeout {
			t.Errorf("Token = %v; its grant has %v, want %v", err, left, flightTimeout)
		}
	})
}
