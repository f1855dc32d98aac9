// Package peer says who is at the other end of a connection or a request, as far
// as the address tells.
package peer

import (
	"net"
	"net/http"
	"net/netip"
)

// socket is how logs name who comes by a Unix socket and has no address.
const socket = "unix"

// Peer is the other end: an IP address or, the zero value, whoever comes by a Unix
// socket of this machine.
type Peer struct{ ip netip.Addr }

// At returns the peer at the far end of a connection, by its remote address.
func At(a net.Addr) Peer {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return Peer{tcp.AddrPort().Addr().Unmap()}
	}
	return Peer{}
}

// Of returns the peer that a request of [http.Server] came from.
func Of(r *http.Request) Peer {
	if _, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); ok {
		return Peer{}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return Peer{netip.IPv6Unspecified()} // nobody's, so that nothing is thought to be of this machine
	}
	return Peer{from.Addr().Unmap()}
}

// String returns the IP address, "unix" for a Unix socket.
func (p Peer) String() string {
	if !p.ip.IsValid() {
		return socket
	}
	return p.ip.String()
}

// IsThisMachine reports whether the peer is on this machine.
func (p Peer) IsThisMachine() bool { return !p.ip.IsValid() || p.ip.IsLoopback() }

// Network returns what counts as one address where there is a limit for each.
func (p Peer) Network() Network {
	bits := 64
	if p.ip.Is4() {
		bits = 32
	}
	prefix, _ := p.ip.Prefix(bits) // the zero value of the zero value
	return Network{prefix}
}

// Network is an IPv4 address, or the 64 bits of an IPv6 address that are a
// network's, since whoever has one has all in it. Its zero value is that of Unix
// sockets. Comparable.
type Network struct{ prefix netip.Prefix }

// IsSocket reports whether the network is that of Unix sockets.
func (n Network) IsSocket() bool { return n == Network{} }

// String returns the network as logs have it: an address, a prefix, or "unix".
func (n Network) String() string {
	switch {
	case n.IsSocket():
		return socket
	case n.prefix.IsSingleIP():
		return n.prefix.Addr().String()
	}
	return n.prefix.String()
}
