package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/quota"
)

func TestLogLine(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		io.WriteString(w, "created")
	})
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	r := start(t, proxy.Config{Tokens: newTokens(base), Clients: []proxy.Client{{Name: "billing", Subject: username, APIKey: key}}})
	r.send(t, "POST", limitsPath+"?q=hidden-query&sid=hidden-sid", strings.NewReader("hidden-body"),
		"Authorization: Bearer key-of-billing-app", "X-Request-Id: abc", "X-Sfdc-Session: hidden-session", "Cookie: sid=hidden-cookie")
	line := r.log.requests(t, 1)[0]
	for name, want := range map[string]any{
		"level": "DEBUG", "request_id": "abc", "method": "POST", "path": limitsPath, "status": 201.0, "bytes": 7.0,
		"client": "billing", "instance": strings.TrimPrefix(base, "http://"), "reason": nil, "replayed": nil,
	} {
		if line[name] != want {
			t.Errorf("%s = %v, want %v", name, line[name], want)
		}
	}
	if _, ok := line["duration_ms"].(float64); !ok {
		t.Errorf("duration_ms = %v", line["duration_ms"])
	}
	for _, hidden := range []string{"hidden-", "token-secret", "key-of-billing"} {
		if strings.Contains(r.log.String(), hidden) {
			t.Errorf("%q is logged: %s", hidden, r.log)
		}
	}
	r.send(t, "GET", limitsPath, nil, "X-Api-Key: wrong")
	if line := r.log.requests(t, 2)[1]; line["status"] != 401.0 || line["reason"] == nil || line["level"] != "WARN" {
		t.Errorf("a refusal is logged as %v", line)
	}
}

// The log warns of what somebody has to look at: not of storms, of which it tells
// once a minute, nor of what is the client's own fault.
func TestLogLevels(t *testing.T) {
	leaveTen, _ := quota.ParseReserve("10")
	usage := new(quota.Usage)
	usage.Note(quota.Reading{Used: 95, Limit: 100}, quota.Reading{}, time.Now())
	const broken = "http://127.0.0.1:1"
	full := start(t, proxy.Config{Tokens: newTokens(broken), Reserve: leaveTen, Usage: usage})
	open := start(t, proxy.Config{Tokens: newTokens(broken)})
	for _, tt := range []struct {
		rig                      *rig
		target                   string
		status                   float64
		level, message, rule, of string
	}{
		{full, limitsPath, 403, "DEBUG", "request refused", "api_reserve", ""},
		{full, "/services/async/60.0/job", 400, "DEBUG", "request refused", "api_reserve", ""},
		{full, "/services/Soap/u/60.0", 500, "DEBUG", "request refused", "api_reserve", ""},
		{open, limitsPath + "?" + strings.Repeat("q", 20_000), 414, "DEBUG", "request refused", "uri_too_long", "uri"},
		{open, "/secur/frontdoor.jsp", 403, "WARN", "request refused", "path_never_allowed", ""},
		{open, "mailto:x", 400, "DEBUG", "request", "bad_target", ""},
		{open, limitsPath, 503, "WARN", "request failed", "", ""},
	} {
		c := tt.rig.dial(t)
		before := len(tt.rig.log.requests(t, 0))
		c.write("GET " + tt.target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		c.response("GET")
		line := tt.rig.log.requests(t, before+1)[before]
		rule, _ := line["rule"].(string)
		limit, _ := line["limit"].(string)
		if line["status"] != tt.status || line["level"] != tt.level || line["msg"] != tt.message || rule != tt.rule || limit != tt.of {
			t.Errorf("%.40s is logged as %v, want status %v, %s %q, rule %q, limit %q", tt.target, line, tt.status, tt.level, tt.message, tt.rule, tt.of)
		}
	}
	const told = `"msg":"requests are refused for the sake of other clients","client":"","rule":"api_reserve","refused":1,`
	if lines := full.log.String(); strings.Count(lines, "for the sake of other clients") != 1 || !strings.Contains(lines, told) {
		t.Errorf("of three refusals, the log has\n%s\nwant one line with %s", lines, told)
	}
}

func TestRequestIDIsPlain(t *testing.T) {
	r := start(t, proxy.Config{Tokens: newTokens(upstream(t, func(http.ResponseWriter, *http.Request) {}))})
	for sent, kept := range map[string]bool{"abc-123": true, "a b": false, "": false, strings.Repeat("x", 65): false, "é": false} {
		got := r.send(t, "GET", limitsPath, nil, "X-Request-Id: "+sent).header.Get("X-Request-Id")
		if got == "" || (got == sent) != kept {
			t.Errorf("X-Request-Id %q became %q", sent, got)
		}
	}
}

// A copy that fails after the header breaks the client's connection, and is
// logged once.
func TestAnswerBrokenOff(t *testing.T) {
	for _, length := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s\r\n\r\n5\r\nhello\r\n", length)
			c.Close()
		})
		r := start(t, proxy.Config{Tokens: newTokens(base)})
		if got, err := r.try("GET", limitsPath, nil); err == nil {
			t.Errorf("%s: the client took %q for the whole answer", length, got.body)
		}
		r.log.requests(t, 1)
		if n := strings.Count(r.log.String(), `"level":"WARN"`); n != 1 || !strings.Contains(r.log.String(), "answer broke off") {
			t.Errorf("%s: %d warnings, want one:\n%s", length, n, r.log)
		}
	}
}

// A client that leaves is no failure: before the answer, nor in its midst.
func TestClientLeaves(t *testing.T) {
	for _, begun := range []bool{false, true} {
		arrived, gone := make(chan bool), make(chan bool)
		base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
			if begun {
				io.WriteString(w, "begun")
				http.NewResponseController(w).Flush()
			}
			arrived <- true
			<-r.Context().Done()
			close(gone)
		})
		r := start(t, proxy.Config{Tokens: newTokens(base)})
		c := r.dial(t)
		c.write("GET " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		receive(t, arrived, "the request")
		c.Close()
		receive(t, gone, "the end of the request at Salesforce")
		if line := r.log.requests(t, 1)[0]; line["level"] != "DEBUG" || line["msg"] != "client left" {
			t.Errorf("begun %t: it is logged as %v", begun, line)
		}
	}
}

// A client that closes its half of the connection counts as gone; it must not
// take the silence for an empty 200.
func TestClientClosesItsHalf(t *testing.T) {
	arrived := make(chan bool)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { arrived <- true; <-r.Context().Done() })
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	c := r.dial(t)
	c.write("GET " + limitsPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	receive(t, arrived, "the request")
	c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	if got := c.rest(); got != "" {
		t.Errorf("the client is told %q, want nothing", got)
	}
}
