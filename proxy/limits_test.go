package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// gate is an instance whose answers wait for open, or too long: a request that
// is let through by mistake is to fail a test rather than to stop it.
type gate struct {
	url     string
	arrived chan string // the paths of the requests, as they come
	open    chan struct{}
}

func startGate(t *testing.T) *gate {
	g := &gate{arrived: make(chan string, 100), open: make(chan struct{})}
	g.url = upstream(t, func(w http.ResponseWriter, r *http.Request) {
		g.arrived <- r.URL.Path
		select {
		case <-g.open:
		case <-r.Context().Done():
		case <-time.After(patience):
		}
	})
	return g
}

// limitCounts counts what Config.OnLimited is told.
type limitCounts struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *limitCounts) count(limit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[limit]++
}

func (c *limitCounts) of(limit string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[limit]
}

func newClient(t *testing.T, name string, most int) proxy.Client {
	t.Helper()
	key, err := proxy.HashAPIKey("key of " + name)
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Client{Name: name, Subject: username, APIKey: key, MaxRequests: most}
}

// asClient is the header that a client of newClient sends.
func asClient(name string) string { return "Authorization: Bearer key of " + name }

func TestRequestLimit(t *testing.T) {
	g := startGate(t)
	var limited limitCounts
	r := start(t, proxy.Config{Tokens: newTokens(g.url), MaxRequests: 2, OnLimited: limited.count})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() { r.send(t, "GET", limitsPath, nil) })
		receive(t, g.arrived, "a request")
	}
	for path, status := range map[string]int{limitsPath: 429, "/services/async/60.0/job": 429, "/services/Soap/u/60.0": 500, "/services/oauth2/token": 429} {
		got := r.send(t, "POST", path, strings.NewReader("x"))
		got.wantFault(t, status, "PROXY_TOO_MANY_REQUESTS")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After = %q, want 1", path, got.header.Get("Retry-After"))
		}
	}
	if n := limited.of("requests"); n != 4 {
		t.Errorf("%d requests are counted as over the limit, want 4", n)
	}
	if n := strings.Count(r.log.String(), `"level":"WARN","msg":"requests are refused`); n != 1 {
		t.Errorf("%d lines at warn for 4 refused requests, want 1:\n%s", n, r.log)
	}
	close(g.open)
	running.Wait()
	if got := r.send(t, "GET", limitsPath, nil); got.status != 200 {
		t.Errorf("answer after the others = %d, want 200", got.status)
	}
}

func TestRequestLimitOfClients(t *testing.T) {
	g := startGate(t)
	var limited limitCounts
	r := start(t, proxy.Config{Tokens: newTokens(g.url), MaxRequests: 10, OnLimited: limited.count,
		Clients: []proxy.Client{newClient(t, "greedy", 1), newClient(t, "good", 2)}})
	var running sync.WaitGroup
	for _, name := range []string{"greedy", "good"} {
		running.Go(func() { r.send(t, "GET", limitsPath, nil, asClient(name)) })
		receive(t, g.arrived, "a request")
	}
	r.send(t, "GET", limitsPath, nil, asClient("greedy")).wantFault(t, 429, "PROXY_TOO_MANY_REQUESTS")
	if n := limited.of("requests_per_client"); n != 1 {
		t.Errorf("%d requests are counted as over the limit, want 1", n)
	}
	running.Go(func() {
		if got := r.send(t, "GET", limitsPath, nil, asClient("good")); got.status != 200 {
			t.Errorf("answer to the other client = %d, want 200", got.status)
		}
	})
	receive(t, g.arrived, "the other client's request")
	close(g.open)
	running.Wait()
}

// TestRequestLimitOfAnyone is that of the nameless client.
func TestRequestLimitOfAnyone(t *testing.T) {
	g := startGate(t)
	r := start(t, proxy.Config{Tokens: newTokens(g.url), MaxRequests: 10, MaxRequestsPerClient: 1})
	var running sync.WaitGroup
	running.Go(func() { r.send(t, "GET", limitsPath, nil) })
	receive(t, g.arrived, "a request")
	r.send(t, "GET", limitsPath, nil).wantFault(t, 429, "PROXY_TOO_MANY_REQUESTS")
	close(g.open)
	running.Wait()
}

// readingLogins read what they are sent, and let nobody in.
type readingLogins struct{ noLogins }

func (readingLogins) ServeOAuth(w http.ResponseWriter, r *http.Request, _ string) {
	io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusBadRequest)
}

// TestRequestLimitOfUnknown has somebody without a credential begin requests whose
// body is read before their client is known: half of the room is left to others.
func TestRequestLimitOfUnknown(t *testing.T) {
	for _, path := range []string{"/services/Soap/u/60.0", "/services/oauth2/token"} {
		base := upstream(t, func(http.ResponseWriter, *http.Request) {})
		var limited limitCounts
		r := start(t, proxy.Config{Tokens: newTokens(base), Logins: readingLogins{}, MaxRequests: 4, MaxRequestsPerClient: 2, OnLimited: limited.count,
			Clients: []proxy.Client{newClient(t, "app", 2)}})
		var open []conn
		var statuses []int
		for range 4 {
			c := r.dial(t)
			c.write("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
			open, statuses = append(open, c), append(statuses, c.response("POST").status)
		}
		refused := 429
		if strings.Contains(path, "Soap") {
			refused = 500
		}
		if want := []int{100, 100, refused, refused}; !slices.Equal(statuses, want) {
			t.Errorf("%s: answers = %v, want %v: two whose body is waited for", path, statuses, want)
		}
		if n := limited.of("requests_per_client"); n != 2 {
			t.Errorf("%s: %d requests are counted as over the limit, want 2", path, n)
		}
		if got := r.send(t, "GET", limitsPath, nil, asClient("app")); got.status != 200 {
			t.Errorf("%s: answer to a client = %d %s, want 200", path, got.status, got.body)
		}
		for _, c := range open[:2] {
			c.write(strings.Repeat("x", 1000))
			c.response("POST")
		}
		c := r.dial(t)
		c.write("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
		if status := c.response("POST").status; status != 100 {
			t.Errorf("%s: answer after the others have ended = %d, want 100", path, status)
		}
	}
}

// TestLimitsAreToldToPages lets the pages of an allowed origin read the answer.
func TestLimitsAreToldToPages(t *testing.T) {
	const origin = "https://app.example.com"
	r := start(t, proxy.Config{Tokens: newTokens("http://127.0.0.1:1"), CORSOrigins: []string{origin}})
	got := r.send(t, "GET", limitsPath+"?"+strings.Repeat("x", 17<<10), nil, "Origin: "+origin)
	got.wantFault(t, 414, "PROXY_URI_TOO_LONG")
	if allowed := got.header["Access-Control-Allow-Origin"]; len(allowed) != 1 || allowed[0] != origin {
		t.Errorf("Access-Control-Allow-Origin = %q, want %s", allowed, origin)
	}
}

// TestRequestLimitAcrossReloads replaces the clients while requests of them run:
// a request counts until it ends, and no longer.
func TestRequestLimitAcrossReloads(t *testing.T) {
	g := startGate(t)
	p := newHandler(t, proxy.Config{Tokens: newTokens(g.url), Clients: []proxy.Client{newClient(t, "app", 2)}}, newLogBuffer()).(*proxy.Proxy)
	send := func() int {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", limitsPath, nil)
		r.Header.Set("Authorization", "Bearer key of app")
		p.ServeHTTP(w, r)
		return w.Code
	}
	var running sync.WaitGroup
	begin := func() {
		running.Go(func() {
			if status := send(); status != 200 {
				t.Errorf("answer = %d, want 200", status)
			}
		})
		receive(t, g.arrived, "a request")
	}
	begin()
	p.SetClients([]proxy.Client{newClient(t, "other", 2), newClient(t, "app", 2)})
	begin()
	if status := send(); status != 429 {
		t.Errorf("answer to a third after a reload = %d, want 429", status)
	}
	p.SetClients([]proxy.Client{newClient(t, "other", 2)})
	p.SetClients([]proxy.Client{newClient(t, "app", 2)})
	if status := send(); status != 429 {
		t.Errorf("answer to a third after the client was gone for a moment = %d, want 429", status)
	}
	close(g.open)
	running.Wait()
	g.open = make(chan struct{})
	begin()
	begin()
	if status := send(); status != 429 {
		t.Errorf("answer to a third after all others have ended = %d, want 429", status)
	}
	close(g.open)
	running.Wait()
}

// TestRequestsThatEndBadlyMakeRoom ends requests in each way that is not an
// answer.
func TestRequestsThatEndBadlyMakeRoom(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{})
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("end") {
		case "cut":
			fmt.Fprint(w, "half")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "left":
			arrived <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		case "switch":
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	})
	r := start(t, proxy.Config{Tokens: newTokens(base), MaxRequests: 1, Clients: []proxy.Client{newClient(t, "app", 1)}})
	for range 3 {
		r.try("GET", limitsPath+"?end=cut", nil, asClient("app"))
		r.try("GET", limitsPath+"?end=switch", nil, asClient("app"), "Connection: Upgrade", "Upgrade: websocket")
		ctx, leave := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", r.url+limitsPath+"?end=left", nil)
		req.Header.Set("Authorization", "Bearer key of app")
		left := make(chan struct{})
		go func() {
			defer close(left)
			r.client.Do(req)
		}()
		receive(t, arrived, "the request to be left")
		leave()
		receive(t, gone, "its end")
		receive(t, left, "its client")
		r.log.requests(t, 1)
		awaitRoom(t, r)
	}
}

// awaitRoom sends requests until one finds room: the proxy may be about to
// notice that a client has left.
func awaitRoom(t *testing.T, r *rig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		if got := r.send(t, "GET", limitsPath, nil, asClient("app")); got.status == 200 {
			return
		}
	}
	t.Fatal("no request finds room, though all have ended")
}

func TestHeadLimits(t *testing.T) {
	headers := func(n int) string { return strings.Repeat("X-A: 1\r\n", n) }
	// Of a size in all, with the lines that are always there.
	const fixed = len("Host: localhost\r\n") + len("X-Large: \r\n")
	sized := func(n int) string { return "X-Large: " + strings.Repeat("x", n-fixed) + "\r\n" }
	tests := []struct {
		name, target, headers string
		status                int
		code, limit           string
	}{
		{name: "longest URI", target: "/services/data?q=" + strings.Repeat("x", 16384-17), status: 200},
		{name: "longer URI", target: "/services/data?q=" + strings.Repeat("x", 16384-16), status: 414, code: "PROXY_URI_TOO_LONG", limit: "uri"},
		{name: "longer URI, Bulk", target: "/services/async/60.0/job?" + strings.Repeat("x", 17<<10), status: 414, code: "PROXY_URI_TOO_LONG", limit: "uri"},
		{name: "longer path, SOAP", target: "/services/Soap/u/" + strings.Repeat("x", 17<<10), status: 500, code: "PROXY_URI_TOO_LONG", limit: "uri"},
		{name: "most headers", headers: headers(199), status: 200},
		{name: "more headers", headers: headers(200), status: 431, code: "PROXY_TOO_MANY_HEADERS", limit: "headers"},
		{name: "largest headers", headers: sized(32 << 10), status: 200},
		{name: "larger headers", headers: sized(32<<10 + 1), status: 431, code: "PROXY_HEADERS_TOO_LARGE", limit: "headers"},
	}
	base := upstream(t, func(http.ResponseWriter, *http.Request) {})
	var limited limitCounts
	r := start(t, proxy.Config{Tokens: newTokens(base), OnLimited: limited.count})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.target == "" {
				tt.target = limitsPath
			}
			before := limited.of(tt.limit)
			c := r.dial(t)
			c.write("GET " + tt.target + " HTTP/1.1\r\nHost: localhost\r\n" + tt.headers + "\r\n")
			got := c.response("GET")
			if tt.code == "" {
				if got.status != tt.status {
					t.Errorf("answer = %d %s, want %d", got.status, got.body, tt.status)
				}
				return
			}
			got.wantFault(t, tt.status, tt.code)
			if n := limited.of(tt.limit) - before; n != 1 {
				t.Errorf("counted %d times as %s, want once", n, tt.limit)
			}
		})
	}
	for line := range strings.Lines(r.log.String()) {
		if len(line) > 4<<10 {
			t.Errorf("a log line has %d bytes: %.200s", len(line), line)
		}
	}
}
