//go:build unix

package upstream

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A Read of an announced body takes the TLS records that have arrived, and does
// not wait for one that has arrived in part.
func TestReadTakesWhatHasArrived(t *testing.T) {
	const record, begun = 10_000, 100
	goOn := make(chan bool)
	base := newBase()
	url := peer(t, base, true, func(_ int, c net.Conn) {
		for hear(c) != "" {
			say(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 4*record))
			<-goOn
			cork := c.(*tls.Conn).NetConn().(*corked)
			cork.on, cork.held = true, nil
			for i := range 3 {
				say(c, string(bytes.Repeat([]byte{'a' + byte(i)}, record)))
			}
			three := len(cork.held)
			say(c, string(bytes.Repeat([]byte{'d'}, record)))
			cork.on = false
			cork.Write(cork.held[:three+begun])
			<-goOn
			cork.Write(cork.held[three+begun:])
		}
	})
	t.Cleanup(func() { close(goOn) })
	transport := newTransport(t, base)
	for range 2 { // on one connection
		resp, err := transport.RoundTrip(newRequest(t, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		goOn <- true
		wire := resp.Body.(*body).conn.wire
		for deadline := time.Now().Add(patience); waiting(wire) < 3*record+begun; {
			if time.Now().After(deadline) {
				t.Fatal("the records do not arrive")
			}
		}
		got := make([]byte, 8*record)
		n, err := resp.Body.Read(got)
		if n != 3*record || err != nil {
			t.Fatalf("a Read gave %d bytes and %v, want the %d of three records", n, err, 3*record)
		}
		goOn <- true
		rest, err := io.ReadAll(resp.Body)
		if got := append(got[:n], rest...); err != nil || len(got) != 4*record || got[0] != 'a' || got[n-1] != 'c' || got[n] != 'd' {
			t.Fatalf("the body has %d bytes, %v", len(got), err)
		}
		if transport.Idle() != 1 {
			t.Fatal("the connection is not kept")
		}
	}
}

// Whoever holds back what it has read is told before a Read waits, and only then.
func TestReadTellsBeforeItWaits(t *testing.T) {
	waits := make(chan bool)
	base := newBase()
	url := peer(t, base, true, func(_ int, c net.Conn) {
		const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		for hear(c) != "" {
			sayTogether(c.(*tls.Conn), head, "3\r\none\r\n", "3\r\ntwo\r\n")
			for _, last := range []string{"5\r\nthree\r\n", "0\r\n\r\n"} {
				<-waits
				say(c, last)
			}
		}
	})
	t.Cleanup(func() { close(waits) })
	transport := newTransport(t, base)
	for range 2 { // on one connection
		resp, err := transport.RoundTrip(newRequest(t, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		var held []string // when it was told
		resp.Body.(*body).BeforeWait(func() {
			held = append(held, string(got))
			waits <- true
		})
		for piece := make([]byte, 100); err == nil; {
			var n int
			n, err = resp.Body.Read(piece)
			got = append(got, piece[:n]...)
		}
		if err != io.EOF || string(got) != "onetwothree" {
			t.Fatalf("body = %q, %v", got, err)
		}
		if len(held) != 2 || held[0] != "onetwo" || held[1] != "onetwothree" {
			t.Errorf("told of a wait after %q, want it once all was read that had come", held)
		}
		if transport.Idle() != 1 {
			t.Fatal("the connection is not kept")
		}
		if transport.pool.idle[originOf(newRequest(t, "GET", url, "").URL, nil)][0].wire.beforeWait != nil {
			t.Error("the next request is told, too")
		}
	}
}
