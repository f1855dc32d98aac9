package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// probe is an answer to a request without credentials, whoever gave it.
type probe struct {
	state          *tls.ConnectionState // nil for plain HTTP
	date           string               // the header
	sent, received time.Time
	err            error
}

// look sends a request to u without checking the certificate, so that it can be
// looked at. What is sent says nothing, and of the answer only Date is believed,
// once the certificate was found good.
func (x *examination) look(ctx context.Context, u *url.URL) *probe {
	transport := x.cfg.Transport.Clone()
	settings := transport.TLSClientConfig
	if settings == nil {
		settings = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	settings.InsecureSkipVerify = true
	settings.ClientSessionCache = nil
	transport.TLSClientConfig = settings
	transport.DisableKeepAlives = true
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return &probe{err: err}
	}
	p := &probe{sent: time.Now()}
	resp, err := transport.RoundTrip(req)
	p.received = time.Now()
	if err != nil {
		p.err = err
		return p
	}
	resp.Body.Close()
	p.state, p.date = resp.TLS, resp.Header.Get("Date")
	return p
}

// tls looks at the login host's certificate chain.
func (x *examination) tls(ctx context.Context) Result {
	login := x.cfg.Org.LoginURL
	x.login = x.look(ctx, login)
	if x.login.err != nil {
		entry := auth.ExplainTransport(x.login.err)
		return failed("%s: %s", entry.Meaning, auth.Foreign(x.login.err.Error())).explained(entry)
	}
	if x.login.state == nil {
		r := skipped("%s is plain HTTP, which is right for tests on this machine alone", login)
		if !isLocal(login.Hostname()) {
			r.Status = Warning
			r = r.fix("set SF_LOGIN_URL to an https address: whoever can listen on the way gets the tokens")
		}
		return r
	}
	chain := x.login.state.PeerCertificates
	if err := x.verify(chain, login.Hostname()); err != nil {
		return distrusted(chain[0], login.Hostname(), err)
	}
	about := fmt.Sprintf("%s, certificate of %s, issued by %s, until %s", tls.VersionName(x.login.state.Version),
		subjectOf(chain[0]), nameOf(chain[0].Issuer), chain[0].NotAfter.UTC().Format(dateLayout))
	if auth.IsSalesforce(login.Hostname()) && !issuesForSalesforce(chain[0].Issuer) {
		return warning("%s: that is no public CA as Salesforce's hosts have, so a company proxy inspects TLS here; its CA is trusted", about).
			fix("nothing, if your network team says so; it can read the tokens, and had better exempt Salesforce's hosts")
	}
	return passed("%s", about)
}

// verify checks the chain as the proxy's own connections will.
func (x *examination) verify(chain []*x509.Certificate, host string) error {
	options := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
	if settings := x.cfg.Transport.TLSClientConfig; settings != nil {
		options.Roots = settings.RootCAs
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err
}

// distrusted says why a certificate is not believed. A name and dates that are
// right, and an issuer that nobody knows, are what a company proxy shows that
// inspects TLS.
func distrusted(leaf *x509.Certificate, host string, err error) Result {
	entry := auth.ExplainTransport(&tls.CertificateVerificationError{Err: err})
	issuer := nameOf(leaf.Issuer)
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return failed("the certificate of %s is issued by %s, which is not trusted here: that is how a company proxy looks which inspects TLS", host, issuer).explained(entry)
	}
	if _, other := errors.AsType[x509.HostnameError](err); other {
		return failed("the certificate is for %s and not for %s; it is issued by %s", subjectOf(leaf), host, issuer).explained(entry)
	}
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	if invalid.Reason == x509.Expired {
		return failed("the certificate of %s, issued by %s, is good from %s to %s, and this machine's clock says %s", host, issuer,
			leaf.NotBefore.UTC().Format(dateLayout), leaf.NotAfter.UTC().Format(dateLayout), time.Now().UTC().Format(dateLayout)).explained(entry)
	}
	return failed("the certificate of %s, issued by %s, is not trusted: %s", host, issuer, auth.Foreign(err.Error())).explained(entry)
}

// subjectOf names whom a certificate is for, by up to three names.
func subjectOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nameOf(c.Subject)
	}
	if len(names) > 3 {
		names = append(names[:3], "…")
	}
	return auth.Foreign(strings.Join(names, ", "))
}

// nameOf returns the organization and the common name.
func nameOf(n pkix.Name) string {
	organization := strings.Join(n.Organization, ", ")
	if organization == "" || n.CommonName == "" {
		return fmt.Sprintf("%q", auth.Foreign(cmp.Or(organization, n.CommonName, n.String())))
	}
	return fmt.Sprintf("%q (%s)", auth.Foreign(n.CommonName), auth.Foreign(organization))
}

// salesforceIssuers are parts of the names of public CAs: DigiCert, which
// Salesforce's hosts have, and those that it may change to without surprise. A
// company's own CA is none of them.
var salesforceIssuers = []string{"digicert", "geotrust", "amazon", "let's encrypt", "google trust services", "globalsign"}

func issuesForSalesforce(issuer pkix.Name) bool {
	organization := strings.ToLower(strings.Join(issuer.Organization, " "))
	return slices.ContainsFunc(salesforceIssuers, func(i string) bool { return strings.Contains(organization, i) })
}
