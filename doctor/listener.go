package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// isLoopback reports whether an address to listen on is reached from this
// machine alone.
func isLoopback(address string) bool {
	if isSocket(address) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLocal(host)
}

// place tells a person what an address to listen on means.
func place(address string) string {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	switch {
	case isSocket(address):
		return address + ", for this user alone"
	case isLoopback(address):
		return address + ", for this machine alone"
	case host == "" || ip != nil && ip.IsUnspecified():
		return address + ", on every interface"
	}
	return address + ", for whoever reaches that address"
}

// listener tries the proxy's own port.
func (x *examination) listener(ctx context.Context) Result {
	l := x.cfg.Listener
	switch {
	case l == nil:
		return skipped("not tried: the configuration of the clients' side has faults")
	case l.TLSFault != nil:
		return failed("%s: %s", place(l.Address), auth.Foreign(l.TLSFault.Error())).
			fix("give PROXY_TLS_CERT_FILE the certificate chain and PROXY_TLS_KEY_FILE its key, both PEM")
	}
	if leaf := leafOf(l.TLS); leaf != nil && time.Now().After(leaf.NotAfter) {
		return failed("the certificate of PROXY_TLS_CERT_FILE expired on %s, so apps refuse the connection", leaf.NotAfter.UTC().Format(dateLayout)).
			fix("give PROXY_TLS_CERT_FILE a new certificate (sfproxy keygen --tls makes one)")
	}
	try := port
	if isSocket(l.Address) {
		try = socket
	}
	return try("PROXY_LISTEN", l.Address, func() condition {
		// The admin port first: the proxy would log a warning of each knock.
		if c := running(ctx, l.AdminAddress); c.state != "" {
			return c
		}
		if isProxy(ctx, l.Address, l.TLS != nil) || l.mutual() && demandsCertificate(ctx, l.Address) {
			return condition{state: "it answers"}
		}
		return condition{}
	})
}

// mutual reports whether clients have to show a certificate.
func (l *Listener) mutual() bool {
	return l.TLS != nil && l.TLS.ClientAuth == tls.RequireAndVerifyClientCert
}

// port says whether the setting's address is free. If it is not, neighbour tells
// how the sfproxy is that runs there.
func port(setting, address string, neighbour func() condition) Result {
	where := fmt.Sprintf("%s=%s", setting, place(address))
	listener, err := net.Listen("tcp", address)
	if err == nil {
		listener.Close()
		return passed("%s; the port is free", where)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		if c := neighbour(); c.state != "" {
			return c.result(where)
		}
		return failed("%s: another program has the port", where).
			fix("end that program (ss -ltnp shows it), or set " + setting + " to another port")
	case errors.Is(err, fs.ErrPermission):
		return failed("%s: this user may not open the port", where).fix("take a port from 1024 on, or let the service have the capability CAP_NET_BIND_SERVICE")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return failed("%s: this machine has no such address", where).fix("set " + setting + " to an address of this machine, or to :port for all")
	}
	return failed("%s: %s", where, auth.Foreign(err.Error())).fix("set " + setting + " to host:port")
}

// exposure says what of the org is open to whom.
func (x *examination) exposure(context.Context) Result {
	l := x.cfg.Listener
	if l == nil {
		return skipped("not tried: the configuration of the clients' side has faults")
	}
	who := "whoever reaches the port, without a credential"
	if n := len(l.Clients); n > 0 {
		var names []string
		for _, c := range l.Clients {
			names = append(names, c.Name)
		}
		who = fmt.Sprintf("%s (%s)", count(n, "client"), auth.Foreign(strings.Join(names, ", ")))
	}
	if l.mutual() {
		who += " with a client certificate"
	}
	what := "the API paths"
	if l.AllowPaths != nil {
		what = auth.Foreign(strings.Join(l.AllowPaths, ", "))
	}
	detail := fmt.Sprintf("%s, by %s, to %s", what, transportName(l.TLS), who)
	r := passed("%s", detail)
	if isLoopback(l.Address) {
		return r
	}
	if len(l.Clients) == 0 && !l.mutual() {
		r.Status = Warning
		r = r.fix("give each app an API key (PROXY_CLIENT_0_NAME, PROXY_CLIENT_0_API_KEY): as it is, everybody in the network acts as " + cmp.Or(x.cfg.Subject, "the user of SF_USERNAME"))
	}
	if l.TLS == nil {
		r.Status = Warning
		r = r.fix("set PROXY_TLS_CERT_FILE and PROXY_TLS_KEY_FILE, or see that the network between apps and proxy is private: API keys and data pass in the clear")
	}
	return r
}

// leafOf returns the certificate that the listener shows, nil for none.
func leafOf(settings *tls.Config) *x509.Certificate {
	if settings == nil || len(settings.Certificates) == 0 {
		return nil
	}
	return settings.Certificates[0].Leaf
}

func transportName(settings *tls.Config) string {
	if settings == nil {
		return "HTTP"
	}
	name := "HTTPS"
	if leaf := leafOf(settings); leaf != nil {
		name += fmt.Sprintf(" (certificate of %s, until %s)", subjectOf(leaf), leaf.NotAfter.UTC().Format(dateLayout))
	}
	return name
}

// adminPort tries the port of health and metrics.
func (x *examination) adminPort(ctx context.Context) Result {
	l := x.cfg.Listener
	switch {
	case l == nil:
		return skipped("not tried: the configuration of the clients' side has faults")
	case l.AdminAddress == "":
		return skipped("PROXY_ADMIN_LISTEN is off: neither health checks nor metrics")
	}
	r := port("PROXY_ADMIN_LISTEN", l.AdminAddress, func() condition {
		c := running(ctx, l.AdminAddress)
		c.remedy = "" // it stands under the listener
		return c
	})
	if r.Status == OK && !isLoopback(l.AdminAddress) {
		r.Status = Warning
		r = r.fix("see that only your monitoring reaches it: it asks for no credential and names users, hosts and errors")
	}
	return r
}
