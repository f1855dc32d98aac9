package proxy_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/proxy"
)

const (
	echoPath     = "/services/apexrest/echo"
	limitsPath   = "/services/data/v60.0/limits"
	sessionFault = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`
	policyFault  = `[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]`
)

func TestTransportReplaysAfterExpiry(t *testing.T) {
	r, org := startOrg(t, nil)
	for i, tt := range []struct {
		method string
		size   int
	}{{"GET", 0}, {"POST", 10 << 10}, {"PATCH", 100}, {"DELETE", 0}, {"PUT", 1}} {
		r.send(t, "GET", echoPath, nil)
		org.ExpireTokens()
		before := org.Stats()
		body := randomBytes(tt.size)
		got := r.send(t, tt.method, echoPath, bytes.NewReader(body)).echo(t)
		if got.Method != tt.method || got.Sha256 != hashOf(body) {
			t.Errorf("%s arrived as %s with %d bytes", tt.method, got.Method, got.Length)
		}
		after := org.Stats()
		if sends, grants := after.Requests-before.Requests, after.Grants-before.Grants; sends != 2 || grants != 1 {
			t.Errorf("%s: %d sends and %d grants, want 2 and 1", tt.method, sends, grants)
		}
		lines := r.log.requests(t, 2*i+2)
		if line := lines[2*i+1]; line["replayed"] != true {
			t.Errorf("%s is not logged as replayed: %v", tt.method, line)
		}
	}
}

func TestTransportRenewsOnceForAll(t *testing.T) {
	r, org := startOrg(t, nil)
	r.send(t, "GET", echoPath, nil)
	org.RevokeTokens()
	var wg sync.WaitGroup
	var failed atomic.Int32
	for range 64 {
		wg.Go(func() {
			if a, err := r.try("POST", echoPath, strings.NewReader("x")); err != nil || a.status != 200 {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of 64 requests failed", n)
	}
	if stats := org.Stats(); stats.Grants != 2 || stats.MaxConcurrentGrants != 1 {
		t.Errorf("%d grants, %d at once; want 2 and 1", stats.Grants, stats.MaxConcurrentGrants)
	}
}

// A refusal of an old token that comes late costs no grant.
func TestTransportReplaysWithNewerToken(t *testing.T) {
	held, release := make(chan bool), make(chan bool)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-secret-2" {
			io.WriteString(w, "good")
			return
		}
		if r.URL.Query().Has("hold") {
			held <- true
			<-release
		}
		w.WriteHeader(401)
		io.WriteString(w, sessionFault)
	})
	tokens := newTokens(url)
	r := start(t, proxy.Config{Tokens: tokens})
	late := make(chan answer, 1)
	go func() {
		a, _ := r.try("GET", limitsPath+"?hold=1", nil)
		late <- a
	}()
	receive(t, held, "the first request")
	if got := r.send(t, "GET", limitsPath, nil); got.body != "good" {
		t.Errorf("second request = %d %s", got.status, got.body)
	}
	close(release)
	if got := receive(t, late, "the late answer"); got.body != "good" {
		t.Errorf("late request = %d %s", got.status, got.body)
	}
	if n := tokens.grants(); n != 2 {
		t.Errorf("%d grants, want 2", n)
	}
}

func TestTransportReplaysAtNewInstance(t *testing.T) {
	r, org := startOrg(t, nil)
	old := r.send(t, "GET", echoPath, nil).echo(t).Host
	if _, err := org.MoveInstance(); err != nil { // the old host answers 420
		t.Fatal(err)
	}
	if got := r.send(t, "POST", echoPath, strings.NewReader("x")).echo(t); got.Host == old {
		t.Errorf("the replay went to the old instance %s", old)
	}
	before := org.Stats().Requests
	r.send(t, "GET", echoPath, nil).echo(t)
	if n := org.Stats().Requests - before; n != 1 {
		t.Errorf("the next request took %d sends, want 1", n)
	}
}

func TestTransportReplaysAtInstanceOfNewToken(t *testing.T) {
	first := upstream(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401); io.WriteString(w, sessionFault) })
	second := upstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	r := start(t, proxy.Config{Tokens: newTokens(first, second)})
	if got := r.send(t, "GET", limitsPath, nil); "http://"+got.body != second {
		t.Errorf("answer = %d %s, want the host of %s", got.status, got.body, second)
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

func deflated(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// Whatever an upstream goes on answering, no request is sent more than twice,
// and the client gets the answer byte for byte.
func TestTransportKnowsRefusals(t *testing.T) {
	const xmlFault = `<?xml version="1.0" encoding="UTF-8"?><Errors><Error><errorCode>INVALID_SESSION_ID</errorCode><message>Session expired or invalid</message></Error></Errors>`
	const bulkJSON, bulkXML = `{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid session id"}`,
		`<?xml version="1.0" encoding="UTF-8"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload"><exceptionCode>InvalidSessionId</exceptionCode></error>`
	for _, tt := range []struct {
		name, method, path string
		status             int
		coding, body       string
		sends              int
	}{
		{"JSON", "GET", limitsPath, 401, "", sessionFault, 2},
		{"XML", "GET", limitsPath, 401, "", xmlFault, 2},
		{"gzip", "GET", limitsPath, 401, "gzip", zipped(sessionFault), 2},
		{"deflate", "GET", limitsPath, 401, "deflate", deflated(sessionFault), 2},
		{"broken gzip", "GET", limitsPath, 401, "gzip", "no gzip", 1},
		{"HEAD", "HEAD", limitsPath, 401, "", "", 2},
		{"HEAD of Apex", "HEAD", echoPath, 401, "", "", 1},
		{"Apex, expired", "POST", echoPath, 401, "", sessionFault, 2},
		{"Apex, its own", "POST", echoPath, 401, "", `{"error":"INVALID_SESSION_ID"}`, 1},
		{"Apex, its own list", "POST", echoPath, 401, "", `[{"error":"not for you"}]`, 1},
		{"another REST code", "GET", limitsPath, 401, "", `[{"errorCode":"INVALID_AUTH_HEADER","message":"INVALID_HEADER_TYPE"}]`, 1},
		{"app not attached", "GET", limitsPath, 401, "", `[{"errorCode":"INVALID_SESSION_ID","message":"Connected app is not attached to Agent"}]`, 1},
		{"no body", "GET", limitsPath, 401, "", "", 1},
		{"longer than any refusal", "GET", limitsPath, 401, "", sessionFault + strings.Repeat(" ", 20<<10), 1},
		{"403 of REST", "GET", limitsPath, 403, "", `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`, 1},
		{"403 with the session's code", "GET", limitsPath, 403, "", sessionFault, 1},
		{"Bad_OAuth_Token of REST", "GET", limitsPath, 403, "", "Bad_OAuth_Token", 1},
		{"identity", "GET", "/id/00D/005", 403, "", "Bad_OAuth_Token", 2},
		{"userinfo", "GET", "/services/oauth2/userinfo", 403, "", "Bad_OAuth_Token", 2},
		{"identity, another 403", "GET", "/id/00D/005", 403, "", "Missing_OAuth_Token", 1},
		{"Bulk JSON", "POST", "/services/async/60.0/job", 400, "", bulkJSON, 2},
		{"Bulk XML", "POST", "/services/async/60.0/job", 400, "", bulkXML, 2},
		{"Bulk, another 400", "POST", "/services/async/60.0/job", 400, "", strings.Replace(bulkJSON, "InvalidSessionId", "InvalidJob", 1), 1},
		{"400 of REST", "POST", limitsPath, 400, "", bulkJSON, 1},
		{"420", "GET", limitsPath, 420, "", "no routing information", 2},
		{"500", "GET", limitsPath, 500, "", sessionFault, 1},
		{"503", "GET", limitsPath, 503, "", "busy", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sends atomic.Int32
			url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Header.Get("Authorization"), fmt.Sprintf("Bearer token-secret-%d", sends.Add(1)); got != want {
					t.Errorf("Authorization = %s, want %s", got, want)
				}
				if tt.coding != "" {
					w.Header().Set("Content-Encoding", tt.coding)
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			tokens := newTokens(url)
			r := start(t, proxy.Config{Tokens: tokens})
			got := r.send(t, tt.method, tt.path, nil)
			if got.status != tt.status || got.body != tt.body {
				t.Errorf("answer = %d %.200q, want it as it was", got.status, got.body)
			}
			if n := int(sends.Load()); n != tt.sends || tokens.grants() != tt.sends {
				t.Errorf("%d sends and %d grants, want %d", n, tokens.grants(), tt.sends)
			}
		})
	}
}

// A session policy refuses every token: it may cost one grant, not one for
// each request, however many there are at a time.
func TestTransportRenewsOnceAgainstPolicy(t *testing.T) {
	r, org := startOrg(t, nil)
	for i, want := range []int64{2, 1, 1} {
		before := org.Stats().Requests
		if got := r.send(t, "GET", "/services/apexrest/policy", nil); got.status != 401 || !strings.Contains(got.body, "not valid for use") {
			t.Errorf("answer = %d %s", got.status, got.body)
		}
		if sends := org.Stats().Requests - before; sends != want {
			t.Errorf("request %d: %d sends, want %d", i, sends, want)
		}
	}
	if n := org.Stats().Grants; n != 2 {
		t.Errorf("%d grants, want 2", n)
	}
	if n := strings.Count(r.log.String(), "does not take this user's sessions"); n != 1 {
		t.Errorf("the policy was logged %d times, want once", n)
	}
	// Another refusal is still cured.
	org.ExpireTokens()
	r.send(t, "GET", echoPath, nil).echo(t)
}

func TestTransportRenewsOnceAgainstPolicyUnderLoad(t *testing.T) {
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401); io.WriteString(w, policyFault) })
	tokens := newTokens(url)
	r := start(t, proxy.Config{Tokens: tokens})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				r.try("GET", limitsPath, nil)
			}
		})
	}
	wg.Wait()
	if n := tokens.grants(); n != 2 {
		t.Errorf("%d grants, want 2", n)
	}
}

// Where the new token is taken, all requests that had the old one are cured.
func TestTransportCuresPolicyForAll(t *testing.T) {
	const together = 8
	var waiting sync.WaitGroup
	waiting.Add(together)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-secret-1" {
			waiting.Done()
			waiting.Wait()
			w.WriteHeader(401)
			io.WriteString(w, policyFault)
		}
	})
	tokens := newTokens(url)
	r := start(t, proxy.Config{Tokens: tokens})
	var wg sync.WaitGroup
	for range together {
		wg.Go(func() {
			if a, err := r.try("GET", limitsPath, nil); err != nil || a.status != 200 {
				t.Errorf("answer = %d %s (%v)", a.status, a.body, err)
			}
		})
	}
	wg.Wait()
	if n := tokens.grants(); n != 2 {
		t.Errorf("%d grants, want 2", n)
	}
}

// A grant that is refused is never the client's 401.
func TestTransportGrantRefusedForReplay(t *testing.T) {
	r, org := startOrg(t, nil)
	r.send(t, "GET", echoPath, nil)
	org.RevokeTokens()
	org.FailGrants(-1, devorg.OAuthFault("invalid_grant", "user hasn't approved this consumer"))
	got := r.send(t, "GET", echoPath, nil)
	got.wantFault(t, 502, "PROXY_GRANT_REFUSED")
	if !strings.Contains(got.body, "invalid_grant") || !strings.Contains(got.body, "Permitted Users") {
		t.Errorf("the message has no OAuth error or no hint: %s", got.body)
	}
	org.FailGrants(0, devorg.Fault{})
}
