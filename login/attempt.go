package login

import "net/http"

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
