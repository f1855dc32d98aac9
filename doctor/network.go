package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

const stepTimeout = 15 * time.Second // for one look-up, connection or request

// companyProxy returns the proxy by which the transport reaches u, nil for
// none. Of a variable that cannot be read the configuration's warnings tell.
func (x *examination) companyProxy(u *url.URL) *url.URL {
	if x.cfg.Transport.Proxy == nil {
		return nil
	}
	proxy, _ := x.cfg.Transport.Proxy(&http.Request{URL: u})
	return proxy
}

// dns looks the login host up, unless a company proxy does that.
func (x *examination) dns(ctx context.Context) Result {
	host := x.cfg.Org.LoginURL.Hostname()
	proxy := x.companyProxy(x.cfg.Org.LoginURL)
	switch {
	case proxy != nil:
		return skipped("not needed: the company proxy %s looks names up", proxy.Host)
	case net.ParseIP(host) != nil:
		return skipped("not needed: %s is an address", host)
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		entry, reason := auth.ExplainTransport(err), err.Error()
		if lookup, ok := errors.AsType[*net.DNSError](err); ok {
			reason = lookup.Err
		}
		return failed("%s: %s (%s)", host, entry.Meaning, auth.Foreign(reason)).explained(entry)
	}
	if len(addresses) > 4 {
		addresses = append(addresses[:4], "…")
	}
	return passed("%s is at %s", host, strings.Join(addresses, ", "))
}

// tcp connects to the login host, or to the company proxy on the way, as the
// proxy does: it may refuse an address.
func (x *examination) tcp(ctx context.Context) Result {
	target, way := x.cfg.Org.LoginURL, ""
	proxy := x.companyProxy(target)
	if proxy != nil {
		target, way = proxy, ", the company proxy of HTTPS_PROXY: the login host is reached through it"
	}
	address := net.JoinHostPort(target.Hostname(), portOf(target))
	dial := x.cfg.Transport.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		if proxy != nil {
			err = &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
		}
		entry := auth.ExplainTransport(err)
		return failed("%s: %v", entry.Meaning, err).explained(entry)
	}
	conn.Close()
	return passed("connected to %s%s", address, way)
}

// portOf returns the port of u, the scheme's own if it names none.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	case strings.HasPrefix(u.Scheme, "socks5"):
		return "1080"
	}
	return "443"
}
