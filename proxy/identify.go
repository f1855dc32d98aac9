package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/policy"
	"github.com/sfproxy/sfproxy/quota"
)

// Client is an app that may use the proxy.
type Client struct {
	Name    string // for logs and Sforce-Call-Options
	Subject string // the Salesforce user its requests act as
	// APIKey is the client's credential, see [HashAPIKey].
	APIKey APIKey
	// CertName is the name in its client certificates: a DNS, URI or e-mail name
	// among the alternative ones, or the common name. Default: none.
	CertName string
	// Policy is what it may do; nil allows everything.
	Policy *policy.Policy
	// MaxRequests is how many of its requests run at a time; 0 for no limit.
	// Those over it get 429.
	MaxRequests int
	// Reserve is what it leaves of the org's API requests to others.
	Reserve quota.Reserve

	observer ClientObserver // nil without an Observer
	running  *running       // its requests; those of one name share it

	callOptions []string // the header that names it; not to be changed
}

// APIKey is the SHA-256 of an API key. The zero value matches no key.
type APIKey [sha256.Size]byte

// HashAPIKey returns the APIKey of a key, or of its hash written as "sha256:"
// and 64 hexadecimal digits, so that a configuration need not hold the key. No
// key gives the zero value.
func HashAPIKey[Text string | []byte](key Text) (APIKey, error) {
	if len(key) == 0 {
		return APIKey{}, nil
	}
	digits, hashed := bytes.CutPrefix([]byte(key), []byte("sha256:"))
	if !hashed {
		return sha256.Sum256(digits), nil
	}
	sum, err := hex.DecodeString(string(digits))
	if err != nil || len(sum) != sha256.Size {
		return APIKey{}, fmt.Errorf("an API key that begins with sha256: goes on with %d hexadecimal digits", 2*sha256.Size)
	}
	return APIKey(sum), nil
}

var (
	errUnidentified = errors.New("the request has no valid credential of a client of this proxy: send an API key as Authorization: Bearer")
	errSession      = errors.New("the session has expired, was ended, or is none of this proxy's")
)

// clients are those who may use the proxy.
type clients struct {
	list []Client
	open bool // there are none, and whoever reaches the proxy may use it
}

// SetClients replaces [Config.Clients] while the proxy is in use: a request
// sees the old ones or the new ones. Unlike in Config, no clients means that
// nobody may use the proxy: one that has asked for credentials is never opened.
// Requests that run are counted on, by the name of their client.
func (p *Proxy) SetClients(list []Client) {
	p.clients.Store(&clients{list: p.counted(p.observed(list))})
}

// counted gives each client in list the count of what runs for its name.
func (p *Proxy) counted(list []Client) []Client {
	for i := range list {
		count, _ := p.runningOf.LoadOrStore(list[i].Name, new(running))
		list[i].running = count.(*running)
		list[i].callOptions = []string{"client=" + list[i].Name}
	}
	return list
}

// identify finds the client that a request's credential belongs to. Without
// configured clients everybody is the same nameless one.
func (p *Proxy) identify(next http.Handler) http.Handler {
	anyone := &Client{Subject: p.cfg.Subject, Reserve: p.cfg.Reserve, MaxRequests: p.cfg.MaxRequestsPerClient, running: new(running)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		known := p.clients.Load()
		if known.open {
			ex.client = anyone
			next.ServeHTTP(w, r)
			return
		}
		var few [4]string // enough for most, without a heap
		presented := presentedCredentials(few[:0], ex, r)
		if ex.envelope != nil && ex.envelope.session != "" {
			presented = append(presented, ex.envelope.session)
		}
		var certified bool
		ex.client, certified = byCertificate(known.list, p.clientOf(known.list, presented), r)
		switch {
		case !certified:
			p.refuse(w, r, denial(http.StatusUnauthorized, "PROXY_UNAUTHORIZED", errCertificate))
		case ex.client != nil:
			next.ServeHTTP(w, r)
		case p.cfg.Logins != nil && slices.ContainsFunc(presented, isSession):
			f := sessionFaultFor(ex.path)
			f.reason = errSession
			p.refuse(w, r, f)
		default:
			reason := errUnidentified
			if verifiedLeaf(r) != nil {
				reason = errUncertified
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="sfproxy"`)
			p.refuse(w, r, denial(http.StatusUnauthorized, "PROXY_UNAUTHORIZED", reason))
		}
	})
}

// clientOf returns the client that one of the credentials, API key or session,
// belongs to, or nil. Keys are compared with every client's, in constant time.
func (p *Proxy) clientOf(list []Client, presented []string) *Client {
	var found *Client
	for _, credential := range presented {
		sum := sha256.Sum256([]byte(credential))
		for i := range list {
			if subtle.ConstantTimeCompare(sum[:], list[i].APIKey[:]) == 1 {
				found = &list[i]
			}
		}
		if found == nil && p.cfg.Logins != nil && isSession(credential) {
			found = p.clientOfSession(list, credential)
		}
	}
	return found
}

func (p *Proxy) clientOfSession(list []Client, session string) *Client {
	name, err := p.cfg.Logins.Client(session)
	if err != nil {
		return nil
	}
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// isSession reports whether a credential has the shape of a session: 00D…!….
func isSession(credential string) bool { return strings.Contains(credential, "!") }

// presentedCredentials appends to found what may be an API key or a session, from
// each place where an app can put one: the places where Salesforce clients put a
// session, Basic authentication's password, and X-Api-Key.
func presentedCredentials(found []string, ex *exchange, r *http.Request) []string {
	for _, value := range r.Header["Authorization"] {
		scheme, credential, _ := strings.Cut(value, " ")
		credential = strings.TrimSpace(credential)
		switch {
		case strings.EqualFold(scheme, "bearer"), strings.EqualFold(scheme, "oauth"):
			found = append(found, credential)
		case strings.EqualFold(scheme, "basic"):
			if _, password, ok := (&http.Request{Header: http.Header{"Authorization": {value}}}).BasicAuth(); ok {
				found = append(found, password)
			}
		}
	}
	found = append(found, r.Header["X-Sfdc-Session"]...)
	found = append(found, r.Header["X-Api-Key"]...)
	for _, cookie := range r.CookiesNamed("sid") {
		found = append(found, cookie.Value)
	}
	if takesCredentials(ex.path) {
		found = append(found, credentialParameters(ex.rawQuery)...)
	}
	return found
}

// credentialParameters returns the values of the parameters of a raw query that
// may hold a session.
func credentialParameters(rawQuery string) []string {
	if rawQuery == "" {
		return nil
	}
	var found []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if !isCredential(parameterName(pair)) {
			continue
		}
		_, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(value); err == nil {
			found = append(found, decoded)
		}
	}
	return found
}
