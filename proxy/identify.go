package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var (
	errUnidentified = errors.New("the request has no valid credential of a client of this proxy: send an API key as Authorization: Bearer")
	errSession      = errors.New("the session has expired, was ended, or is none of this proxy's")
)

// identify finds the client that a request's credential belongs to. Without
// configured clients everybody is the same nameless one.
func (p *Proxy) identify(next http.HandlerFunc) http.HandlerFunc {
	anyone := &Client{Subject: p.cfg.Subject, Reserve: p.cfg.Reserve, MaxRequests: p.cfg.MaxRequestsPerClient, observer: p.nobody, running: new(running)}
	return func(w http.ResponseWriter, r *http.Request) {
		if known := p.clients.Load(); known.open {
			exchangeOf(r.Context()).client = anyone
		} else if !p.isKnown(known.list, w, r) {
			return
		}
		next(w, r)
	}
}

// isKnown reports whether a request is of one in list, and whose, or refuses it.
func (p *Proxy) isKnown(list []Client, w http.ResponseWriter, r *http.Request) bool {
	ex := exchangeOf(r.Context())
	var few [4]string // enough for most, without a heap
	presented := presentedCredentials(few[:0], ex, r)
	if ex.envelope != nil && ex.envelope.session != "" {
		presented = append(presented, ex.envelope.session)
	}
	var certified bool
	ex.client, certified = byCertificate(list, p.clientOf(list, presented), r)
	switch {
	case !certified:
		p.refuse(w, r, denial(http.StatusUnauthorized, "PROXY_UNAUTHORIZED", errCertificate))
	case ex.client != nil:
		return true
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
	return false
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
