package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// policyRefusal is that a session policy of the org refused a token. It will
// refuse the next one as well, most likely, so for policyMemory no other
// renewal is tried against it, whichever token a request then has.
type policyRefusal struct {
	token  *auth.Token
	at     time.Time
	warned atomic.Bool
}

const policyMemory = time.Hour

// policyRefusals hold each subject's last refusal that a renewal was tried
// against. Safe for concurrent use.
type policyRefusals struct{ bySubject sync.Map } // subject → *policyRefusal

// worthRenewing reports whether a new token may help against a session policy that
// has refused token. It may once: the token can be older than what it lacks.
func (p *policyRefusals) worthRenewing(subject string, token *auth.Token) bool {
	this := &policyRefusal{token: token, at: time.Now()}
	for {
		seen, known := p.bySubject.LoadOrStore(subject, this)
		last := seen.(*policyRefusal)
		switch {
		case !known || last.token == token:
			return true
		case this.at.Sub(last.at) < policyMemory:
			return false
		case p.bySubject.CompareAndSwap(subject, last, this):
			return true
		}
	}
}

// inVain notes that the policy has refused the new token too, and reports whether
// that is to be told: once for each renewal that was tried.
func (p *policyRefusals) inVain(subject string) bool {
	last, ok := p.bySubject.Load(subject)
	return ok && !last.(*policyRefusal).warned.Swap(true)
}
