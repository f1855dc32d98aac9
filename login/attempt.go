package login

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/sfproxy/sfproxy/peer"
)

// Outcome is what has become of a login.
type Outcome string

// What may become of a login.
const (
	OK      Outcome = "ok"      // the client has a session, or has ended one
	Refused Outcome = "refused" // by the proxy
	Failed  Outcome = "failed"  // the credentials are right, but Salesforce does not tell about the user
)

// Attempt is a login or a logout, for audit logs. No field but Request holds a
// secret.
type Attempt struct {
	// Request is the client's: what it holds besides the address of the peer may
	// be secret.
	Request   *http.Request
	RequestID string // "" if the answer has none
	Logout    bool
	How       string // "soap", the OAuth grant type, or "revoke"
	// Username is what the client logs in with, or its name in the client
	// credentials grant; "" if it is no client's, since people type passwords there.
	Username string
	Client   string // "" if refused
	Subject  string // "" if refused, and of a logout
	Outcome  Outcome
	Reason   error // nil if all is well
}

var errPlain = errors.New("a password may not come over plain HTTP from another machine: use https, or set PROXY_ALLOW_PLAIN_LOGIN=true where the network is trusted")

// authenticate runs check for a request that may log in by a name, and tells of
// a refusal. It does not log the name: people type passwords there.
func (l *Logins) authenticate(w http.ResponseWriter, r *http.Request, attempt *Attempt, name string, check func() (*Account, error)) (*Account, error) {
	address := peer.Of(r).Network().String()
	attempt.Username = known(l.accounts(), name)
	account, err := l.check(r, address, check)
	if err != nil {
		l.loggerOf(w).Warn("login refused", "address", address, "how", attempt.How, "reason", err)
		attempt.Outcome, attempt.Reason = Refused, err
		l.tell(w, r, *attempt)
		return nil, err
	}
	l.loggerOf(w).Info("login", "address", address, "how", attempt.How, "client", account.Client)
	return account, nil
}

// check runs check unless the request may not log in at all.
func (l *Logins) check(r *http.Request, address string, check func() (*Account, error)) (*Account, error) {
	if r.TLS == nil && !l.cfg.AllowPlain && !peer.Of(r).IsThisMachine() {
		return nil, errPlain
	}
	if wait := l.throttle.wait(address); wait > 0 {
		return nil, &throttledError{wait}
	}
	account, err := check()
	if err != nil {
		l.throttle.failed(address)
	}
	return account, err
}

// userOf returns the user behind the account of a client that may log in, and
// tells of what has become of the login.
func (l *Logins) userOf(w http.ResponseWriter, r *http.Request, attempt *Attempt, account *Account, version string) (*user, error) {
	who, err := l.users.get(r.Context(), account.Subject, version)
	attempt.Client, attempt.Subject, attempt.Outcome, attempt.Reason = account.Client, account.Subject, OK, err
	if err != nil {
		l.loggerOf(w).Warn("login failed: Salesforce does not tell about the user", "client", account.Client, "error", err)
		attempt.Outcome = Failed
	}
	l.tell(w, r, *attempt)
	return who, err
}

// loggerOf returns the logger for one answer. Whoever calls ServeSOAP or
// ServeOAuth may have given the answer an id.
func (l *Logins) loggerOf(w http.ResponseWriter) *slog.Logger {
	if id := w.Header().Get("X-Request-Id"); id != "" {
		return l.logger.With("request_id", id)
	}
	return l.logger
}

// tell tells of an attempt; w is for its answer.
func (l *Logins) tell(w http.ResponseWriter, r *http.Request, a Attempt) {
	if l.cfg.OnAttempt == nil {
		return
	}
	a.Request, a.RequestID = r, w.Header().Get("X-Request-Id")
	l.cfg.OnAttempt(a)
}

// known returns a name if it is one that clients log in with, else "".
func known(accounts []Account, name string) string {
	found := 0
	for i := range accounts {
		a := &accounts[i]
		if a.Username != "" {
			found |= matches(name, HashOf([]byte(a.Username)))
		}
		found |= matches(name, HashOf([]byte(a.Client)))
	}
	if found == 1 {
		return name
	}
	return ""
}
