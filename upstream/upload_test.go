package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hearUpload reads a request whose length is announced and returns its body, nil
// if it is not all there.
func hearUpload(c net.Conn) []byte {
	head := hear(c)
	_, rest, _ := strings.Cut(head, "Content-Length: ")
	length, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(length)
	if err != nil {
		return nil
	}
	if strings.Contains(head, "Expect: ") {
		say(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil
	}
	return body
}

// socket is a TCP connection that does with a write what the test wants.
type socket struct {
	net.Conn
	write func(p []byte) (int, error) // nil for the connection's own
	end   func()                      // called when a write under way is to end; may be nil
}

func (s *socket) Write(p []byte) (int, error) {
	if s.write != nil {
		return s.write(p)
	}
	return s.Conn.Write(p)
}

func (s *socket) SetWriteDeadline(at time.Time) error {
	if s.end != nil && at.Before(time.Now()) {
		s.end()
	}
	return s.Conn.SetWriteDeadline(at)
}

func (s *socket) Close() error {
	if s.end != nil {
		s.end()
	}
	return s.Conn.Close()
}

// overSockets has base dial sockets, of which each is given to use first.
func overSockets(base *http.Transport, use func(*socket)) {
	base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s := &socket{Conn: c}
		use(s)
		return s, nil
	}
}

// An upload arrives as it is, with a system call for two records of TLS.
func TestUploadsAreWrittenInFewPieces(t *testing.T) {
	const size = 1 << 20
	base := newBase()
	got := make(chan [sha256.Size]byte, 2)
	url := peer(t, base, true, func(_ int, c net.Conn) {
		for body := hearUpload(c); body != nil; body = hearUpload(c) {
			got <- sha256.Sum256(body)
			say(c, ok2)
		}
	})
	var writes atomic.Int32
	overSockets(base, func(s *socket) {
		s.write = func(p []byte) (int, error) { writes.Add(1); return s.Conn.Write(p) }
	})
	transport := newTransport(t, base)
	content := strings.Repeat("0123456789abcde\n", size/16)
	for range 2 {
		writes.Store(0)
		resp, _, err := send(t, transport, "POST", url, content)
		if err != nil || resp.StatusCode != 200 || <-got != sha256.Sum256([]byte(content)) {
			t.Fatalf("%v, %v; want the body as it was sent", resp, err)
		}
		if n, most := writes.Load(), int32(size/(32<<10)+8); n > most { // of a handshake and a head, too
			t.Errorf("%d writes, want %d at most", n, most)
		}
	}
}

// An upload is sent again if none of it was sent on a connection that was used
// before, and only then.
func TestUploadIsSentAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		part  int // bytes that are sent before the connection breaks
		again bool
	}{{"nothing sent", 0, true}, {"some sent", 100, false}} {
		t.Run(tt.name, func(t *testing.T) {
			base := newBase()
			var whole atomic.Int32
			url := peer(t, base, true, func(_ int, c net.Conn) {
				for hearUpload(c) != nil {
					whole.Add(1)
					say(c, ok2)
				}
			})
			var breaks atomic.Bool
			overSockets(base, func(s *socket) {
				s.write = func(p []byte) (int, error) {
					if !breaks.CompareAndSwap(true, false) {
						return s.Conn.Write(p)
					}
					n, _ := s.Conn.Write(p[:tt.part])
					return n, errors.New("broken")
				}
			})
			transport := newTransport(t, base)
			post := func() error {
				req := newRequest(t, "POST", url, strings.Repeat("x", 100<<10))
				req.Header.Set("Expect", "100-continue")
				_, _, err := sendRequest(transport, req)
				return err
			}
			if err := post(); err != nil {
				t.Fatal(err)
			}
			breaks.Store(true)
			err := post()
			if again := err == nil && whole.Load() == 2; again != tt.again {
				t.Errorf("%v; %d uploads arrived; want it sent again: %v", err, whole.Load(), tt.again)
			}
		})
	}
}

// A request that is given up does not wait for an org that takes nothing.
func TestUploadEndsWithItsContext(t *testing.T) {
	base := newBase()
	url := peer(t, base, true, func(_ int, c net.Conn) {
		hear(c)
		io.Copy(io.Discard, c)
	})
	stuck, ended := make(chan bool, 1), make(chan bool)
	overSockets(base, func(s *socket) {
		s.end = sync.OnceFunc(func() { close(ended) })
		s.write = func(p []byte) (int, error) {
			if len(p) < 32<<10 {
				return s.Conn.Write(p)
			}
			stuck <- true
			<-ended
			return 0, net.ErrClosed
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-stuck
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, _, err := sendRequest(newTransport(t, base), req)
		result <- err
	}()
	select {
	case err := <-result:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want that the context was cancelled", err)
		}
	case <-time.After(patience):
		t.Error("an upload goes on that was given up")
	}
	select {
	case <-ended: // and no goroutine is left behind
	case <-time.After(patience):
		t.Error("the connection is not closed")
	}
}
