package integration_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// shape is what a client writes on a connection: one request that is not as it
// should be. HOST stands for the proxy's address, GOOD for a path that is
// allowed, and LAST for a request that asks for the connection's end.
type shape struct {
	name, raw string
	// statuses are the answers in order; 0 stands for an echo of the org's.
	statuses []int
}

const (
	good = echoPath + "?first"
	last = "GET " + echoPath + "?last HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
	// hidden is a request in the place of a body.
	hidden = "GET /services/oauth2/revoke?hidden HTTP/1.1\r\nHost: HOST\r\n\r\n"
)

var framingShapes = []shape{
	{"plain", "GET GOOD HTTP/1.1\r\nHost: HOST\r\n\r\nLAST", []int{0, 0}},
	// RFC 9112 section 6.1: Transfer-Encoding wins, and the connection ends.
	{"Content-Length and chunked, short", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden + "LAST", []int{0, 403, 0}},
	{"Content-Length over a hidden request", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nContent-Length: LEN\r\n\r\nHIDDENLAST", []int{0, 0}},
	{"chunk over a hidden request", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nHIDDEN\r\n0\r\n\r\nLAST", []int{0, 0}},
	{"two lengths", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nContent-Length: LEN\r\n\r\nHIDDENLAST", []int{400}},
	{"two lengths in one field", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0, LEN\r\n\r\nHIDDENLAST", []int{400}},
	{"signed length", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nContent-Length: +0\r\n\r\nLAST", []int{400}},
	{"unknown coding", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\nLAST", []int{501}},
	{"two codings", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nLAST", []int{501}},
	{"space before the colon", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nLAST", []int{400}},
	{"folded field", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nX-Custom: one\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\nLAST", []int{0, 0}},
	{"NUL in a field", "GET GOOD HTTP/1.1\r\nHost: HOST\r\nX-Custom: a\x00b\r\n\r\nLAST", []int{400}},
	{"CR in a field", "GET GOOD HTTP/1.1\r\nHost: HOST\r\nX-Custom: a\rX-Api-Key: b\r\n\r\nLAST", []int{400}},
	{"bare LF", "GET GOOD HTTP/1.1\nHost: HOST\n\nLAST", []int{0, 0}},
	{"bare LF in a chunk's line", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\nLAST", []int{400}},
	{"chunk too large for a number", "POST GOOD HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nLAST", []int{400}},
	{"two hosts", "GET GOOD HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\nLAST", []int{400}},
	{"no host", "GET GOOD HTTP/1.1\r\n\r\nLAST", []int{400}},
	{"another host", "GET GOOD HTTP/1.1\r\nHost: evil.example\r\n\r\nLAST", []int{403, 0}},
	{"HTTP/1.0 and chunked", "POST GOOD HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{0}},
	{"body of a GET", "GET GOOD HTTP/1.1\r\nHost: HOST\r\nContent-Length: LEN\r\n\r\nHIDDENLAST", []int{0, 0}},
	{"upgrade", "GET GOOD HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nLAST", []int{0, 0}},
	{"credential named as hop-by-hop", "GET GOOD HTTP/1.1\r\nHost: HOST\r\nConnection: Authorization, Host, Content-Length\r\n\r\nLAST", []int{0, 0}},
}

// targetShapes are request targets: what is refused, or gets as far as to
// Salesforce, as it was sent.
var targetShapes = []struct {
	target string
	status int
}{
	{"/services/data/../oauth2/revoke", 403},
	{"/services/data/./limits", 403},
	{"/services/data/%2e%2e/oauth2/revoke", 403},
	{"/services/data/.%2E/oauth2/revoke", 403},
	{"/services/data/%252e%252e/oauth2/revoke", 403},
	{"/services/data/..%2foauth2/revoke", 403},
	{"/services/data/..;x=y/oauth2/revoke", 403},
	{`/services/data/..\oauth2\revoke`, 403},
	{"/services/data/..%5coauth2%5crevoke", 403},
	{"/services/data%00/limits", 403},
	{"/services/data/%0d%0aHost:%20evil.example", 403},
	{"//services/oauth2/revoke", 403},
	{"/services//oauth2//revoke", 403},
	{"/services/oauth2/revoke", 403},
	{"/services/oauth2/token", 403},
	{"/services/oauth2;x/revoke", 403},
	{"/SERVICES/OAuth2/Revoke", 403},
	{"/services%2foauth2%2frevoke", 403},
	{"/secur/frontdoor.jsp?sid=x", 403},
	{"//secur//frontdoor.jsp", 403},
	{"http://HOST/services/oauth2/revoke", 403},
	{"http://evil.example/services/data/v60.0/limits", 403},
	{"http://user@HOST/secur/frontdoor.jsp", 403},
	{"/services/data%", 400},
	{"services/data", 400},
	{"*", 400},
	{"/services/apexrest//echo", 404}, // forwarded as it is, and another path to the org
	{"//services/apexrest/echo", 404},
	{"/services/apexrest/%65cho", 0},
	{"/services/apexrest/echo?../../oauth2/revoke", 0},
	{"http://HOST/services/apexrest/echo", 0},
}

// TestSmuggling sends each shape to a proxy that forwards the APIs and to one
// that forwards all it ever does. Whatever the shape, the proxy and the org
// must agree on how many requests it was, and no path gets past the check.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	shapes := framingShapes
	for _, s := range targetShapes {
		next := "LAST"
		statuses := []int{s.status, 0}
		if s.status == http.StatusBadRequest && s.target != "*" { // the server's own, which ends the connection
			next, statuses = "", statuses[:1]
		}
		shapes = append(shapes, shape{s.target, "GET " + s.target + " HTTP/1.1\r\nHost: HOST\r\n\r\n" + next, statuses})
	}
	shapes = append(shapes,
		shape{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: HOST\r\n\r\nLAST", []int{403, 0}},
		shape{"CONNECT to the proxy", "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\nLAST", []int{400, 0}},
		shape{"NUL in the target", "GET /services/apexrest/echo\x00 HTTP/1.1\r\nHost: HOST\r\n\r\n", []int{400}},
		shape{"space in the target", "GET /services/apexrest/echo /x HTTP/1.1\r\nHost: HOST\r\n\r\n", []int{400}})
	for name, set := range map[string][]string{"the APIs": nil, "everything": {"PROXY_ALLOW_PATHS=/"}} {
		t.Run(name, func(t *testing.T) {
			org := startOrg(t, devorg.Config{})
			p := startProxy(t, with(org.env, set...))
			p.waitReady(t)
			for _, s := range shapes {
				t.Run(s.name, func(t *testing.T) { s.try(t, org, p) })
			}
			if stats := org.Stats(); stats.Forbidden != 0 || stats.Leaks != 0 || stats.Grants != 1 {
				t.Errorf("forbidden = %d, leaks = %d, grants = %d; want 0, 0, 1", stats.Forbidden, stats.Leaks, stats.Grants)
			}
		})
	}
}

// try writes the shape and compares the answers, and what the org has counted.
func (s shape) try(t *testing.T, org *org, p *process) {
	before := org.Stats().Requests
	answers := exchange(t, p, s.raw)
	forwarded := int64(0)
	var got []int
	for i, a := range answers {
		own := a.header.Get("X-SFProxy-Error") != ""
		switch {
		case a.header.Get("X-Request-Id") != "" && !own:
			forwarded++
			if a.status == http.StatusNotFound {
				got = append(got, a.status)
				continue
			}
			got = append(got, 0)
			s.checkEcho(t, a, i == len(answers)-1)
		default: // the proxy's own, or the server's
			got = append(got, a.status)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(s.statuses) {
		t.Errorf("answers = %v, want %v (0 is an echo)", got, s.statuses)
	}
	if counted := org.Stats().Requests - before; counted != forwarded {
		t.Errorf("the org got %d requests for %d answers of its own", counted, forwarded)
	}
}

// checkEcho checks that an answer is that of the request in its place.
func (s shape) checkEcho(t *testing.T, a answer, isLast bool) {
	t.Helper()
	var got echoed
	if json.Unmarshal(a.body, &got) != nil || got.URI == "" {
		t.Errorf("answer = %d %.200s, want an echo", a.status, a.body)
	}
	if strings.Contains(s.raw, "LAST") && isLast != strings.HasSuffix(got.URI, "?last") {
		t.Errorf("the org got %s, which stood elsewhere", got.URI)
	}
}

// exchange writes raw on a connection of its own and returns all answers.
func exchange(t *testing.T, p *process, raw string) []answer {
	t.Helper()
	host := strings.TrimPrefix(p.URL, "http://")
	smuggled := strings.ReplaceAll(hidden, "HOST", host)
	raw = strings.NewReplacer("GOOD", good, "LAST", strings.ReplaceAll(last, "HOST", host), "HIDDEN", smuggled, "HOST", host,
		"LEN", fmt.Sprint(len(smuggled)), "HEX", fmt.Sprintf("%x", len(smuggled))).Replace(raw)
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	var answers []answer
	for reader := bufio.NewReader(c); ; {
		if _, err := reader.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %d answers the connection is still open", len(answers))
			}
			return answers // closed, or reset because the server did not read on
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(answers), err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(answers), err)
		}
		answers = append(answers, answer{resp.StatusCode, resp.Header, body})
	}
}
