package proxy_test

import (
	"crypto/sha256"
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
