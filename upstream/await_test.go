package upstream

import (
	"crypto/tls"
	"net"
	"testing"
)

// A record that comes byte by byte is waited for anew after each of them, and so
// is an answer.
func TestAnswerInPieces(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			base := newBase()
			url := peer(t, base, secure, func(_ int, c net.Conn) {
				for hear(c) != "" {
					sayInPieces(c, ok2)
				}
			})
			transport := newTransport(t, base)
			for range 3 {
				if _, content, err := send(t, transport, "GET", url, ""); err != nil || content != "ok" {
					t.Fatalf("got %q, %v", content, err)
				}
			}
		})
	}
}

// sayInPieces has each byte that c sends arrive by itself.
func sayInPieces(c net.Conn, text string) {
	over, ok := c.(*tls.Conn)
	if !ok {
		for i := range len(text) {
			say(c, text[i:i+1])
		}
		return
	}
	cork := over.NetConn().(*corked)
	cork.on, cork.held = true, nil
	say(c, text)
	cork.on = false
	for i := range cork.held {
		cork.Write(cork.held[i : i+1])
	}
}

// A connection that waits, for an answer or for its next request, has nothing to
// read with.
func TestReaderIsGivenBack(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			base := newBase()
			url := peer(t, base, secure, func(n int, c net.Conn) { number(n, c) })
			transport := newTransport(t, base)
			want(t, transport, "GET", url, "", 1)
			c := transport.pool.pop(originOf(newRequest(t, "GET", url, "").URL, nil))
			if c == nil || c.in != nil {
				t.Fatalf("the idle connection %v has a reader", c)
			}
			transport.pool.put(c)
			want(t, transport, "POST", url, "body", 1)
		})
	}
}
