package proxy

import (
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
)

var (
	errCertificate = errors.New("the client certificate names another client than the API key or session does, or more than one client: leave the key out, or use the certificate of its client")
	errUncertified = errors.New("the request has no valid credential of a client of this proxy: its certificate bears no client's name (PROXY_CLIENT_<n>_CERT_NAME), and it brings no API key as Authorization: Bearer")
)

// byCertificate returns the client of a request whose credential belongs to
// found, nil for none. A certificate that names clients restricts the request to
// them: ok is false if found is not among them, or if it takes a credential to
// tell which of them it is. One that names no client changes nothing.
func byCertificate(list []Client, found *Client, r *http.Request) (client *Client, ok bool) {
	leaf := verifiedLeaf(r)
	if leaf == nil {
		return found, true
	}
	var named []*Client
	for i := range list {
		if list[i].CertName != "" && isNamed(leaf, list[i].CertName) {
			named = append(named, &list[i])
		}
	}
	switch {
	case len(named) == 0:
		return found, true
	case found == nil && len(named) == 1:
		return named[0], true
	}
	return found, slices.Contains(named, found)
}

// verifiedLeaf returns the certificate that a client has shown and that was
// verified by the listener, nil for none.
func verifiedLeaf(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0]
}

// isNamed reports whether a certificate bears a name. Only DNS names are the same
// in any case (RFC 4343).
func isNamed(leaf *x509.Certificate, name string) bool {
	for _, uri := range leaf.URIs {
		if uri.String() == name {
			return true
		}
	}
	return leaf.Subject.CommonName == name || slices.Contains(leaf.EmailAddresses, name) ||
		slices.ContainsFunc(leaf.DNSNames, func(dns string) bool { return strings.EqualFold(dns, name) })
}
