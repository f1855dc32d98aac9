package proxy

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

var (
	errRequestLine = errors.New("the method or the request target holds a character that no HTTP/1.1 request line can hold")

	errHost      = errors.New("the Host of the request is not a name of this proxy: use localhost, or add the name to PROXY_ALLOW_HOSTS")
	errBrowser   = errors.New("a browser opened this address, and whether a person or another site led it here cannot be told: the proxy serves programs, such as curl")
	errCrossSite = errors.New("a web page of another site made this request, and the proxy serves programs: to let the page in, add its origin to PROXY_CORS_ORIGINS")
)

// guard refuses what a web page in a browser on this machine could send: a
// request whose Host is not ours, and one that the browser made for another
// site, GETs included, since their answers may leak and their URLs carry data.
// Only an HTTP/1.0 program sends no Host. And it refuses what would become
// another request on the way to Salesforce.
func (p *Proxy) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !fitsRequestLine(r):
			p.refuse(w, r, denial(http.StatusBadRequest, "PROXY_BAD_TARGET", errRequestLine))
		case p.clients.Load().open && !p.cfg.AnyHost && r.Host != "" && !p.ownHost(r.Host):
			p.refuse(w, r, denial(http.StatusForbidden, "PROXY_WRONG_HOST", errHost))
		case p.opened(r):
			p.refuse(w, r, denial(http.StatusForbidden, "PROXY_CROSS_SITE", errBrowser))
		case p.crossSite(r):
			p.refuse(w, r, denial(http.StatusForbidden, "PROXY_CROSS_SITE", errCrossSite))
		case isPreflight(r):
			answerPreflight(w, r)
		default:
			next(w, r)
		}
	}
}

// fitsRequestLine reports whether method and target can stand in the request line
// that Salesforce gets, as they came. HTTP/2 has no such line, and net/http's
// server lets spaces in them pass.
func fitsRequestLine(r *http.Request) bool {
	return !strings.Contains(r.RequestURI, " ") && !strings.ContainsFunc(r.Method, func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-')
	})
}

// ownHost reports whether host, a Host header, is a name that only a client on
// this machine would use, or a configured one. The port does not matter: what a
// web page can bend is where its own name leads.
func (p *Proxy) ownHost(host string) bool {
	name := hostName(host)
	return p.cfg.PublicURL != nil && name == hostName(p.cfg.PublicURL.Host) || slices.Contains(p.cfg.AllowHosts, name) ||
		isThisMachine(name) || p.cfg.NetworkHosts && isLocal(name)
}

// IsNetworkHost reports whether host, a Host header, is one that no web page has
// for a name of its own, which it could make lead here: an IP address, a name
// without a dot, or one of allowed, which are as in [Config.AllowHosts].
func IsNetworkHost(host string, allowed []string) bool {
	name := hostName(host)
	return isLocal(name) || slices.Contains(allowed, name)
}

// isLocal reports whether a name without a port is nobody's outside the network:
// an IP address, or a name without a dot.
func isLocal(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil || !strings.Contains(name, ".")
}

// isThisMachine reports whether a name without a port can only be this machine.
func isThisMachine(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// hostName returns the name in a Host header, without a port and in the form
// in which names are compared.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(host)
}

// opened reports whether a browser was led to an address: "none" is what it says
// of one that a person typed, and of all that the typed one redirects to. On a
// site without TLS, other than this machine, browsers say nothing of the kind,
// and are known by how they introduce themselves; that counts where the proxy
// asks for no credential.
func (p *Proxy) opened(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site == "none":
		return true
	case site != "" || len(r.Header["Origin"]) > 0 || r.TLS != nil || !p.clients.Load().open:
		return false
	}
	return !isThisMachine(hostName(r.Host)) && strings.HasPrefix(r.UserAgent(), "Mozilla/") && r.Header.Get("Accept-Language") != ""
}

// crossSite reports whether a browser says that a page of another site made the
// request, unless the page's origin is an allowed one. Programs send neither
// header.
func (p *Proxy) crossSite(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 && len(r.Header["Sec-Fetch-Site"]) == 0 {
		return false
	}
	asPost := new(http.Request)
	*asPost = *r
	asPost.Method = http.MethodPost // Check lets every GET pass
	if p.crossOrigin.Check(asPost) != nil {
		return true
	}
	// Check asks for the Origin only where Sec-Fetch-Site is missing, and
	// compares no schemes.
	return len(origins) > 1 || len(origins) == 1 && !p.sharesWith(origins[0]) &&
		(origins[0] == "" || !strings.EqualFold(origins[0], p.public(r)))
}
