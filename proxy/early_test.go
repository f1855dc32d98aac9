package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// An answer that comes before the request body was read ends the connection, and
// says so: whatever the client sent on it next would be lost.
func TestEarlyAnswerEndsConnection(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusConflict) })
	r := start(t, proxy.Config{Tokens: newTokens(base)}) // keeps 64 KiB
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		const size = 200 << 10
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", limitsPath, size, strings.Repeat("x", size))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusConflict || !resp.Close {
		t.Errorf("answer = %s, Connection: close: %t; want 409 and the end of the connection", resp.Status, resp.Close)
	}
}

func TestEarlyAnswersLoseNoRequest(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Early") == "" {
			io.Copy(io.Discard, r.Body)
		}
		w.WriteHeader(http.StatusConflict)
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	for i := range 200 {
		size := 65<<10 + i*1024 // past what is kept, within what net/http's server reads away
		req, _ := http.NewRequest("POST", r.url+limitsPath, io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if i%2 == 0 {
			req.Header.Set("X-Early", "1")
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusConflict {
			t.Fatalf("request %d: %s", i, resp.Status)
		}
	}
}

// Credentials do not pass in trailers either, in either direction.
func TestTrailersCarryNoCredentials(t *testing.T) {
	arrived := make(chan http.Header, 1)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Set-Cookie, X-Sum")
		io.Copy(io.Discard, r.Body)
		arrived <- r.Trailer
		io.WriteString(w, "done")
		w.Header().Set("Set-Cookie", "sid=token-secret-1")
		w.Header().Set("X-Sum", "1")
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	for _, size := range []int{10, 100 << 10} { // kept, streamed
		req, _ := http.NewRequest("POST", r.url+limitsPath, io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		req.Trailer = http.Header{"Authorization": {"Bearer mine"}, "X-Api-Key": {"mine"}, "Cookie": {"sid=mine"}, "X-Checksum": {"abc"}}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if got := <-arrived; len(got) != 1 || got.Get("X-Checksum") != "abc" {
			t.Errorf("%d bytes: trailers at Salesforce = %v, want the checksum alone", size, got)
		}
		if resp.Trailer.Get("Set-Cookie") != "" || resp.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%d bytes: trailers at the client = %v, want the sum alone", size, resp.Trailer)
		}
	}
}
