package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5" // encodes the assertion; signing stays with crypto.Signer
)

// assertionLife is how far ahead an assertion expires. Salesforce allows three
// minutes; the rest is room for a clock that is off by less than clockTolerance.
const assertionLife = 2 * time.Minute

// newAssertion returns an assertion for subject that key has signed (RFC 7523 section 3) that
// expires assertionLife after now, Salesforce's time. The audience is one
// string, since Salesforce documents no list. Each assertion has a jti of its
// own, since Salesforce may refuse one that it has seen.
func (o *Org) newAssertion(ctx context.Context, key crypto.Signer, subject string, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": o.cfg.ConsumerKey,
		"sub": subject,
		"aud": o.cfg.Audience,
		"exp": now.Add(assertionLife).Unix(),
		"jti": rand.Text(),
	})
	text, err := token.SigningString()
	if err != nil {
		return "", fmt.Errorf("encoding the assertion: %v", err)
	}
	digest := sha256.Sum256([]byte(text))
	signature, err := sign(ctx, key, digest[:])
	if err != nil {
		return "", &signingError{err}
	}
	return text + "." + token.EncodeSegment(signature), nil
}

// sign has key sign a digest, until ctx ends: a keeper of keys may hang, and
// then this leaves its goroutine behind.
func sign(ctx context.Context, key crypto.Signer, digest []byte) ([]byte, error) {
	type result struct {
		signature []byte
		err       error
	}
	signed := make(chan result, 1)
	go func() {
		signature, err := key.Sign(rand.Reader, digest, crypto.SHA256)
		signed <- result{signature, err}
	}()
	select {
	case r := <-signed:
		return r.signature, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the key does not answer: %w", context.Cause(ctx))
	}
}

// signingError says that a key cannot sign: its keeper does not answer, say.
type signingError struct{ cause error }

func (e *signingError) Error() string { return fmt.Sprintf("signing the assertion: %v", e.cause) }

func (e *signingError) Unwrap() error { return e.cause }

func isSigning(err error) bool {
	_, ok := errors.AsType[*signingError](err)
	return ok
}

// jwtExpiry returns the exp claim of a token in JWT format. The signature is
// not checked: the token came from its issuer over TLS.
func jwtExpiry(accessToken string) (time.Time, bool) {
	var c jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(accessToken, &c); err != nil || c.ExpiresAt == nil {
		return time.Time{}, false
	}
	return c.ExpiresAt.Time, true
}
