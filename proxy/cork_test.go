package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// countedListener counts what is written to its connections.
type countedListener struct {
	net.Listener
	writes, bytes atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c, l}, nil
}

type countedConn struct {
	net.Conn
	listener *countedListener
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.listener.writes.Add(1)
	c.listener.bytes.Add(int64(len(b)))
	return c.Conn.Write(b)
}

// servePaced serves p as the program does, on a listener that counts.
func servePaced(t *testing.T, cfg proxy.Config) (url string, l *countedListener) {
	t.Helper()
	cfg.MinBodyRate, cfg.StallTimeout = 100, time.Minute
	p := newHandler(t, cfg, io.Discard).(*proxy.Proxy)
	server := httptest.NewUnstartedServer(p)
	l = &countedListener{Listener: server.Listener}
	server.Listener, server.Config.ConnContext = p.Listener(l), p.ConnContext
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, l
}

// An answer of unknown length costs few writes, each of them a system call: one
// if it is here as a whole, and one for each piece that is not.
func TestStreamedAnswersAreWrittenAtOnce(t *testing.T) {
	const piece = 16 << 10
	for _, test := range []struct {
		name       string
		size, most int // a head that is early is a write of its own
	}{
		{"record", 350, 2},
		{"page", 8 * piece, 8 + 4},
	} {
		body := bytes.Repeat([]byte("x"), test.size)
		base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			http.NewResponseController(w).Flush() // no Content-Length
			for rest := body; len(rest) > 0; rest = rest[min(len(rest), piece):] {
				w.Write(rest[:min(len(rest), piece)])
			}
		})
		url, l := servePaced(t, proxy.Config{Tokens: newTokens(base)})
		for range 2 {
			l.writes.Store(0)
			resp, err := http.Get(url + limitsPath)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%s: %d bytes, %v; want %d", test.name, len(got), err, len(body))
			}
			if n := l.writes.Load(); n > int64(test.most) {
				t.Errorf("%s: %d writes, want %d at most", test.name, n, test.most)
			}
		}
	}
}

// What has come of an answer is passed on, though nothing follows for a long
// time, and though it ends in the middle.
func TestStreamedPiecesAreNotHeldBack(t *testing.T) {
	next := make(chan bool)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		for goOn := true; goOn; goOn = <-next {
			io.WriteString(w, "piece")
			http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	url, _ := servePaced(t, proxy.Config{Tokens: newTokens(base)})
	resp, err := http.Get(url + limitsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 3 {
		piece := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != "piece" {
			t.Fatalf("got %q, %v", piece, err)
		}
		next <- true
	}
	io.ReadFull(resp.Body, make([]byte, 5))
	next <- false
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("an answer that broke off ends well")
	}
}

// A server that is closed does not wait for clients that do not read: TLS would
// wait 5 seconds for each, one after the other.
func TestCloseDoesNotWaitForStalledReaders(t *testing.T) {
	base, _ := endless(t, 1<<40)
	p := newHandler(t, proxy.Config{Tokens: newTokens(base), MinBodyRate: 100, StallTimeout: time.Minute}, io.Discard).(*proxy.Proxy)
	server := httptest.NewUnstartedServer(p)
	sent := &countedListener{Listener: server.Listener}
	server.Listener, server.Config.ConnContext = p.Listener(sent), p.ConnContext
	server.StartTLS()
	defer server.Close()
	for range 2 {
		c, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", limitsPath)
	}
	for last := int64(-1); last != sent.bytes.Load(); time.Sleep(500 * time.Millisecond) { // until nothing moves
		last = sent.bytes.Load()
	}
	began := time.Now()
	server.Config.Close()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("closing took %s, want no wait", took)
	}
}

// The last piece of an answer and its end are one write.
func TestLastPieceIsWrittenWithTheEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	goOn := make(chan bool)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
		<-goOn
		io.WriteString(c, "4\r\nlast\r\n0\r\n\r\n")
		<-goOn
	}()
	url, l := servePaced(t, proxy.Config{Tokens: newTokens("http://" + listener.Addr().String())})
	resp, err := http.Get(url + limitsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	l.writes.Store(0)
	goOn <- true
	last, err := io.ReadAll(resp.Body)
	close(goOn)
	if n := l.writes.Load(); err != nil || string(last) != "last" || n != 1 {
		t.Errorf("got %q, %v in %d writes, want the last piece in one", last, err, n)
	}
}
