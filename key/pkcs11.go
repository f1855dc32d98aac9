//go:build pkcs11

package key

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11" // sessions and signatures of PKCS#11 tokens
	"github.com/miekg/pkcs11"         // the error codes of those
)

const (
	maxTokenSessions = 8 // hardware has few
	tokenWait        = 10 * time.Second
)

// token is a key that a PKCS#11 token keeps: a hardware security module, a smart
// card or the like.
type token struct {
	uri    pkcs11URI
	pin    *string // fmt never follows a pointer to a string
	public crypto.PublicKey

	mu      sync.Mutex    // held while the session is renewed
	current *tokenSession // nil after a renewal that failed; guarded by mu
	refused error         // the token's refusal of the PIN, nil for none; guarded by mu
}

// tokenSession is the key as one login at the token sees it.
type tokenSession struct {
	context *crypto11.Context
	signer  crypto.Signer
}

// OpenPKCS11 returns the key that an RFC 7512 URI names, for example
//
//	pkcs11:token=sfproxy;object=key?module-path=/usr/lib/softhsm/libsofthsm2.so
//
// The token needs to hold the public key too, or the certificate, under the
// same id; a certificate there becomes the key's own. pin may be empty if the
// token wants no login. The key is safe for concurrent use; up to seven
// signatures are made at a time, the others wait for up to ten seconds.
//
// A signature that fails because the token has forgotten the login, as after a
// restart of the module, is made again once after a new login, so that the
// process needs no restart. If the token comes back with another key, Sign says
// so and does not use it; a PIN that it refuses then is not tried again, since a
// few wrong ones lock a token. The key's Signer is an io.Closer, which logs out.
func OpenPKCS11(uri, pin string) (*Key, error) {
	u, err := parsePKCS11URI(uri)
	if err != nil {
		return nil, err
	}
	t := &token{uri: u, pin: &pin}
	if t.current, err = t.open(); err != nil {
		return nil, err
	}
	t.public = t.current.signer.Public()
	k := &Key{Signer: t, Form: "PKCS#11"}
	certificate, err := t.findCertificate()
	if err != nil {
		t.Close()
		return nil, err
	}
	if certificate != nil {
		k.Certificates = []*x509.Certificate{certificate}
	}
	return k, nil
}

// open logs in and finds the key.
func (t *token) open() (*tokenSession, error) {
	if _, err := os.Stat(t.uri.module); err != nil {
		return nil, fmt.Errorf("module-path: %w", err)
	}
	context, err := crypto11.Configure(t.config())
	if err != nil {
		return nil, t.explain(err)
	}
	signer, err := t.findKey(context)
	if err != nil {
		context.Close()
		return nil, err
	}
	return &tokenSession{context, signer}, nil
}

func (t *token) config() *crypto11.Config {
	c := &crypto11.Config{
		Path:              t.uri.module,
		Pin:               *t.pin,
		LoginNotSupported: *t.pin == "",
		MaxSessions:       maxTokenSessions,
		PoolWaitTimeout:   tokenWait,
	}
	if t.uri.serial != "" { // the library takes one of the two
		c.TokenSerial = t.uri.serial
	} else {
		c.TokenLabel = t.uri.token
	}
	return c
}

// explain says what keeps the token from being used. The error code stays
// reachable.
func (t *token) explain(err error) error {
	code, _ := errors.AsType[pkcs11.Error](err)
	switch {
	case code == pkcs11.CKR_PIN_INCORRECT:
		return fmt.Errorf("the PIN (SF_JWT_KEY_PASSPHRASE) is not that of %s, which may lock itself after a few wrong ones: %w", t.name(), code)
	case code == pkcs11.CKR_PIN_LOCKED:
		return fmt.Errorf("%s has locked its PIN after wrong ones; its security officer unlocks it: %w", t.name(), code)
	case code == pkcs11.CKR_PIN_LEN_RANGE || code == pkcs11.CKR_PIN_INVALID:
		return fmt.Errorf("%s takes no PIN of this length or these characters (SF_JWT_KEY_PASSPHRASE): %w", t.name(), code)
	case code == pkcs11.CKR_USER_PIN_NOT_INITIALIZED:
		return fmt.Errorf("%s has no user PIN yet: %w", t.name(), code)
	case strings.Contains(err.Error(), "could not find PKCS#11 token"): // the library does not export this error
		return fmt.Errorf("the module %s has no %s", t.uri.module, t.name())
	case strings.Contains(err.Error(), "failed to open module"):
		return fmt.Errorf("module-path: %s is no PKCS #11 library for this machine", t.uri.module)
	}
	return fmt.Errorf("opening %s: %w", t.name(), err)
}

// name is what errors call the token.
func (t *token) name() string {
	if t.uri.serial != "" {
		return fmt.Sprintf("token with the serial number %q", t.uri.serial)
	}
	return fmt.Sprintf("token %q", t.uri.token)
}

// keyName is what errors call the key.
func (t *token) keyName() string {
	var parts []string
	if t.uri.object != "" {
		parts = append(parts, fmt.Sprintf("object %q", t.uri.object))
	}
	if t.uri.id != "" {
		parts = append(parts, fmt.Sprintf("id %x", t.uri.id))
	}
	return strings.Join(parts, " and ")
}

// findKey finds the one RSA key that the URI names.
func (t *token) findKey(context *crypto11.Context) (crypto.Signer, error) {
	signers, err := context.FindKeyPairs([]byte(t.uri.id), []byte(t.uri.object))
	switch {
	case err != nil:
		return nil, fmt.Errorf("finding the key in %s: %w", t.name(), err)
	case len(signers) == 0 && *t.pin == "":
		return nil, fmt.Errorf("%s shows no private key with %s; most show none before they have the PIN (SF_JWT_KEY_PASSPHRASE)", t.name(), t.keyName())
	case len(signers) == 0:
		return nil, fmt.Errorf("%s has no private key with %s that has its public key or certificate beside it under the same id", t.name(), t.keyName())
	case len(signers) > 1:
		return nil, fmt.Errorf("%s has %d private keys with %s; add the id to the URI", t.name(), len(signers), t.keyName())
	}
	if _, err := rsaPublic(signers[0].Public()); err != nil {
		return nil, fmt.Errorf("%s, %s: %w", t.name(), t.keyName(), err)
	}
	return signers[0], nil
}

// findCertificate returns the key's certificate in the token, or nil.
func (t *token) findCertificate() (*x509.Certificate, error) {
	var id, label []byte // nil finds any
	if t.uri.id != "" {
		id = []byte(t.uri.id)
	}
	if t.uri.object != "" {
		label = []byte(t.uri.object)
	}
	certificate, err := t.current.context.FindCertificate(id, label, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate with %s in %s: %w", t.keyName(), t.name(), err)
	}
	if certificate == nil || !Belongs(certificate, t.public) {
		return nil, nil
	}
	return certificate, nil
}

// Public returns the public key as it was when the token was opened.
func (t *token) Public() crypto.PublicKey { return t.public }

// Sign signs a SHA-256 digest with PKCS #1 v1.5.
func (t *token) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := checkDigest(digest, opts); err != nil {
		return nil, err
	}
	session, err := t.session(nil)
	if err != nil {
		return nil, err
	}
	signature, err := session.signer.Sign(rand, digest, opts)
	if err == nil {
		return signature, nil
	}
	// Which code a lost login gives differs from token to token, so any failure
	// is answered with a new one.
	session, renewal := t.session(session)
	if renewal != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", t.name(), err), renewal)
	}
	if signature, err = session.signer.Sign(rand, digest, opts); err != nil {
		return nil, fmt.Errorf("%s: %w", t.name(), err)
	}
	return signature, nil
}

// session returns the session to use instead of the one that failed, nil for
// none: the current one, unless it is that. The one that failed is closed before
// a new one is opened, so that a module of which it is the last starts anew.
func (t *token) session(failed *tokenSession) (*tokenSession, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil && t.current != failed {
		return t.current, nil
	}
	if t.current != nil {
		t.current.context.Close() // waits for the signatures under way; later ones fail and come here
		t.current = nil
	}
	if t.refused != nil {
		return nil, t.refused
	}
	session, err := t.open()
	if code, _ := errors.AsType[pkcs11.Error](err); code == pkcs11.CKR_PIN_INCORRECT {
		t.refused = fmt.Errorf("%w; restart sfproxy with the right one", err)
	}
	if err != nil {
		return nil, err
	}
	if public, ok := t.public.(*rsa.PublicKey); !ok || !public.Equal(session.signer.Public()) {
		session.context.Close()
		return nil, fmt.Errorf("%s has another key with %s now; restart sfproxy to use it", t.name(), t.keyName())
	}
	t.current = session
	return session, nil
}

// Close waits for signatures under way and logs out. A signature after it logs
// in again.
func (t *token) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		return nil
	}
	err := t.current.context.Close()
	t.current = nil
	return err
}
