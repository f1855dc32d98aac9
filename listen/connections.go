package listen

import (
	"net"
	"sync"

	"github.com/sfproxy/sfproxy/peer"
)

// Connections is a listener that bounds the connections there are at a time, in
// all and of one address. It comes before TLS, so that a connection over a limit
// costs no handshake. Safe for concurrent use.
type Connections struct {
	net.Listener
	limits    Limits
	turnstile *turnstile // nil to close a connection over a limit without a word

	mu     sync.Mutex
	open   int                  // connections; guarded by mu
	openOf map[peer.Network]int // those of an address; guarded by mu
}

// Limits are how many connections there may be at a time.
type Limits struct {
	InAll Limit
	// OfAddress is for each IPv4 address and for each /64 of IPv6. A Unix socket
	// has none.
	OfAddress Limit
	// Answer is sent to a client whose connection goes over a limit, as far as
	// that costs little. nil closes it without a word, as has to be where clients
	// speak TLS first.
	Answer []byte
}

// Limit is how many connections there may be.
type Limit struct {
	Most int // 0 for any number
	// OnRefused, if not nil, is called for each connection that goes over the
	// limit, with its address as a log has it. The next connection waits for it.
	OnRefused func(address string)
}

// NewConnections bounds what l accepts.
func NewConnections(l net.Listener, limits Limits) *Connections {
	c := &Connections{Listener: l, limits: limits, openOf: map[peer.Network]int{}}
	if limits.Answer != nil {
		c.turnstile = newTurnstile(limits.Answer)
	}
	return c
}

// allows reports whether there may be one more.
func (l *Limit) allows(open int) bool { return l.Most == 0 || open < l.Most }

// Accept returns the next connection that is within the limits. It never waits
// for one that is not.
func (c *Connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := peer.At(conn.RemoteAddr()).Network()
		over := c.enter(address)
		if over == nil {
			return &connection{Conn: conn, leave: sync.OnceFunc(func() { c.leave(address) })}, nil
		}
		if over.OnRefused != nil {
			over.OnRefused(address.String())
		}
		c.turnstile.turnAway(conn)
	}
}

// Open returns how many connections there are now.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// enter counts a connection, unless it goes over the limit that is returned.
func (c *Connections) enter(address peer.Network) (over *Limit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.limits.InAll.allows(c.open):
		return &c.limits.InAll
	case address.IsSocket():
	case !c.limits.OfAddress.allows(c.openOf[address]):
		return &c.limits.OfAddress
	default:
		c.openOf[address]++
	}
	c.open++
	return nil
}

func (c *Connections) leave(address peer.Network) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if address.IsSocket() {
		return
	}
	if c.openOf[address]--; c.openOf[address] == 0 {
		delete(c.openOf, address)
	}
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
