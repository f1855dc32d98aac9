// Package doctor checks a set-up from end to end, as the proxy will use it, and
// says in plain words what to mend.
//
//	configuration, key, login host                      key.go, host.go
//	DNS → TCP → TLS → clock: the way to the login host  network.go, tls.go, clock.go
//	grant: one, by auth.Org; what a refusal means       grant.go
//	subjects: a grant for each other user of clients    subjects.go
//	token, identity, session policy                     token.go
//	instance, API versions, API access, limits          api.go, apierror.go
//	listener, exposure, admin port                      listener.go, neighbour.go
//
// A check that fails does not end the run: those that can do without what it
// found go on, the others are skipped and say why. Nothing that is reported is
// secret, so that it can be pasted into a ticket: no token, key, passphrase,
// assertion or API key; of the consumer key only the beginning, but for the URL
// that needs it.
package doctor

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
)

// Config is the set-up to check.
type Config struct {
	// Faults and Warnings are what is wrong with the configuration and what is
	// allowed but risky, Notes what is well and good to know; they hold no secret.
	Faults, Warnings, Notes []string
	// Org is what a grant needs, but for Key, Transport and Logger, which are
	// filled in. Without a LoginURL, the checks of the org are skipped.
	Org     auth.OrgConfig
	Subject string
	Key     Key
	// NextKey is tried when the org refuses Key. Without a Source there is none.
	NextKey Key
	// Transport is the proxy's own way to the org. Required with a LoginURL.
	Transport *http.Transport
	// MinAPIVersion is such as "60.0"; empty for none.
	MinAPIVersion string
	// Callback is one of the app's callback URLs, for the URL at which a user
	// approves the app.
	Callback string
	// Listener is the side of the clients. Without it, its checks are skipped.
	Listener *Listener
}

// Key is the key that signs assertions.
type Key struct {
	Signer crypto.Signer // nil if it could not be loaded
	Fault  error         // why
	// Unsuitable reports that no setting makes a key of what was given; other
	// faults say themselves what to do.
	Unsuitable  bool
	Source      string // where it is from, as SF_JWT_KEY_FILE (/path)
	Format      string // the form it was kept in
	Fingerprint string
	// Certificate is the one that came with the key or was given beside it. In
	// the middle of a rotation it may be the next key's. nil for none.
	Certificate *x509.Certificate
	// CertificateFault is why the one given beside it is of no use.
	CertificateFault error
}

// Listener is where clients reach the proxy and who may.
type Listener struct {
	Address      string      // host:port; without a host, all interfaces
	AdminAddress string      // empty for none
	TLS          *tls.Config // nil for plain HTTP
	TLSFault     error       // why the TLS settings cannot be used
	Clients      []Client
	AllowPaths   []string
}

// Client is an app that may use the proxy.
type Client struct {
	Name    string
	Subject string // the Salesforce user that its requests act for
	Setting string // the variable that names the subject, as PROXY_CLIENT_0_SUBJECT
}

// Run makes every check, reports each as it is done, and returns whether none
// has failed. A run takes one grant, up to three more where the audience is
// refused, one for each of the first 20 other subjects of clients, and a few API
// calls.
func Run(ctx context.Context, cfg Config, report func(Result)) bool {
	x := &examination{cfg: cfg, blocked: map[string]string{}}
	ok := true
	for _, c := range x.checks() {
		result := x.try(ctx, c)
		result.Check = c.name
		report(result)
		ok = ok && result.Status != Failed
	}
	return ok
}

// check is one of the checks. It is skipped if one that it needs has failed or
// was skipped for such a reason.
type check struct {
	name  string
	needs []string
	run   func(context.Context) Result
}

// examination is a run: the set-up and what the checks have found so far.
type examination struct {
	cfg     Config
	blocked map[string]string // check that nothing can build on → the one that failed

	login    *probe      // of the login host; nil before
	org      *auth.Org   // that granted the token; nil before
	token    *auth.Token // nil before
	versions []string    // of the API, ascending
}

func (x *examination) checks() []check {
	checks := []check{
		{"configuration", nil, x.configuration},
		{"key", []string{"configuration"}, x.key},
		{"login host", []string{"configuration"}, x.loginHost},
		{"DNS", []string{"configuration"}, x.dns},
		{"TCP", []string{"DNS"}, x.tcp},
		{"TLS", []string{"TCP"}, x.tls},
		{"clock", []string{"TLS"}, x.clock},
		{"grant", []string{"key", "TLS"}, x.grant},
		{"token", []string{"grant"}, x.tokenForm},
		{"instance", []string{"grant"}, x.instance},
		{"identity", []string{"instance"}, x.identity},
		{"session policy", []string{"instance"}, x.session},
		{"API versions", []string{"instance"}, x.apiVersions},
		{"API access", []string{"API versions"}, x.apiAccess},
		{"limits", []string{"API access"}, x.limits},
		{"listener", nil, x.listener},
		{"exposure", nil, x.exposure},
		{"admin port", nil, x.adminPort},
	}
	if len(x.otherSubjects()) > 0 {
		checks = insertAfter(checks, "grant", check{"subjects", []string{"grant"}, x.subjects})
	}
	if x.cfg.NextKey.Source != "" {
		checks = insertAfter(checks, "key", check{"next key", []string{"configuration"}, x.nextKey})
	}
	return checks
}

// insertAfter returns checks with another one after the one of that name.
func insertAfter(checks []check, name string, another check) []check {
	at := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	return slices.Insert(checks, at+1, another)
}

// try makes a check, unless one that it needs stands in the way.
func (x *examination) try(ctx context.Context, c check) Result {
	for _, need := range c.needs {
		if failed, blocked := x.blocked[need]; blocked {
			x.blocked[c.name] = failed
			return skipped("not tried, since %q failed", failed)
		}
	}
	result := c.run(ctx)
	if result.Status == Failed && !result.usable {
		x.blocked[c.name] = c.name
	}
	return result
}

// configuration reports what the configuration's own check has found. A fault
// of the clients' side does not keep the org's from being checked.
func (x *examination) configuration(context.Context) Result {
	if n := len(x.cfg.Faults); n > 0 {
		r := failed("%s", count(n, "fault"))
		r.usable = x.cfg.Org.LoginURL != nil
		return r.fix(append(x.cfg.Faults, x.cfg.Warnings...)...)
	}
	if n := len(x.cfg.Warnings); n > 0 {
		return warning("no fault, %s", count(n, "warning")).fix(append(x.cfg.Warnings, x.cfg.Notes...)...)
	}
	return passed("%s", strings.Join(append([]string{"no fault"}, x.cfg.Notes...), "; "))
}
