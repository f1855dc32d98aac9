package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// heldPath is that of requests which the org of startHolding never answers.
const heldPath = "/services/apexrest/held"

// startHolding starts an org, and a proxy with the settings.
func startHolding(t *testing.T, settings ...string) *process {
	t.Helper()
	org := startOrg(t, devorg.Config{})
	org.FailPath(heldPath, devorg.Fault{Hang: true})
	return startProxy(t, with(org.env, settings...))
}

// hold sends a request that lasts until release is called. inFlight is how many
// there are then.
func (p *process) hold(t *testing.T, inFlight int, header ...string) (release func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", p.URL+heldPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range header {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Set(name, value)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := httpClient.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("a request that is to be held was answered: %s", resp.Status)
		}
	}()
	p.waitForMetric(t, "sfproxy_requests_in_flight", func(n float64) bool { return n == float64(inFlight) })
	return func() {
		cancel()
		<-ended
	}
}

// checkLimited tells whether an answer is the one to a request over a limit.
func (a answer) checkLimited(t *testing.T, what string, status int, code, part string) {
	t.Helper()
	transcripts.add(a.body)
	if a.status != status || a.header.Get("X-SFProxy-Error") != code || !strings.Contains(string(a.body), part) {
		t.Errorf("%s: answer = %d, X-SFProxy-Error %q, %s; want %d, %s, and %s in it", what, a.status, a.header.Get("X-SFProxy-Error"), a.body, status, code, part)
	}
	if retry := a.header.Get("Retry-After"); code == "PROXY_TOO_MANY_REQUESTS" && retry != "1" {
		t.Errorf("%s: Retry-After = %q, want 1", what, retry)
	}
}

// TestRequestLimits has one client, and then all, run as many requests as may
// run.
func TestRequestLimits(t *testing.T) {
	t.Parallel()
	greedyKey, goodKey := newAPIKey(), newAPIKey()
	p := startHolding(t, "PROXY_MAX_REQUESTS=4", "PROXY_MAX_REQUESTS_PER_CLIENT=3",
		"PROXY_CLIENT_0_NAME=greedy", "PROXY_CLIENT_0_API_KEY="+greedyKey, "PROXY_CLIENT_0_MAX_REQUESTS=2",
		"PROXY_CLIENT_1_NAME=good", "PROXY_CLIENT_1_API_KEY="+goodKey)
	greedy, good := "Authorization: Bearer "+greedyKey, "Authorization: Bearer "+goodKey
	refusedInEachShape := func(greedy string) {
		t.Helper()
		get(t, p.URL+echoPath, greedy).checkLimited(t, "REST", 429, "PROXY_TOO_MANY_REQUESTS", `[{"message":"`)
		fetch(t, "POST", p.URL+"/services/async/60.0/job", "<jobInfo/>", greedy, "Content-Type: application/xml").
			checkLimited(t, "Bulk", 429, "PROXY_TOO_MANY_REQUESTS", "<exceptionCode>PROXY_TOO_MANY_REQUESTS</exceptionCode>")
		fetch(t, "POST", p.URL+"/services/Soap/u/60.0", string(sampleEnvelope(greedyKey, "<ns1:getUserInfo/>")), "Content-Type: text/xml", `SOAPAction: ""`).
			checkLimited(t, "SOAP", 500, "PROXY_TOO_MANY_REQUESTS", "<faultstring>PROXY_TOO_MANY_REQUESTS: ")
	}

	releases := []func(){p.hold(t, 1, greedy), p.hold(t, 2, greedy)}
	refusedInEachShape(greedy)
	for range 10 {
		if a := get(t, p.URL+echoPath, good); a.status != 200 {
			t.Errorf("answer to the good client = %d %s, want 200", a.status, a.body)
		}
	}

	releases = append(releases, p.hold(t, 3, good), p.hold(t, 4, good))
	refusedInEachShape(greedy)
	get(t, p.URL+echoPath, good).checkLimited(t, "the good client", 429, "PROXY_TOO_MANY_REQUESTS", "PROXY_MAX_REQUESTS")
	fetch(t, "POST", p.URL+"/services/oauth2/token", "grant_type=password", "Content-Type: application/x-www-form-urlencoded").
		checkLimited(t, "a login", 429, "PROXY_TOO_MANY_REQUESTS", "PROXY_MAX_REQUESTS")

	for _, release := range releases {
		release()
	}
	p.waitForMetric(t, "sfproxy_requests_in_flight", func(n float64) bool { return n == 0 })
	for _, credential := range []string{greedy, good} {
		if a := get(t, p.URL+echoPath, credential); a.status != 200 {
			t.Errorf("answer after the others have left = %d %s, want 200", a.status, a.body)
		}
	}
	p.waitForMetric(t, `sfproxy_limited_total{limit="requests_per_client"}`, func(n float64) bool { return n == 3 })
	p.waitForMetric(t, `sfproxy_limited_total{limit="requests"}`, func(n float64) bool { return n == 5 })
	if n := strings.Count(p.Log.String(), `"msg":"requests are refused: as many run as may at a time"`); n != 2 {
		t.Errorf("%d lines tell of 8 refusals by two limits, want 2", n)
	}
}

// from returns a client whose connections come from an address of this machine,
// and are one for each request.
func from(address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}}
}

// keepOpen makes a request on a connection of its own and leaves that open. Its
// network is tcp, tls or unix; it comes from the address source, "" for any.
func keepOpen(network, source, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: time.Minute}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	secure := network == "tls"
	if secure {
		network = "tcp"
	}
	conn, err := dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", echoPath)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != 200 || resp.Close {
			err = fmt.Errorf("answer = %s, Connection: close: %t; want 200 and the connection to stay", resp.Status, resp.Close)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func mustKeepOpen(t *testing.T, network, source, address string) net.Conn {
	t.Helper()
	conn, err := keepOpen(network, source, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// checkTurnedAway tells whether an answer is that to a connection over a limit.
func checkTurnedAway(t *testing.T, resp *http.Response, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("over the limit: %v, want an answer", err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{resp.StatusCode, resp.Header, body}
	if fault := a.fault(t); err != nil || a.status != 429 || !resp.Close || fault.ErrorCode != "PROXY_TOO_MANY_CONNECTIONS" || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("over the limit: %d %v %s, want 429 and PROXY_TOO_MANY_CONNECTIONS", a.status, a.header, body)
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	p := startHolding(t, "PROXY_MAX_CONNECTIONS=4", "PROXY_MAX_CONNECTIONS_PER_ADDRESS=2")
	address := strings.TrimPrefix(p.URL, "http://")
	first := mustKeepOpen(t, "tcp", "127.0.0.1", address)
	mustKeepOpen(t, "tcp", "127.0.0.1", address)
	large := bytes.Repeat([]byte("x"), 32<<10)
	for range 3 {
		resp, err := from("127.0.0.1").Post(p.URL+echoPath, "text/plain", bytes.NewReader(large))
		checkTurnedAway(t, resp, err)
	}
	for range 3 {
		resp, err := from("127.0.0.2").Get(p.URL + echoPath)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("from another address: %v, %v; want 200", resp, err)
		}
		resp.Body.Close()
		p.waitForMetric(t, "sfproxy_client_connections", func(n float64) bool { return n == 2 }) // those that are kept open
	}
	mustKeepOpen(t, "tcp", "127.0.0.2", address)
	mustKeepOpen(t, "tcp", "127.0.0.3", address)
	resp, err := from("127.0.0.4").Get(p.URL + echoPath)
	checkTurnedAway(t, resp, err)
	p.waitForMetric(t, `sfproxy_limited_total{limit="connections_per_address"}`, func(n float64) bool { return n == 3 })
	p.waitForMetric(t, `sfproxy_limited_total{limit="connections"}`, func(n float64) bool { return n == 1 })
	first.Close()
	eventually(t, "there is room after a connection was closed", func() bool {
		resp, err := from("127.0.0.1").Get(p.URL + echoPath)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200
	})
	p.Log.waitFor(t, `"msg":"connections are refused: [^}]*"setting":"PROXY_MAX_CONNECTIONS_PER_ADDRESS","limit":2,"address":"127.0.0.1","refused":1`)
	if n := strings.Count(p.Log.String(), `"msg":"connections are refused`); n != 2 {
		t.Errorf("%d lines tell of 4 refusals by two limits, want 2", n)
	}
}

// TestConnectionLimitsWithTLS ends connections over the limit before the
// handshake.
func TestConnectionLimitsWithTLS(t *testing.T) {
	t.Parallel()
	p := startHolding(t, append(listenerTLS(t), "PROXY_MAX_CONNECTIONS=1")...)
	address := strings.TrimPrefix(p.URL, "https://")
	settings := &tls.Config{InsecureSkipVerify: true}
	first, err := tls.Dial("tcp", address, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := tls.Dial("tcp", address, settings); err == nil {
		second.Close()
		t.Error("a connection over the limit has a handshake")
	}
	first.Close()
	eventually(t, "there is room after a connection was closed", func() bool {
		conn, err := tls.Dial("tcp", address, settings)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// TestConnectionLimitsOfUnixSocket counts no address.
func TestConnectionLimitsOfUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	p := startHolding(t, "PROXY_LISTEN=unix:"+path, "PROXY_MAX_CONNECTIONS=2", "PROXY_MAX_CONNECTIONS_PER_ADDRESS=1")
	p.waitReady(t)
	mustKeepOpen(t, "unix", "", path)
	mustKeepOpen(t, "unix", "", path)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.Get("http://localhost" + echoPath)
	checkTurnedAway(t, resp, err)
}

// TestHeadLimits has our answers come before net/http's own, by HTTP/1.1 and by
// HTTP/2.
func TestHeadLimits(t *testing.T) {
	t.Parallel()
	plain, secure := startHolding(t), startHolding(t, listenerTLS(t)...)
	h2 := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	many, large := http.Header{}, http.Header{"X-Large": {strings.Repeat("x", 33<<10)}}
	for i := range 201 {
		many.Set(fmt.Sprintf("X-%d", i), "1")
	}
	const longest = 16_384
	query := func(n int) string {
		return dataPath + "/query?q=" + strings.Repeat("x", n-len(dataPath)-len("/query?q="))
	}
	for _, tt := range []struct {
		name, target string
		header       http.Header
		status       int
		code, part   string
		http1Only    bool // a client with HTTP/2 knows what is read, and does not send it
	}{
		{name: "as much as Salesforce may refuse", target: query(longest), header: http.Header{"X-Large": {strings.Repeat("x", 31<<10)}}, status: 431, part: "REQUEST_HEADER_TOO_LARGE"},
		{name: "URI too long", target: query(longest + 1), status: 414, code: "PROXY_URI_TOO_LONG"},
		{name: "URI too long, Bulk", target: "/services/async/60.0/job?" + strings.Repeat("x", longest), status: 414, code: "PROXY_URI_TOO_LONG"},
		{name: "URI too long, SOAP", target: "/services/Soap/u/60.0?" + strings.Repeat("x", longest), status: 500, code: "PROXY_URI_TOO_LONG"},
		{name: "too many headers", target: echoPath, header: many, status: 431, code: "PROXY_TOO_MANY_HEADERS"},
		{name: "headers too large", target: echoPath, header: large, status: 431, code: "PROXY_HEADERS_TOO_LARGE"},
		{name: "beyond what is read", target: echoPath, header: http.Header{"X-Large": {strings.Repeat("x", 80<<10)}}, status: 431, part: "431", http1Only: true},
	} {
		for proto, send := range map[string]func(*http.Request) (*http.Response, error){"HTTP/1.1": httpClient.Do, "HTTP/2.0": h2.Do} {
			base := plain.URL
			if proto == "HTTP/2.0" {
				base = secure.URL
			}
			if proto == "HTTP/2.0" && tt.http1Only {
				continue
			}
			t.Run(tt.name+" "+proto, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), "GET", base+tt.target, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = tt.header.Clone()
				resp, err := send(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				if resp.Proto != proto || resp.StatusCode != tt.status || resp.Header.Get("X-SFProxy-Error") != tt.code || !strings.Contains(string(body), tt.code+tt.part) {
					t.Errorf("answer = %s %d, X-SFProxy-Error %q, %.300s; want %s %d, %q %s", resp.Proto, resp.StatusCode, resp.Header.Get("X-SFProxy-Error"), body, proto, tt.status, tt.code, tt.part)
				}
			})
		}
	}
}
