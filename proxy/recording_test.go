package proxy_test

import (
	"bytes"
	"context"
	"net"
	"sync"
)

// recordingListener keeps what its connections have read.
type recordingListener struct{ net.Listener }

func (l recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &recordingConn{Conn: c}, err
}

type recordingConn struct {
	net.Conn
	mu   sync.Mutex
	read []byte // since the last head
}

func (c *recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = append(c.read, p[:n]...)
	return n, err
}

// head returns the head of the request that has been read to its end.
func (c *recordingConn) head() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	head, _, _ := bytes.Cut(c.read, []byte("\r\n\r\n"))
	c.read = nil
	return bytes.Clone(head)
}

type connKey struct{}

func contextWithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(ctx context.Context) *recordingConn { return ctx.Value(connKey{}).(*recordingConn) }
