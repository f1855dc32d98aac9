package proxy

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// dialer opens the connections to the org, or to the company proxy on the way.
type dialer struct {
	net.Dialer
	allowPrivate bool // see TransportConfig
}

func newDialer(allowPrivate bool) *dialer {
	return &dialer{net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: boundSilence(3 * time.Minute)}, allowPrivate}
}

// DialContext connects to address. What a host of Salesforce's resolves to is
// looked at between the look-up and the connection, so that no second look-up
// can say otherwise.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || d.allowPrivate || !auth.IsSalesforce(host) {
		return d.Dialer.DialContext(ctx, network, address)
	}
	checked := d.Dialer
	checked.Control = func(network, resolved string, c syscall.RawConn) error {
		ip, _ := netip.ParseAddrPort(resolved) // what is no address is not public either
		if err := auth.CheckAddress(host, ip.Addr()); err != nil || d.Control == nil {
			return err
		}
		return d.Control(network, resolved, c)
	}
	return checked.DialContext(ctx, network, address)
}
