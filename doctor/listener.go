package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// isLoopback reports whether an address to listen on is reached from this
// machine alone.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLocal(host)
}

// place tells a person what an address to listen on means.
func place(address string) string {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	switch {
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
		return failed("%s: %s", place(l.Address), foreign(l.TLSFault.Error())).
			fix("give PROXY_TLS_CERT_FILE the certificate chain and PROXY_TLS_KEY_FILE its key, both PEM")
	}
	if leaf := leafOf(l.TLS); leaf != nil && time.Now().After(leaf.NotAfter) {
		return failed("the certificate of PROXY_TLS_CERT_FILE expired on %s, so apps refuse the connection", leaf.NotAfter.UTC().Format(dateLayout)).
			fix("give PROXY_TLS_CERT_FILE a new certificate (sfproxy keygen --tls makes one)")
	}
	return port("PROXY_LISTEN", l.Address, func() string {
		if !isProxy(ctx, l.Address, l.TLS != nil) {
			return ""
		}
		return cmp.Or(running(ctx, l.AdminAddress), "it answers")
	})
}

// isProxy reports whether an sfproxy answers at address. The request holds
// nothing secret, so the certificate does not matter.
func isProxy(ctx context.Context, address string, secure bool) bool {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	resp, err := knock(ctx, scheme+"://"+reachable(address)+"/")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.Header.Get("X-SFProxy-Error") != ""
}

// knock asks for a page of what may run on this machine already.
func knock(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: 3 * time.Second,
		TLSHandshakeTimeout:   3 * time.Second,
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true},
	}
	return transport.RoundTrip(req)
}

// reachable returns an address to connect to: one that stands for every
// interface is reached by loopback.
func reachable(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// port says whether the setting's address is free. If it is not, state tells how
// the sfproxy is that runs there, or nothing if none does.
func port(setting, address string, state func() string) Result {
	where := fmt.Sprintf("%s=%s", setting, place(address))
	listener, err := net.Listen("tcp", address)
	if err == nil {
		listener.Close()
		return passed("%s; the port is free", where)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		if s := state(); s != "" {
			return passed("%s; sfproxy runs there: %s", where, s)
		}
		return failed("%s: another program has the port", where).
			fix("end that program (ss -ltnp shows it), or set " + setting + " to another port")
	case errors.Is(err, fs.ErrPermission):
		return failed("%s: this user may not open the port", where).fix("take a port from 1024 on, or let the service have the capability CAP_NET_BIND_SERVICE")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return failed("%s: this machine has no such address", where).fix("set " + setting + " to an address of this machine, or to :port for all")
	}
	return failed("%s: %s", where, foreign(err.Error())).fix("set " + setting + " to host:port")
}

// running asks the admin port of a proxy that may run already; the answer is
// empty if none does.
func running(ctx context.Context, admin string) string {
	if admin == "" {
		return ""
	}
	resp, err := knock(ctx, "http://"+reachable(admin)+"/readyz")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var ready struct {
		Ready  *bool  `json:"ready"`
		Reason string `json:"reason"`
	}
	switch err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&ready); {
	case err != nil || ready.Ready == nil:
		return ""
	case *ready.Ready:
		return "it is ready"
	}
	return "it is not ready: " + foreign(ready.Reason)
}

// exposure says what of the org is open to whom.
func (x *examination) exposure(context.Context) Result {
	l := x.cfg.Listener
	if l == nil {
		return skipped("not tried: the configuration of the clients' side has faults")
	}
	who := "whoever reaches the port, without a credential"
	if n := len(l.Clients); n > 0 {
		who = fmt.Sprintf("%s (%s)", count(n, "client"), foreign(strings.Join(l.Clients, ", ")))
	}
	mutual := l.TLS != nil && l.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	if mutual {
		who += " with a client certificate"
	}
	what := "the API paths"
	if l.AllowPaths != nil {
		what = foreign(strings.Join(l.AllowPaths, ", "))
	}
	detail := fmt.Sprintf("%s, by %s, to %s", what, transportName(l.TLS), who)
	r := passed("%s", detail)
	if isLoopback(l.Address) {
		return r
	}
	if len(l.Clients) == 0 && !mutual {
		r.Status = Warning
		r = r.fix("give each app an API key (PROXY_CLIENT_0_NAME, PROXY_CLIENT_0_API_KEY): as it is, everybody in the network acts as " + x.cfg.Subject)
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
	r := port("PROXY_ADMIN_LISTEN", l.AdminAddress, func() string { return running(ctx, l.AdminAddress) })
	if r.Status == OK && !isLoopback(l.AdminAddress) {
		r.Status = Warning
		r = r.fix("see that only your monitoring reaches it: it asks for no credential and names users, hosts and errors")
	}
	return r
}
