package main

import (
	"context"
	"crypto"
	"log/slog"
	"sync"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/telemetry"
)

// rotation follows what the org makes of the keys, and says so. Safe for
// concurrent use.
type rotation struct {
	logger  *slog.Logger
	metrics *telemetry.Metrics
	audit   audit
	changed chan struct{} // receives a value after inUse has changed

	mu      sync.Mutex // guards what follows
	keys    keys
	inUse   crypto.Signer
	waiting bool          // see pending
	waited  time.Duration // see due
	refused bool          // that the org refuses the first key has been said
}

func newRotation(k keys, metrics *telemetry.Metrics, audit audit, logger *slog.Logger) *rotation {
	r := &rotation{logger: logger, metrics: metrics, audit: audit, changed: make(chan struct{}, 1), keys: k, inUse: k.first}
	r.noteFault(k)
	return r
}

// noteFault says that the next key counts as none, if it does.
func (r *rotation) noteFault(k keys) {
	if k.warn(r.logger); k.nextFault != nil {
		r.metrics.KeyChanged(telemetry.KeyUnreadable)
		r.audit.keyChanged("unusable", nil, k.nextFault)
	}
}

// configured returns the keys of now.
func (r *rotation) configured() keys {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys
}

// used returns the key that the org takes now.
func (r *rotation) used() crypto.Signer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inUse
}

// set notes that the files hold other keys.
func (r *rotation) set(k keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case auth.SameKey(k.first, r.inUse):
		r.inUse = k.first // the same key, but perhaps with another certificate
		r.wait(false)
	case !auth.SameKey(k.first, r.keys.first):
		r.refused = false
		r.wait(true)
	}
	r.keys = k
	r.noteFault(k)
}

// pending reports whether the first key waits for the org to take it. One that
// has been in use, and that the next key took over from, does not.
func (r *rotation) pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// due reports whether the org is to be asked again about a key that waits. It
// is called every retryInterval.
func (r *rotation) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.waiting {
		return false
	}
	r.waited += retryInterval
	return r.waited <= auth.Propagation || r.waited%slowRetryInterval == 0
}

// wait sets what pending reports; mu is held.
func (r *rotation) wait(waits bool) {
	r.waiting, r.waited = waits, 0
	r.metrics.KeyPending(waits)
}

// note takes what the org has made of a key, see [auth.OrgConfig].
func (r *rotation) note(event auth.KeyEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if event.Refusal != nil {
		r.noteRefusal(event)
		return
	}
	r.inUse, r.refused = event.Key, false
	select {
	case r.changed <- struct{}{}:
	default: // one is waiting to be received
	}
	r.metrics.KeyChanged(telemetry.KeyAccepted)
	r.audit.keyChanged("in_use", event.Key, nil)
	fingerprint := slog.String("key", fingerprintOf(event.Key))
	switch {
	case auth.SameKey(event.Key, r.keys.first):
		r.wait(false)
		r.logger.Info("the new key is in use", fingerprint)
	case r.keys.next != nil && auth.SameKey(event.Key, r.keys.next):
		r.logger.Info("the org refuses the key and takes the next one, which is in use", fingerprint,
			"hint", "the rotation ends when the file of SF_JWT_KEY_FILE holds this key too")
	default:
		r.wait(true)
		r.logger.Warn("the org takes the former key again, which is in use", fingerprint,
			"hint", "Salesforce needs up to 10 minutes for a new certificate; sfproxy goes on trying the new key")
	}
}

// noteRefusal is for each refusal by the org of a key that is not in use; mu is
// held. Since a key is tried again and again, one warning has to do.
func (r *rotation) noteRefusal(event auth.KeyEvent) {
	r.metrics.KeyChanged(telemetry.KeyRefused)
	r.audit.keyChanged("refused", event.Key, event.Refusal)
	level := slog.LevelWarn
	if r.refused {
		level = slog.LevelDebug
	}
	r.refused = true
	text, hint := "the org refuses the new key; the old key stays in use", "upload the certificate of the new key to the app in Setup"
	if !auth.IsKeyRefusal(event.Refusal) {
		text, hint = "the new key cannot sign; the old key stays in use", "see to the token or the command that keeps the key"
	}
	r.logger.Log(context.Background(), level, text, "key", fingerprintOf(event.Key), "error", event.Refusal,
		"hint", hint+"; sfproxy tries the key again every minute for 15 minutes, then every 15 minutes")
}
