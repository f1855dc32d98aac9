package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight" // one grant however many wait
)

const (
	// flightTimeout bounds a flight, retries and the wait for the budget
	// included.
	flightTimeout = 30 * time.Second
	// refusalMemory is how long a permanent refusal is answered from memory: a
	// storm of requests must not be a storm of failing logins.
	refusalMemory = 30 * time.Second
	// signingMemory is the same for a key that cannot sign, whose keeper may take
	// its time to say so.
	signingMemory = 5 * time.Second
	// renewalPause is the least time between the starts of two renewals in the
	// background, should the first fail.
	renewalPause = 10 * time.Second
	// Retries of a passing fault start at firstBackoff and double up to
	// maxBackoff, each shortened at random by up to a half.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// GrantFunc performs one grant, such as [Org.Grant]. The Manager never calls
// it twice at a time for one subject. ctx has the values of the caller's that
// began the [Flight], but ends with the flight.
type GrantFunc func(ctx context.Context, subject string) (*Token, error)

// Manager hands out the current token of each subject of one org and renews
// it. It is safe for concurrent use. Close it to end its background work.
type Manager struct {
	grant   GrantFunc
	logger  *slog.Logger
	sources sync.Map // subject → *source
	flights singleflight.Group

	horizon *horizon
	// recent spares Token the lookup of one subject: the one that was asked for
	// when the horizon was set, so most likely the one that is asked for most.
	// Not the last one: a store for each request would slow down all the others.
	recent atomic.Pointer[source]

	// ctx ends the flights: a caller that leaves must not end what others wait for.
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool // guarded by mu
	running sync.WaitGroup
}

// source is what the manager knows of one subject.
type source struct {
	subject string
	current atomic.Pointer[Token]
	pause   atomic.Int64           // Unix nanoseconds before which no renewal in the background starts
	asked   atomic.Int64           // how often Renew asked for a token, even if the current one is fresh
	begun   atomic.Int64           // asked when the last flight began
	flying  atomic.Pointer[Flight] // nil while none is under way
	budget  budget

	mu           sync.Mutex
	refusal      error     // the last refusal that is remembered; guarded by mu
	refusedUntil time.Time // guarded by mu
	last         Outcome   // guarded by mu
}

// Outcome is what is known of a subject's grants, for readiness and status.
type Outcome struct {
	Token      *Token    // the current token; nil if there is none
	Grants     int       // tokens granted so far
	Failure    error     // the last failed grant; nil if none has failed
	FailureAt  time.Time // when Failure happened
	GrantsLeft int       // grants that the subject's budget allows at once
}

// NewManager returns a Manager that gets tokens by grant. A nil logger
// discards.
func NewManager(grant GrantFunc, logger *slog.Logger) *Manager {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{grant: grant, logger: logger, horizon: newHorizon()}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Token returns a token for subject. A good one is returned at once, also
// while it is being renewed. Without one the call waits for the flight that
// all callers share, until ctx ends; the flight goes on for the others.
// The error is a *GrantError, a *BudgetError, [ErrClosed], or says that ctx
// ended.
func (m *Manager) Token(ctx context.Context, subject string) (*Token, error) {
	s := m.source(subject)
	if token := s.current.Load(); token.state(m.horizon.at.Load()) == fresh {
		return token, nil
	}
	return m.check(ctx, s)
}

// check is Token by the clock.
func (m *Manager) check(ctx context.Context, s *source) (*Token, error) {
	now := time.Now().UnixNano()
	token := s.current.Load()
	switch token.state(now) {
	case fresh:
		if m.horizon.set(now) {
			m.recent.Store(s)
		}
		return token, nil
	case due:
		if p := s.pause.Load(); now >= p && s.pause.CompareAndSwap(p, now+int64(renewalPause)) {
			m.start(ctx, s, true)
		}
		return token, nil
	}
	if err := s.refused(); err != nil {
		return nil, err
	}
	f := m.join(ctx, s)
	return f.token, f.err
}

// start makes a flight for s, unless one is under way. Its grants see the values
// of ctx, but not its end: that would be the end of what others wait for.
func (m *Manager) start(ctx context.Context, s *source, unattended bool) <-chan singleflight.Result {
	return m.flights.DoChan(s.subject, func() (any, error) {
		f := &Flight{unattended: unattended, asked: s.asked.Load()}
		s.flying.Store(f)
		defer s.flying.Store(nil)
		f.token, f.err = m.fly(context.WithValue(context.WithoutCancel(ctx), flightKey{}, f), s, f.asked)
		return f, nil
	})
}

// join waits for the flight of s that is under way, or a new one, until ctx ends.
func (m *Manager) join(ctx context.Context, s *source) *Flight {
	select {
	case result := <-m.start(ctx, s, false):
		f := result.Val.(*Flight)
		waited(ctx, f)
		return f
	case <-ctx.Done():
		waited(ctx, s.flying.Load())
		return &Flight{err: fmt.Errorf("waiting for a token of %s: %w", s.subject, context.Cause(ctx)), asked: math.MaxInt64}
	}
}

// Renew gets a new token for subject, even if the current one is good, and
// forgets what was refused before: something has changed, such as a key. It
// waits as Token does; until the new token is there, Token returns the old one.
func (m *Manager) Renew(ctx context.Context, subject string) (*Token, error) {
	m.sources.Range(func(_, s any) bool {
		s.(*source).forget()
		return true
	})
	s := m.source(subject)
	asked := s.asked.Add(1)
	for {
		// A flight that had begun before has missed what has changed.
		if f := m.join(ctx, s); f.asked >= asked {
			return f.token, f.err
		}
	}
}

// Reject drops token because Salesforce refused it, and reports whether it was
// the current one. A newer token stays: the caller gets it from Token.
func (m *Manager) Reject(token *Token) bool {
	return m.source(token.Subject).current.CompareAndSwap(token, nil)
}

// Outcome returns what is known of subject's grants.
func (m *Manager) Outcome(subject string) Outcome {
	s := m.source(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.last
	if o.Token = s.current.Load(); o.Token.state(time.Now().UnixNano()) == expired {
		o.Token = nil
	}
	o.GrantsLeft = s.budget.left()
	return o
}

// Live returns how many subjects have a token that is good.
func (m *Manager) Live() int {
	live, now := 0, time.Now().UnixNano()
	m.sources.Range(func(_, s any) bool {
		if s.(*source).current.Load().state(now) != expired {
			live++
		}
		return true
	})
	return live
}

// Close ends the flights and waits for them. Good tokens are still handed out.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.running.Wait()
}

func (m *Manager) source(subject string) *source {
	if s := m.recent.Load(); s != nil && s.subject == subject {
		return s
	}
	if s, ok := m.sources.Load(subject); ok {
		return s.(*source)
	}
	s, _ := m.sources.LoadOrStore(subject, &source{subject: subject, budget: newBudget()})
	return s.(*source)
}

// begin registers a flight, or reports that the manager is closed.
func (m *Manager) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.running.Add(1)
	return true
}

// fly is one flight: it gets a token and makes it the current one. If asked is
// not what it was for the last flight, it does so whatever is known. singleflight
// runs it in a goroutine of its own, where a panic would end the process.
func (m *Manager) fly(ctx context.Context, s *source, asked int64) (token *Token, err error) {
	if !m.begin() {
		return nil, ErrClosed
	}
	defer m.running.Done()
	defer func() {
		if p := recover(); p != nil {
			m.logger.Error("panic in a grant", "subject", s.subject, "panic_type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			token, err = nil, fmt.Errorf("grant for %s: a fault in sfproxy itself (a panic, see the log)", s.subject)
			s.failed(err)
		}
	}()
	if s.begun.Swap(asked) == asked {
		// A flight that ended just before this one began has done the work.
		if current := s.current.Load(); current.state(time.Now().UnixNano()) == fresh {
			return current, nil
		}
		if err := s.refused(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, flightTimeout)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	started := time.Now()
	token, err = m.retry(ctx, s)
	if err != nil {
		if m.ctx.Err() != nil {
			return nil, ErrClosed
		}
		s.failed(err)
		m.logFailure(s, err, time.Since(started))
		return nil, err
	}
	// Logged first: once it is the current one, whoever rejects it needs a new flight.
	m.logger.Info("token granted", "subject", s.subject, "instance", token.InstanceURL.Host,
		"duration_ms", time.Since(started).Milliseconds(), "expires", token.ExpiresAt.UTC().Format(time.RFC3339))
	if token.JWT() {
		m.logger.Warn("the access token is in JWT format: Salesforce's SOAP APIs do not take it", "subject", s.subject,
			"hint", "for SOAP, turn off JWT-based access tokens in the app's OAuth settings")
	}
	s.granted(token)
	return token, nil
}

// retry performs the grant, again after a passing fault, until ctx would end.
func (m *Manager) retry(ctx context.Context, s *source) (*Token, error) {
	deadline, _ := ctx.Deadline()
	var fault error // of the attempt before
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := s.budget.await(ctx, s.subject)
		switch {
		case fault != nil && time.Until(deadline) <= 0: // a pause that took longer than it should
			return nil, fault
		case err != nil:
			return nil, err
		}
		token, err := m.grant(ctx, s.subject)
		for range loginsOf(token, err) {
			s.budget.spend()
		}
		if err == nil || !isPassing(err) {
			return token, err
		}
		pause := backoff - rand.N(backoff/2) // #nosec G404 -- spreads attempts
		if time.Until(deadline) < pause {
			return nil, err
		}
		level := slog.LevelDebug
		if backoff == firstBackoff {
			level = slog.LevelWarn // who waits for the first token is not left in the dark
		}
		s.note(err)
		m.logger.Log(ctx, level, "grant failed, trying again", "subject", s.subject, "error", err, "hint", Hint(err))
		if sleep(ctx, pause) != nil {
			return nil, err
		}
		fault = err
	}
}

func (m *Manager) logFailure(s *source, err error, took time.Duration) {
	level := slog.LevelWarn
	attrs := []any{"subject", s.subject, "error", err, "duration_ms", took.Milliseconds()}
	if IsPermanent(err) {
		level = slog.LevelError // a person must act
	}
	if hint := Hint(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	m.logger.Log(context.Background(), level, "no token granted", attrs...)
}

// isLogin reports whether an attempt may have been a login: all but those that
// never reached the endpoint or that it answered with a fault of its own, which
// backoff bounds.
func isLogin(err error) bool {
	e, ok := errors.AsType[*GrantError](err)
	if !ok {
		return err == nil
	}
	network, ok := errors.AsType[*net.OpError](err)
	return e.Status < 500 && !(ok && (network.Op == "dial" || network.Op == "proxyconnect"))
}

// loginsOf returns how many logins a grant may have been.
func loginsOf(token *Token, err error) int {
	e, refused := errors.AsType[*GrantError](err)
	switch {
	case token != nil && token.logins > 0:
		return token.logins
	case refused && e.logins > 0:
		return e.logins
	case isLogin(err):
		return 1
	}
	return 0
}

// isPassing reports whether it is worth trying again at once.
func isPassing(err error) bool {
	e, ok := errors.AsType[*GrantError](err)
	return ok && !e.Permanent && e.RetryAfter == 0
}

// memoryOf returns how long a failure is answered from memory, 0 for not at all.
func memoryOf(err error) time.Duration {
	e, ok := errors.AsType[*GrantError](err)
	switch {
	case isSigning(err):
		return signingMemory
	case ok && e.Permanent:
		return refusalMemory
	case ok:
		return e.RetryAfter
	}
	return 0
}

// granted makes token the current one.
func (s *source) granted(token *Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Store(token)
	s.pause.Store(0)
	s.refusal = nil
	s.last.Grants++
}

// note remembers an attempt that failed, for Outcome.
func (s *source) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.Failure, s.last.FailureAt = err, time.Now()
}

// failed remembers a flight that gave no token.
func (s *source) failed(err error) {
	s.note(err)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if memory := memoryOf(err); memory > 0 {
		s.refusal, s.refusedUntil = err, now.Add(memory)
		s.pause.Store(s.refusedUntil.UnixNano())
		return
	}
	s.pause.Store(now.Add(renewalPause).UnixNano())
}

// forget drops the refusal that is remembered.
func (s *source) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = nil
	s.pause.Store(0)
}

// refused returns the refusal that is still remembered.
func (s *source) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal == nil || !time.Now().Before(s.refusedUntil) {
		return nil
	}
	return s.refusal
}
