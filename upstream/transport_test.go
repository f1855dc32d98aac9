package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// number answers each request with the number of its connection.
func number(n int, c net.Conn) {
	for hear(c) != "" {
		text := strconv.Itoa(n)
		say(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
	}
}

// want fails unless a request is answered by connection n.
func want(t *testing.T, rt http.RoundTripper, method, url, body string, n int) {
	t.Helper()
	if _, got, err := send(t, rt, method, url, body); err != nil || got != strconv.Itoa(n) {
		t.Errorf("%s: answered by connection %q, %v; want %d", method, got, err, n)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	for _, secure := range []bool{false, true} {
		base := newBase()
		url := peer(t, base, secure, number)
		transport := newTransport(t, base)
		for _, method := range []string{"GET", "POST", "DELETE"} {
			want(t, transport, method, url, "", 1)
		}
		want(t, transport, "PATCH", url, "", 1)
		transport.CloseIdleConnections()
		want(t, transport, "GET", url, "", 2)
	}
}

// dying is a connection that breaks once it is told to.
type dying struct {
	net.Conn
	dead    *atomic.Bool // nothing can be written
	cutting *atomic.Bool // one byte can
}

func (c dying) Write(p []byte) (int, error) {
	switch {
	case c.dead.Load():
		return 0, errors.New("dead")
	case c.cutting.Load():
		n, _ := c.Conn.Write(p[:1])
		if _, isTCP := c.Conn.(*net.TCPConn); isTCP {
			c.Conn.Close()
		}
		return n, errors.New("cut")
	}
	return c.Conn.Write(p)
}

// A request is sent a second time only if that cannot do anything twice.
func TestSendingAgain(t *testing.T) {
	for _, tt := range []struct {
		name, method, body string
		fault              string // of the connection that was used before
		change             func(*http.Request)
		again              bool
	}{
		{"GET, nothing sent", "GET", "", "dead", nil, true},
		{"POST, nothing sent", "POST", "", "dead", nil, true},
		{"POST with a body, nothing sent", "POST", "body", "dead", nil, true},
		{"POST with a body for once, nothing sent", "POST", "body", "dead", func(r *http.Request) { r.GetBody = nil }, false},
		{"GET, some sent", "GET", "", "cutting", nil, true},
		{"POST, some sent", "POST", "body", "cutting", nil, false},
		{"GET, closed", "GET", "", "close", nil, true},
		{"HEAD, closed", "HEAD", "", "close", nil, true},
		{"OPTIONS, closed", "OPTIONS", "", "close", nil, true},
		{"DELETE, closed", "DELETE", "", "close", nil, false},
		{"PUT, closed", "PUT", "body", "close", nil, false},
		{"POST, closed", "POST", "body", "close", nil, false},
		{"POST without a body, closed", "POST", "", "close", nil, false},
		{"POST with a key, closed", "POST", "body", "close", func(r *http.Request) { r.Header.Set("Idempotency-Key", "k") }, false},
		{"GET with a body, closed", "GET", "body", "close", nil, true},
		{"GET with a body for once, closed", "GET", "body", "close", func(r *http.Request) { r.GetBody = nil }, false},
		{"GET, half an answer", "GET", "", "half", nil, false},
		{"GET, reset", "GET", "", "reset", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int32
			base := newBase()
			url := peer(t, base, false, func(n int, c net.Conn) {
				for i := 1; ; i++ {
					head := hear(c)
					if head == "" {
						return
					}
					requests.Add(1)
					io.CopyN(io.Discard, c, int64(strings.Count(head, "Content-Length: 4\r\n")*4))
					if n == 1 && i == 2 {
						switch tt.fault {
						case "half":
							say(c, "HTTP/1.1 200")
						case "reset":
							c.(*net.TCPConn).SetLinger(0)
						}
						return
					}
					say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			var first *dying
			dial := base.DialContext
			base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if first != nil {
					return c, err
				}
				first = &dying{c, new(atomic.Bool), new(atomic.Bool)}
				return *first, err
			}
			transport := newTransport(t, base)
			if _, _, err := send(t, transport, "GET", url, ""); err != nil {
				t.Fatal(err)
			}
			first.dead.Store(tt.fault == "dead")
			first.cutting.Store(tt.fault == "cutting")
			requests.Store(0)
			req := newRequest(t, tt.method, url, tt.body)
			if tt.change != nil {
				tt.change(req)
			}
			_, _, err := sendRequest(transport, req)
			if (err == nil) != tt.again {
				t.Errorf("err = %v, want it sent again: %t", err, tt.again)
			}
			n := int32(1) // what a peer that closes has got
			if tt.fault == "dead" || tt.fault == "cutting" {
				n = 0
			}
			if tt.again {
				n++
			}
			if got := requests.Load(); got != n {
				t.Errorf("upstream got %d requests, want %d", got, n)
			}
		})
	}
}

// A connection that breaks at its first request is not tried again.
func TestNewConnectionThatBreaks(t *testing.T) {
	var requests atomic.Int32
	url := peer(t, nil, false, func(_ int, c net.Conn) { hear(c); requests.Add(1) })
	_, _, err := send(t, newTransport(t, newBase()), "GET", url, "")
	if !errors.Is(err, io.ErrUnexpectedEOF) || requests.Load() != 1 {
		t.Errorf("err = %v after %d requests, want an unexpected EOF after 1", err, requests.Load())
	}
}

// Who refuses a request before it is all there is heard all the same.
func TestAnswerToHalfARequest(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	var cutting, dead atomic.Bool
	cutting.Store(true)
	base := through(dying{client, &dead, &cutting})
	go func() {
		io.ReadFull(server, make([]byte, 1))
		say(server, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
	}()
	transport := newTransport(t, base)
	resp, body, err := send(t, transport, "POST", "http://org.example/", "body")
	if err != nil || resp.StatusCode != 413 || body != "no" {
		t.Errorf("answer = %v %q, %v", resp, body, err)
	}
	if transport.Idle() != 0 {
		t.Error("the connection is kept, with half a request on it")
	}
}

// It is not waited for long, for what ended the request has ended the
// connection as well.
func TestNoAnswerToHalfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		go io.ReadFull(server, make([]byte, 1))
		var cutting, dead atomic.Bool
		cutting.Store(true)
		began := time.Now()
		_, _, err := send(t, New(through(dying{client, &dead, &cutting})), "POST", "http://org.example/", "body")
		if took := time.Since(began); err == nil || err.Error() != "cut" || took != lastWord {
			t.Errorf("err = %v after %v, want cut after %v", err, took, lastWord)
		}
	})
}

// An answer to a request of which nothing was sent is none.
func TestAnswerToNothing(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	var cutting, dead atomic.Bool
	dead.Store(true)
	go say(server, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
	if resp, _, err := send(t, newTransport(t, through(dying{client, &dead, &cutting})), "POST", "http://org.example/", "body"); err == nil {
		t.Errorf("answer = %s", resp.Status)
	}
}

// A connection that ended with its answer takes no other request, nor does one
// whose request was given up just then.
func TestConnectionThatIsOver(t *testing.T) {
	s := newScript([]byte(ok2), 1<<20, false)
	s.eager = true
	transport := newTransport(t, through(s))
	if _, body, err := send(t, transport, "GET", "http://org.example/", ""); err != nil || body != "ok" || transport.Idle() != 0 {
		t.Errorf("answer = %q, %v, and %d connections are kept", body, err, transport.Idle())
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := New(through(newScript(nil, 1, true))).dial(ctx, newRequest(t, "GET", "http://org.example/", "").URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := watch(ctx, c, &transport.pool)
	x.reusable = true
	cancel()
	if x.finish(); transport.Idle() != 0 {
		t.Error("the connection of a request that was given up is kept")
	}
}

// Close before the end ends the connection: the rest is no answer.
func TestCloseBeforeTheEnd(t *testing.T) {
	base := newBase()
	url := peer(t, base, false, func(n int, c net.Conn) {
		hear(c)
		say(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+strconv.Itoa(n))
		if hear(c) != "" {
			t.Error("the connection is used again")
		}
	})
	transport := newTransport(t, base)
	for range 2 {
		resp, err := transport.RoundTrip(newRequest(t, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Read(make([]byte, 1))
		resp.Body.Close()
		resp.Body.Close()
		if _, err := resp.Body.Read(make([]byte, 1)); err != errBodyClosed {
			t.Errorf("Read after Close = %v", err)
		}
	}
}

// A body that was read to its end is over, though its connection goes on.
func TestReadAfterTheEnd(t *testing.T) {
	base := newBase()
	url := peer(t, base, false, number)
	transport := newTransport(t, base)
	resp, err := transport.RoundTrip(newRequest(t, "GET", url, ""))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	other, err := transport.RoundTrip(newRequest(t, "GET", url, ""))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := resp.Body.Read(make([]byte, 9)); n != 0 || err != io.EOF {
		t.Errorf("Read = %d, %v, want the end", n, err)
	}
	resp.Body.Close()
	if body, err := io.ReadAll(other.Body); err != nil || string(body) != "1" {
		t.Errorf("the next answer is %q, %v", body, err)
	}
	other.Body.Close()
}

// Who no longer wants an answer is told why, and the connection ends.
func TestContextEnds(t *testing.T) {
	left := errors.New("the client left")
	for _, when := range []string{"before", "dial", "handshake", "head", "body"} {
		t.Run(when, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			base, ended := newBase(), make(chan bool, 1)
			url := peer(t, base, false, func(_ int, c net.Conn) {
				if when == "handshake" {
					c.Read(make([]byte, 1))
					cancel(left)
				}
				hear(c)
				if when == "body" {
					say(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
				}
				if when == "head" {
					cancel(left)
				}
				ended <- hear(c) == ""
			})
			switch when {
			case "before":
				cancel(left)
			case "dial":
				base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					cancel(left)
					<-ctx.Done()
					return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
				}
			case "handshake":
				url = strings.Replace(url, "http:", "https:", 1)
			}
			req := newRequest(t, "GET", url, "").WithContext(ctx)
			resp, err := newTransport(t, base).RoundTrip(req)
			if when == "body" {
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Read(make([]byte, 1))
				cancel(left)
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err != left {
				t.Errorf("err = %v, want %v", err, left)
			}
			if when == "head" || when == "body" {
				select {
				case <-ended:
				case <-time.After(patience):
					t.Error("the connection lives on")
				}
			}
		})
	}
}

// A request that is given up on a connection that was used before is not sent
// again: nobody dials for it.
func TestContextEndsOnUsedConnection(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("the client left")
	base := newBase()
	url := peer(t, base, false, func(_ int, c net.Conn) {
		hear(c)
		say(c, ok2)
		hear(c)
		cancel(left)
		hear(c)
	})
	dial, dials := base.DialContext, 0
	base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return dial(ctx, network, address)
	}
	transport := newTransport(t, base)
	if _, _, err := send(t, transport, "GET", url, ""); err != nil {
		t.Fatal(err)
	}
	_, _, err := sendRequest(transport, newRequest(t, "GET", url, "").WithContext(ctx))
	if err != left || dials != 1 {
		t.Errorf("err = %v after %d dials, want %v after 1", err, dials, left)
	}
}

func TestTimeouts(t *testing.T) {
	silent := func(_ int, c net.Conn) { io.Copy(io.Discard, c) }
	for _, secure := range []bool{false, true} {
		base := newBase()
		base.ResponseHeaderTimeout, base.TLSHandshakeTimeout = 50*time.Millisecond, 50*time.Millisecond
		url := peer(t, base, false, silent)
		if secure {
			url = strings.Replace(url, "http:", "https:", 1)
		}
		_, _, err := send(t, newTransport(t, base), "GET", url, "")
		var network net.Error
		if !errors.As(err, &network) || !network.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("secure %t: err = %v, want a timeout", secure, err)
		}
	}
}

// The wait for an answer's head is bounded, that for its body is not.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newBase()
		base.ResponseHeaderTimeout = time.Second
		base.DialContext = piped(func(c net.Conn) {
			for hear(c) != "" {
				say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
				time.Sleep(time.Minute)
				say(c, "k")
			}
		})
		transport := newTransport(t, base)
		for range 2 {
			if _, body, err := send(t, transport, "GET", "http://org.example/", ""); err != nil || body != "ok" {
				t.Errorf("answer = %q, %v", body, err)
			}
		}
	})
}

// A chunk may hold what looks like the end of all of them, and the rest of it may
// come late.
func TestHeadDoesNotWaitForTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const begun = "4\r\nrow \r\n14\r\nof text\r\n0\r\n\r\n"
		base := newBase()
		base.DialContext = piped(func(c net.Conn) {
			hear(c)
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+begun)
			time.Sleep(time.Minute)
			say(c, "and on\r\n0\r\n\r\n")
			hear(c)
		})
		transport := newTransport(t, base)
		sent := time.Now()
		resp, err := transport.RoundTrip(newRequest(t, "GET", "http://org.example/", ""))
		if took := time.Since(sent); err != nil || took > 0 {
			t.Fatalf("the head took %v, %v", took, err)
		}
		body, err := io.ReadAll(resp.Body)
		if string(body) != "row of text\r\n0\r\n\r\nand on" || err != nil || transport.Idle() != 1 {
			t.Errorf("body = %q, %v; %d idle", body, err, transport.Idle())
		}
	})
}

// A chunked answer that has come with its head leaves the connection free before
// anybody has read it, and tells its length.
func TestSmallChunkedAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, chunks, body string
		whole              bool
	}{
		{"one", "2\r\nok\r\n0\r\n\r\n", "ok", true},
		{"two", "2\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n", "ok0123456789", true},
		{"none", "0\r\n\r\n", "", true},
		{"an end within", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n", true},
		{"an extension", "2;x=1\r\nok\r\n0\r\n\r\n", "ok", false},
		{"a trailer", "2\r\nok\r\n0\r\nX: 1\r\n\r\n", "ok", false},
		{"another answer behind it", "2\r\nok\r\n0\r\n\r\n" + second + "2\r\nok\r\n0\r\n\r\n", "ok", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + tt.chunks
			transport := newTransport(t, through(newScript([]byte(answer), 1<<20, true)))
			resp, err := transport.RoundTrip(newRequest(t, "GET", "http://org.example/", ""))
			if err != nil {
				t.Fatal(err)
			}
			length, whole := resp.Body.(*body).Whole()
			if idle := transport.Idle() == 1; whole != tt.whole || idle != tt.whole || whole && int(length) != len(tt.body) {
				t.Errorf("whole = %t of %d bytes, idle %t; want %t", whole, length, idle, tt.whole)
			}
			if got, err := io.ReadAll(resp.Body); string(got) != tt.body || err != nil {
				t.Errorf("body = %q, %v", got, err)
			}
		})
	}
}

// piped returns a dialer of connections within the process, the other end of
// which talk has.
func piped(talk func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			talk(server)
		}()
		return client, nil
	}
}

// A timeout is not tried again: the request may be under way.
func TestTimeoutIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := newBase()
		base.ResponseHeaderTimeout = time.Second
		requests := 0
		base.DialContext = piped(func(c net.Conn) {
			for hear(c) != "" {
				if requests++; requests == 1 {
					say(c, ok2)
				}
			}
		})
		transport := newTransport(t, base)
		send(t, transport, "GET", "http://org.example/", "")
		_, _, err := send(t, transport, "GET", "http://org.example/", "")
		synctest.Wait()
		if !errors.Is(err, context.DeadlineExceeded) || requests != 2 {
			t.Errorf("err = %v after %d requests, want a timeout after 2", err, requests)
		}
	})
}

func TestErrorsAreNetAndTLSs(t *testing.T) {
	base := newBase()
	_, _, err := send(t, newTransport(t, base), "GET", "http://127.0.0.1:1/", "")
	if operation, ok := errors.AsType[*net.OpError](err); !ok || operation.Op != "dial" {
		t.Errorf("refused: %v, want a failed dial", err)
	}
	url := peer(t, base, true, number)
	base = newBase()
	_, _, err = send(t, newTransport(t, base), "GET", url, "")
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("untrusted: %v", err)
	}
	url = peer(t, base, false, func(_ int, c net.Conn) { c.Read(make([]byte, 1)); say(c, ok2) })
	_, _, err = send(t, newTransport(t, base), "GET", strings.Replace(url, "http:", "https:", 1), "")
	if _, ok := errors.AsType[tls.RecordHeaderError](err); !ok {
		t.Errorf("no TLS: %v", err)
	}
}

// idler is a dialer of connections that answer and can be counted.
type idler struct{ dialed, open atomic.Int32 }

func (d *idler) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	n := int(d.dialed.Add(1))
	d.open.Add(1)
	go func() { number(n, server); d.open.Add(-1) }()
	return client, nil
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d idler
		base := newBase()
		base.DialContext, base.IdleConnTimeout, base.MaxIdleConnsPerHost = d.dial, time.Minute, 3
		transport := New(base)
		together := func(n int) {
			var bodies []io.Closer
			for range n {
				resp, err := transport.RoundTrip(newRequest(t, "GET", "http://org.example/", ""))
				if err != nil {
					t.Fatal(err)
				}
				bodies = append(bodies, resp.Body)
			}
			for _, b := range bodies {
				io.Copy(io.Discard, b.(io.Reader))
			}
		}
		check := func(open, idle int) {
			t.Helper()
			synctest.Wait()
			if got := int(d.open.Load()); got != open || transport.Idle() != idle {
				t.Errorf("%d connections open and %d idle, want %d and %d", got, transport.Idle(), open, idle)
			}
		}
		together(5)
		check(3, 3)
		time.Sleep(40 * time.Second)
		together(1)
		time.Sleep(30 * time.Second)
		check(1, 1) // the others have waited for 70 s
		time.Sleep(31 * time.Second)
		check(0, 0)
		together(2)
		transport.CloseIdleConnections()
		check(0, 0)
	})
}

// What this package leaves to net/http arrives all the same.
func TestOtherRequests(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, r.Header["Expect"], r.Trailer)
	}))
	defer server.Close()
	company := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "company ", r.URL) }))
	defer company.Close()
	large := strings.Repeat("x", maxBody+1)
	for _, tt := range []struct {
		name, body string
		change     func(*http.Request, *http.Transport)
		want       string
	}{
		{"large", large, nil, "65537 [] map[]"},
		{"streaming", "body", func(r *http.Request, _ *http.Transport) { r.ContentLength = -1 }, "4 [] map[]"},
		{"trailers", "body", func(r *http.Request, _ *http.Transport) {
			r.ContentLength, r.Trailer = -1, http.Header{"X-Sum": {"1"}}
		}, "4 [] map[X-Sum:[1]]"},
		{"asking first", "body", func(r *http.Request, _ *http.Transport) { r.Header.Set("Expect", "100-continue") }, "4 [100-continue] map[]"},
		{"company proxy", "", func(_ *http.Request, b *http.Transport) {
			u, _ := url.Parse(company.URL)
			b.Proxy = http.ProxyURL(u)
		}, "company " + server.URL + "/"},
		{"traced", "", func(r *http.Request, _ *http.Transport) {
			hinted := new(httptrace.ClientTrace)
			hinted.Got1xxResponse = func(code int, _ textproto.MIMEHeader) error { return fmt.Errorf("interim %d", code) }
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), hinted))
		}, "net/http: HTTP/1.x transport connection broken: interim 103"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := newBase()
			req := newRequest(t, "POST", server.URL+"/", tt.body)
			if tt.change != nil {
				tt.change(req, base)
			}
			_, got, err := sendRequest(newTransport(t, base), req)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// However requests are given up and connections break, an answer is its own
// request's, and whole.
func TestAnswersAreNotMixedUp(t *testing.T) {
	base := newBase()
	url := peer(t, base, true, func(_ int, c net.Conn) {
		for {
			head := hear(c)
			_, rest, _ := strings.Cut(head, "GET /")
			id, _, found := strings.Cut(rest, " ")
			if !found {
				return
			}
			switch rand.IntN(8) {
			case 0:
				return
			case 1:
				say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nid \r\n")
				say(c, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(id), id))
			case 2:
				say(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nid %s", len(id)+3, id))
				return
			case 3:
				say(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nid %s", id))
				return
			default:
				say(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nid ", len(id)+3))
				say(c, id)
			}
		}
	})
	transport := newTransport(t, base)
	var senders sync.WaitGroup
	var whole atomic.Int32
	for sender := range 8 {
		senders.Go(func() {
			for i := range 60 {
				id := fmt.Sprintf("%d-%d-%s", sender, i, strings.Repeat("x", rand.IntN(40)))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(4000))*time.Microsecond)
				if i%3 > 0 {
					ctx = t.Context()
				}
				resp, err := transport.RoundTrip(newRequest(t, "GET", url+"/"+id, "").WithContext(ctx))
				if err == nil {
					var body []byte
					if i%5 == 0 {
						body = make([]byte, 3)
						_, err = io.ReadFull(resp.Body, body)
					} else {
						body, err = io.ReadAll(resp.Body)
					}
					resp.Body.Close()
					if err == nil && i%5 > 0 {
						whole.Add(1)
						if string(body) != "id "+id {
							t.Errorf("request %s has the answer %q", id, body)
						}
					}
				}
				cancel()
			}
		})
	}
	senders.Wait()
	if n := whole.Load(); n < 120 {
		t.Errorf("only %d answers of 480 requests arrived", n)
	}
}
