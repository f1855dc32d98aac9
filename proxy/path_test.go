package proxy_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

func TestPathPolicy(t *testing.T) {
	url := upstream(t, func(http.ResponseWriter, *http.Request) {})
	usual := start(t, proxy.Config{Tokens: newTokens(url)})
	open := start(t, proxy.Config{Tokens: newTokens(url), AllowPaths: []string{"/"}})
	const notAllowed, never, ambiguous = "PROXY_PATH_NOT_ALLOWED", "PROXY_PATH_NEVER_ALLOWED", "PROXY_AMBIGUOUS_PATH"
	for _, tt := range []struct{ path, usual, open string }{
		{"/services/data", "", ""},
		{"/services/data/", "", ""},
		{"/services/data/v60.0/sobjects", "", ""},
		{"/services/apexrest/x", "", ""},
		{"/services/apexrest/login/secur", "", ""},
		{"/services/async/60.0/job", "", ""},
		{"/services/Soap/u/60.0", "", ""},
		{"/services/oauth2/userinfo", "", ""},
		{"/id/00D/005", "", ""},
		{"/cometd/60.0", "", ""},
		{"/services/%64ata/v60.0", "", ""},
		{"/services/data/a%2Fb", "", ""},
		{"/services/data/a;b=c", "", ""},
		{"/services/data/...", "", ""},
		{"/services/data/.hidden/x..y", "", ""},
		{"//services/data", "", ""},
		{"/", notAllowed, ""},
		{"/services", notAllowed, ""},
		{"/services/dataloader", notAllowed, ""},
		{"/services/Data", notAllowed, ""},
		{"/idx", notAllowed, ""},
		{"/apex/page", notAllowed, ""},
		{"/lightning/page", notAllowed, ""},
		{"/services/oauth2/userinfo/x", never, never},
		{"/services/oauth2/token", never, never},
		{"/services/oauth2/revoke", never, never},
		{"/services/oauth2/introspect", never, never},
		{"/services/oauth2/singleaccess", never, never},
		{"/services/OAuth2/Token", never, never},
		{"/services/oauth2;x/token", never, never},
		{"/services/oauth2%3Bx/token", never, never},
		{"/services//oauth2//token", never, never},
		{"/services%2Foauth2%2Ftoken", never, never},
		{"/services%252Foauth2%252Ftoken", never, never},
		{"/services\\oauth2\\token", never, never},
		{"/secur/frontdoor.jsp", never, never},
		{"/SECUR/FrontDoor.jsp", never, never},
		{"/%73ecur/frontdoor.jsp", never, never},
		{"/%2573ecur/frontdoor.jsp", never, never},
		{"/secur%20/frontdoor.jsp", never, never},
		{"/site/secur/frontdoor.jsp", never, never},
		{"/site/services/oauth2/token", never, never},
		{"/login", never, never},
		{"/visualforce/session", never, never},
		{"/services/data/v60.0/apps/oauth/credentials/x", never, never},
		{"/services/data/../oauth2/token", ambiguous, ambiguous},
		{"/services/data/..", ambiguous, ambiguous},
		{"/services/data/./x", ambiguous, ambiguous},
		{"/services/data/%2e%2e/oauth2/token", ambiguous, ambiguous},
		{"/services/data/%2E./oauth2/token", ambiguous, ambiguous},
		{"/services/data/..%2Foauth2", ambiguous, ambiguous},
		{"/services/data/%252e%252e/oauth2", ambiguous, ambiguous},
		{"/services/data/%252e%252e/oauth2/%25zz", ambiguous, ambiguous},
		{"/services/data/..;/oauth2/token", ambiguous, ambiguous},
		{"/services/data/..%3b/oauth2/token", ambiguous, ambiguous},
		{"/services/data/..\\oauth2", ambiguous, ambiguous},
		{"/services/data/..%5coauth2", ambiguous, ambiguous},
		{"/services/data/..%20/x", ambiguous, ambiguous},
		{"/services/data/%00", ambiguous, ambiguous},
		{"/services/data/%0d%0aX:y", ambiguous, ambiguous},
		{"/services/data/%2500", ambiguous, ambiguous},
	} {
		for r, want := range map[*rig]string{usual: tt.usual, open: tt.open} {
			c := r.dial(t)
			c.write("GET " + tt.path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
			got := c.response("GET")
			if got.header.Get("X-SFProxy-Error") != want || (want == "") != (got.status == 200) || want != "" && got.status != 403 {
				t.Errorf("%s = %d %s, want %q", tt.path, got.status, got.body, want)
			}
			if want == notAllowed && !strings.Contains(got.body, "PROXY_ALLOW_PATHS") {
				t.Errorf("%s: the message does not name PROXY_ALLOW_PATHS: %s", tt.path, got.body)
			}
		}
	}
}

// landing is a transport that is never reached by what is refused.
type landing struct{ reached bool }

func (l *landing) RoundTrip(req *http.Request) (*http.Response, error) {
	l.reached = true
	return &http.Response{StatusCode: 204, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func decodeOnce(p string) string {
	return escape.ReplaceAllStringFunc(p, func(e string) string {
		octet, _ := hex.DecodeString(e[1:])
		return string(octet)
	})
}

// readings are the paths that a server might see in raw.
func readings(raw string) []string {
	once := decodeOnce(raw)
	all := []string{once, decodeOnce(once)}
	for _, p := range slices.Clone(all) {
		all = append(all, strings.ReplaceAll(p, `\`, "/"))
	}
	parameter := regexp.MustCompile(`;[^/]*`)
	for _, p := range slices.Clone(all) {
		all = append(all, parameter.ReplaceAllString(p, ""))
	}
	for i := range all {
		all[i] = path.Clean("/" + all[i])
	}
	return all
}

func under(p string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") })
}

// However a server reads a path that is forwarded, it lies in what is allowed
// and is none of the pages that are never forwarded.
func FuzzPathPolicy(f *testing.F) {
	for _, seed := range []string{
		"/services/data/v60.0", "/services/data/%2e%2e/oauth2/token", "/services/data/%252e%252e%252fsecur", "/secur/frontdoor.jsp",
		"/services/data/..;/x", "/services/data\\..\\x", "//secur/x", "/services%2foauth2/token", "/id/;/../secur", "/services/oauth2;a/token",
		"/services/data/%25%32%65%25%32%65/x", "/services/data/%252e%252e/%25zz", "/%2573ecur/x", "/services/data/%c0%ae%c0%ae/x", "/x/%00",
	} {
		f.Add(seed)
	}
	usualBase, openBase := &landing{}, &landing{}
	usual := newHandler(f, proxy.Config{Tokens: newTokens("http://localhost:1"), Transport: usualBase}, io.Discard)
	open := newHandler(f, proxy.Config{Tokens: newTokens("http://localhost:1"), Transport: openBase, AllowPaths: []string{"/"}}, io.Discard)
	f.Fuzz(func(t *testing.T, raw string) {
		if !strings.HasPrefix(raw, "/") || strings.ContainsAny(raw, " ?\r\n") {
			return
		}
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return // the server refuses it
		}
		request := func() *http.Request {
			return (&http.Request{Method: "GET", URL: u, RequestURI: raw, Host: "localhost", Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(t.Context())
		}
		usualBase.reached, openBase.reached = false, false
		usual.ServeHTTP(httptest.NewRecorder(), request())
		open.ServeHTTP(httptest.NewRecorder(), request())
		for _, p := range readings(raw) {
			if usualBase.reached && !under(p, proxy.DefaultAllowPaths...) {
				t.Errorf("%q is forwarded and can be read as %q", raw, p)
			}
			lower := strings.ToLower(p)
			if (usualBase.reached || openBase.reached) && lower != "/services/oauth2/userinfo" && under(lower, "/secur", "/services/oauth2", "/services/auth", "/login") {
				t.Errorf("%q is forwarded and can be read as %q", raw, p)
			}
		}
	})
}
