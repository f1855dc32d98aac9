package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// connections is a listener of connections that others have accepted.
type connections struct {
	ctx     context.Context
	address net.Addr
	waiting chan net.Conn
}

func newConnections(ctx context.Context, address net.Addr) *connections {
	return &connections{ctx: ctx, address: address, waiting: make(chan net.Conn)}
}

// hand passes a connection on.
func (c *connections) hand(conn net.Conn) {
	select {
	case c.waiting <- conn:
	case <-c.ctx.Done():
		conn.Close()
	}
}

// Accept implements [net.Listener].
func (c *connections) Accept() (net.Conn, error) {
	select {
	case conn := <-c.waiting:
		return conn, nil
	case <-c.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (c *connections) Close() error { return nil }

// Addr implements [net.Listener].
func (c *connections) Addr() net.Addr { return c.address }

// serveHTTP2 answers as the rest of the upstream does, by net/http: the CPU
// time of this process is not counted.
func (u *upstream) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if r.Method == http.MethodPost && r.URL.Path == tokenPath {
		_, body, _ := bytes.Cut(u.grant(), []byte("\r\n\r\n"))
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
		return
	}
	for _, s := range shapes {
		if r.Method != s.method || r.RequestURI != s.path {
			continue
		}
		h := head{}
		h.take([]byte("Authorization: " + r.Header.Get("Authorization")))
		if !h.authorized {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		time.Sleep(u.latency)
		for _, field := range s.responseHeader() {
			w.Header().Set(field[0], field[1])
		}
		if s.sized {
			w.Header().Set("Content-Length", strconv.Itoa(len(s.answer)))
		}
		w.WriteHeader(s.status)
		w.Write(s.answer)
		return
	}
	http.NotFound(w, r)
}
