package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// footprint is what a process uses.
type footprint struct{ memory, files float64 } // bytes resident; open files but those to the org, which are kept for later

func (p *process) footprint(t *testing.T) footprint {
	t.Helper()
	number := p.metrics(t)
	return footprint{number("process_resident_memory_bytes"), number("process_open_fds") - number("sfproxy_upstream_connections")}
}

// needFiles skips a test where this process may not open so many files.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		skip(t, fmt.Sprintf("it needs %d open files, and %d are allowed (%v)", n, limit.Cur, err))
	}
}

// TestManyConnections has as many clients connected as may be by default, each
// after a request: they cost memory, and nothing else.
func TestManyConnections(t *testing.T) {
	most := 10_000
	var settings []string
	if testing.Short() || raceDetector {
		most = 1000
		settings = append(settings, "PROXY_MAX_CONNECTIONS=1000")
	}
	needFiles(t, uint64(most)+5128)
	p := startProxy(t, with(startOrg(t, devorg.Config{}).env, settings...))
	if strings.Contains(p.Log.String(), "the limits are lowered") {
		t.Fatal("the limits are lowered")
	}
	address := strings.TrimPrefix(p.URL, "http://")
	good := &http.Client{Timeout: time.Minute, Transport: &http.Transport{}} // one connection
	ask := func() {
		t.Helper()
		resp, err := good.Get(p.URL + echoPath)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			t.Errorf("answer to a good client = %s, %v; want 200", resp.Status, err)
		}
	}
	for range 200 { // what comes with the first requests is no part of the figures
		ask()
	}
	before := p.footprint(t)
	conns := openMany(t, p, "tcp", address, most-1) // the good client is one more
	for range 3 {
		resp, err := from("127.0.0.2").Get(p.URL + echoPath)
		checkTurnedAway(t, resp, err)
		ask()
	}
	for _, conn := range conns {
		conn.Close()
	}
	eventually(t, "the files of connections that were closed are closed", func() bool { return p.footprint(t).files <= before.files })
	mustKeepOpen(t, "tcp", "127.0.0.2", address)
}

// TestManyConnectionsWithTLS tells what TLS costs.
func TestManyConnectionsWithTLS(t *testing.T) {
	p := startProxy(t, with(startOrg(t, devorg.Config{}).env, listenerTLS(t)...))
	address := strings.TrimPrefix(p.URL, "https://")
	mustKeepOpen(t, "tls", "127.0.0.1", address)
	before := p.footprint(t)
	for _, conn := range openMany(t, p, "tls", address, 1000) {
		conn.Close()
	}
	eventually(t, "the files of connections that were closed are closed", func() bool { return p.footprint(t).files <= before.files })
}

// openMany keeps connections open after a request on each, and logs what they
// cost.
func openMany(t *testing.T, p *process, network, address string, n int) []net.Conn {
	t.Helper()
	const sources = 20
	before := p.footprint(t)
	conns := make([]net.Conn, n)
	var opening sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		opening.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				conn, err := keepOpen(network, fmt.Sprintf("127.0.1.%d", 1+i%sources), address)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
			}
		})
	}
	opening.Wait()
	if t.Failed() {
		t.FailNow()
	}
	during := p.footprint(t)
	t.Logf("%d connections (%s) after a request each: %.1f KB each (%.1f MB before, %.1f MB then), %.0f open files",
		n, network, (during.memory-before.memory)/float64(n)/1e3, before.memory/1e6, during.memory/1e6, during.files)
	return conns
}

// TestManySlowRequests has the org think for long about as many requests as may
// be, and about more.
func TestManySlowRequests(t *testing.T) {
	many, most := 2000, 2500 // what PROXY_MAX_REQUESTS_PER_CLIENT is by default
	settings := []string{}
	if testing.Short() || raceDetector {
		many, most = 200, 250
		settings = append(settings, "PROXY_MAX_REQUESTS_PER_CLIENT=250")
	}
	needFiles(t, 14_000)
	for _, tt := range []struct {
		name string
		size int // of the body
	}{{"GET", 0}, {"POST of 10 KB", 10 << 10}} {
		t.Run(tt.name, func(t *testing.T) {
			org := startOrg(t, devorg.Config{})
			p := startProxy(t, with(org.env, settings...))
			crowd := &slowCrowd{url: p.URL, body: bytes.Repeat([]byte("x"), tt.size),
				client: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}}
			crowd.send(t, 200).wait(t, 200, 200) // what comes with the first requests is no part of the figures
			crowd.client.CloseIdleConnections()
			before := p.footprint(t)

			org.SetLatency(10 * time.Second)
			running := crowd.send(t, many)
			p.waitForMetric(t, "sfproxy_requests_in_flight", func(n float64) bool { return n == float64(many) })
			p.waitForMetric(t, "sfproxy_upstream_connections", func(n float64) bool { return n >= float64(many) })
			during := p.footprint(t)
			t.Logf("%d slow requests: %.1f KB each (%.1f MB before, %.1f MB then)", many, (during.memory-before.memory)/float64(many)/1e3, before.memory/1e6, during.memory/1e6)
			running.wait(t, many, many)

			if tt.size == 0 {
				crowd.send(t, most+300).wait(t, most, most+299)
			}
			org.SetLatency(0)
			crowd.client.CloseIdleConnections()
			eventually(t, "the files of requests that have ended are closed", func() bool { return p.footprint(t).files <= before.files })
			crowd.send(t, 50).wait(t, 50, 50)
		})
	}
}

// TestOpenFiles lets the proxy open few files: the limits in all and of one
// are lowered to what it can do, and without limits the log says why it accepts nobody.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	need(t, "prlimit")
	env := startOrg(t, devorg.Config{}).env
	withClient := startProxyOf(t, "prlimit", with(env, "PROXY_CLIENT_0_NAME=app", "PROXY_CLIENT_0_API_KEY="+newAPIKey()), "--nofile=160:160", binary, "serve")
	withClient.Log.waitFor(t, `"MAX_REQUESTS":8`)
	withClient.signal(t, syscall.SIGHUP) // what is read again is lowered as it was
	withClient.Log.waitFor(t, `"msg":"the files were read again; no key and no credential has changed`)
	if strings.Contains(withClient.Log.String(), "policy_change") {
		t.Error("a client's limit has changed with a SIGHUP")
	}

	few := startProxyOf(t, "prlimit", env, "--nofile=160:160", binary, "serve")
	few.Log.waitFor(t, `"level":"WARN","msg":"the limits are lowered, [^"]*LimitNOFILE[^"]*","open_files":160,"connections":16,"requests":16`)
	address := strings.TrimPrefix(few.URL, "http://")
	var conns []net.Conn
	for range 8 { // half of them
		conns = append(conns, mustKeepOpen(t, "tcp", "127.0.0.1", address))
	}
	resp, err := from("127.0.0.1").Get(few.URL + echoPath)
	checkTurnedAway(t, resp, err)
	for range 8 {
		conns = append(conns, mustKeepOpen(t, "tcp", "127.0.0.3", address))
	}
	resp, err = from("127.0.0.2").Get(few.URL + echoPath)
	checkTurnedAway(t, resp, err)
	for _, conn := range conns {
		conn.Close()
	}

	unlimited := startProxyOf(t, "prlimit", with(env, "PROXY_MAX_CONNECTIONS=0", "PROXY_MAX_CONNECTIONS_PER_ADDRESS=0", "PROXY_MAX_REQUESTS=0"), "--nofile=64:64", binary, "serve")
	address = strings.TrimPrefix(unlimited.URL, "http://")
	conns = nil
	for range 80 { // the system takes those that the proxy does not
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	unlimited.Log.waitFor(t, `"level":"WARN","msg":"http server","error":"[^"]*too many open files[^"]*","hint":"raise the open files`)
	for _, conn := range conns {
		conn.Close()
	}
	eventually(t, "it serves again after the connections were closed", func() bool {
		resp, err := from("127.0.0.1").Get(unlimited.URL + echoPath)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// slowCrowd sends many requests at a time.
type slowCrowd struct {
	url    string
	client *http.Client
	body   []byte
}

// crowdAnswers are what has come of the requests.
type crowdAnswers struct {
	sending         sync.WaitGroup
	served, refused atomic.Int64
	mu              sync.Mutex
	wrong           string // the first answer that is neither; guarded by mu
}

func (c *slowCrowd) send(t *testing.T, n int) *crowdAnswers {
	t.Helper()
	answers := &crowdAnswers{}
	for i := range n {
		answers.sending.Go(func() { c.sendOne(i, answers) })
	}
	return answers
}

func (c *slowCrowd) sendOne(i int, answers *crowdAnswers) {
	method := http.MethodGet
	if len(c.body) > 0 {
		method = http.MethodPost
	}
	uri := fmt.Sprintf("%s?n=%d", echoPath, i)
	err := func() error {
		req, err := http.NewRequest(method, c.url+uri, bytes.NewReader(c.body))
		if err != nil {
			return err
		}
		resp, err := c.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var got echoed
		switch {
		case resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("X-SFProxy-Error") == "PROXY_TOO_MANY_REQUESTS" && resp.Header.Get("Retry-After") == "1":
			answers.refused.Add(1)
		case resp.StatusCode == http.StatusOK && json.Unmarshal(text, &got) == nil && got.URI == uri && got.Length == int64(len(c.body)):
			answers.served.Add(1)
		default:
			return fmt.Errorf("%s %.300s", resp.Status, text)
		}
		return nil
	}()
	if err != nil {
		answers.mu.Lock()
		defer answers.mu.Unlock()
		answers.wrong = fmt.Sprintf("request %d: %v", i, err)
	}
}

// wait waits for all answers: each has to be the right one or the documented
// 429, and from least to most of them the right one.
func (a *crowdAnswers) wait(t *testing.T, least, most int) {
	t.Helper()
	a.sending.Wait()
	if a.wrong != "" {
		t.Fatal(a.wrong)
	}
	served, refused := int(a.served.Load()), int(a.refused.Load())
	t.Logf("%d served, %d refused", served, refused)
	if served < least || served > most {
		t.Errorf("%d were served and %d refused, want from %d to %d served", served, refused, least, most)
	}
}
