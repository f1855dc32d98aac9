package proxy_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// noLogins is Logins of which every session is over.
type noLogins struct{ proxy.Logins }

func (noLogins) Client(string) (string, error) { return "", errors.New("over") }

// TestEveryRefusalIsTold has each stage of the proxy refuse a request.
func TestEveryRefusalIsTold(t *testing.T) {
	base := upstream(t, func(http.ResponseWriter, *http.Request) {})
	var told []proxy.Denial
	note := func(d proxy.Denial) { told = append(told, d) }
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	clients := []proxy.Client{{Name: "billing", Subject: username, APIKey: key}}
	open := start(t, proxy.Config{Tokens: newTokens(base), OnDenied: note})
	closed := start(t, proxy.Config{Tokens: newTokens(base), OnDenied: note, Clients: clients, MinAPIVersion: "60.0",
		AllowPaths: []string{"/services/data/v59.0", "/services/Soap"}})
	loggingIn := start(t, proxy.Config{Tokens: newTokens(base), OnDenied: note, Clients: clients, Logins: noLogins{}})
	const valid = "X-Api-Key: key-of-billing-app"
	for _, tt := range []struct {
		rig                  *rig
		method, path, header string
		rule, code, client   string
	}{
		{open, "GET", limitsPath, "Host: evil.example.com", "wrong_host", "PROXY_WRONG_HOST", ""},
		{open, "GET", limitsPath, "Sec-Fetch-Site: cross-site", "cross_site", "PROXY_CROSS_SITE", ""},
		{open, "GET", limitsPath, "Sec-Fetch-Site: none", "cross_site", "PROXY_CROSS_SITE", ""},
		{open, "G_T", limitsPath, "", "bad_target", "PROXY_BAD_TARGET", ""},
		{open, "POST", "/services/oauth2/token", "", "login_off", "PROXY_LOGIN_OFF", ""},
		{open, "POST", "/services/Soap/u/60.0", "", "bad_envelope", "PROXY_BAD_ENVELOPE", ""},
		{open, "GET", "/services/data/" + strings.Repeat("x", 17<<10), "", "uri_too_long", "PROXY_URI_TOO_LONG", ""},
		{open, "PUT", "/services/Soap/u/60.0", "", "method_not_allowed", "PROXY_METHOD_NOT_ALLOWED", ""},
		{open, "GET", "/secur/frontdoor.jsp", "", "path_never_allowed", "PROXY_PATH_NEVER_ALLOWED", ""},
		{open, "GET", "/services/data/%2e%2e/id", "", "ambiguous_path", "PROXY_AMBIGUOUS_PATH", ""},
		{closed, "GET", limitsPath, "", "unauthorized", "PROXY_UNAUTHORIZED", ""},
		{closed, "GET", "/services/apexrest/a", valid, "path_not_allowed", "PROXY_PATH_NOT_ALLOWED", "billing"},
		{closed, "GET", "/services/data/v59.0/limits", valid, "path_not_allowed", "PROXY_PATH_NOT_ALLOWED", "billing"}, // where it would be raised to
		{loggingIn, "GET", limitsPath, "Authorization: Bearer 00D000000000001!over", "session", "INVALID_SESSION_ID", ""},
		{loggingIn, "GET", "/services/async/60.0/job", "X-SFDC-Session: 00D000000000001!over", "session", "InvalidSessionId", ""},
	} {
		told = nil
		headers := []string{"X-Request-Id: an-id"}
		if tt.header != "" {
			headers = append(headers, tt.header)
		}
		got := tt.rig.send(t, tt.method, tt.path+"?q=private", nil, headers...)
		if got.header.Get("X-SFProxy-Error") != tt.code || len(told) != 1 {
			t.Errorf("%s %s %s = %d %s, told of %d; want %s, told once", tt.method, tt.path, tt.header, got.status, got.body, len(told), tt.code)
			continue
		}
		d := told[0]
		if d.Rule != tt.rule || d.Code != tt.code || d.Client != tt.client || d.RequestID != "an-id" || d.Request.Method != tt.method || d.Reason == nil {
			t.Errorf("%s %s %s: told of %+v, want rule %s, code %s and client %q", tt.method, tt.path, tt.header, d, tt.rule, tt.code, tt.client)
		}
		if strings.Contains(d.Path, "private") || !strings.HasPrefix(d.Path, "/") {
			t.Errorf("%s: told of the path %q, want it without the query", tt.path, d.Path)
		}
	}
	told = nil
	if got := closed.send(t, "GET", "/services/data/v60.0/limits", nil, valid); got.status == http.StatusOK || len(told) != 1 || told[0].Subject != username {
		t.Errorf("a refused path of a client = %d, told of %+v, want the subject", got.status, told)
	}
	told = nil
	if got := open.send(t, "GET", limitsPath, nil); got.status != http.StatusOK || told != nil {
		t.Errorf("a good request = %d, told of %+v, want 200 and nothing", got.status, told)
	}
}
