package proxy_test

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// An app that logs in where nobody can is told what to set, whether or not the
// proxy has clients: a login brings no other credential.
func TestGrantIsToldThatNobodyCanLogIn(t *testing.T) {
	client := proxy.Client{Name: "billing", Subject: username, APIKey: sha256.Sum256([]byte("key-of-billing-app"))}
	for name, clients := range map[string][]proxy.Client{"no clients": nil, "an API key": {client}} {
		r := start(t, proxy.Config{Tokens: newTokens("http://127.0.0.1:1"), Clients: clients})
		got := r.send(t, "POST", "/services/oauth2/token", strings.NewReader("grant_type=password&username=u&password=hidden-password"),
			"Content-Type: application/x-www-form-urlencoded")
		if got.status != 403 || got.header.Get("X-SFProxy-Error") != "PROXY_LOGIN_OFF" || !strings.HasPrefix(got.body, `{"error":"unsupported_grant_type",`) || !strings.Contains(got.body, "PROXY_CLIENT_") {
			t.Errorf("%s: answer = %d %v %s, want a 403 PROXY_LOGIN_OFF in the shape of OAuth that says what to set", name, got.status, got.header, got.body)
		}
		if line := r.log.requests(t, 1)[0]; line["msg"] != "request refused" || !strings.Contains(r.log.String(), "PROXY_CLIENT_") || strings.Contains(r.log.String(), "hidden-") {
			t.Errorf("%s: it is logged as %v, want the reason and no password", name, line)
		}
	}
}

// pathLogins answer with the path that is asked for.
type pathLogins struct{ noLogins }

func (pathLogins) ServeOAuth(w http.ResponseWriter, r *http.Request, _ string) {
	io.WriteString(w, r.URL.Path)
}

func (pathLogins) ServeSOAP(w http.ResponseWriter, r *http.Request, _ string, _ []byte) {
	io.WriteString(w, r.URL.Path)
}

// A login and a logout are answered as what the proxy takes them for, however
// their path is written: a base URL that ends in a slash makes two of one.
func TestLoginsGoByTheCanonicalPath(t *testing.T) {
	r := start(t, proxy.Config{Tokens: newTokens("http://127.0.0.1:1"), Logins: pathLogins{}})
	for sent, want := range map[string]string{
		"//services/oauth2/revoke":  "/services/oauth2/revoke",
		"/services/oauth2/revoke/":  "/services/oauth2/revoke",
		"//services/oauth2/token":   "/services/oauth2/token",
		"/services/oauth2/%74oken":  "/services/oauth2/token",
		"//services/Soap/u/60.0":    "/services/Soap/u/60.0",
		"/services/Soap//u/60.0/":   "/services/Soap/u/60.0",
		"/services/Soap/u/60.0/00D": "/services/Soap/u/60.0/00D",
	} {
		got := r.send(t, "POST", sent, strings.NewReader(envelope("login", "urn:partner.soap.sforce.com")), "Content-Type: text/xml")
		if got.status != 200 || got.body != want {
			t.Errorf("%s is answered as %d %s, want %s", sent, got.status, got.body, want)
		}
	}
}
