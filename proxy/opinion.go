package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// opinion is what Salesforce has said of one token. A path that refuses a token
// right after its grant, while others accept it, does not mean the token: a
// class in Apex may quote the error of a call of its own. Without this memory
// such a path would cost a grant a request, and use up the budget of everybody.
type opinion struct {
	token    *auth.Token
	accepted atomic.Bool // some request with it was not refused
	doubted  atomic.Bool // hopeless is not empty

	mu       sync.Mutex
	hopeless map[string]time.Time // path that refused it when it was new → when; guarded by mu
}

const (
	maxHopeless    = 1000        // paths that are remembered of one token
	hopelessMemory = time.Minute // and for how long
)

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

// accept notes that a request to path with the token was not refused.
func (o *opinion) accept(path string) {
	if !o.accepted.Load() {
		o.accepted.Store(true)
	}
	if o.doubted.Load() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.hopeless, path)
	}
}

// giveUp notes that path refused the token when it was new.
func (o *opinion) giveUp(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hopeless == nil {
		o.hopeless = map[string]time.Time{}
		o.doubted.Store(true)
	}
	if len(o.hopeless) < maxHopeless {
		o.hopeless[path] = time.Now()
	}
}

// isHopeless reports whether path would refuse the next token too.
func (o *opinion) isHopeless(path string) bool {
	if !o.accepted.Load() {
		return false // it may have been revoked in the meantime
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.hopeless[path]
	return ok && time.Since(at) < hopelessMemory
}
