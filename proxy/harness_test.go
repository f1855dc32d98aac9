package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/proxy"
	sender "github.com/sfproxy/sfproxy/upstream"
)

const (
	username = "integration@devorg.example"
	patience = 10 * time.Second // until a test gives up on what must happen
)

var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// rig is a proxy on a port of this machine, with a client and its log.
type rig struct {
	url    string
	client *http.Client
	log    *logBuffer
}

// start runs a proxy. What cfg leaves out gets a default fit for tests.
func start(t testing.TB, cfg proxy.Config) *rig {
	t.Helper()
	r := newRig()
	server := httptest.NewUnstartedServer(newHandler(t, cfg, r.log))
	server.Config.ErrorLog = log.New(panicWatch{t}, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	r.url = server.URL
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// panicWatch fails the test on a panic that net/http's server has caught.
type panicWatch struct{ testing.TB }

func (w panicWatch) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic serving")) {
		w.Errorf("%s", line)
	}
	return len(line), nil
}

func newRig() *rig {
	return &rig{log: newLogBuffer(), client: &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func newHandler(t testing.TB, cfg proxy.Config, log io.Writer) http.Handler {
	t.Helper()
	if cfg.Transport == nil {
		transport := proxy.NewTransport(proxy.TransportConfig{})
		t.Cleanup(transport.CloseIdleConnections)
		cfg.Transport = transport
	}
	if connections, ok := cfg.Transport.(*http.Transport); ok { // as the program does
		transport := sender.New(connections)
		t.Cleanup(transport.CloseIdleConnections)
		cfg.Transport = transport
	}
	if cfg.Subject == "" {
		cfg.Subject = username
	}
	if cfg.ReplayBuffer == 0 {
		cfg.ReplayBuffer = 64 << 10
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	p, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// startOrg runs an org over TLS and a proxy in front of it.
func startOrg(t testing.TB, change func(*devorg.Config, *proxy.Config)) (*rig, *devorg.Org) {
	t.Helper()
	orgConfig := devorg.Config{ConsumerKey: "3MVG9.test", PublicKey: &appKey().PublicKey, Users: []string{username}, TLS: true}
	cfg := proxy.Config{}
	if change != nil {
		change(&orgConfig, &cfg)
	}
	org, err := devorg.Start(orgConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { org.Close() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(org.CAPEM())
	transport := proxy.NewTransport(proxy.TransportConfig{Roots: roots})
	t.Cleanup(transport.CloseIdleConnections)
	login, err := url.Parse(org.LoginURL())
	if err != nil {
		t.Fatal(err)
	}
	grants, err := auth.NewOrg(auth.OrgConfig{LoginURL: login, ConsumerKey: "3MVG9.test", Key: appKey(), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	manager := auth.NewManager(grants.Grant, nil)
	t.Cleanup(manager.Close)
	cfg.Tokens, cfg.Transport = manager, transport
	return start(t, cfg), org
}

// fakeTokens hands out token-secret-1, token-secret-2 and so on.
type fakeTokens struct {
	mu       sync.Mutex
	instance []string // of each token; the last is that of all further ones
	current  *auth.Token
	granted  int
	err      error // instead of a grant
}

func newTokens(instances ...string) *fakeTokens { return &fakeTokens{instance: instances} }

func (f *fakeTokens) Token(_ context.Context, subject string) (*auth.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		if f.err != nil {
			return nil, f.err
		}
		f.granted++
		u, err := url.Parse(f.instance[min(f.granted, len(f.instance))-1])
		if err != nil {
			return nil, err
		}
		f.current = &auth.Token{AccessToken: auth.NewAccessToken(fmt.Sprintf("token-secret-%d", f.granted)), InstanceURL: u,
			IdentityURL: "https://login.salesforce.com/id/00D/005", Subject: subject}
	}
	return f.current, nil
}

func (f *fakeTokens) Reject(token *auth.Token) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != token {
		return false
	}
	f.current = nil
	return true
}

func (f *fakeTokens) grants() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.granted
}

// upstream runs an instance.
func upstream(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(panicWatch{t}, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// answer is an answer whose body has been read.
type answer struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	last    bool // of its connection
}

// send sends a request and reads the answer. headers are "Name: value".
func (r *rig) send(t testing.TB, method, target string, body io.Reader, headers ...string) answer {
	t.Helper()
	a, err := r.try(method, target, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (r *rig) try(method, target string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, r.url+target, body)
	if err != nil {
		return answer{}, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, resp.Trailer, string(data), resp.Close}, err
}

// echo is what the org's echo class tells of a request.
type echo struct {
	Method, URI, Host, Sha256 string
	Length, ContentLength     int64
	TransferEncoding          []string
	Headers, Trailers         map[string][]string
}

func (a answer) echo(t testing.TB) (e echo) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("answer = %d %s, want an echo", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (a answer) wantFault(t testing.TB, status int, code string) {
	t.Helper()
	if a.status != status || a.header.Get("X-SFProxy-Error") != code || !strings.Contains(a.body, code) {
		t.Errorf("answer = %d, X-SFProxy-Error %q, %s; want %d and %s", a.status, a.header.Get("X-SFProxy-Error"), a.body, status, code)
	}
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

// unsized hides the length of a body, so that it is sent chunked.
type unsized struct{ io.Reader }

// conn is a client's raw connection to the proxy.
type conn struct {
	net.Conn
	*bufio.Reader
	t testing.TB
}

func (r *rig) dial(t testing.TB) conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return conn{c, bufio.NewReader(c), t}
}

func (c conn) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// response reads the next answer, interim ones included.
func (c conn) response(method string) answer {
	c.t.Helper()
	resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading an answer's body: %v", err)
	}
	return answer{resp.StatusCode, resp.Header, resp.Trailer, string(body), resp.Close}
}

// rest reads until the connection ends.
func (c conn) rest() string {
	data, _ := io.ReadAll(c.Reader)
	return string(data)
}

// receive waits for ch.
func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// logBuffer holds what was logged, a line at a time.
type logBuffer struct {
	mu    sync.Mutex
	grown *sync.Cond
	lines [][]byte
}

func newLogBuffer() *logBuffer {
	b := &logBuffer{}
	b.grown = sync.NewCond(&b.mu)
	return b
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, bytes.Clone(line))
	b.grown.Broadcast()
	return len(line), nil
}

type logLine map[string]any

// requests returns the lines of requests, once there are n of them.
func (b *logBuffer) requests(t testing.TB, n int) []logLine {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		late = true
		b.grown.Broadcast()
	})
	defer timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		var found []logLine
		for _, text := range b.lines {
			var line logLine
			if json.Unmarshal(text, &line) == nil && line["method"] != nil {
				found = append(found, line)
			}
		}
		if len(found) >= n {
			return found
		}
		if late {
			t.Fatalf("%d requests were logged, want %d:\n%s", len(found), n, bytes.Join(b.lines, nil))
		}
		b.grown.Wait()
	}
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(bytes.Join(b.lines, nil))
}

var discardLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)

var quiet = slog.New(slog.DiscardHandler)
