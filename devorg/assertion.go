package devorg

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// maxAssertionLife is how far ahead exp may lie.
const maxAssertionLife = 5 * time.Minute

var errInvalidAssertion = invalidGrant("invalid assertion")

// An assertion is a JWT taken apart, not yet believed.
type assertion struct {
	header, claims    map[string]any
	signed, signature []byte
}

// judge returns the user that a valid assertion speaks for (RFC 7523, section 3). The order
// of the checks is Salesforce's: the app is looked up before its key can be used.
func (o *Org) judge(raw string) (*user, error) {
	a, err := parseAssertion(raw)
	if err != nil {
		return nil, errInvalidAssertion
	}
	if issuer, _ := a.claims["iss"].(string); issuer != o.cfg.ConsumerKey {
		return nil, refusal("invalid_client_id", "client identifier invalid")
	}
	if !a.verify(o.registeredKey()) {
		return nil, errInvalidAssertion
	}
	now := o.now()
	expires, err := a.checkTimes(now)
	if err != nil {
		return nil, err
	}
	if audience, _ := a.claims["aud"].(string); audience != o.Audience() {
		return nil, invalidGrant("audience is invalid")
	}
	subject, err := a.subject()
	if err != nil {
		return nil, err
	}
	user := o.users[subject]
	if user == nil {
		return nil, invalidGrant("user hasn't approved this consumer")
	}
	if jti, present := a.claims["jti"]; present {
		id, isString := jti.(string)
		if !isString || !o.sessions.firstUse(id, expires, now) {
			return nil, errInvalidAssertion
		}
	}
	if !o.sessions.login(user, now, o.cfg.LoginsPerHour) {
		return nil, invalidGrant("login rate exceeded")
	}
	return user, nil
}

func parseAssertion(raw string) (*assertion, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, errors.New("not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, err
		}
		if strings.ContainsAny(part, "\r\n") { // the decoder skips them
			return nil, errors.New("line break in the assertion")
		}
	}
	header, err := parseObject(decoded[0])
	if err != nil {
		return nil, err
	}
	claims, err := parseObject(decoded[1])
	if err != nil {
		return nil, err
	}
	return &assertion{header: header, claims: claims, signed: []byte(parts[0] + "." + parts[1]), signature: decoded[2]}, nil
}

// parseObject decodes one JSON object in which no name occurs twice.
func parseObject(data []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	object := make(map[string]any)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := object[name.(string)]; twice {
			return nil, errors.New("a name occurs twice")
		}
		object[name.(string)] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	return object, nil
}

// verify reports whether the header asks for RS256 and the signature is that of key. An
// extension that must be understood is one the org does not know.
func (a *assertion) verify(key *rsa.PublicKey) bool {
	if a.header["alg"] != "RS256" {
		return false
	}
	if typ, present := a.header["typ"]; present && typ != "JWT" {
		return false
	}
	if _, present := a.header["crit"]; present {
		return false
	}
	digest := sha256.Sum256(a.signed)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], a.signature) == nil
}

// checkTimes returns exp, which must be ahead but not far; nbf and iat must not be ahead.
func (a *assertion) checkTimes(now time.Time) (time.Time, error) {
	expires, ok := numericDate(a.claims["exp"])
	if !ok {
		return time.Time{}, errInvalidAssertion
	}
	if !expires.After(now) {
		return time.Time{}, invalidGrant("expired authorization code")
	}
	if expires.After(now.Add(maxAssertionLife)) {
		return time.Time{}, errInvalidAssertion
	}
	for _, name := range []string{"nbf", "iat"} {
		value, present := a.claims[name]
		if !present {
			continue
		}
		// Whole seconds are what both claims are made of.
		if at, ok := numericDate(value); !ok || at.After(now) {
			return time.Time{}, errInvalidAssertion
		}
	}
	return expires, nil
}

func numericDate(claim any) (time.Time, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1e14 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true
}

// subject returns sub. Its old alias prn may be there too, if it says the same.
func (a *assertion) subject() (string, error) {
	subject, ok := a.claims["sub"].(string)
	if !ok {
		return "", errInvalidAssertion
	}
	if alias, present := a.claims["prn"]; present && alias != subject {
		return "", errInvalidAssertion
	}
	return subject, nil
}
