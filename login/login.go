package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// Tokens is where the real tokens come from: an [auth.Manager].
type Tokens interface {
	Token(ctx context.Context, subject string) (*auth.Token, error)
	Reject(token *auth.Token) bool
}

// Config is what a Logins is made of.
type Config struct {
	// Accounts may log in. Required.
	Accounts []Account
	// Secret signs the sessions: 32 bytes or more, the same for all replicas.
	// Required.
	Secret []byte
	// TTL is how long a session lasts. Required.
	TTL time.Duration
	// Tokens and Transport are for asking Salesforce about a user. Required.
	Tokens    Tokens
	Transport http.RoundTripper
	// MinAPIVersion, such as "60.0", is asked about a user whose login() is of a
	// lower version that Salesforce has retired. Default: none.
	MinAPIVersion string
	// AllowPlain lets passwords come over plain HTTP from beyond loopback.
	AllowPlain bool
	// OnAttempt is called for each login and for each logout that ends a session.
	// Default: not.
	OnAttempt func(Attempt)
	// Logger gets a line a login, with the X-Request-Id that the answer's header
	// has by then. Default: none.
	Logger *slog.Logger
}

// Logins answers logins and knows the sessions that came of them. Safe for
// concurrent use.
type Logins struct {
	cfg      Config
	current  atomic.Pointer[[]Account] // see SetAccounts
	sessions *sessions
	throttle *throttle
	users    *users
	logger   *slog.Logger
}

// New returns a Logins.
func New(cfg Config) (*Logins, error) {
	switch {
	case len(cfg.Secret) < 32:
		return nil, errors.New("login: the secret for sessions has fewer than 32 bytes")
	case cfg.TTL <= 0:
		return nil, errors.New("login: no TTL")
	case cfg.Tokens == nil || cfg.Transport == nil:
		return nil, errors.New("login: no Tokens or no Transport")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Logins{
		cfg:      cfg,
		sessions: newSessions(derive(cfg.Secret, "session"), cfg.TTL),
		throttle: newThrottle(),
		users:    &users{tokens: cfg.Tokens, transport: cfg.Transport, lowest: cfg.MinAPIVersion},
		logger:   cfg.Logger,
	}
	l.SetAccounts(cfg.Accounts)
	return l, nil
}

// SetAccounts replaces [Config.Accounts] while they are in use. The sessions of
// an account that is gone, or whose credentials have changed, are over. It
// keeps the slice, which is not to be changed any more.
func (l *Logins) SetAccounts(accounts []Account) { l.current.Store(&accounts) }

// accounts returns those of now, for one request.
func (l *Logins) accounts() []Account { return *l.current.Load() }

// derive returns a key for one purpose.
func derive(secret []byte, purpose string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("sfproxy " + purpose))
	return h.Sum(nil)
}

// Client returns the name of the client that a session belongs to, or
// ErrSession.
func (l *Logins) Client(sessionID string) (string, error) {
	opened, err := l.sessions.open(sessionID)
	if err != nil {
		return "", err
	}
	accounts := l.accounts()
	for i := range accounts {
		a := &accounts[i]
		now := a.fingerprint(l.sessions.key)
		if a.Client == opened.client && hmac.Equal(now[:], opened.fingerprint[:]) {
			return a.Client, nil
		}
	}
	return "", ErrSession
}
