package proxy_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// Clients of these tests, which mostly wait and so run in parallel, have to move
// 20,000 bytes a second and may fall behind by the stall timeout. Those that are
// to pass are several times as fast.
const (
	minRate      = 20_000
	stallTimeout = time.Second
)

// pacedRig is a rig whose clients have to keep up.
type pacedRig struct {
	*rig
	limited chan string // the limits that requests went over
}

// startPaced runs a proxy whose clients have to keep up, over TLS with HTTP/2 if
// secure.
func startPaced(t testing.TB, cfg proxy.Config, secure bool) *pacedRig {
	t.Helper()
	r := &pacedRig{rig: newRig(), limited: make(chan string, 100)}
	cfg.MinBodyRate, cfg.StallTimeout = cmp.Or(cfg.MinBodyRate, minRate), cmp.Or(cfg.StallTimeout, stallTimeout)
	cfg.OnLimited = func(limit string) { r.limited <- limit }
	p := newHandler(t, cfg, r.log).(*proxy.Proxy)
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(panicWatch{t}, "", 0)
	server.Config.IdleTimeout = time.Minute // as in the program; it has net/http reset deadlines
	server.Config.ConnContext = p.ConnContext
	server.Listener = p.Listener(server.Listener)
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
		r.client.Transport = &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: server.Client().Transport.(*http.Transport).TLSClientConfig}
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	t.Cleanup(r.client.CloseIdleConnections)
	r.url = server.URL
	return r
}

// wantCut waits until a client is cut and looks for the log line that says so.
func (r *pacedRig) wantCut(t testing.TB, slowAt string) {
	t.Helper()
	if limit := receive(t, r.limited, "a client to be cut"); limit != "body_rate" {
		t.Errorf("limit = %s, want body_rate", limit)
	}
	for _, want := range []string{`"level":"WARN","msg":"client is too slow and is cut","slow_at":"` + slowAt + `"`, `"address":"127.0.0.1:`, `"path":"/services/`, `"bytes":`, `"rate":`} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, r.log)
		}
	}
}

// wantNoCut says that nobody was cut.
func (r *pacedRig) wantNoCut(t testing.TB) {
	t.Helper()
	select {
	case <-r.limited:
		t.Errorf("a client was cut:\n%s", r.log)
	default:
	}
}

// wholeBodies runs an instance that counts the bodies that came to their end.
func wholeBodies(t testing.TB) (base string, whole *atomic.Int64) {
	whole = new(atomic.Int64)
	return upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	}), whole
}

func TestStalledUploadIsCut(t *testing.T) {
	t.Parallel()
	const jsonHead = "POST " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\n"
	const soapHead = "POST /services/Soap/u/60.0 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
	tests := []struct {
		name, request string
		status        int
	}{
		{"kept", jsonHead + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 500), 408},
		{"nothing of it", jsonHead + "Content-Length: 1000\r\n\r\n", 408},
		{"streamed", jsonHead + "Content-Length: 200000\r\n\r\n" + strings.Repeat("x", 100_000), 408},
		{"chunked", jsonHead + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 500), 408},
		{"after a chunk", jsonHead + "Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n", 408},
		{"asked for", jsonHead + "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n", 408},
		{"envelope", soapHead + "Content-Length: 1000\r\n\r\n<Envelope", 500},
		{"zipped envelope", soapHead + "Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n" + zipped("<Envelope")[:12], 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base, whole := wholeBodies(t)
			r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, false)
			c := r.dial(t)
			start := time.Now()
			c.write(tt.request)
			a := c.response("POST")
			if a.status == http.StatusContinue {
				a = c.response("POST")
			}
			a.wantFault(t, tt.status, "PROXY_TOO_SLOW")
			if took := time.Since(start); took < stallTimeout {
				t.Errorf("cut after %s, want the stall timeout to pass", took)
			}
			if rest := c.rest(); !a.last || rest != "" {
				t.Errorf("the answer is the last: %t, and %q came after it; want the end of the connection", a.last, rest)
			}
			r.wantCut(t, "request body")
			if n := whole.Load(); n != 0 {
				t.Errorf("%d requests reached the org with a body that ends well", n)
			}
		})
	}
}

// A body that drips is as good as none.
func TestDrippingUploadIsCut(t *testing.T) {
	t.Parallel()
	base, _ := wholeBodies(t)
	r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, false)
	c := r.dial(t)
	c.write("POST " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n")
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		for {
			if _, err := io.WriteString(c.Conn, "drip"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	c.response("POST").wantFault(t, http.StatusRequestTimeout, "PROXY_TOO_SLOW")
	r.wantCut(t, "request body")
	receive(t, cut, "the connection to end")
}

// slowly is a body that comes in pieces, a few of them in a stall timeout: the
// rate is five times what is asked for.
type slowly struct {
	pieces int
	sent   int
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.sent == s.pieces {
		return 0, io.EOF
	}
	s.sent++
	time.Sleep(stallTimeout / 10)
	return copy(p, bytes.Repeat([]byte{'x'}, minRate/2)), nil
}

func TestSlowUploadIsNotCut(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, path := range []string{limitsPath, "/services/data/v60.0/query"} {
			t.Run(fmt.Sprintf("TLS %t, %s", secure, path), func(t *testing.T) {
				t.Parallel()
				base, whole := wholeBodies(t)
				cfg := proxy.Config{Tokens: newTokens(base)}
				if path == limitsPath {
					cfg.ReplayBuffer = 1 << 20 // kept, else streamed
				}
				r := startPaced(t, cfg, secure)
				for range 2 { // on one connection
					if a := r.send(t, "POST", path, &slowly{pieces: 15}); a.status != http.StatusOK {
						t.Errorf("answer = %d %s, want 200", a.status, a.body)
					}
				}
				r.wantNoCut(t)
				if n := whole.Load(); n != 2 {
					t.Errorf("%d bodies reached the org whole, want 2", n)
				}
			})
		}
	}
}

// endless runs an instance whose answers have no end but size, and tells when
// one is over.
func endless(t testing.TB, size int64) (base string, over chan error) {
	over = make(chan error, 10)
	return upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/small") {
			return
		}
		_, err := io.CopyN(w, zeros{}, size)
		over <- err
	}), over
}

func TestStalledReaderIsCut(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secure), func(t *testing.T) {
			t.Parallel()
			base, over := endless(t, 1<<40)
			r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, secure)
			c := r.dialPlainOrTLS(t, secure)
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", limitsPath)
			r.wantCut(t, "answer")
			if err := receive(t, over, "the org's answer to end"); err == nil {
				t.Error("the org could send its answer to the end")
			}
			if _, err := io.Copy(io.Discard, c); err == nil {
				t.Error("the connection came to a good end, want it aborted")
			}
		})
	}
}

// dialPlainOrTLS returns a connection that speaks HTTP/1.1.
func (r *pacedRig) dialPlainOrTLS(t testing.TB, secure bool) net.Conn {
	t.Helper()
	if !secure {
		return r.dial(t).Conn
	}
	settings := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	settings.NextProtos = []string{"http/1.1"}
	c, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// The end of an answer is written when the handler is done.
func TestStalledReaderOfSmallAnswersIsCut(t *testing.T) {
	t.Parallel()
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 1500)) })
	warnings := slog.New(slog.NewJSONHandler(io.Discard, nil))
	r := startPaced(t, proxy.Config{Tokens: newTokens(base), Logger: warnings}, false)
	c := r.dial(t)
	c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	go func() {
		for {
			if _, err := fmt.Fprintf(c.Conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", limitsPath); err != nil {
				return
			}
		}
	}()
	receive(t, r.limited, "the client to be cut")
}

// What the kernel holds of an answer takes a slow reader longer than the stall
// timeout, and the proxy can write nothing in that time: it is asked for more once
// 128 KiB have gone, after more than five seconds. The reader's kernel makes room
// in steps as well, which are small with a small buffer.
func TestSlowReaderIsNotCut(t *testing.T) {
	t.Parallel()
	const size = 800 << 10
	base, _ := endless(t, size)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secure), func(t *testing.T) {
			t.Parallel()
			r := startPaced(t, proxy.Config{Tokens: newTokens(base), MinBodyRate: 5000, StallTimeout: 4 * time.Second}, secure)
			c := r.dialPlainOrTLS(t, secure)
			c.SetDeadline(time.Now().Add(time.Minute))
			socket := c
			if over, ok := c.(*tls.Conn); ok {
				socket = over.NetConn()
			}
			socket.(*net.TCPConn).SetReadBuffer(16 << 10)
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", limitsPath)
			read := int64(0)
			for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
				n, err := io.CopyN(io.Discard, c, 2400)
				if read += n; err != nil {
					t.Fatalf("after %d bytes: %v\n%s", read, err, r.log)
				}
			}
			n, err := io.Copy(io.Discard, c)
			if read += n; read < size || err != nil {
				t.Errorf("%d of %d bytes came: %v", read, size, err)
			}
			r.wantNoCut(t)
		})
	}
}

// Time that Salesforce takes is not the client's: the long polls of CometD,
// answers that trickle, uploads that Salesforce takes slowly.
func TestWaitForSalesforceIsNotCut(t *testing.T) {
	t.Parallel()
	const wait = stallTimeout + stallTimeout/2
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(wait)
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		time.Sleep(wait)
		io.WriteString(w, "[]")
	})
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secure), func(t *testing.T) {
			t.Parallel()
			r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, secure)
			for _, body := range []string{`[{"channel":"/meta/connect"}]`, strings.Repeat("x", 8<<20)} {
				if a := r.send(t, "POST", "/cometd/60.0", strings.NewReader(body)); a.status != http.StatusOK || a.body != "[]" {
					t.Errorf("answer = %d %s, want 200 and []", a.status, a.body)
				}
			}
			r.wantNoCut(t)
		})
	}
}

// A kept connection may rest for longer than a client may stall, and its next
// request is none the worse for the one before.
func TestPacedConnectionGoesOn(t *testing.T) {
	t.Parallel()
	base, whole := wholeBodies(t)
	r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, false)
	c := r.dial(t)
	const requests = 2
	for range requests {
		c.write("POST " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
		time.Sleep(stallTimeout / 2)
		c.write("67890")
		if a := c.response("POST"); a.status != http.StatusOK || a.last {
			t.Fatalf("answer = %d, last of its connection: %t; want 200 and no end", a.status, a.last)
		}
		time.Sleep(stallTimeout + stallTimeout/2)
	}
	r.wantNoCut(t)
	if n := whole.Load(); n != requests {
		t.Errorf("%d bodies reached the org whole, want %d", n, requests)
	}
}

// A refused request does not hold its connection by a body that nobody wants.
func TestRefusedUploadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	base, _ := wholeBodies(t)
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	r := startPaced(t, proxy.Config{Tokens: newTokens(base), Clients: []proxy.Client{{Name: "app", Subject: username, APIKey: key}}}, false)
	for _, drips := range []bool{false, true} {
		c := r.dial(t)
		c.write("POST " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n12345")
		if drips {
			go func() {
				for {
					if _, err := io.WriteString(c.Conn, strings.Repeat("x", 100)); err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
		}
		start := time.Now()
		a := c.response("POST")
		a.wantFault(t, http.StatusUnauthorized, "PROXY_UNAUTHORIZED")
		c.rest()
		if took := time.Since(start); !a.last || took > 3*stallTimeout {
			t.Errorf("the answer is the last: %t, and the connection ended after %s; want an end within a stall timeout", a.last, took)
		}
	}
}

// Streams of HTTP/2 are cut by themselves, and their connection goes on.
func TestStalledStreamsAreCut(t *testing.T) {
	t.Parallel()
	base, over := endless(t, 1<<40)
	r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, true)
	r.send(t, "GET", limitsPath+"/small", nil)

	body, writer := io.Pipe() // never written to
	t.Cleanup(func() { writer.Close() })
	r.send(t, "POST", limitsPath, body).wantFault(t, http.StatusRequestTimeout, "PROXY_TOO_SLOW")
	r.wantCut(t, "request body")

	resp, err := r.client.Get(r.url + limitsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.wantCut(t, "answer")
	if err := receive(t, over, "the org's answer to end"); err == nil {
		t.Error("the org could send its answer to the end")
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the answer came to a good end, want it aborted")
	}
	if resp.ProtoMajor != 2 {
		t.Errorf("protocol = %s, want HTTP/2", resp.Proto)
	}
	if a := r.send(t, "GET", limitsPath+"/small", nil); a.status != http.StatusOK {
		t.Errorf("a later stream: %d %s", a.status, a.body)
	}
}

func TestSlowStreamIsNotCut(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	base, _ := endless(t, size)
	r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, true)
	resp, err := r.client.Get(r.url + limitsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	read := int64(0)
	for range 40 {
		n, err := io.CopyN(io.Discard, resp.Body, 20_000)
		if read += n; err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
		time.Sleep(stallTimeout / 10)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if read += n; read != size || err != nil {
		t.Errorf("%d of %d bytes came: %v", read, size, err)
	}
	r.wantNoCut(t)
}

// A client of HTTP/2 that reads nothing at all holds its connection, on which no
// stream can be reset then.
func TestStalledConnectionOfStreamsIsCut(t *testing.T) {
	t.Parallel()
	const streams = 5
	base, over := endless(t, 1<<40)
	r := startPaced(t, proxy.Config{Tokens: newTokens(base)}, true)
	deaf := &deafConn{stop: make(chan struct{})}
	settings := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	settings.NextProtos, settings.ServerName = []string{"h2"}, "example.com" // as httptest's certificate has it
	r.client.Transport = &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "https://"))
		deaf.Conn = c
		return tls.Client(deaf, settings), err
	}}
	r.send(t, "GET", limitsPath+"/small", nil)
	close(deaf.stop)
	for range streams {
		go r.try("GET", limitsPath, nil)
	}
	for range streams {
		if err := receive(t, over, "the org's answers to end"); err == nil {
			t.Error("the org could send its answer to the end")
		}
	}
	deaf.Conn.Close()
}

// deafConn reads nothing any more once stop is closed.
type deafConn struct {
	net.Conn
	stop chan struct{}
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.stop:
		for err == nil { // what comes in this test is a few bytes, before the flood
			time.Sleep(patience)
			err = net.ErrClosed
		}
	default:
	}
	return n, err
}

// BenchmarkPace measures what pacing costs a request: compare it with and
// without.
func BenchmarkPace(b *testing.B) {
	base := upstream(b, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, paced := range []bool{false, true} {
		for _, size := range []int{0, 1000, 1 << 20} {
			b.Run(fmt.Sprintf("paced=%t/bytes=%d", paced, size), func(b *testing.B) {
				cfg := proxy.Config{Tokens: newTokens(base), Logger: quiet}
				if paced {
					cfg.MinBodyRate, cfg.StallTimeout = 240, 2*time.Minute
				}
				p := newHandler(b, cfg, nil).(*proxy.Proxy)
				server := httptest.NewUnstartedServer(p)
				server.Config.ConnContext = p.ConnContext
				server.Listener = p.Listener(server.Listener)
				server.Start()
				defer server.Close()
				r := &rig{url: server.URL, client: server.Client()}
				body := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					r.send(b, "POST", limitsPath, bytes.NewReader(body))
				}
			})
		}
	}
}
