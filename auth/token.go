package auth

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// AccessToken is the bearer credential of a [Token]. Every way of printing or
// marshalling it leaves the value out; Reveal is the only way to it.
//
// The value is behind a pointer because fmt does not always ask Format: it
// prints unexported fields, and the argument of a wrong verb, by reflection.
// So AccessTokens are not to be compared with ==.
type AccessToken struct{ value *string }

const redacted = "REDACTED"

// NewAccessToken returns value as an AccessToken.
func NewAccessToken(value string) AccessToken { return AccessToken{&value} }

// Reveal returns the credential itself, for an Authorization header.
func (a AccessToken) Reveal() string {
	if a.value == nil {
		return ""
	}
	return *a.value
}

// Format implements [fmt.Formatter], so that no verb reaches the value.
func (AccessToken) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer].
func (AccessToken) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which JSON uses too.
func (AccessToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Token is the result of a grant. It is immutable: neither its fields nor what
// they point to may be changed.
type Token struct {
	AccessToken AccessToken
	InstanceURL *url.URL // the origin the token is good for; no path
	IdentityURL string   // the "id" of the answer; may be empty
	Scope       string   // space separated; may be empty
	Subject     string
	IssuedAt    time.Time // by the local clock
	ExpiresAt   time.Time // by the local clock; a guess unless Salesforce said it

	// dueAt and expiresAt are Unix nanoseconds of the wall clock: a monotonic
	// clock stands still while a laptop sleeps, a session does not.
	dueAt, expiresAt int64

	logins int // that the grant took; 0 stands for one
}

// renewalAge is the share of its life after which a token is due. Renewals of
// many subjects are spread over the tenth before it.
const renewalAge = 0.75

// newToken returns t with its life set: from now for ttl. spread, in [0,1),
// places the renewal within its window.
func newToken(t Token, now time.Time, ttl time.Duration, spread float64) *Token {
	now = now.Round(0)
	t.IssuedAt, t.ExpiresAt = now, now.Add(ttl)
	t.expiresAt = t.ExpiresAt.UnixNano()
	t.dueAt = now.Add(time.Duration(float64(ttl) * (renewalAge - spread/10))).UnixNano()
	return &t
}

// JWT reports whether the access token is in JWT format. Salesforce takes such
// tokens for its REST APIs only, not for SOAP.
func (t *Token) JWT() bool {
	value := t.AccessToken.Reveal()
	return strings.Count(value, ".") == 2 && strings.HasPrefix(value, "ey")
}

// state is where a token stands at a time.
type state int

const (
	expired state = iota // not to be used, or there is none
	due                  // good, and to be renewed now
	fresh                // good
)

func (s state) String() string { return [...]string{"expired", "due", "fresh"}[s] }

// state reports where t stands at now, Unix nanoseconds; a nil t is expired.
func (t *Token) state(now int64) state {
	switch {
	case t == nil || now >= t.expiresAt:
		return expired
	case now >= t.dueAt:
		return due
	}
	return fresh
}

// answer is the token endpoint's success response (RFC 6749 section 5.1 and
// Salesforce's additions). Fields that are not listed are ignored.
type answer struct {
	AccessToken string      `json:"access_token"`
	TokenType   string      `json:"token_type"`
	InstanceURL string      `json:"instance_url"`
	ID          string      `json:"id"`
	Scope       string      `json:"scope"`
	ExpiresIn   json.Number `json:"expires_in"`
}

// maxAccessToken bounds an access token, in bytes. Salesforce refuses requests
// whose URI and headers exceed 16,384 bytes, so a larger one is of no use.
const maxAccessToken = 12 << 10

// check reports what makes the answer unusable.
func (a *answer) check() error {
	switch {
	case a.AccessToken == "":
		return fmt.Errorf("the answer has no access_token")
	case len(a.AccessToken) > maxAccessToken:
		return fmt.Errorf("the access_token is longer than %d bytes", maxAccessToken)
	case strings.ContainsFunc(a.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("the access_token has characters that no header can carry")
	case a.TokenType != "" && !strings.EqualFold(a.TokenType, "Bearer"):
		return fmt.Errorf("the token_type is %q, want Bearer", Foreign(a.TokenType))
	}
	return nil
}

// life returns how long the token counts as good: what the answer says, else
// what a token in JWT format says of itself, else ttl. now is Salesforce's time.
func (a *answer) life(now time.Time, ttl time.Duration) time.Duration {
	if s, err := a.ExpiresIn.Int64(); err == nil && s > 0 && s < int64(maxLife/time.Second) {
		return time.Duration(s) * time.Second
	}
	if exp, ok := jwtExpiry(a.AccessToken); ok {
		if left := exp.Sub(now); left > 0 && left < maxLife {
			return left
		}
	}
	return ttl
}

// maxLife bounds what an answer may say of a token's life.
const maxLife = 30 * 24 * time.Hour
