package integration_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestAccessLog has requests that end in every way: each has one line in the
// log, with the id that its answer names, and no value of its query.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	key := newAPIKey()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "LOG_LEVEL=debug", "PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY="+key))
	p.waitReady(t)
	credential := "Authorization: Bearer " + key
	query := "?q=SELECT+Id+FROM+Account+WHERE+Name='" + queryValue + "'&fields=" + queryValue
	const id = "chosen-by-the-client-1"
	tests := []struct {
		name, path string
		header     []string
		before     func()
		status     int
		level      string
	}{
		{name: "echo", path: echoPath, status: 200},
		{name: "id of the client's", path: echoPath, header: []string{"X-Request-Id: " + id}, status: 200},
		{name: "id that is none", path: echoPath, header: []string{"X-Request-Id: " + strings.Repeat("x", 65)}, status: 200},
		{name: "query", path: "/services/data/v60.0/query", status: 200},
		{name: "not found", path: "/services/data/v60.0/sobjects/Account/001000000000000AAA", status: 404},
		{name: "replayed", path: echoPath, before: org.RevokeTokens, status: 200},
		{name: "no credential", path: echoPath, header: []string{"Authorization: Bearer other"}, status: 401, level: "WARN"},
		{name: "never forwarded", path: "/secur/frontdoor.jsp", status: 403, level: "WARN"},
		{name: "ambiguous", path: "/services/data/%2e%2e/x", status: 403, level: "WARN"},
		{name: "broken off", path: echoPath, before: func() { org.FailRequests(-1, devorg.Fault{CloseConn: true}) }, status: 502, level: "WARN"},
		{name: "no token", path: echoPath, before: func() {
			org.FailRequests(0, devorg.Fault{})
			org.RevokeTokens()
			org.FailGrants(-1, devorg.OAuthFault("invalid_grant", "user is frozen"))
		}, status: 502, level: "WARN"},
	}
	type entry struct{ name, id, level string }
	var want []entry
	for _, test := range tests {
		if test.before != nil {
			test.before()
		}
		header := test.header
		if test.name != "no credential" {
			header = append(header, credential)
		}
		a := get(t, p.URL+test.path+query, header...)
		if a.status != test.status {
			t.Errorf("%s: answer = %d %s, want %d", test.name, a.status, a.body, test.status)
		}
		given := a.header.Get("X-Request-Id")
		if given == "" || (test.name == "id of the client's") != (given == id) {
			t.Errorf("%s: X-Request-Id = %q", test.name, given)
		}
		level := map[bool]string{true: "DEBUG", false: test.level}[test.level == ""]
		want = append(want, entry{test.name, given, level})
	}
	p.stop(t)
	logged := accessLog(t, p)
	for i, w := range want {
		lines := logged[w.id]
		if len(lines) != 1 {
			t.Errorf("%s: %d lines with its id, want 1: %v", w.name, len(lines), lines)
			continue
		}
		line := lines[0]
		if line.Level != w.level || line.Method != http.MethodGet || line.Path == "" || line.Status != tests[i].status {
			t.Errorf("%s: line = %+v, want level %s, GET, status %d", w.name, line, w.level, tests[i].status)
		}
		if isKnown := w.name != "no credential"; (line.Client == "billing") != isKnown {
			t.Errorf("%s: client = %q", w.name, line.Client)
		}
		if isReplayed := w.name == "replayed"; line.Status == http.StatusOK && line.Replayed != isReplayed {
			t.Errorf("%s: replayed = %t, want %t", w.name, line.Replayed, isReplayed)
		}
	}
	if len(logged) != len(want) {
		t.Errorf("the log has lines of %d requests, want %d", len(logged), len(want))
	}
	if strings.Contains(p.Log.String(), queryValue) || strings.Contains(p.Log.String(), "SELECT") {
		t.Errorf("the log holds the value of a query:\n%s", p.Log)
	}
}

// logLine is a line of a request.
type logLine struct {
	Level, Msg, Method, Path, Client string
	RequestID                        string `json:"request_id"`
	Status                           int
	Replayed                         bool
}

// accessLog returns the lines that belong to a request, by its id, without those
// of the audit log.
func accessLog(t *testing.T, p *process) map[string][]logLine {
	t.Helper()
	byID := make(map[string][]logLine)
	for text := range strings.Lines(p.Log.String()) {
		var line logLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("a line of the log is not JSON: %v in %s", err, text)
		}
		if line.RequestID != "" && line.Msg != "audit" {
			byID[line.RequestID] = append(byID[line.RequestID], line)
		}
	}
	return byID
}
