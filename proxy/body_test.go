package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/proxy"
)

const limit = 64 << 10 // bytes; the replay buffer of these tests

var bodySizes = []int{0, 1, limit - 1, limit, limit + 1, 5 << 20}

// The org refuses before it reads, so a body of any size can be replayed.
func TestBodyArrivesWhole(t *testing.T) {
	r, org := startOrg(t, func(_ *devorg.Config, cfg *proxy.Config) { cfg.ReplayBuffer = limit })
	r.send(t, "GET", echoPath, nil)
	for _, size := range bodySizes {
		for _, chunked := range []bool{false, true} {
			for _, refused := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d bytes, chunked %t, refused %t", size, chunked, refused), func(t *testing.T) {
					data := randomBytes(size)
					var body io.Reader = bytes.NewReader(data)
					if chunked {
						body = unsized{body}
					}
					if refused {
						org.ExpireTokens()
					}
					before := org.Stats().Grants
					got := r.send(t, "POST", echoPath, body).echo(t)
					if got.Length != int64(size) || got.Sha256 != hashOf(data) {
						t.Errorf("%d bytes arrived with hash %s, want %d with %s", got.Length, got.Sha256, size, hashOf(data))
					}
					if wantLength := !chunked || size <= limit; wantLength != (got.ContentLength == int64(size)) {
						t.Errorf("Content-Length = %d", got.ContentLength)
					}
					if grants := org.Stats().Grants - before; refused != (grants == 1) {
						t.Errorf("%d grants", grants)
					}
				})
			}
		}
	}
}

// An upstream that reads all before it refuses: what is larger than the replay
// buffer is gone, and the client gets Salesforce's own 401.
func TestBodyRefusedAfterUpload(t *testing.T) {
	// Of a chunked body the first byte past the limit is kept as well.
	for _, size := range []int{0, 1, limit - 1, limit, limit + 2, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, chunked %t", size, chunked), func(t *testing.T) {
				type seen struct{ token, hash string }
				arrived := make(chan seen, 3)
				url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
					digest := sha256.New()
					io.Copy(digest, r.Body)
					arrived <- seen{r.Header.Get("Authorization"), hex.EncodeToString(digest.Sum(nil))}
					if r.Header.Get("Authorization") == "Bearer token-secret-1" {
						w.WriteHeader(401)
						io.WriteString(w, sessionFault)
					}
				})
				r := start(t, proxy.Config{Tokens: newTokens(url), ReplayBuffer: limit})
				data := randomBytes(size)
				post := func() answer {
					var body io.Reader = bytes.NewReader(data)
					if chunked {
						body = unsized{body}
					}
					return r.send(t, "POST", echoPath, body)
				}
				got := post()
				first, want := receive(t, arrived, "the upload"), hashOf(data)
				if first.hash != want {
					t.Errorf("the first send had hash %s, want %s", first.hash, want)
				}
				if size > limit {
					if got.status != 401 || got.body != sessionFault || got.header.Get("X-SFProxy-Error") != "" {
						t.Errorf("answer = %d %s, want Salesforce's 401", got.status, got.body)
					}
					got = post()
				}
				if second := receive(t, arrived, "the second send"); got.status != 200 || second != (seen{"Bearer token-secret-2", want}) {
					t.Errorf("answer = %d to %v, want 200 to the renewed token and hash %s", got.status, second, want)
				}
			})
		}
	}
}

// The upstream refuses when it has had a part that is still kept: the replay
// has that part and then the rest.
func TestBodyRefusedDuringUpload(t *testing.T) {
	const sent, total = 1000, 50_000
	refused, replaying := make(chan bool, 1), make(chan bool, 1)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			return
		}
		flow := http.NewResponseController(w)
		flow.EnableFullDuplex()
		if r.Header.Get("Authorization") == "Bearer token-secret-1" {
			io.ReadFull(r.Body, make([]byte, sent))
			w.WriteHeader(401)
			io.WriteString(w, sessionFault)
			flow.Flush()
			refused <- true
			return
		}
		io.ReadFull(r.Body, make([]byte, sent)) // asks for the body
		replaying <- true
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, sent+n)
	})
	tokens := newTokens(url)
	r := start(t, proxy.Config{Tokens: tokens, ReplayBuffer: 4096})
	source, sink := io.Pipe()
	t.Cleanup(func() { sink.CloseWithError(io.ErrUnexpectedEOF) })
	req, _ := http.NewRequest("POST", r.url+echoPath, source)
	req.ContentLength = total
	answers := make(chan string, 1)
	go func() {
		resp, err := r.client.Do(req)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answers <- string(body)
	}()
	sink.Write(make([]byte, sent))
	receive(t, refused, "the refusal")
	// The proxy reads on until it has seen the refusal: it needs a little more.
	kept := sent
	for began := false; !began && kept < 4000; kept += 10 {
		sink.Write(make([]byte, 10))
		r.send(t, "GET", echoPath, nil) // takes its time
		select {
		case began = <-replaying:
		default:
		}
	}
	sink.Write(make([]byte, total-kept))
	if got := receive(t, answers, "the answer"); got != fmt.Sprint(total) || tokens.grants() != 2 {
		t.Errorf("answer = %s after %d grants, want %d after 2", got, tokens.grants(), total)
	}
}

// A large body of a client that says it is larger than it turns out to be, or
// that leaves, never reaches the org as a whole one.
func TestBodyBrokenOff(t *testing.T) {
	for _, tt := range []struct {
		name, head, body string
		asked            bool // Salesforce was asked
	}{
		{"small", "Content-Length: 100", "half", false},
		{"small chunked", "Transfer-Encoding: chunked", "4\r\nhalf\r\n", false},
		{"large", "Content-Length: 5000", strings.Repeat("x", 2000), true},
		{"large chunked", "Transfer-Encoding: chunked", "7d0\r\n" + strings.Repeat("x", 2000) + "\r\n", true},
		{"large, bad chunk", "Transfer-Encoding: chunked", "7d0\r\n" + strings.Repeat("x", 2000) + "\r\nzz\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read := make(chan error, 1)
			url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				read <- err
			})
			r := start(t, proxy.Config{Tokens: newTokens(url), ReplayBuffer: 1000})
			c := r.dial(t)
			c.write("POST " + echoPath + " HTTP/1.1\r\nHost: localhost\r\n" + tt.head + "\r\n\r\n" + tt.body)
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			line := r.log.requests(t, 1)[0]
			if line["level"] != "DEBUG" {
				t.Errorf("it is logged as a failure: %v", line)
			}
			if got := c.rest(); strings.HasPrefix(got, "HTTP/1.1 2") {
				t.Errorf("the client is told %s", got)
			}
			if !tt.asked {
				if n := len(read); n != 0 || line["instance"] != nil {
					t.Error("Salesforce was asked")
				}
				return
			}
			if err := receive(t, read, "the upstream"); err == nil {
				t.Error("Salesforce got a whole body")
			}
		})
	}
}

// While a small body is on its way Salesforce knows nothing of the request: the
// others overtake it.
func TestBodySlowClientHoldsNoSlot(t *testing.T) {
	arrived := make(chan string, 100)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) { arrived <- r.Method })
	r := start(t, proxy.Config{Tokens: newTokens(url)})
	c := r.dial(t)
	c.write("POST " + echoPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
	for range 20 {
		r.send(t, "GET", echoPath, nil)
		if got := receive(t, arrived, "a request"); got != "GET" {
			t.Fatalf("a %s with half a body arrived", got)
		}
	}
	c.write("67890")
	if got := c.response("POST"); got.status != 200 {
		t.Errorf("answer = %d", got.status)
	}
	if got := receive(t, arrived, "the slow request"); got != "POST" {
		t.Errorf("a %s arrived, want the POST", got)
	}
}

// The answer comes early and the upload goes on: the server must not take the
// rest of the body away, which Salesforce would see as its end.
func TestBodyGoesOnAfterEarlyAnswer(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			io.CopyN(io.Discard, r.Body, 2000)
			io.WriteString(w, "begun ")
			http.NewResponseController(w).Flush()
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n+2000, " ", err)
		})
		r := start(t, proxy.Config{Tokens: newTokens(url), ReplayBuffer: 1000})
		source, sink := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", r.url+echoPath, source)
		if !chunked {
			req.ContentLength = 10_000
		}
		go sink.Write(make([]byte, 2000))
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, len("begun ")))
		go func() {
			sink.Write(make([]byte, 8000))
			sink.Close()
		}()
		rest, err := io.ReadAll(resp.Body)
		if err != nil || string(rest) != "10000 <nil>" {
			t.Errorf("chunked %t: the upstream read %s (%v), want 10000 bytes", chunked, rest, err)
		}
		resp.Body.Close()
	}
}
