package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// arrivals runs an upstream that hands over the headers of what arrives.
func arrivals(t *testing.T) (string, <-chan http.Header) {
	t.Helper()
	headers := make(chan http.Header, 1)
	return upstream(t, func(w http.ResponseWriter, r *http.Request) { headers <- r.Header }), headers
}

func TestRewriteHeaders(t *testing.T) {
	url, headers := arrivals(t)
	r := start(t, proxy.Config{Tokens: newTokens(url)})
	for _, tt := range []struct {
		sent string
		kept bool
	}{
		{"X-SFDC-Session: stolen", false}, {"X-Api-Key: stolen", false}, {"Cookie: sid=stolen; a=b", false},
		{"X-Forwarded-For: 10.0.0.1", false}, {"X-Forwarded-Host: inner", false}, {"X-Forwarded-Proto: http", false},
		{"X-Forwarded-Port: 80", false}, {"X-Forwarded-Client-Cert: Subject=x", false}, {"X-Forwarded-Access-Token: stolen", false},
		{"Forwarded: for=10.0.0.1", false}, {"Via: 1.1 inner", false}, {"X-Real-Ip: 10.0.0.1", false},
		{"Proxy-Authorization: Basic stolen", false}, {"Proxy-Connection: keep-alive", false}, {"Proxy-X: y", false},
		{"Keep-Alive: timeout=5", false}, {"Te: gzip", false}, {"Origin: ORIGIN", false}, {"Referer: http://inner/", false},
		{"Sec-Fetch-Site: same-origin", false}, {"Sec-Fetch-Mode: navigate", false},
		{"Sforce-Query-Options: batchSize=200", true}, {"Sforce-Auto-Assign: FALSE", true}, {"X-Sfdc-Packageversion-Ns: 1.0", true},
		{"If-Match: \"x-gzip\"", true}, {"If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT", true}, {"Range: bytes=0-1", true},
		{"Accept: application/xml", true}, {"Accept-Encoding: gzip, deflate", true}, {"Accept-Language: de", true},
		{"Content-Type: application/json; charset=utf-8", true}, {"Content-Encoding: gzip", true}, {"Soapaction: \"\"", true},
		{"User-Agent: legacy/1.0", true}, {"X-Request-Id: abc", true}, {"Idempotency-Key: k", true}, {"X-Custom: y", true},
	} {
		sent := strings.Replace(tt.sent, "ORIGIN", r.url, 1)
		r.send(t, "GET", limitsPath, nil, sent)
		got := receive(t, headers, "the request")
		name, value, _ := strings.Cut(sent, ": ")
		want := ""
		if tt.kept {
			want = value
		}
		if got.Get(name) != want {
			t.Errorf("%s arrived as %q, want %q", name, got.Get(name), want)
		}
		if got.Get("Authorization") != "Bearer token-secret-1" || strings.Contains(strings.Join(got["Cookie"], ""), "stolen") {
			t.Errorf("%s: headers = %v", name, got)
		}
	}
}

// Salesforce gets what the client sent, the token, and nothing else.
func TestRewriteAddsLittle(t *testing.T) {
	url, headers := arrivals(t)
	r := start(t, proxy.Config{Tokens: newTokens(url)})
	c := r.dial(t)
	c.write("GET " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\n" +
		"Authorization: Bearer stolen\r\nConnection: keep-alive, X-Secret-Hop, Upgrade\r\nX-Secret-Hop: y\r\nUpgrade: websocket\r\n\r\n")
	c.response("GET")
	got := receive(t, headers, "the request")
	if len(got) != 1 || got.Get("Authorization") != "Bearer token-secret-1" {
		t.Errorf("headers = %v, want the token alone", got)
	}
	c.write("GET /services/async/60.0/job/1 HTTP/1.1\r\nHost: localhost\r\nX-SFDC-Session: stolen\r\n\r\n")
	c.response("GET")
	got = receive(t, headers, "the request")
	if len(got) != 2 || got.Get("X-Sfdc-Session") != "token-secret-1" || got.Get("Authorization") != "Bearer token-secret-1" {
		t.Errorf("headers of Bulk = %v, want the token in both places", got)
	}
}

func TestRewriteKeepsCookiesOfCometD(t *testing.T) {
	url, headers := arrivals(t)
	r := start(t, proxy.Config{Tokens: newTokens(url)})
	for sent, want := range map[string]string{
		"a=1; sid=stolen; b=2": "a=1; b=2", "SID=stolen": "", " sid =stolen;a=1": "a=1", "BAYEUX_BROWSER=x": "BAYEUX_BROWSER=x",
	} {
		r.send(t, "POST", "/cometd/60.0", nil, "Cookie: "+sent)
		if got := receive(t, headers, "the request").Get("Cookie"); got != want {
			t.Errorf("Cookie %q arrived as %q, want %q", sent, got, want)
		}
	}
}

func TestRewriteNamesClient(t *testing.T) {
	url, headers := arrivals(t)
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	r := start(t, proxy.Config{Tokens: newTokens(url), Clients: []proxy.Client{{Name: "billing", Subject: username, APIKey: key}}})
	for _, tt := range []struct{ sent, want string }{
		{"", "client=billing"},
		{"defaultNamespace=battle", "client=billing, defaultNamespace=battle"},
		{"client=SampleClient", "client=SampleClient"},
		{"defaultNamespace=battle, CLIENT=Sample", "defaultNamespace=battle, CLIENT=Sample"},
	} {
		sent := []string{"Authorization: Bearer key-of-billing-app"}
		if tt.sent != "" {
			sent = append(sent, "Sforce-Call-Options: "+tt.sent)
		}
		r.send(t, "GET", limitsPath, nil, sent...)
		if got := receive(t, headers, "the request").Get("Sforce-Call-Options"); got != tt.want {
			t.Errorf("Sforce-Call-Options %q arrived as %q, want %q", tt.sent, got, tt.want)
		}
	}
	r.send(t, "GET", limitsPath, nil, "X-Api-Key: key-of-billing-app", "Sforce-Call-Options: a=1", "Sforce-Call-Options: b=2")
	if got := receive(t, headers, "the request").Get("Sforce-Call-Options"); got != "client=billing, a=1, b=2" {
		t.Errorf("two fields of Sforce-Call-Options arrived as %q", got)
	}
}
