package proxy

import (
	"sync"
	"sync/atomic"

	"github.com/sfproxy/sfproxy/auth"
)

// opinion is what Salesforce has said of one token. A path that refuses a token
// right after its grant, while others accept it, does not mean the token: a
// class in Apex may quote the error of a call of its own. Without this memory
// such a path would cost a grant a request, and use up the budget of everybody.
type opinion struct {
	token    *auth.Token
	accepted atomic.Bool // some request with it was not refused

	mu       sync.Mutex
	hopeless map[string]bool // paths that refused it when it was new; guarded by mu
}

// maxHopeless bounds the paths that are remembered of one token.
const maxHopeless = 1000

// opinions hold the opinion of each subject's newest token. Safe for concurrent
// use.
type opinions struct{ bySubject sync.Map } // subject → *opinion

// of returns the opinion of a token, a passing one if a newer token is there.
func (o *opinions) of(token *auth.Token) *opinion {
	if known, ok := o.bySubject.Load(token.Subject); ok {
		current := known.(*opinion)
		if current.token == token {
			return current
		}
		if current.token.IssuedAt.After(token.IssuedAt) {
			return &opinion{token: token}
		}
	}
	fresh := &opinion{token: token}
	o.bySubject.Store(token.Subject, fresh)
	return fresh
}

// accept notes that a request with the token was not refused.
func (o *opinion) accept() {
	if !o.accepted.Load() {
		o.accepted.Store(true)
	}
}

// giveUp notes that path refused the token when it was new.
func (o *opinion) giveUp(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hopeless == nil {
		o.hopeless = map[string]bool{}
	}
	if len(o.hopeless) < maxHopeless {
		o.hopeless[path] = true
	}
}

// isHopeless reports whether path would refuse the next token too.
func (o *opinion) isHopeless(path string) bool {
	if !o.accepted.Load() {
		return false // it may have been revoked in the meantime
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hopeless[path]
}
