package devorg

import (
	"crypto/rand"
	"sync"
	"time"
)

// A session is what a token stands for. Immutable.
type session struct {
	user     *user
	instance *host // the only host the token is good for
	expires  time.Time
}

// A sessionTable holds the live tokens, and what the token endpoint has to remember.
type sessionTable struct {
	mu     sync.Mutex // guards what follows
	live   map[string]session
	seen   map[string]time.Time  // jti → when it can be forgotten
	logins map[*user][]time.Time // grants within the last hour, oldest first
}

func newSessionTable() *sessionTable {
	return &sessionTable{
		live:   make(map[string]session),
		seen:   make(map[string]time.Time),
		logins: make(map[*user][]time.Time),
	}
}

const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"

// issue makes a token that looks like Salesforce's: the org's id, "!" and 96 characters.
func (t *sessionTable) issue(orgID string, s session) string {
	random := make([]byte, 96)
	rand.Read(random)
	for i, b := range random {
		random[i] = tokenAlphabet[b&63]
	}
	token := orgID + "!" + string(random)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[token] = s
	return token
}

// find returns the session of a token that is live now.
func (t *sessionTable) find(token string, now time.Time) (session, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.live[token]
	if !ok {
		return session{}, false
	}
	if !s.expires.After(now) {
		delete(t.live, token)
		return session{}, false
	}
	return s, true
}

// end ends one session and reports whether there was one.
func (t *sessionTable) end(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.live[token]
	delete(t.live, token)
	return ok
}

func (t *sessionTable) endAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.live)
}

func (t *sessionTable) count(now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, s := range t.live {
		if s.expires.After(now) {
			n++
		}
	}
	return n
}

// firstUse reports whether the assertion id is new, and remembers it until it expires.
func (t *sessionTable) firstUse(id string, expires, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, until := range t.seen {
		if !until.After(now) {
			delete(t.seen, old)
		}
	}
	if _, known := t.seen[id]; known {
		return false
	}
	t.seen[id] = expires
	return true
}

// login counts a grant and reports whether the user may have it.
func (t *sessionTable) login(u *user, now time.Time, perHour int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := t.logins[u]
	for len(recent) > 0 && !recent[0].After(now.Add(-time.Hour)) {
		recent = recent[1:]
	}
	allowed := len(recent) < perHour
	if allowed {
		recent = append(recent, now)
	}
	t.logins[u] = recent
	return allowed
}
