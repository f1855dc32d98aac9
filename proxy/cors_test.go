package proxy_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

const page = "https://app.example.com" // an allowed origin

// startShared runs a proxy that pages may use, in front of an instance that
// sends CORS headers of its own.
func startShared(t *testing.T, clients ...proxy.Client) (r *rig, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		io.WriteString(w, "answer")
	})
	return start(t, proxy.Config{Tokens: newTokens(base), Clients: clients, CORSOrigins: []string{page, "http://localhost:3000"}}), requests
}

// wantCORS checks the CORS headers of an answer; "" is that there are none.
func (a answer) wantCORS(t *testing.T, origin string) {
	t.Helper()
	if got, want := strings.Join(a.header.Values("Access-Control-Allow-Origin"), ", "), origin; got != want {
		t.Errorf("Access-Control-Allow-Origin = %q, want %q", got, want)
	}
	if got := a.header.Values("Access-Control-Allow-Credentials"); got != nil {
		t.Errorf("Access-Control-Allow-Credentials = %q", got)
	}
	if got, want := a.header.Get("Access-Control-Expose-Headers") == "*", origin != ""; got != want {
		t.Errorf("Access-Control-Expose-Headers is a star: %t, want %t", got, want)
	}
	if vary := strings.Join(a.header.Values("Vary"), ", "); !strings.Contains(vary, "Origin") {
		t.Errorf("Vary = %q, want Origin in it", vary)
	}
}

func TestCORSOfAnAllowedPage(t *testing.T) {
	r, requests := startShared(t)
	got := r.send(t, "GET", limitsPath, nil, "Origin: "+page, "Sec-Fetch-Site: cross-site")
	if got.status != 200 || got.body != "answer" {
		t.Errorf("answer = %d %s, want Salesforce's", got.status, got.body)
	}
	got.wantCORS(t, page)
	refused := r.send(t, "POST", "/secur/frontdoor.jsp", strings.NewReader("x"), "Origin: "+page, "Sec-Fetch-Site: cross-site")
	refused.wantFault(t, 403, "PROXY_PATH_NEVER_ALLOWED")
	refused.wantCORS(t, page) // the page may read why
	program := r.send(t, "GET", limitsPath, nil)
	program.wantCORS(t, "")
	if got := requests.Load(); got != 2 {
		t.Errorf("Salesforce got %d requests, want 2", got)
	}
}

func TestCORSOfOtherPages(t *testing.T) {
	r, requests := startShared(t)
	for _, header := range [][]string{
		{"Origin: https://evil.example.com", "Sec-Fetch-Site: cross-site"},
		{"Origin: https://app.example.com.evil.example", "Sec-Fetch-Site: cross-site"},
		{"Origin: http://app.example.com", "Sec-Fetch-Site: cross-site"},
		{"Origin: https://app.example.com:444"},
		{"Origin: https://evil.app.example.com"},
		{"Origin: null", "Sec-Fetch-Site: cross-site"},
		{"Origin: " + page, "Origin: https://evil.example.com"},
		{"Sec-Fetch-Site: cross-site", "Referer: " + page + "/"}, // an image, or a link
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			got := r.send(t, method, limitsPath, nil, append(header, "Access-Control-Request-Method: POST")...)
			got.wantFault(t, 403, "PROXY_CROSS_SITE")
			got.wantCORS(t, "")
		}
	}
	if got := requests.Load(); got != 0 {
		t.Errorf("Salesforce got %d requests", got)
	}
}

func TestPreflight(t *testing.T) {
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	r, requests := startShared(t, proxy.Client{Name: "billing", Subject: username, APIKey: key})
	got := r.send(t, "OPTIONS", limitsPath, nil, "Origin: "+page, "Sec-Fetch-Site: cross-site", "Access-Control-Request-Method: PATCH",
		"Access-Control-Request-Headers: authorization,sforce-query-options", "Access-Control-Request-Private-Network: true")
	if got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("answer = %d %q, want 204 and nothing", got.status, got.body)
	}
	got.wantCORS(t, page)
	for name, want := range map[string]string{
		"Access-Control-Allow-Headers":         "authorization,sforce-query-options",
		"Access-Control-Allow-Private-Network": "true",
		"Access-Control-Max-Age":               "600",
	} {
		if got := got.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	methods := strings.Split(got.header.Get("Access-Control-Allow-Methods"), ", ")
	if slices.Contains(methods, "TRACE") || !slices.Contains(methods, "PATCH") {
		t.Errorf("Access-Control-Allow-Methods = %q", methods)
	}

	// The request itself needs the client's key.
	keyless := r.send(t, "PATCH", limitsPath, nil, "Origin: "+page, "Sec-Fetch-Site: cross-site")
	keyless.wantFault(t, 401, "PROXY_UNAUTHORIZED")
	keyless.wantCORS(t, page)
	if got := requests.Load(); got != 0 {
		t.Errorf("Salesforce got %d requests before one with a key", got)
	}
	if got := r.send(t, "PATCH", limitsPath, nil, "Origin: "+page, "Sec-Fetch-Site: cross-site", "X-Api-Key: key-of-billing-app"); got.status != 200 {
		t.Errorf("with the key: answer = %d %s, want 200", got.status, got.body)
	}
}

// Where no page is let in, no answer has a CORS header, though Salesforce's has.
func TestNoCORSByDefault(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Vary", "Accept-Encoding")
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	got := r.send(t, "GET", limitsPath, nil, "Sec-Fetch-Site: same-origin")
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("the answer has %s", name)
		}
	}
	if vary := got.header.Values("Vary"); !slices.Equal(vary, []string{"Accept-Encoding"}) {
		t.Errorf("Vary = %q, want Salesforce's", vary)
	}
}
