package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/proxy"
)

// connections is a listener that bounds the connections there are at a time, in
// all and of one address. It comes before TLS, so that a connection over a limit
// costs no handshake.
type connections struct {
	net.Listener
	inAll, ofAddress connectionLimit
	turnstile        *turnstile // nil to close a connection over a limit without a word

	mu     sync.Mutex
	open   int                  // connections; guarded by mu
	openOf map[netip.Prefix]int // those of an address, see addressOf; guarded by mu
}

// newConnections bounds what l accepts as cfg says. limited is called with the
// name of the limit for each connection that goes over one.
func newConnections(l net.Listener, cfg config.Proxy, limited func(string), logger *slog.Logger) *connections {
	limit := func(name, setting string, most int) connectionLimit {
		return connectionLimit{most: most, notice: new(proxy.Notice), logger: logger.With("setting", setting, "limit", most),
			count: func() { limited(name) }}
	}
	c := &connections{Listener: l, openOf: map[netip.Prefix]int{},
		inAll:     limit("connections", "PROXY_MAX_CONNECTIONS", cfg.MaxConnections),
		ofAddress: limit("connections_per_address", "PROXY_MAX_CONNECTIONS_PER_ADDRESS", cfg.MaxConnectionsPerAddress)}
	if cfg.TLSCertFile == "" {
		c.turnstile = newTurnstile()
	}
	return c
}

// connectionLimit is how many connections there may be.
type connectionLimit struct {
	most   int // 0 for no limit
	notice *proxy.Notice
	logger *slog.Logger
	count  func()
}

// allows reports whether there may be one more.
func (l *connectionLimit) allows(open int) bool { return l.most == 0 || open < l.most }

// tell counts a refusal and logs it, once a minute.
func (l *connectionLimit) tell(address netip.Prefix) {
	l.count()
	if refused, due := l.notice.Due(); due {
		l.logger.LogAttrs(context.Background(), slog.LevelWarn, "connections are refused: there are as many as may be at a time",
			slog.String("address", shownPrefix(address)), slog.Int("refused", refused))
	}
}

// Accept returns the next connection that is within the limits. It never waits
// for one that is not.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(conn.RemoteAddr())
		over := c.enter(address)
		if over == nil {
			return &connection{Conn: conn, leave: sync.OnceFunc(func() { c.leave(address) })}, nil
		}
		over.tell(address)
		c.turnstile.turnAway(conn)
	}
}

// enter counts a connection, unless it goes over the limit that is returned.
func (c *connections) enter(address netip.Prefix) (over *connectionLimit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.inAll.allows(c.open):
		return &c.inAll
	case !address.IsValid():
	case !c.ofAddress.allows(c.openOf[address]):
		return &c.ofAddress
	default:
		c.openOf[address]++
	}
	c.open++
	return nil
}

func (c *connections) leave(address netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if !address.IsValid() {
		return
	}
	if c.openOf[address]--; c.openOf[address] == 0 {
		delete(c.openOf, address)
	}
}

// addressOf returns what counts as one address: an IPv4 address, or the 64 bits
// of an IPv6 address that are a network's, since whoever has one has all in it.
// That of a Unix socket is none.
func addressOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}

// shownPrefix returns an address as the log has it.
func shownPrefix(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "unix"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// connection is one that counts until it is closed.
type connection struct {
	net.Conn
	leave func()
}

func (c *connection) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// NetConn returns the connection itself, as [tls.Conn.NetConn] does.
func (c *connection) NetConn() net.Conn { return c.Conn }

// CloseWrite is for net/http's server, which so lets a client read an answer to
// a request that it is still sending.
func (c *connection) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// turnstile tells clients without TLS why their connections are closed, as far
// as that costs little.
type turnstile struct {
	answer []byte
	busy   chan struct{} // holds one for each client that is being told
}

const (
	maxTold   = 64              // clients that are told at a time; others are not
	tellTime  = time.Second     // that a client has to be told in
	maxUnread = int64(64 << 10) // bytes of its request that are read away
)

func newTurnstile() *turnstile {
	return &turnstile{answer: proxy.ConnectionRefusal(), busy: make(chan struct{}, maxTold)}
}

// turnAway closes a connection, soon if not at once. t may be nil.
func (t *turnstile) turnAway(conn net.Conn) {
	if t == nil {
		conn.Close()
		return
	}
	select {
	case t.busy <- struct{}{}:
		go func() {
			defer func() { <-t.busy }()
			t.tell(conn)
		}()
	default:
		conn.Close()
	}
}

// tell answers a request, the beginning of which it waits for: clients take an
// answer that comes before for none. It reads on after it, since closing a
// connection with something unread takes the answer from the client.
func (t *turnstile) tell(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(tellTime))
	if _, err := conn.Read(make([]byte, 4<<10)); err != nil {
		return
	}
	if _, err := conn.Write(t.answer); err != nil {
		return
	}
	if closeWrite(conn) == nil {
		io.CopyN(io.Discard, conn, maxUnread)
	}
}
