package integration_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestSlowHeads sends what comes before a request's body, a byte a second and
// without an end: the connection ends, whatever was promised.
func TestSlowHeads(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	plain, secure := startProxy(t, org.env), startProxy(t, with(org.env, listenerTLS(t)...))
	const aHead = 10 * time.Second // listener.go's ReadHeaderTimeout
	const idle = 2 * time.Minute   // and its IdleTimeout
	for _, tt := range []struct {
		name   string
		url    string
		begin  string // then go on a byte a second
		h2     bool
		within time.Duration
	}{
		{name: "nothing", url: plain.URL, within: aHead},
		{name: "request line", url: plain.URL, begin: "G", within: aHead},
		{name: "header", url: plain.URL, begin: "GET " + echoPath + " HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", within: aHead},
		{name: "TLS handshake", url: secure.URL, begin: "\x16\x03\x01\x02\x00", within: aHead},
		{name: "HTTP/2 preface", url: secure.URL, h2: true, begin: "PRI * HTT", within: aHead},
		// A frame of HEADERS that announces a long block, after empty SETTINGS.
		{name: "HTTP/2 header", url: secure.URL, h2: true, within: idle,
			begin: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x40\x00\x01\x00\x00\x00\x00\x01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.within == idle && testing.Short() {
				t.Skip("takes two minutes")
			}
			conn, err := net.Dial("tcp", tt.url[strings.Index(tt.url, "127."):])
			if err == nil && tt.h2 {
				conn, err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), nil
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			if _, err := io.WriteString(conn, tt.begin); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			defer close(stop)
			if tt.begin != "" {
				go drip(conn, stop)
			}
			conn.SetReadDeadline(began.Add(tt.within + 30*time.Second)) // that of a busy machine
			_, err = io.Copy(io.Discard, conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %v the connection is there", time.Since(began))
			}
			if took := time.Since(began); took < tt.within-2*time.Second {
				t.Errorf("the connection ended after %v, want it to last for about %v: this is not the timeout", took, tt.within)
			}
		})
	}
}

// drip writes a byte a second until stop or an error.
func drip(w io.Writer, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := io.WriteString(w, "a"); err != nil {
				return
			}
		case <-stop:
			return
		}
	}
}
