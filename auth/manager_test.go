package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"go.uber.org/goleak" // finds goroutines that outlive the tests
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ada   = "ada@example.com"
	grace = "grace@example.com"
	life  = 100 * time.Minute // of a fake token; due at the age of 75 minutes
)

var acme = &url.URL{Scheme: "https", Host: "acme.my.salesforce.com"}

// fakeOrg is a GrantFunc that answers at once with numbered tokens, unless
// answer says otherwise.
type fakeOrg struct {
	answer func(ctx context.Context, n int) error // n counts grants from 1; nil grants

	mu    sync.Mutex
	calls []time.Time
}

func (f *fakeOrg) grant(ctx context.Context, subject string) (*auth.Token, error) {
	f.mu.Lock()
	f.calls = append(f.calls, time.Now())
	n := len(f.calls)
	f.mu.Unlock()
	if f.answer != nil {
		if err := f.answer(ctx, n); err != nil {
			return nil, err
		}
	}
	value := fmt.Sprintf("%s-%d", subject, n)
	return auth.MakeToken(auth.Token{AccessToken: auth.NewAccessToken(value), InstanceURL: acme, Subject: subject}, time.Now(), life, 0), nil
}

func (f *fakeOrg) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// newManager returns a Manager over f that is closed before the bubble ends.
func newManager(t *testing.T, f *fakeOrg) *auth.Manager {
	t.Helper()
	m := auth.NewManager(f.grant, nil)
	t.Cleanup(m.Close)
	return m
}

// advance lets the bubble's clock run for d, and what is due then finish.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// take returns the value of subject's token.
func take(t *testing.T, m *auth.Manager, subject string) string {
	t.Helper()
	token, err := m.Token(t.Context(), subject)
	if err != nil {
		t.Fatalf("Token(%s) = %v, want a token", subject, err)
	}
	return token.AccessToken.Reveal()
}

func wantToken(t *testing.T, m *auth.Manager, subject, want string) {
	t.Helper()
	if got := take(t, m, subject); got != want {
		t.Errorf("Token(%s) = %s, want %s", subject, got, want)
	}
}

func wantGrants(t *testing.T, f *fakeOrg, want int) {
	t.Helper()
	if got := len(f.times()); got != want {
		t.Errorf("%d grants, want %d", got, want)
	}
}

func refusal() error {
	return &auth.GrantError{Code: "invalid_grant", Description: "user hasn't approved this consumer", Status: 400, Permanent: true, Hint: "approve"}
}

func fault(status int) error { return &auth.GrantError{Status: status} }

// held returns an answer that waits for release or the flight's end.
func held(release <-chan struct{}) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestManagerSharesOneGrantAmongWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{answer: held(release)}
		m := newManager(t, f)
		var got [100]*auth.Token
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i], _ = m.Token(t.Context(), ada) })
		}
		synctest.Wait()
		wantGrants(t, f, 1)
		close(release)
		wg.Wait()
		for i, token := range got {
			if token == nil || token != got[0] {
				t.Fatalf("waiter %d got %v, want the token of waiter 0, %v", i, token, got[0])
			}
		}
		wantGrants(t, f, 1)
	})
}

func TestManagerLetsOneWaiterLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{answer: held(release)}
		m := newManager(t, f)
		errs := make(chan error, 10)
		for range 9 {
			go func() { _, err := m.Token(t.Context(), ada); errs <- err }()
		}
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := m.Token(ctx, ada); left <- err }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), ada) {
			t.Errorf("the leaver got %v, want %v and the subject", err, context.Canceled)
		}
		close(release)
		for range 9 {
			if err := <-errs; err != nil {
				t.Errorf("a waiter got %v, want a token", err)
			}
		}
		wantGrants(t, f, 1)
	})
}

func TestManagerFlightOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{answer: held(release)}
		m := newManager(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Token(ctx, ada); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Token = %v, want %v", err, context.DeadlineExceeded)
		}
		close(release)
		synctest.Wait()
		wantToken(t, m, ada, ada+"-1")
		wantGrants(t, f, 1)
	})
}

func TestManagerNamesTheCauseOfALeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{answer: held(nil)}
		m := newManager(t, f)
		cause := errors.New("client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := m.Token(ctx, ada); !errors.Is(err, cause) {
			t.Errorf("Token = %v, want %v", err, cause)
		}
	})
}

func TestManagerFreshTokenCostsNoGrantAndNoAllocation(t *testing.T) {
	f := &fakeOrg{}
	m := newManager(t, f)
	ctx := t.Context()
	take(t, m, ada)
	subject := strings.Clone(ada) // not a constant, which would hide an allocation
	if got := testing.AllocsPerRun(1000, func() {
		if _, err := m.Token(ctx, subject); err != nil {
			t.Error(err)
		}
	}); got != 0 {
		t.Errorf("Token allocates %v times, want 0", got)
	}
	wantGrants(t, f, 1)
}

// A slow renewal must not gather a waiter for each request that passes by.
func TestManagerDueTokenCostsNoAllocationWhileItIsRenewed(t *testing.T) {
	grants, release := make(chan struct{}, 10), make(chan struct{})
	m := auth.NewManager(func(ctx context.Context, subject string) (*auth.Token, error) {
		grants <- struct{}{}
		if len(grants) > 1 {
			<-release
		}
		issued := time.Now().Add(-80 * time.Minute) // so it is due
		return auth.MakeToken(auth.Token{InstanceURL: acme, Subject: subject}, issued, life, 0), nil
	}, nil)
	defer m.Close()
	defer close(release)
	take(t, m, ada)
	take(t, m, ada) // starts the renewal
	ctx := t.Context()
	if got := testing.AllocsPerRun(1000, func() { m.Token(ctx, ada) }); got != 0 {
		t.Errorf("Token allocates %v times, want 0", got)
	}
}

func TestManagerRenewsADueTokenOnceInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{}
		f.answer = func(ctx context.Context, n int) error {
			if n == 1 {
				return nil
			}
			return held(release)(ctx, n)
		}
		m := newManager(t, f)
		take(t, m, ada)
		advance(75*time.Minute - time.Nanosecond)
		wantToken(t, m, ada, ada+"-1")
		synctest.Wait()
		wantGrants(t, f, 1)
		advance(time.Nanosecond)
		start := time.Now()
		for range 100 {
			wantToken(t, m, ada, ada+"-1")
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("a due token took %v, want it at once", took)
		}
		synctest.Wait()
		wantGrants(t, f, 2)
		advance(renewalPause + time.Second) // a renewal that takes long is not started twice
		wantToken(t, m, ada, ada+"-1")
		synctest.Wait()
		wantGrants(t, f, 2)
		close(release)
		synctest.Wait()
		wantToken(t, m, ada, ada+"-2")
		wantGrants(t, f, 2)
	})
}

// The pauses of the package, as its documentation has them.
const (
	renewalPause  = 10 * time.Second
	refusalMemory = 30 * time.Second
	flightTimeout = 30 * time.Second
)

func TestManagerLetsAnIdleTokenLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		take(t, m, ada)
		advance(24 * time.Hour)
		wantGrants(t, f, 1)
	})
}

func TestManagerWaitsForATokenWhenItsTokenHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		take(t, m, ada)
		advance(life)
		wantToken(t, m, ada, ada+"-2")
		wantGrants(t, f, 2)
	})
}

// A token in use is due and expires on time, however often it is asked for.
func TestManagerTokenInUseAgesOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{answer: func(_ context.Context, n int) error {
			if n > 1 {
				return refusal()
			}
			return nil
		}}
		m := newManager(t, f)
		start := time.Now()
		take(t, m, ada)
		for _, at := range []time.Duration{75 * time.Minute, life} {
			advance(at - time.Second - time.Since(start))
			for time.Since(start) < at {
				wantToken(t, m, ada, ada+"-1")
				advance(5 * time.Millisecond)
			}
			_, err := m.Token(t.Context(), ada)
			synctest.Wait()
			if (err != nil) != (at == life) {
				t.Errorf("Token at the age of %v = %v, want an error at %v", at, err, life)
			}
			if at == life {
				continue
			}
			if calls := f.times(); len(calls) != 2 || calls[1].Sub(start) != at {
				t.Errorf("grants at %v, want the second at %v", calls, start.Add(at))
			}
		}
	})
}

func TestManagerKeepsSubjectsApartThatAreInUseTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, &fakeOrg{})
		for range 50 {
			var wg sync.WaitGroup
			for _, subject := range []string{ada, grace, ada, "ida@example.com"} { // ada's is as long as ida's
				wg.Go(func() {
					if token, err := m.Token(t.Context(), subject); err != nil || token.Subject != subject {
						t.Errorf("Token(%s) = %v, %v, want a token of %s", subject, token, err, subject)
					}
				})
			}
			wg.Wait()
			advance(30 * time.Millisecond)
		}
	})
}

func TestManagerKeepsAGoodTokenWhenItsRenewalFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		pause time.Duration // from the end of the failed flight to the next
	}{
		{"passing", fault(503), renewalPause},
		{"permanent", refusal(), refusalMemory},
		{"other", errors.New("the key is gone"), renewalPause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeOrg{}
				failing := true
				f.answer = func(_ context.Context, n int) error {
					if n > 1 && failing {
						return tt.err
					}
					return nil
				}
				m := newManager(t, f)
				take(t, m, ada)
				advance(75 * time.Minute)
				wantToken(t, m, ada, ada+"-1")
				synctest.Wait()
				if tt.name == "passing" {
					advance(31 * time.Second) // its retries
				}
				made := len(f.times())
				if made < 2 {
					t.Fatalf("%d grants, want a renewal", made)
				}
				failing = false
				wait := tt.pause - time.Since(m.Outcome(ada).FailureAt)
				advance(wait - time.Millisecond)
				wantToken(t, m, ada, ada+"-1")
				synctest.Wait()
				wantGrants(t, f, made)
				advance(time.Millisecond)
				wantToken(t, m, ada, ada+"-1")
				synctest.Wait()
				wantGrants(t, f, made+1)
				wantToken(t, m, ada, fmt.Sprintf("%s-%d", ada, made+1))
			})
		})
	}
}

func TestManagerRemembersAPermanentRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{answer: func(context.Context, int) error { return refusal() }}
		m := newManager(t, f)
		for range 1000 {
			if _, err := m.Token(t.Context(), ada); !auth.IsPermanent(err) || auth.Hint(err) != "approve" {
				t.Fatalf("Token = %v, want the refusal", err)
			}
		}
		wantGrants(t, f, 1)
		advance(refusalMemory - time.Nanosecond)
		m.Token(t.Context(), ada)
		wantGrants(t, f, 1)
		advance(time.Nanosecond)
		f.answer = nil // a person has approved the user
		wantToken(t, m, ada, ada+"-2")
	})
}

func TestManagerRetriesPassingFaultsWithGrowingBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 { // the pauses are random
			f := &fakeOrg{answer: func(_ context.Context, n int) error {
				if n <= 8 {
					return fault(503)
				}
				return nil
			}}
			m := newManager(t, f)
			wantToken(t, m, ada, ada+"-9")
			calls, backoff := f.times(), 100*time.Millisecond
			for i := range len(calls) - 1 {
				gap := calls[i+1].Sub(calls[i])
				if gap < backoff/2 || gap > backoff {
					t.Errorf("pause %d is %v, want %v to %v", i+1, gap, backoff/2, backoff)
				}
				backoff = min(2*backoff, 5*time.Second)
			}
		}
	})
}

func TestManagerPausesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for range 10 {
			f := &fakeOrg{answer: func(_ context.Context, n int) error {
				if n == 1 {
					return fault(503)
				}
				return nil
			}}
			take(t, newManager(t, f), ada)
			seen[f.times()[1].Sub(f.times()[0])] = true
		}
		if len(seen) < 5 {
			t.Errorf("ten first pauses had %d values, want them spread", len(seen))
		}
	})
}

func TestManagerFlightEndsWithItsDeadline(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(context.Context, int) error
		atEnd  bool // it uses all of its time, rather than stop where a pause would pass its end
	}{
		{"faults", func(context.Context, int) error { return fault(503) }, false},
		{"hang", func(ctx context.Context, _ int) error { <-ctx.Done(); return fault(0) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeOrg{answer: tt.answer}
				m := newManager(t, f)
				start := time.Now()
				_, err := m.Token(t.Context(), ada)
				if _, ok := errors.AsType[*auth.GrantError](err); !ok || auth.IsPermanent(err) {
					t.Errorf("Token = %v, want the passing fault", err)
				}
				took := time.Since(start)
				if took > flightTimeout || took < flightTimeout-5*time.Second || tt.atEnd != (took == flightTimeout) {
					t.Errorf("the flight took %v, want up to %v", took, flightTimeout)
				}
				f.answer = nil // passing faults are not remembered
				take(t, m, ada)
			})
		})
	}
}

func TestManagerDoesNotRetryOtherErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("signing the assertion: the key is gone")
		f := &fakeOrg{answer: func(context.Context, int) error { return broken }}
		m := newManager(t, f)
		if _, err := m.Token(t.Context(), ada); !errors.Is(err, broken) {
			t.Errorf("Token = %v, want %v", err, broken)
		}
		wantGrants(t, f, 1)
	})
}

func TestManagerKeepsToTheBudgetWhateverIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		start := time.Now()
		for time.Since(start) < 3*time.Hour {
			token, err := m.Token(t.Context(), ada)
			if err != nil {
				t.Fatal(err)
			}
			m.Reject(token)
		}
		calls := f.times()
		for i, at := range calls[:60] {
			if got := at.Sub(start); got != 0 {
				t.Fatalf("grant %d after %v, want the first 60 at once", i+1, got)
			}
		}
		for i := 60; i < len(calls); i++ {
			if gap := calls[i].Sub(calls[i-1]); gap < 1199*time.Millisecond || gap > 1201*time.Millisecond {
				t.Fatalf("grant %d came %v after the one before, want 1.2s", i+1, gap)
			}
		}
		first, most := 0, 0
		for i, at := range calls {
			for at.Sub(calls[first]) >= time.Hour {
				first++
			}
			most = max(most, i-first+1)
		}
		if most > 3600 || most < 3000 {
			t.Errorf("%d grants in the worst hour, want 3000 to 3600", most)
		}
	})
}

func TestManagerBudgetRefillsWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		burst := func() time.Duration {
			start := time.Now()
			for range 60 {
				token, _ := m.Token(t.Context(), ada)
				m.Reject(token)
			}
			return time.Since(start)
		}
		if got := burst(); got != 0 {
			t.Errorf("the first 60 grants took %v, want none of it", got)
		}
		advance(72 * time.Second) // 60 × 1.2 s
		if got := burst(); got > time.Millisecond {
			t.Errorf("60 grants after a rest took %v, want none of it", got)
		}
	})
}

func TestManagerBudgetCountsLoginsOnly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		counts bool
	}{
		{"answered 503", fault(503), false},
		{"answered 500", fault(500), false},
		{"no answer", fault(0), true},
		{"no connection", errors.Join(fault(0), &net.OpError{Op: "dial", Err: errors.New("refused")}), false},
		{"no way through the company proxy", errors.Join(fault(0), &net.OpError{Op: "proxyconnect", Err: errors.New("refused")}), false},
		{"answered 429", fault(429), true},
		{"passing refusal", &auth.GrantError{Code: "unknown_error", Status: 400}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Each token costs one failed grant and one good one.
				f := &fakeOrg{answer: func(_ context.Context, n int) error {
					if n%2 == 1 {
						return tt.err
					}
					return nil
				}}
				m := newManager(t, f)
				start := time.Now()
				for range 55 {
					token, err := m.Token(t.Context(), ada)
					if err != nil {
						t.Fatal(err)
					}
					m.Reject(token)
				}
				// 55 pauses of up to 100 ms; counting all 110 would add 50 × 1.2 s.
				if took := time.Since(start); (took > 6*time.Second) != tt.counts {
					t.Errorf("55 tokens took %v; the faults count: want %v", took, tt.counts)
				}
			})
		})
	}
}

func TestManagerRejectDropsOnlyTheTokenItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		first, _ := m.Token(t.Context(), ada)
		if !m.Reject(first) {
			t.Error("Reject(current) = false, want true")
		}
		second, _ := m.Token(t.Context(), ada)
		if m.Reject(first) {
			t.Error("Reject(old) = true, want false")
		}
		if got, _ := m.Token(t.Context(), ada); got != second {
			t.Errorf("Token after a late Reject = %v, want the newer token", got)
		}
		wantGrants(t, f, 2)
	})
}

func TestManagerRejectsOfOneTokenCauseOneGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		first, _ := m.Token(t.Context(), ada)
		var dropped atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if m.Reject(first) {
					dropped.Add(1)
				}
				if token, err := m.Token(t.Context(), ada); err != nil || token == first {
					t.Errorf("Token after Reject = %v, %v, want a newer token", token, err)
				}
			})
		}
		wg.Wait()
		if got := dropped.Load(); got != 1 {
			t.Errorf("%d Rejects dropped the token, want 1", got)
		}
		wantGrants(t, f, 2)
	})
}

func TestManagerTurnsAPanicIntoAnError(t *testing.T) {
	const planted = "hunter2-planted-secret"
	synctest.Test(t, func(t *testing.T) {
		for _, value := range []any{planted, errors.New(planted), struct{ s string }{planted}, []byte(planted)} {
			f := &fakeOrg{answer: func(_ context.Context, n int) error {
				if n == 1 {
					panic(value)
				}
				return nil
			}}
			var log bytes.Buffer
			m := auth.NewManager(f.grant, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			_, err := m.Token(t.Context(), ada)
			if err == nil || !strings.Contains(err.Error(), "panic") || auth.IsPermanent(err) {
				t.Errorf("Token = %v, want an error that tells of a panic", err)
			}
			wantToken(t, m, ada, ada+"-2")
			m.Close()
			if !strings.Contains(log.String(), "panic in a grant") {
				t.Errorf("log = %q, want the panic in it", log.String())
			}
			for _, text := range []string{log.String(), fmt.Sprintf("%v %+v %#v", err, err, err), fmt.Sprint(m.Outcome(ada))} {
				if strings.Contains(text, planted) {
					t.Errorf("the panic's value %T is in %q, want it nowhere", value, text)
				}
			}
		}
	})
}

func TestManagerSurvivesAGrantWithoutResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := auth.NewManager(func(context.Context, string) (*auth.Token, error) { return nil, nil }, nil)
		defer m.Close()
		if token, err := m.Token(t.Context(), ada); err == nil {
			t.Errorf("Token = %v, want an error", token)
		}
	})
}

func TestManagerCloseEndsFlightsAndWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		m := auth.NewManager(func(ctx context.Context, _ string) (*auth.Token, error) {
			<-ctx.Done()
			<-time.After(time.Second) // a connection takes its time to close
			ended = true
			return nil, ctx.Err()
		}, nil)
		failed := make(chan error, 1)
		go func() { _, err := m.Token(t.Context(), ada); failed <- err }()
		synctest.Wait()
		m.Close()
		if !ended {
			t.Error("Close returned before the flight ended")
		}
		if err := <-failed; !errors.Is(err, auth.ErrClosed) {
			t.Errorf("the waiter got %v, want %v", err, auth.ErrClosed)
		}
		m.Close() // once more does nothing
	})
}

func TestManagerAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		take(t, m, ada)
		m.Close()
		wantToken(t, m, ada, ada+"-1")
		if _, err := m.Token(t.Context(), grace); !errors.Is(err, auth.ErrClosed) {
			t.Errorf("Token without a token = %v, want %v", err, auth.ErrClosed)
		}
		advance(80 * time.Minute) // due
		wantToken(t, m, ada, ada+"-1")
		advance(30 * time.Minute) // expired
		if _, err := m.Token(t.Context(), ada); !errors.Is(err, auth.ErrClosed) {
			t.Errorf("Token of an expired token = %v, want %v", err, auth.ErrClosed)
		}
		wantGrants(t, f, 1)
	})
}

func TestManagerCloseEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{answer: func(context.Context, int) error { return fault(503) }}
		m := newManager(t, f)
		failed := make(chan error, 1)
		go func() { _, err := m.Token(t.Context(), ada); failed <- err }()
		advance(10 * time.Second)
		start := time.Now()
		m.Close()
		if err := <-failed; !errors.Is(err, auth.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("the waiter got %v after %v, want %v at once", err, time.Since(start), auth.ErrClosed)
		}
	})
}

func TestManagerKeepsSubjectsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := auth.NewManager(func(ctx context.Context, subject string) (*auth.Token, error) {
			if subject == ada {
				if err := held(release)(ctx, 0); err != nil {
					return nil, err
				}
				return nil, refusal()
			}
			return (&fakeOrg{}).grant(ctx, subject)
		}, nil)
		defer m.Close()
		refused := make(chan error, 1)
		go func() { _, err := m.Token(t.Context(), ada); refused <- err }()
		synctest.Wait()
		wantToken(t, m, grace, grace+"-1") // while ada's flight is held
		close(release)
		if err := <-refused; !auth.IsPermanent(err) {
			t.Errorf("Token(%s) = %v, want the refusal", ada, err)
		}
		wantToken(t, m, grace, grace+"-1")
		if got := m.Outcome(grace); got.Failure != nil || got.Grants != 1 || got.Token == nil {
			t.Errorf("Outcome(%s) = %+v, want one grant and no failure", grace, got)
		}
	})
}

func TestManagerRejectKeepsSubjectsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		m := newManager(t, f)
		take(t, m, grace)
		for range 200 { // also spends ada's budget and not grace's
			token, _ := m.Token(t.Context(), ada)
			m.Reject(token)
		}
		wantToken(t, m, grace, grace+"-1")
		start := time.Now()
		token, _ := m.Token(t.Context(), grace)
		m.Reject(token)
		take(t, m, grace)
		if took := time.Since(start); took != 0 {
			t.Errorf("grace waited %v for ada's budget, want no wait", took)
		}
	})
}

func TestManagerOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{answer: func(context.Context, int) error { return refusal() }}
		m := newManager(t, f)
		if got, want := m.Outcome(ada), (auth.Outcome{GrantsLeft: 60}); got != want {
			t.Errorf("Outcome before any grant = %+v, want %+v", got, want)
		}
		m.Token(t.Context(), ada)
		failedAt := time.Now()
		if got := m.Outcome(ada); !auth.IsPermanent(got.Failure) || !got.FailureAt.Equal(failedAt) || got.Token != nil || got.Grants != 0 || got.GrantsLeft != 59 {
			t.Errorf("Outcome after a refusal = %+v, want the refusal at %v and 59 grants left", got, failedAt)
		}
		advance(refusalMemory)
		f.answer = nil
		token, _ := m.Token(t.Context(), ada)
		if got := m.Outcome(ada); got.Token != token || got.Grants != 1 {
			t.Errorf("Outcome after a grant = %+v, want the token and one grant", got)
		}
		take(t, m, grace)
		if live := m.Live(); live != 2 {
			t.Errorf("%d subjects have a good token, want 2", live)
		}
		advance(life)
		if got := m.Outcome(ada); got.Token != nil {
			t.Errorf("Outcome.Token after its expiry = %v, want none", got.Token)
		}
		if live := m.Live(); live != 0 {
			t.Errorf("%d subjects have a good token after all have expired, want none", live)
		}
	})
}

func TestManagerLogsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{}
		var log bytes.Buffer
		m := auth.NewManager(f.grant, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		value := take(t, m, ada)
		f.answer = func(context.Context, int) error { return refusal() }
		advance(life)
		m.Token(t.Context(), ada)
		m.Close()
		for _, want := range []string{`"token granted"`, `"no token granted"`, `"level":"ERROR"`, `"hint":"approve"`, `"subject":"` + ada} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log = %s, want %s in it", log.String(), want)
			}
		}
		if strings.Contains(log.String(), value) {
			t.Errorf("log = %s, want no access token in it", log.String())
		}
	})
}

func BenchmarkManagerFreshToken(b *testing.B) {
	m := auth.NewManager((&fakeOrg{}).grant, nil)
	defer m.Close()
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.Token(ctx, ada); err != nil {
				b.Error(err)
			}
		}
	})
}

// The subjects take turns, so that most are not the one that is found first.
func BenchmarkManagerFreshTokenOfManySubjects(b *testing.B) {
	m := auth.NewManager((&fakeOrg{}).grant, nil)
	defer m.Close()
	ctx := b.Context()
	subjects := make([]string, 1000)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("user-%d@example.com", i)
		m.Token(ctx, subjects[i])
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := m.Token(ctx, subjects[i%len(subjects)]); err != nil {
				b.Error(err)
			}
		}
	})
}
