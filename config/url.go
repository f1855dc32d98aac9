package config

import (
	"net/url"
	"strings"
)

// decodeURL returns the http or https URL in text without slashes at its end.
// The zero URL stands for one that is refused.
func (p *parser) decodeURL(text string) url.URL {
	variable := p.decoding
	if !strings.Contains(text, "://") {
		example := p.known[variable].example
		if !strings.HasPrefix(shown(text), "the value") {
			scheme, _, _ := strings.Cut(example, "://")
			example = scheme + "://" + text
		}
		p.faultLike(variable, example, "%s has no scheme", shown(text))
		return url.URL{}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		p.fault(variable, "%s is not a URL", shown(text))
	case u.Scheme != "https" && u.Scheme != "http":
		p.fault(variable, "%s is not an https URL", shown(text))
	case u.Hostname() == "":
		p.fault(variable, "%s has no host", shown(text))
	case strings.HasSuffix(u.Host, ":"):
		p.fault(variable, "%s has a colon without a port after the host", shown(text))
	case u.Port() != "" && !isPort(u.Port()):
		p.fault(variable, "%s has no port from 1 to 65535", shown(text))
	case u.User != nil:
		p.fault(variable, "has a username or password in it: leave it out")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		p.fault(variable, "has a query or fragment (? or #): leave it out")
	default:
		u.Host = strings.ToLower(u.Host)
		u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
		return *u
	}
	return url.URL{}
}

func (p *parser) checkLoginURL(sf *Salesforce) {
	const variable = "SF_LOGIN_URL"
	if p.isFaulty(variable) {
		return
	}
	if before, _, found := strings.Cut(sf.LoginURL.String(), "/services/oauth2"); found {
		p.faultLike(variable, before, "holds the address of an endpoint: leave out /services/oauth2 and what follows")
	}
	if name, found := strings.CutSuffix(sf.LoginURL.Hostname(), ".lightning.force.com"); found {
		p.faultLike(variable, "https://"+name+".my.salesforce.com", "%s is the address of the org's pages, not its My Domain", shown(sf.LoginURL.String()))
	}
	p.checkUpstreamScheme(variable, sf.LoginURL, sf.AllowHTTP)
}

// checkUpstreamScheme refuses to send credentials to other machines in the
// clear.
func (p *parser) checkUpstreamScheme(variable string, u *url.URL, allowHTTP bool) {
	if p.isFaulty(variable, "SF_ALLOW_HTTP") || u.Scheme == "https" || isLoopback(u.Hostname()) {
		return
	}
	if !allowHTTP {
		p.faultLike(variable, "https://"+u.Host+u.Path, "%s is not https, so that others on the way can read the tokens: use https, or set SF_ALLOW_HTTP=true", shown(u.String()))
		return
	}
	p.warn("%s: %s is not https, which SF_ALLOW_HTTP allows: others on the way can read the tokens", variable, shown(u.String()))
}

// checkCompanyProxy warns of an HTTPS_PROXY that is no URL: net/http goes
// without one then, and does not say so. The value may hold a password and is
// not shown.
func (p *parser) checkCompanyProxy() {
	name := "HTTPS_PROXY"
	if p.env[name] == "" {
		name = "https_proxy"
	}
	_, err := url.Parse(p.env[name])
	_, errWithScheme := url.Parse("http://" + p.env[name]) // which net/http adds if need be
	if err != nil && errWithScheme != nil {
		p.warn("%s cannot be read, so the org is reached without it: set it to http://host:port or http://user:password@host:port, with %%25 for a percent sign in the password", name)
	}
}

func (p *parser) checkOrigin(variable string, u *url.URL) {
	if u.Path != "" {
		p.faultLike(variable, u.Scheme+"://"+u.Host, "%s has a path: leave it out", shown(u.String()))
	}
}
