package telemetry

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// connections are the metrics of those to Salesforce.
type connections struct {
	open               atomic.Int64
	connected, failed  prometheus.Counter
	fullHands, resumed prometheus.Counter
}

func newConnections(registry *prometheus.Registry) *connections {
	dials := counter("upstream_dials_total", "Connections to Salesforce, or to the company proxy before it, that were opened (connected) or could not be (failed).", "result")
	handshakes := counter("upstream_tls_handshakes_total", "TLS handshakes with Salesforce that succeeded: new ones (full) and such as took up a former one (resumed).", "kind")
	c := &connections{
		connected: dials.WithLabelValues("connected"), failed: dials.WithLabelValues("failed"),
		fullHands: handshakes.WithLabelValues("full"), resumed: handshakes.WithLabelValues("resumed"),
	}
	open := gauge("upstream_connections", "Connections to Salesforce, or to the company proxy before it, that are open, in use or not.", c.open.Load)
	registry.MustRegister(dials, handshakes, open)
	return c
}

// DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// CountDials returns dial with its connections counted.
func (m *Metrics) CountDials(dial DialFunc) DialFunc {
	c := m.connections
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			c.failed.Inc()
			return nil, err
		}
		c.connected.Inc()
		c.open.Add(1)
		closed := sync.OnceFunc(func() { c.open.Add(-1) })
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &countedTCPConn{tcp, closed}, nil
		}
		return &countedConn{conn, closed}, nil
	}
}

// countedTCPConn has all the methods of a TCP connection, among them those that
// whoever uses it may look for.
type countedTCPConn struct {
	*net.TCPConn
	closed func()
}

func (c *countedTCPConn) Close() error {
	c.closed()
	return c.TCPConn.Close()
}

// countedConn is a connection of another kind.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// FollowClients shows how many connections of clients there are, which is asked
// for at each reading. To be called once.
func (m *Metrics) FollowClients(open func() int) {
	m.registry.MustRegister(gauge("client_connections", "Connections of clients that are open, in use or not.", open))
}

// FollowIdle shows how many connections wait for their next request, which is
// asked for at each reading. To be called once.
func (m *Metrics) FollowIdle(idle func() int) {
	m.registry.MustRegister(gauge("upstream_idle_connections",
		"Connections to Salesforce that are open and wait for their next request, without those of large uploads, of HTTP/2 and of a company proxy that is reached by TLS or SOCKS.", idle))
}

// CountHandshake counts a TLS handshake that has succeeded, as
// [tls.Config].VerifyConnection. It never fails.
func (m *Metrics) CountHandshake(state tls.ConnectionState) error {
	if state.DidResume {
		m.connections.resumed.Inc()
		return nil
	}
	m.connections.fullHands.Inc()
	return nil
}
