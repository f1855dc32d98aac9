package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// TrustedDomains are the domains that Salesforce serves orgs from; a token
// goes nowhere else unless the configuration says so. Source: the official
// CLI's list of Salesforce domains, and my.site.com for Experience Cloud sites.
var TrustedDomains = []string{
	"salesforce.com", "force.com", "cloudforce.com", "my.site.com",
	"salesforce.mil", "crmforce.mil", "sfcrmproducts.cn",
}

// Audience returns the claim aud for a login URL: production or sandbox for
// Salesforce's own login hosts and for an org's My Domain, the site itself for
// an Experience Cloud site, and the origin for any other host.
func Audience(login *url.URL) string {
	const production, sandbox = "https://login.salesforce.com", "https://test.salesforce.com"
	host := strings.ToLower(login.Hostname())
	origin := login.Scheme + "://" + strings.ToLower(login.Host)
	switch {
	case host == "login.salesforce.com":
		return production
	case host == "test.salesforce.com":
		return sandbox
	case under(host, "my.salesforce.com"):
		return map[bool]string{true: sandbox, false: production}[isSandbox(host)]
	case under(host, "my.site.com"), under(host, "force.com"):
		return origin + strings.TrimRight(login.Path, "/")
	}
	return origin
}

// isSandbox reports whether a My Domain host is that of a sandbox or scratch
// org: x--y.sandbox.my.…, x.scratch.my.…, the older x--y.my.… and x--y.cs1.my.….
func isSandbox(host string) bool {
	name, _ := strings.CutSuffix(host, ".my.salesforce.com")
	labels := strings.Split(name, ".")
	return strings.Contains(labels[0], "--") || slices.Contains(labels[1:], "sandbox") || slices.Contains(labels[1:], "scratch")
}

// under reports whether host is domain or lies in it.
func under(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// isLoopback reports whether host can only be this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkUpstream says what keeps a configured URL from being used: it is no
// plain address of a host, or a credential would go there without TLS.
func checkUpstream(u *url.URL, allowHTTP bool) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("it is not an https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("it is more than a host and a path")
	case u.Scheme == "http" && !allowHTTP && !isLoopback(strings.ToLower(u.Hostname())):
		return errors.New("it is not https, and SF_ALLOW_HTTP is not set")
	}
	return nil
}

// checkInstance returns the instance URL of a token response as an origin, or
// says why no token may be sent there.
func (o *Org) checkInstance(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	host, login := strings.ToLower(u.Hostname()), strings.ToLower(o.cfg.LoginURL.Hostname())
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || host == "":
		return nil, errors.New("it is not an https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, errors.New("it is more than an origin")
	case isLoopback(host) && !isLoopback(login):
		return nil, errors.New("it is this machine, and the login host is not")
	case u.Scheme == "http" && !isLoopback(host) && !o.cfg.AllowHTTP:
		return nil, errors.New("it is not https")
	case !isLoopback(host) && host != login && !o.trusted(host):
		return nil, fmt.Errorf("it lies in none of the trusted domains (%s)", strings.Join(o.cfg.TrustedDomains, ", "))
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// trusted reports whether host lies in a trusted domain.
func (o *Org) trusted(host string) bool { return underAny(host, o.cfg.TrustedDomains) }

// underAny reports whether host is one of the domains or lies in one. An IPv6
// address does not, whatever its zone ends with: [2001:db8::1%.salesforce.com].
func underAny(host string, domains []string) bool {
	return !strings.ContainsAny(host, ":%") && slices.ContainsFunc(domains, func(d string) bool {
		return d != "" && under(host, strings.ToLower(d))
	})
}
