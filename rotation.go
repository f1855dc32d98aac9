package main

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"sync"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/key"
	"github.com/sfproxy/sfproxy/telemetry"
)

// keys are the private keys that the configuration names.
type keys struct {
	first *key.Key
	next  *key.Key // tried when the org refuses the first; nil for none
}

// loadKeys returns the keys, wherever they are kept.
func loadKeys(sf config.Salesforce) (keys, error) {
	first, err := loadKey(sf)
	if err != nil {
		return keys{}, err
	}
	if sf.NextKey.IsZero() {
		return keys{first: first}, nil
	}
	sf.Key, sf.KeySource = sf.NextKey, "SF_JWT_KEY_FILE_NEXT ("+sf.NextKeyFile+")"
	next, err := parseKey(sf)
	if err != nil {
		return keys{}, err
	}
	return keys{first, next}, nil
}

// nextSigner returns the next key, a nil that is equal to nil for none.
func (k keys) nextSigner() crypto.Signer {
	if k.next == nil {
		return nil
	}
	return k.next
}

// rotation follows what the org makes of the keys, and says so. Safe for
// concurrent use.
type rotation struct {
	logger  *slog.Logger
	metrics *telemetry.Metrics

	mu      sync.Mutex // guards what follows
	keys    keys
	inUse   crypto.Signer
	waiting bool // see pending
	refused bool // that the org refuses the first key has been said
}

func newRotation(k keys, metrics *telemetry.Metrics, logger *slog.Logger) *rotation {
	return &rotation{logger: logger, metrics: metrics, keys: k, inUse: k.first}
}

// configured returns the keys of now.
func (r *rotation) configured() keys {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys
}

// set notes that the files hold other keys.
func (r *rotation) set(k keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case sameKey(k.first, r.inUse):
		r.wait(false)
	case !sameKey(k.first, r.keys.first):
		r.refused = false
		r.wait(true)
	}
	r.keys = k
}

// pending reports whether the first key waits for the org to take it. One that
// has been in use, and that the next key took over from, does not.
func (r *rotation) pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// wait sets what pending reports; mu is held.
func (r *rotation) wait(waits bool) {
	r.waiting = waits
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
	r.metrics.KeyChanged(telemetry.KeyAccepted)
	fingerprint := slog.String("key", fingerprintOf(event.Key))
	switch {
	case sameKey(event.Key, r.keys.first):
		r.wait(false)
		r.logger.Info("the new key is in use", fingerprint)
	case r.keys.next != nil && sameKey(event.Key, r.keys.next):
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
		"hint", fmt.Sprintf("%s; sfproxy tries the key again every %s", hint, retryInterval))
}

// sameKey reports whether two signers have the same public key, or are the same
// where it is not known.
func sameKey(a, b crypto.Signer) bool {
	public, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return a == b || ok && b.Public() != nil && public.Equal(b.Public())
}

// fingerprintOf names a key in logs.
func fingerprintOf(signer crypto.Signer) string {
	k := &key.Key{Signer: signer}
	if k.Public() == nil {
		return ""
	}
	return k.Fingerprint()
}
