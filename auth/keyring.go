package auth

import (
	"crypto"
	"slices"
	"sync"
	"time"
)

// Propagation is how long Salesforce may take to trust a new certificate
// everywhere: until then it may refuse either key. Its help says 2 to 10 minutes.
const Propagation = 15 * time.Minute

// keyring holds the private keys that an org's assertions may be signed with.
// An app trusts one certificate at a time, so a new key is only the current one
// once the org has granted a token for it. Safe for concurrent use.
type keyring struct {
	mu          sync.Mutex
	configured  []crypto.Signer // the key and the next one, if there is one
	current     crypto.Signer   // the key of the last token; before that, the first one configured
	former      crypto.Signer   // the one before current, good until formerUntil; may be nil
	formerUntil time.Time
	onTrial     bool // configured[0] is new, and tried before current
	changes     int  // of the above, to tell a grant that began before the last one
}

func newKeyring(key, next crypto.Signer) *keyring {
	return &keyring{configured: withoutNil(key, next), current: key}
}

// set replaces the configured keys. The current one stays until another is
// accepted.
func (r *keyring) set(key, next crypto.Signer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	r.configured = withoutNil(key, next)
	if r.onTrial = !SameKey(key, r.current); !r.onTrial {
		r.current = key // the same key, but perhaps in a keeper that is opened anew
	}
}

// order returns the keys in the order in which a grant tries them, each once,
// and what it tells accepted and refused of when it began.
func (r *keyring) order() (keys []crypto.Signer, began int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(key crypto.Signer) {
		if !slices.ContainsFunc(keys, func(k crypto.Signer) bool { return SameKey(k, key) }) {
			keys = append(keys, key)
		}
	}
	if r.onTrial {
		add(r.configured[0])
	}
	add(r.current)
	for _, key := range r.configured {
		add(key)
	}
	if r.former != nil && !time.Now().Before(r.formerUntil) {
		r.former = nil // so that its memory can be used for something else
	}
	if r.former != nil {
		add(r.former)
	}
	return keys, r.changes
}

// accepted makes key the current one, and reports whether it was not. A grant
// that began before the keys last changed has nothing to say.
func (r *keyring) accepted(key crypto.Signer, began int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if began != r.changes || SameKey(key, r.current) {
		return false
	}
	r.changes++
	r.former, r.formerUntil = r.current, time.Now().Add(Propagation)
	r.current, r.onTrial = key, false
	return true
}

// refused ends the trial of key, and reports whether it was on trial. It stays
// among the keys that are tried when the org refuses the current one. For began
// see accepted.
func (r *keyring) refused(key crypto.Signer, began int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if began != r.changes || !r.onTrial || !SameKey(key, r.configured[0]) {
		return false
	}
	r.onTrial = false
	return true
}

// SameKey reports whether two signers hold the same key, as far as one can
// tell: a keeper may not give away its public key.
func SameKey(a, b crypto.Signer) bool {
	if a == b {
		return true
	}
	public, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && b.Public() != nil && public.Equal(b.Public())
}

func withoutNil(keys ...crypto.Signer) []crypto.Signer {
	return slices.DeleteFunc(keys, func(k crypto.Signer) bool { return k == nil })
}
