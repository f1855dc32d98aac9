package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// checkHosts brings PROXY_ALLOW_HOSTS into its plain form.
func (p *parser) checkHosts(proxy *Proxy) {
	const variable = "PROXY_ALLOW_HOSTS"
	for i, text := range proxy.AllowHosts {
		host := strings.ToLower(text)
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		switch {
		case err == nil:
			host = ip.Unmap().String()
		case strings.ContainsAny(host, ":/@?#"):
			p.fault(variable, "%s is not a bare host name: leave out scheme, port and path", shown(text))
		case strings.Contains(host, "*"):
			p.fault(variable, "%s stands for names that are not known: list each", shown(text))
		case !domainName.MatchString(host):
			p.fault(variable, "%s is not a host name", shown(text))
		}
		proxy.AllowHosts[i] = host
	}
}

// checkCORS brings PROXY_CORS_ORIGINS into the form of the Origin header, in
// which the default port is never there.
func (p *parser) checkCORS(proxy *Proxy) {
	const variable = "PROXY_CORS_ORIGINS"
	for i, text := range proxy.CORSOrigins {
		if strings.Contains(text, "*") || strings.EqualFold(text, "null") {
			p.fault(variable, "%s would let in pages that nobody has named: list each origin", shown(text))
			continue
		}
		before := len(p.faults)
		p.decoding = variable
		u := p.decodeURL(text)
		if len(p.faults) > before {
			continue
		}
		p.checkOrigin(variable, &u)
		if !domainName.MatchString(u.Hostname()) && !isAddress(u.Hostname()) {
			p.fault(variable, "%s has a host that no browser writes like that: a name with letters beyond ASCII begins with xn--", shown(text))
		}
		if u.Scheme == "http" && !isLoopback(u.Hostname()) {
			p.warn("%s: %s is not https: others on the way to it can make its pages do what they like with the org", variable, shown(text))
		}
		proxy.CORSOrigins[i] = u.Scheme + "://" + withoutDefaultPort(u)
	}
}

// isAddress reports whether host is an IP address.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// withoutDefaultPort returns u's host, and its port unless that is the scheme's.
func withoutDefaultPort(u url.URL) string {
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Host
}
