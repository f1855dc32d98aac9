package peer_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/sfproxy/sfproxy/peer"
)

func TestPeers(t *testing.T) {
	for _, tt := range []struct {
		remote, peer, network string
		thisMachine           bool
	}{
		{"192.0.2.7:5000", "192.0.2.7", "192.0.2.7", false},
		{"127.0.0.1:5000", "127.0.0.1", "127.0.0.1", true},
		{"[::ffff:192.0.2.7]:5000", "192.0.2.7", "192.0.2.7", false},
		{"[::ffff:127.0.0.1]:5000", "127.0.0.1", "127.0.0.1", true},
		{"[2001:db8:1:2:3:4:5:6]:5000", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", false},
		{"[::1]:5000", "::1", "::/64", true},
		{"[fe80::1%eth0]:5000", "fe80::1%eth0", "fe80::/64", false},
	} {
		tcp, err := net.ResolveTCPAddr("tcp", tt.remote)
		if err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string]peer.Peer{"At": peer.At(tcp), "Of": peer.Of(&http.Request{RemoteAddr: tt.remote})} {
			if got.String() != tt.peer || got.Network().String() != tt.network || got.IsThisMachine() != tt.thisMachine || got.Network().IsSocket() {
				t.Errorf("%s(%s) = %s of %s, on this machine: %t; want %s of %s, %t",
					how, tt.remote, got, got.Network(), got.IsThisMachine(), tt.peer, tt.network, tt.thisMachine)
			}
		}
	}
}

func TestPeerOfASocket(t *testing.T) {
	r := (&http.Request{RemoteAddr: "@"}).WithContext(context.WithValue(context.Background(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/sfproxy.sock", Net: "unix"}))
	for how, got := range map[string]peer.Peer{"At": peer.At(&net.UnixAddr{}), "Of": peer.Of(r)} {
		if got.String() != "unix" || got.Network().String() != "unix" || !got.Network().IsSocket() || !got.IsThisMachine() {
			t.Errorf("%s = %s of %s, on this machine: %t; want unix", how, got, got.Network(), got.IsThisMachine())
		}
	}
}

// What cannot be read is not taken for this machine, whose passwords may come in
// the clear.
func TestPeerWithoutAnAddress(t *testing.T) {
	if got := peer.Of(&http.Request{RemoteAddr: "@"}); got.IsThisMachine() || got.Network().IsSocket() {
		t.Errorf("%s is taken for this machine", got)
	}
}
