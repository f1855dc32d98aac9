package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

func (p *parser) checkAddresses(proxy *Proxy) {
	if path, ok := strings.CutPrefix(proxy.Listen, "unix:"); ok {
		p.checkSocket("PROXY_LISTEN", path)
	} else if strings.HasPrefix(proxy.Listen, "/") {
		p.faultLike("PROXY_LISTEN", "unix:"+proxy.Listen, "%s is a path, which is written with unix: before it", shown(proxy.Listen))
	} else {
		p.checkAddress("PROXY_LISTEN", proxy.Listen)
	}
	p.checkProfiles(proxy)
	if proxy.AdminListen == "" {
		return
	}
	p.checkAddress("PROXY_ADMIN_LISTEN", proxy.AdminListen)
	if p.isFaulty("PROXY_LISTEN", "PROXY_ADMIN_LISTEN") {
		return
	}
	if collide(proxy.Listen, proxy.AdminListen) {
		p.fault("PROXY_ADMIN_LISTEN", "%s is taken by PROXY_LISTEN: choose another port", shown(proxy.AdminListen))
	}
	if !isLoopbackAddress(proxy.AdminListen) {
		p.warn("PROXY_ADMIN_LISTEN: other machines can reach %s, which asks for no credential: let the network keep strangers out, or set it to 127.0.0.1:8081 or off", proxy.AdminListen)
	}
}

// checkProfiles warns of what is for a while only.
func (p *parser) checkProfiles(proxy *Proxy) {
	switch {
	case proxy.Profiles && proxy.AdminListen == "":
		p.faultLike("PROXY_PPROF", "", "needs the admin port, and PROXY_ADMIN_LISTEN is off")
	case proxy.Profiles:
		p.warn("PROXY_PPROF: whoever reaches the admin port can see what the proxy is at and keep it busy with profiles: take it away once you have yours")
	}
}

// checkAddress records what keeps address from being listened on.
func (p *parser) checkAddress(variable, address string) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case strings.Contains(address, "://"):
		p.fault(variable, "%s is a URL, not host:port", shown(address))
		return
	case err != nil && isPort(address):
		p.faultLike(variable, "127.0.0.1:"+address, "%s has no host before the port (a colon alone means all interfaces)", shown(address))
		return
	case err != nil:
		p.fault(variable, "%s is not host:port", shown(address))
		return
	}
	if !isPort(port) {
		p.fault(variable, "%s has no port from 0 to 65535", shown(address))
	}
	if strings.ContainsAny(host, " /\\@*") {
		p.fault(variable, "%s has no host name or IP address before the port", shown(address))
	}
}

// maxSocketPath is what the systems' addresses of sockets have in common, in bytes.
const maxSocketPath = 103

// checkSocket records what keeps path from being listened on as a Unix socket.
func (p *parser) checkSocket(variable, path string) {
	switch {
	case !strings.HasPrefix(path, "/"):
		p.faultLike(variable, "unix:/run/sfproxy/sfproxy.sock", "%s has no absolute path after unix:", shown("unix:"+path))
	case strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/"):
		p.faultLike(variable, "unix:/"+strings.Trim(path, "/"), "%s is not the path of a file", shown("unix:"+path))
	case len(path) > maxSocketPath:
		p.fault(variable, "the path of the socket is longer than the %d bytes that systems allow", maxSocketPath)
	}
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// isLoopbackAddress reports whether only this machine can reach address.
func isLoopbackAddress(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether host can only be this machine.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// collide reports whether two addresses cannot both be listened on.
func collide(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	same := strings.EqualFold(hostA, hostB) || isLoopback(hostA) && isLoopback(hostB) && (hostA == "localhost" || hostB == "localhost")
	return portA == portB && portA != "0" && (same || isWildcard(hostA) || isWildcard(hostB))
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// checkExposure refuses to offer the org to other machines without asking who
// calls. A fault in the clients is told first.
func (p *parser) checkExposure(cfg *Config) {
	proxy := &cfg.Proxy
	asks := len(cfg.Clients) > 0 || len(p.numbers) > 0 || p.lost || proxy.TLSClientCAFile != ""
	if asks || proxy.AllowAnonymous || isLoopbackAddress(proxy.Listen) || p.isFaulty("PROXY_LISTEN", "PROXY_ALLOW_ANONYMOUS") {
		return
	}
	p.fault("PROXY_LISTEN", "other machines can reach %s, and without clients whoever does may use the org: set PROXY_CLIENT_0_NAME and PROXY_CLIENT_0_API_KEY, or PROXY_TLS_CLIENT_CA_FILE, or, if that is meant, PROXY_ALLOW_ANONYMOUS=true", shown(proxy.Listen))
}
