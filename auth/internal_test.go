package auth

import (
	"context"
	"crypto"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// MakeToken lets the external tests make a token the way Org.Grant does.
var MakeToken = newToken

func TestNewTokenPlacesTheRenewal(t *testing.T) {
	for _, tt := range []struct {
		name     string
		ttl      time.Duration
		spread   float64
		from, to time.Duration
	}{
		{"earliest", 100 * time.Minute, 0.999999, 65 * time.Minute, 65*time.Minute + time.Second},
		{"latest", 100 * time.Minute, 0, 75 * time.Minute, 75 * time.Minute},
		{"middle", 100 * time.Minute, 0.5, 70*time.Minute - time.Millisecond, 70*time.Minute + time.Millisecond},
		{"short life", time.Second, 0, 750 * time.Millisecond, 750 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			token := newToken(Token{}, now, tt.ttl, tt.spread)
			if got := time.Duration(token.dueAt - now.UnixNano()); got < tt.from || got > tt.to {
				t.Errorf("newToken(%v, %v) is due after %v, want %v to %v", tt.ttl, tt.spread, got, tt.from, tt.to)
			}
			if got := token.ExpiresAt.Sub(token.IssuedAt); got != tt.ttl {
				t.Errorf("newToken(%v, %v) lives %v, want %v", tt.ttl, tt.spread, got, tt.ttl)
			}
		})
	}
}

func TestTokenState(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	token := newToken(Token{}, now, 100*time.Second, 0)
	for _, tt := range []struct {
		token *Token
		age   time.Duration
		want  state
	}{
		{nil, 0, expired},
		{&Token{}, 0, expired},
		{token, 0, fresh},
		{token, 75*time.Second - 1, fresh},
		{token, 75 * time.Second, due},
		{token, 100*time.Second - 1, due},
		{token, 100 * time.Second, expired},
		{token, -time.Hour, fresh}, // our clock was set back
	} {
		if got := tt.token.state(now.Add(tt.age).UnixNano()); got != tt.want {
			t.Errorf("state(%v) = %v, want %v", tt.age, got, tt.want)
		}
	}
}

func TestBudgetRefusesAWaitBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		for range grantBurst {
			b.spend()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := b.await(ctx, "ada@example.com")
		refused, ok := errors.AsType[*BudgetError](err)
		if !ok {
			t.Fatalf("await = %v, want a *BudgetError", err)
		}
		if refused.Subject != "ada@example.com" || refused.RetryAfter != 1200*time.Millisecond {
			t.Errorf("await = %+v, want ada@example.com and 1.2s", refused)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("await took %v, want an answer at once", took)
		}
		if IsPermanent(err) || Hint(err) != "" {
			t.Errorf("IsPermanent, Hint = %v, %q, want false and none", IsPermanent(err), Hint(err))
		}
	})
}

func TestBudgetWaitIsLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		for range grantBurst {
			b.spend()
		}
		start := time.Now()
		for i := range 1000 {
			if err := b.await(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			b.spend()
			// No grant may be free because a token of the bucket was a hair short.
			if got, want := time.Since(start), time.Duration(i+1)*1200*time.Millisecond; got < want-time.Millisecond {
				t.Fatalf("grant %d after %v, want %v", i+1, got, want)
			}
		}
		if got, want := time.Since(start), 1201*time.Second; got > want {
			t.Errorf("1000 grants took %v, want at most %v", got, want)
		}
	})
}

func TestBudgetWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		for range grantBurst {
			b.spend()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if err := b.await(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("await = %v, want %v", err, context.Canceled)
		}
	})
}

// A caller may look for a remembered refusal just before the flight that meets
// one ends, and start the next flight just after.
func TestFlightRemembersARefusalThatItsCallerMissed(t *testing.T) {
	grants := 0
	m := NewManager(func(context.Context, string) (*Token, error) {
		grants++
		return nil, &GrantError{Code: "invalid_grant", Permanent: true, Status: 400}
	}, nil)
	defer m.Close()
	s := m.source("ada@example.com")
	for range 2 {
		if _, err := m.fly(t.Context(), s, 0); !IsPermanent(err) {
			t.Errorf("fly = %v, want a permanent refusal", err)
		}
	}
	if grants != 1 {
		t.Errorf("%d grants, want 1", grants)
	}
}

func TestFlightUsesTheTokenThatItsCallerMissed(t *testing.T) {
	grants := 0
	m := NewManager(func(context.Context, string) (*Token, error) {
		grants++
		return newToken(Token{InstanceURL: loopbackURL}, time.Now(), time.Hour, 0), nil
	}, nil)
	defer m.Close()
	s := m.source("ada@example.com")
	first, _ := m.fly(t.Context(), s, 0)
	second, err := m.fly(t.Context(), s, 0)
	if err != nil || second != first || grants != 1 {
		t.Errorf("second fly = %p, %v after %d grants, want %p after 1", second, err, grants, first)
	}
}

// A step of the clock, or the time a laptop slept, is noticed within a window
// although Token seldom reads the clock.
func TestManagerNoticesAStepOfTheClock(t *testing.T) {
	const life = 100 * time.Minute // due at the age of 75 minutes
	for _, tt := range []struct {
		name   string
		step   time.Duration
		wait   time.Duration // from the step
		grants int
	}{
		{"forward, still fresh", 74 * time.Minute, horizonWindow, 1},
		{"forward, due", 76 * time.Minute, horizonWindow, 2},
		{"forward, expired", 3 * time.Hour, horizonWindow, 2},
		{"back", -3 * time.Hour, 0, 1},
		{"back, fresh for longer", -3 * time.Hour, 3*time.Hour + 75*time.Minute - 1, 1},
		{"back, due later", -3 * time.Hour, 3*time.Hour + 75*time.Minute, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				grants := 0
				m := NewManager(func(context.Context, string) (*Token, error) {
					grants++
					return newToken(Token{InstanceURL: loopbackURL}, time.Now(), life, 0), nil
				}, nil)
				defer m.Close()
				ask := func() {
					token, err := m.Token(t.Context(), "ada@example.com")
					if err != nil || token.state(time.Now().Add(-horizonWindow).UnixNano()) == expired {
						t.Errorf("Token = %v, %v, want a good token", token, err)
					}
					synctest.Wait()
				}
				ask()
				ask() // sets the horizon
				if m.horizon.at.Load() == noHorizon {
					t.Fatal("no horizon is set while a token is in use")
				}
				stepClock(m, tt.step)
				time.Sleep(tt.wait / 2)
				m.Token(t.Context(), "ada@example.com") // it is in use all the while
				time.Sleep(tt.wait - tt.wait/2)
				synctest.Wait()
				ask()
				if grants != tt.grants {
					t.Errorf("%d grants, want %d", grants, tt.grants)
				}
			})
		})
	}
}

// stepClock moves the wall clock by d, as far as m can tell: all that it has
// read from the clock before moves the other way.
func stepClock(m *Manager, d time.Duration) {
	m.sources.Range(func(_, s any) bool {
		token := *s.(*source).current.Load()
		token.dueAt -= int64(d)
		token.expiresAt -= int64(d)
		s.(*source).current.Store(&token)
		return true
	})
	m.horizon.at.Add(-int64(d))
}

func TestBound(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"user hasn't approved", "user hasn't approved"},
		{"a\r\nb\x00c\x1b[31m", "a  b c [31m"},
		{"a\u202eb", "a b"}, // would turn the line around
		{"\xff", " "},
		{long(201), long(200) + "…"},
		{long(200), long(200)},
	} {
		if got := Foreign(tt.in); got != tt.want {
			t.Errorf("Foreign(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

var loopbackURL = &url.URL{Scheme: "http", Host: "127.0.0.1"}

func long(n int) string { return strings.Repeat("é", n) }

// TestKeyringLetsGoOfTheFormerKey: what is held stays in memory.
func TestKeyringLetsGoOfTheFormerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := publicKey("old"), publicKey("new")
		r := newKeyring(old, nil)
		r.set(next, nil)
		_, began := r.order()
		if !r.accepted(next, began) {
			t.Fatal("the new key is not the current one")
		}
		time.Sleep(Propagation - time.Nanosecond)
		if keys, _ := r.order(); len(keys) != 2 || r.former != old {
			t.Errorf("order = %v with the former key %v, want both keys", keys, r.former)
		}
		time.Sleep(time.Nanosecond)
		if keys, _ := r.order(); len(keys) != 1 || r.former != nil {
			t.Errorf("order = %v with the former key %v, want the new key alone", keys, r.former)
		}
	})
}

// publicKey is a signer that is told by its name and cannot sign.
type publicKey string

func (k publicKey) Public() crypto.PublicKey { return nil }

func (k publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("it cannot sign")
}

// dueContext has a deadline, and does not end by itself: it is that of a machine
// too busy to tell.
type dueContext struct {
	context.Context
	deadline time.Time
}

func (c dueContext) Deadline() (time.Time, bool) { return c.deadline, true }

// stallingLog takes a minute for each line.
type stallingLog struct{ slog.Handler }

func (stallingLog) Enabled(context.Context, slog.Level) bool { return true }

func (stallingLog) Handle(context.Context, slog.Record) error {
	time.Sleep(time.Minute)
	return nil
}

func TestLateRetryTellsOfTheFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := &GrantError{Status: 500}
		m := NewManager(func(context.Context, string) (*Token, error) { return nil, want }, slog.New(stallingLog{}))
		defer m.Close()
		ctx := dueContext{t.Context(), time.Now().Add(flightTimeout)}
		if _, err := m.retry(ctx, m.source("ada@example.com")); err != want {
			t.Errorf("retry = %v, want %v", err, want)
		}
	})
}
