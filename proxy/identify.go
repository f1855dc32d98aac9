package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Client is an app that may use the proxy.
type Client struct {
	Name    string // for logs and Sforce-Call-Options
	Subject string // the Salesforce user its requests act as
	// APIKey is the client's credential, see [HashAPIKey].
	APIKey   APIKey
	ReadOnly bool // GET and HEAD only
}

// APIKey is the SHA-256 of an API key. The zero value matches no key.
type APIKey [sha256.Size]byte

// HashAPIKey returns the APIKey of a key, or of its hash written as "sha256:"
// and 64 hexadecimal digits, so that a configuration need not hold the key. No
// key gives the zero value.
func HashAPIKey(key string) (APIKey, error) {
	if key == "" {
		return APIKey{}, nil
	}
	digits, hashed := strings.CutPrefix(key, "sha256:")
	if !hashed {
		return sha256.Sum256([]byte(key)), nil
	}
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != sha256.Size {
		return APIKey{}, fmt.Errorf("an API key that begins with sha256: goes on with %d hexadecimal digits", 2*sha256.Size)
	}
	return APIKey(sum), nil
}

var errUnidentified = errors.New("the request has no valid credential of a client of this proxy: send an API key as Authorization: Bearer")

// identify finds the client that a request's credential belongs to. Without
// configured clients everybody is the same nameless one.
func (p *Proxy) identify(next http.Handler) http.Handler {
	anyone := &Client{Subject: p.cfg.Subject}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		ex.client = anyone
		if len(p.cfg.Clients) > 0 {
			ex.client = p.clientOf(r.Header)
		}
		if ex.client == nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sfproxy"`)
			p.refuse(w, r, http.StatusUnauthorized, "PROXY_UNAUTHORIZED", errUnidentified)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// clientOf returns the client that one of the request's credentials names, or
// nil. Every client is compared, in constant time.
func (p *Proxy) clientOf(h http.Header) *Client {
	var found *Client
	for _, key := range presentedKeys(h) {
		sum := sha256.Sum256([]byte(key))
		for i := range p.cfg.Clients {
			if subtle.ConstantTimeCompare(sum[:], p.cfg.Clients[i].APIKey[:]) == 1 {
				found = &p.cfg.Clients[i]
			}
		}
	}
	return found
}

// presentedKeys returns what may be an API key, from each place where an app
// can put one: the places where Salesforce clients put a session, Basic
// authentication's password, and X-Api-Key.
func presentedKeys(h http.Header) []string {
	var keys []string
	for _, value := range h["Authorization"] {
		scheme, credential, _ := strings.Cut(value, " ")
		credential = strings.TrimSpace(credential)
		switch strings.ToLower(scheme) {
		case "bearer", "oauth":
			keys = append(keys, credential)
		case "basic":
			if _, password, ok := (&http.Request{Header: http.Header{"Authorization": {value}}}).BasicAuth(); ok {
				keys = append(keys, password)
			}
		}
	}
	keys = append(keys, h["X-Sfdc-Session"]...)
	return append(keys, h["X-Api-Key"]...)
}
