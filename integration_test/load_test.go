package integration_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// load is a run of many clients at once, through which the org takes away the
// tokens again and again.
type load struct {
	clients, requests, losses int
	bodySize                  int      // 0 for GET
	apiKeys, subjects         []string // the clients' in turn; none for no key
}

// scaled returns l for the time there is.
func (l load) scaled() load {
	if testing.Short() || raceDetector {
		l.requests, l.losses = l.requests/8, l.losses/4
	}
	return l
}

func TestTokenLossUnderLoad(t *testing.T) {
	many := load{clients: 64, requests: 20_000, losses: 50}
	small, large := many, many
	small.bodySize = 10 << 10
	large.bodySize, large.requests, large.losses, large.clients = 5<<20, 640, 10, 16
	tests := []struct {
		name       string
		load       load
		prepare    func(*org)
		beforeLoss func(*org)
		perGrant   int64 // attempts that a grant takes
	}{
		{name: "GET", load: many},
		{name: "grants take 200 ms", load: many, prepare: func(o *org) { o.SetGrantDelay(200 * time.Millisecond) }},
		{name: "grants fail twice first", load: many, perGrant: 3,
			beforeLoss: func(o *org) { o.FailGrants(2, devorg.Fault{Status: http.StatusServiceUnavailable}) }},
		{name: "POST 10 KB", load: small},
		{name: "POST 5 MB", load: large},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := test.load.scaled()
			org := startOrg(t, devorg.Config{})
			if test.prepare != nil {
				test.prepare(org)
			}
			p := startProxy(t, org.env)
			p.Log.waitFor(t, `"msg":"token granted"`)
			l.run(t, p.URL, func(n int) {
				if test.beforeLoss != nil {
					test.beforeLoss(org)
				}
				takeTokens(org, n)
			})
			stats := org.Stats()
			t.Logf("%d losses, %d grants in %d attempts", l.losses, stats.Grants, stats.GrantAttempts)
			if want := int64(l.losses + 1); stats.Grants != want {
				t.Errorf("grants = %d, want %d: one at start and one for each loss", stats.Grants, want)
			}
			if want := int64(l.losses)*max(test.perGrant, 1) + 1; stats.GrantAttempts != want {
				t.Errorf("attempts at grants = %d, want %d", stats.GrantAttempts, want)
			}
			if stats.MaxConcurrentGrants != 1 {
				t.Errorf("grants at once = %d, want never more than 1", stats.MaxConcurrentGrants)
			}
		})
	}
}

// takeTokens is the nth loss: as an administrator's act or as the end of a
// session's time.
func takeTokens(org *org, n int) {
	if n%2 == 0 {
		org.RevokeTokens()
	} else {
		org.ExpireTokens()
	}
}

// TestTokenLossOfTwoSubjects is the same for two clients who act for different
// users: each subject has its own token and its own grants.
func TestTokenLossOfTwoSubjects(t *testing.T) {
	l := load{clients: 64, requests: 20_000, losses: 50, apiKeys: []string{newAPIKey(), newAPIKey()},
		subjects: []string{"billing@example.com", "sales@example.com"}}.scaled()
	users := l.subjects
	org := startOrg(t, devorg.Config{Users: append([]string{subject}, users...)})
	p := startProxy(t, with(org.env,
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_SUBJECT="+users[0], "PROXY_CLIENT_0_API_KEY="+l.apiKeys[0],
		"PROXY_CLIENT_1_NAME=sales", "PROXY_CLIENT_1_SUBJECT="+users[1],
		"PROXY_CLIENT_1_API_KEY_FILE="+writeFile(t, "api-key", []byte(l.apiKeys[1]+"\n"))))
	p.Log.waitFor(t, `"msg":"token granted"`)
	l.run(t, p.URL, func(n int) { takeTokens(org, n) })
	p.stop(t)
	grants := map[string]int{subject: 1, users[0]: l.losses + 1, users[1]: l.losses + 1}
	total := 0
	for user, want := range grants {
		total += want
		if got := strings.Count(p.Log.String(), `"msg":"token granted","subject":"`+user+`"`); got != want {
			t.Errorf("grants for %s = %d, want %d", user, got, want)
		}
	}
	stats := org.Stats()
	t.Logf("%d losses, %d grants for %d subjects", l.losses, stats.Grants, len(grants))
	if stats.Grants != int64(total) || stats.MaxConcurrentGrants > 2 {
		t.Errorf("grants = %d, %d at once; want %d, 2 at once at most", stats.Grants, stats.MaxConcurrentGrants, total)
	}
}

// run sends the requests, takes the tokens away evenly over them by calling
// lose, and fails the test on any answer that is not the right one.
func (l load) run(t *testing.T, url string, lose func(n int)) {
	t.Helper()
	started := time.Now()
	bodies := newBodies(l.bodySize)
	churn := newChurn(l, lose)
	var numbers, sent atomic.Int64
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var clients sync.WaitGroup
	for client := range l.clients {
		clients.Go(func() {
			for ctx.Err() == nil {
				epoch, more := churn.next(client)
				if !more {
					return
				}
				n := int(numbers.Add(1))
				if err := l.call(client, n, bodies).do(ctx, url, &sent); err != nil {
					cancel(fmt.Errorf("client %d, request %d: %w", client, n, err))
					return
				}
				churn.finished(client, epoch)
			}
		})
	}
	clients.Wait()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	// Where the proxy drops a connection, net/http may try again by itself.
	if n := sent.Load(); n != numbers.Load() {
		t.Errorf("%d requests went out for %d answers, want no more than those", n, numbers.Load())
	}
	rate := float64(churn.requests) / time.Since(started).Seconds()
	t.Logf("%d requests by %d clients without a failure, %.0f/s", churn.requests, l.clients, rate)
}

// call is one request of a load, and what the answer to it must say.
type call struct {
	method, uri, apiKey string
	body                sizedBody
	user                string // not "" if the request asks who it acts for
}

func (l load) call(client, n int, bodies []sizedBody) call {
	c := call{method: http.MethodGet, uri: fmt.Sprintf("%s?client=%d&n=%d", echoPath, client, n), body: bodies[n%len(bodies)]}
	if l.bodySize > 0 {
		c.method = http.MethodPost
	}
	if len(l.apiKeys) > 0 {
		c.apiKey = l.apiKeys[client%len(l.apiKeys)]
	}
	if len(l.subjects) > 0 && n%2 == 0 {
		c.uri, c.user = "/services/oauth2/userinfo", l.subjects[client%len(l.subjects)]
	}
	return c
}

// do sends the request and returns what is wrong with the answer. sent counts
// the requests that go out.
func (c call) do(ctx context.Context, url string, sent *atomic.Int64) error {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Add(1) }})
	req, err := http.NewRequestWithContext(ctx, c.method, url+c.uri, bytes.NewReader(c.body.content))
	if err != nil {
		return err
	}
	if c.apiKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.apiKey)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return c.check(resp.StatusCode, text)
}

// check returns what is wrong with an answer.
func (c call) check(status int, text []byte) error {
	var got struct {
		echoed
		Username string `json:"preferred_username"`
	}
	if err := json.Unmarshal(text, &got); err != nil || status != http.StatusOK {
		return fmt.Errorf("answer %d %.300s", status, text)
	}
	if got.Username != c.user {
		return fmt.Errorf("the request acted for %q, want %q", got.Username, c.user)
	}
	isEcho := c.user == ""
	if isEcho && (got.Method != c.method || got.URI != c.uri || got.Length != int64(len(c.body.content)) || got.SHA256 != c.body.sum) {
		return fmt.Errorf("the org got %+v, want %s %s with %d bytes of hash %s", got.echoed, c.method, c.uri, len(c.body.content), c.body.sum)
	}
	return nil
}

// sizedBody is a request body and its SHA-256.
type sizedBody struct {
	content []byte
	sum     string
}

// newBodies returns a few different bodies of a size.
func newBodies(size int) []sizedBody {
	bodies := make([]sizedBody, 7)
	for i := range bodies {
		content := make([]byte, size)
		rand.Read(content)
		sum := sha256.Sum256(content)
		bodies[i] = sizedBody{content, hex.EncodeToString(sum[:])}
	}
	return bodies
}

// churn takes tokens away, each time only after every client has had an answer
// to a request that it began after the last time: a request may be replayed
// once only, so that two losses during one request would rightly fail it.
type churn struct {
	load load
	lose func(n int)

	mu        sync.Mutex // guards what follows
	requests  int        // finished ones
	losses    int
	recovered map[int]bool // clients with an answer since the last loss
}

func newChurn(l load, lose func(n int)) *churn {
	return &churn{load: l, lose: lose, recovered: map[int]bool{}}
}

// next reports whether client is to send a request, and at how many losses it
// begins. After the last loss everybody sends at least one.
func (c *churn) next(client int) (epoch int, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.losses, c.requests < c.load.requests || c.losses < c.load.losses || !c.recovered[client]
}

// finished says that client has had the right answer to a request that began
// at epoch, and takes the tokens away if it is time.
func (c *churn) finished(client, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if epoch == c.losses {
		c.recovered[client] = true
	}
	isDue := c.requests >= (c.losses+1)*c.load.requests/(c.load.losses+1)
	if isDue && c.losses < c.load.losses && len(c.recovered) == c.load.clients {
		c.lose(c.losses)
		c.losses++
		clear(c.recovered)
	}
}
