package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/peer"
)

// fakeListener hands out connections from addresses of any kind.
type fakeListener struct {
	net.Listener
	conns chan net.Conn
}

func (l *fakeListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// fakeConn is a connection from an address. The far end reads and writes client.
type fakeConn struct {
	net.Conn
	remote net.Addr
	client net.Conn
	closed chan struct{}
	once   sync.Once
}

func newFakeConn(remote string) *fakeConn {
	c := &fakeConn{closed: make(chan struct{})}
	c.Conn, c.client = net.Pipe()
	c.remote = &net.UnixAddr{Name: "@", Net: "unix"}
	if remote != "unix" {
		c.remote = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(remote), 1234))
	}
	return c
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.remote }

func (c *fakeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// counts are what a limit was told, by its name.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counts) add(limit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[limit]++
}

func (c *counts) limit(name string, most int) Limit {
	return Limit{Most: most, OnRefused: func(string) { c.add(name) }}
}

func (c *counts) get(limit string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[limit]
}

// startConnections returns the bounded listener's far side: connect returns the
// accepted connection, or nil if it was turned away.
func startConnections(t *testing.T, inAll, ofAddress int) (connect func(remote string) net.Conn, refused *counts) {
	t.Helper()
	refused = &counts{of: map[string]int{}}
	fake := &fakeListener{conns: make(chan net.Conn)}
	l := NewConnections(fake, Limits{InAll: refused.limit("in all", inAll), OfAddress: refused.limit("of address", ofAddress)})
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	t.Cleanup(func() {
		close(fake.conns)
		<-accepted
	})
	return func(remote string) net.Conn {
		conn := newFakeConn(remote)
		fake.conns <- conn
		select {
		case a := <-accepted:
			return a
		case <-conn.closed:
			return nil
		}
	}, refused
}

func TestConnectionsOfAnAddress(t *testing.T) {
	tests := []struct {
		name       string
		first      []string // take all that their addresses may have
		over, next string   // refused, and let in
	}{
		{"IPv4", []string{"192.0.2.1", "192.0.2.1"}, "192.0.2.1", "192.0.2.2"},
		{"IPv4 within IPv6", []string{"192.0.2.1", "::ffff:192.0.2.1"}, "::ffff:192.0.2.1", "::ffff:192.0.2.2"},
		{"IPv6 of one /64", []string{"2001:db8::1", "2001:db8:0:0:ffff::2"}, "2001:db8::3", "2001:db8:0:1::1"},
		{"IPv6 with a zone", []string{"fe80::1%eth0", "fe80::1%eth1"}, "fe80::2%eth0", "2001:db8::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			connect, refused := startConnections(t, 0, 2)
			for _, remote := range tt.first {
				if connect(remote) == nil {
					t.Errorf("%s is refused, want it let in", remote)
				}
			}
			if connect(tt.over) != nil || refused.get("of address") != 1 {
				t.Errorf("%s is let in, or not counted: %v", tt.over, refused.of)
			}
			if connect(tt.next) == nil {
				t.Errorf("%s is refused, want it let in", tt.next)
			}
		})
	}
}

func TestConnectionsInAll(t *testing.T) {
	connect, refused := startConnections(t, 2, 1)
	first, second := connect("unix"), connect("unix")
	if first == nil || second == nil {
		t.Fatal("a Unix socket's connections count for an address, want in all only")
	}
	if connect("192.0.2.1") != nil || refused.get("in all") != 1 {
		t.Errorf("the third is let in, or not counted: %v", refused.of)
	}
	first.Close()
	first.Close() // as net/http's server does
	third := connect("192.0.2.1")
	if third == nil {
		t.Fatal("a connection is refused after another was closed")
	}
	if connect("192.0.2.2") != nil {
		t.Error("a connection that was closed twice makes room for two, want for one")
	}
	second.Close()
	if connect("192.0.2.1") != nil || refused.get("of address") != 1 {
		t.Errorf("the second of an address is let in, or not counted: %v", refused.of)
	}
	third.Close()
	if connect("192.0.2.1") == nil {
		t.Error("an address has no room after its connection was closed")
	}
}

func TestConnectionsWithoutLimits(t *testing.T) {
	connect, _ := startConnections(t, 0, 0)
	for range 20 {
		if connect("192.0.2.1") == nil {
			t.Fatal("a connection is refused, want no limit")
		}
	}
}

// TestConnectionsCountRight opens and closes many at a time.
func TestConnectionsCountRight(t *testing.T) {
	c := NewConnections(nil, Limits{InAll: Limit{Most: 5}, OfAddress: Limit{Most: 3}})
	network := func(ip string) peer.Network { return peer.At(&net.TCPAddr{IP: net.ParseIP(ip)}).Network() }
	addresses := []peer.Network{network("192.0.2.1"), network("2001:db8::1"), {}}
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			for range 2000 {
				if address := addresses[i%len(addresses)]; c.enter(address) == nil {
					c.leave(address)
				}
			}
		})
	}
	clients.Wait()
	if c.open != 0 || len(c.openOf) != 0 {
		t.Errorf("%d connections are counted, %v of addresses; want none after all have left", c.open, c.openOf)
	}
}

// noRoom is an answer to who is turned away.
var noRoom = []byte("HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbusy")

// TestTurnstileIsBounded has more clients wait for an answer than may: the rest
// are closed at once, and nobody who accepts waits.
func TestTurnstileIsBounded(t *testing.T) {
	turnstile := newTurnstile(noRoom)
	var told []*fakeConn
	for range maxTold {
		conn := newFakeConn("192.0.2.1")
		turnstile.turnAway(conn)
		told = append(told, conn)
	}
	further := newFakeConn("192.0.2.1")
	turnstile.turnAway(further)
	if _, err := further.client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one client too many reads %v, want the end", err)
	}
	for _, conn := range told {
		conn.client.Close()
		<-conn.closed
	}
}

// TestTurnstileTells has a client that sends its request, reads the answer, and
// sends on. A pipe holds nothing, so that each waits for the other.
func TestTurnstileTells(t *testing.T) {
	conn := newFakeConn("192.0.2.1")
	newTurnstile(noRoom).turnAway(conn)
	if _, err := io.WriteString(conn.client, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n"); err != nil {
		t.Fatalf("the request is not read before the answer: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn.client), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests || !resp.Close || string(body) != "busy" {
		t.Errorf("answer = %s %s, %v; want 429 and the end of the connection", resp.Status, body, err)
	}
	for range 2 {
		if _, err := io.WriteString(conn.client, "body"); err != nil {
			t.Errorf("the rest of the request is not read away: %v", err)
		}
	}
	conn.client.Close()
	<-conn.closed
}

func TestTurnstileDoesNotWaitForTheSilent(t *testing.T) {
	conn := newFakeConn("192.0.2.1")
	newTurnstile(noRoom).turnAway(conn)
	<-conn.closed // by its deadline
}
