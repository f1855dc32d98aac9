package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// Account is a client of the proxy as far as it can log in. Which credentials
// it has decides how: a username and a password by SOAP login() or the password
// grant, an API key by the client credentials grant.
type Account struct {
	Client  string // the client's name
	Subject string // the Salesforce user it acts as

	Username string // "" for none
	Password Hash
	// PasswordAndToken is the password with the security token appended, as apps
	// send it that were set up for logins from outside the org's trusted networks.
	PasswordAndToken Hash
	// ConsumerKey and ConsumerSecret have to come with the account's password
	// grants. "" and the zero value are for any.
	ConsumerKey    string
	ConsumerSecret Hash
	// APIKey is that of the client.
	APIKey Hash
}

// Hash is the SHA-256 of a credential, so that the credential itself need not be
// kept. The zero value is for none.
type Hash [sha256.Size]byte

// HashOf returns the hash of a credential that consists of parts, none of which
// it keeps.
func HashOf(parts ...[]byte) Hash {
	h, size := sha256.New(), 0
	for _, part := range parts {
		h.Write(part)
		size += len(part)
	}
	if size == 0 {
		return Hash{}
	}
	return Hash(h.Sum(nil))
}

var (
	errCredentials    = errors.New("unknown username or wrong password")
	errConsumerKey    = errors.New("the consumer key is no client's")
	errConsumerSecret = errors.New("the consumer secret is not that of the consumer key")
)

// byConsumer returns the account with this username, password, consumer key and
// consumer secret. Which error it returns otherwise goes by key and secret
// alone: who has not got these learns nothing about a username or a password.
func byConsumer(accounts []Account, username, password, key, secret string) (*Account, error) {
	found, _ := byPassword(accounts, username, password)
	keyKnown, pairKnown, foundMatches := 0, 0, 0
	for i := range accounts {
		a := &accounts[i]
		if a.Username == "" {
			continue
		}
		keyMatches := matches(key, HashOf([]byte(a.ConsumerKey)))
		pairMatches := keyMatches & matches(secret, a.ConsumerSecret)
		keyKnown |= keyMatches
		pairKnown |= pairMatches
		if a == found {
			foundMatches = pairMatches
		}
	}
	switch {
	case foundMatches == 1:
		return found, nil
	case keyKnown == 0:
		return nil, errConsumerKey
	case pairKnown == 0:
		return nil, errConsumerSecret
	}
	return nil, errCredentials
}

// matches returns 1 if a text is the one that is wanted, or any is, and else 0,
// in a time that does not tell how much of it is right.
func matches(text string, want Hash) int {
	if want == (Hash{}) {
		return 1
	}
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], want[:])
}

// byPassword returns the account with this username and password. Every
// account is compared with both, so that a wrong password takes as long as a
// wrong user.
func byPassword(accounts []Account, username, password string) (*Account, error) {
	user, pass := sha256.Sum256([]byte(username)), sha256.Sum256([]byte(password))
	var found *Account
	for i := range accounts {
		a := &accounts[i]
		wantUser := sha256.Sum256([]byte(a.Username))
		match := subtle.ConstantTimeCompare(user[:], wantUser[:]) &
			(subtle.ConstantTimeCompare(pass[:], a.Password[:]) | subtle.ConstantTimeCompare(pass[:], a.PasswordAndToken[:]))
		if match == 1 && a.Username != "" && a.Password != (Hash{}) {
			found = a
		}
	}
	if found == nil {
		return nil, errCredentials
	}
	return found, nil
}

// byAPIKey returns the account of the client with this name and API key.
func byAPIKey(accounts []Account, name, key string) (*Account, error) {
	client, sum := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(key))
	var found *Account
	for i := range accounts {
		want := sha256.Sum256([]byte(accounts[i].Client))
		if subtle.ConstantTimeCompare(client[:], want[:])&subtle.ConstantTimeCompare(sum[:], accounts[i].APIKey[:]) == 1 {
			found = &accounts[i]
		}
	}
	if found == nil {
		return nil, errCredentials
	}
	return found, nil
}

// fingerprint changes with any of the account's credentials.
func (a *Account) fingerprint(key []byte) fingerprint {
	h := hmac.New(sha256.New, key)
	for _, part := range []string{"fingerprint", a.Client, a.Username, a.ConsumerKey} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	for _, sum := range []Hash{a.Password, a.PasswordAndToken, a.ConsumerSecret, a.APIKey} {
		h.Write(sum[:])
	}
	return fingerprint(h.Sum(nil))
}
