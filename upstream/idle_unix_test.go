//go:build unix

package upstream

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
	"time"
)

// What comes on a connection that no request uses, be it the end, is nobody's
// answer.
func TestIdleConnectionThatSpeaks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secure bool
		after  func(c net.Conn)
	}{
		{"end", false, func(c net.Conn) { c.Close() }},
		{"answer", false, func(c net.Conn) { say(c, second) }},
		{"byte", false, func(c net.Conn) { say(c, "H") }},
		{"end of TLS", true, func(c net.Conn) { c.Close() }},
		{"end of what is under TLS", true, func(c net.Conn) { c.(*tls.Conn).NetConn().Close() }},
		{"answer over TLS", true, func(c net.Conn) { say(c, second) }},
		{"byte under TLS", true, func(c net.Conn) { c.(*tls.Conn).NetConn().Write([]byte{23}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spoken := make(chan bool)
			base := newBase()
			url := peer(t, base, tt.secure, func(n int, c net.Conn) {
				if n > 1 {
					number(n, c)
					return
				}
				hear(c)
				say(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
				<-spoken
				tt.after(c)
				spoken <- true
				hear(c)
			})
			transport := newTransport(t, base)
			want(t, transport, "GET", url, "", 1)
			spoken <- true
			<-spoken
			c := transport.pool.pop(originOf(newRequest(t, "GET", url, "").URL, nil))
			for deadline := time.Now().Add(patience); nothingToRead(c.wire); {
				if time.Now().After(deadline) {
					t.Fatal("what was said does not arrive")
				}
			}
			transport.pool.put(c)
			want(t, transport, "POST", url, "body", 2)
		})
	}
}

// An answer behind the answer that TLS has read along with it is none of the
// next request's.
func TestIdleConnectionThatHasSpoken(t *testing.T) {
	base := newBase()
	url := peer(t, base, true, func(n int, c net.Conn) {
		if n > 1 {
			number(n, c)
			return
		}
		hear(c)
		sayTogether(c.(*tls.Conn), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", second)
		hear(c)
	})
	transport := newTransport(t, base)
	want(t, transport, "GET", url, "", 1)
	want(t, transport, "POST", url, "body", 2)
}

// nothingToRead reports whether nothing waits in the socket.
func nothingToRead(w *wire) bool { return waiting(w) == 0 }

// waiting returns how many bytes wait in the socket, and leaves them there; -1 at
// its end.
func waiting(w *wire) (n int) {
	w.raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1<<20), syscall.MSG_PEEK)
		switch n {
		case -1:
			n = 0
		case 0:
			n = -1
		}
	})
	return n
}
