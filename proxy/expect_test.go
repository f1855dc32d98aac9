package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// expectRig has an upstream that tells what a request expected, and refuses the
// first token before it reads anything.
func expectRig(t *testing.T) (*rig, <-chan string) {
	t.Helper()
	expected := make(chan string, 4)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		expected <- r.Header.Get("Expect")
		if r.Header.Get("Authorization") == "Bearer token-secret-1" {
			w.WriteHeader(401)
			io.WriteString(w, sessionFault)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	return start(t, proxy.Config{Tokens: newTokens(url), ReplayBuffer: 1000}), expected
}

// A large upload asks first, whatever the client speaks, and the client that
// did not ask hears nothing of it.
func TestExpectIsTheProxysOwn(t *testing.T) {
	for _, tt := range []struct {
		name, proto, head, body, want string
	}{
		{"small", "1.1", "Content-Length: 1000", strings.Repeat("x", 1000), ""},
		{"small chunked", "1.1", "Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n", ""},
		{"empty chunked", "1.1", "Transfer-Encoding: chunked", "0\r\n\r\n", ""},
		{"large", "1.1", "Content-Length: 1001", strings.Repeat("x", 1001), "100-continue"},
		{"large chunked", "1.1", "Transfer-Encoding: chunked", "3e9\r\n" + strings.Repeat("x", 1001) + "\r\n0\r\n\r\n", "100-continue"},
		{"large, HTTP/1.0", "1.0", "Content-Length: 1001", strings.Repeat("x", 1001), "100-continue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, expected := expectRig(t)
			c := r.dial(t)
			c.write("POST " + echoPath + " HTTP/" + tt.proto + "\r\nHost: localhost\r\n" + tt.head + "\r\n\r\n" + tt.body)
			if got := c.response("POST"); got.status != 200 {
				t.Errorf("answer = %d %s, want no interim one and 200", got.status, got.body)
			}
			for range 2 {
				if got := receive(t, expected, "a send"); got != tt.want {
					t.Errorf("Expect = %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestExpectOfClient(t *testing.T) {
	for size, want := range map[int]string{10: "", 5000: "100-continue"} {
		r, expected := expectRig(t)
		c := r.dial(t)
		c.write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", echoPath, size))
		if got := c.response("POST"); got.status != 100 {
			t.Fatalf("%d bytes: answer = %d %s, want 100", size, got.status, got.body)
		}
		c.write(strings.Repeat("x", size))
		if got := c.response("POST"); got.status != 200 || got.body != fmt.Sprint(size) {
			t.Errorf("%d bytes: answer = %d %s, want 200", size, got.status, got.body)
		}
		for range 2 {
			if got := receive(t, expected, "a send"); got != want {
				t.Errorf("%d bytes: Expect = %q, want %q", size, got, want)
			}
		}
	}
}

// What Salesforce refuses outright the client need not upload.
func TestExpectRefused(t *testing.T) {
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413); io.WriteString(w, "too large") })
	r := start(t, proxy.Config{Tokens: newTokens(url), ReplayBuffer: 1000})
	c := r.dial(t)
	c.write("POST " + echoPath + " HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
	if got := c.response("POST"); got.status != 413 || got.body != "too large" || !got.last {
		t.Errorf("answer = %d %s, want 413 without an upload, and the end of the connection", got.status, got.body)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	r, _ := startOrg(t, nil)
	for _, size := range []int{0, 10, 100 << 10} {
		req, _ := http.NewRequest("POST", r.url+"/services/apexrest/trailers", unsized{strings.NewReader(strings.Repeat("x", size))})
		req.Trailer = http.Header{"X-Checksum": {"abc"}}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), `"X-Checksum":["abc"]`) {
			t.Errorf("%d bytes: the org got %s", size, body)
		}
		if got := resp.Trailer.Get("X-Apex-Digest"); got != "end" {
			t.Errorf("%d bytes: the client got the trailer %q, want end", size, got)
		}
	}
}
