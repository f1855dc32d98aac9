package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// A path that refuses every token while others take them costs a grant, not one
// for each request; a token that nobody takes any more is renewed on that path too.
func TestTransportLearnsHopelessPaths(t *testing.T) {
	var revoked atomic.Bool
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/liar") || revoked.Load() && strings.HasSuffix(r.Header.Get("Authorization"), "-2") {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)
		}
	})
	tokens := newTokens(base)
	r := start(t, proxy.Config{Tokens: tokens})
	for range 20 {
		r.send(t, "GET", limitsPath, nil)
		if got := r.send(t, "GET", "/services/apexrest/liar", nil); got.status != 401 {
			t.Fatalf("answer = %d, want Salesforce's 401", got.status)
		}
	}
	if n := tokens.grants(); n != 2 {
		t.Errorf("%d grants, want the first and one in vain", n)
	}
	revoked.Store(true)
	if got := r.send(t, "GET", limitsPath, nil); got.status != 200 || tokens.grants() != 3 {
		t.Errorf("after the revocation: %d with %d grants, want 200 with 3", got.status, tokens.grants())
	}
}

// CometD refuses a session with status 200.
func TestTransportRenewsForCometD(t *testing.T) {
	r, org := startOrg(t, nil)
	handshake := func() string {
		t.Helper()
		return r.send(t, "POST", "/cometd/60.0", strings.NewReader(`[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`), "Content-Type: application/json").body
	}
	if got := handshake(); !strings.Contains(got, `"successful":true`) {
		t.Fatalf("handshake = %s", got)
	}
	org.RevokeTokens()
	if got := handshake(); !strings.Contains(got, `"successful":true`) {
		t.Errorf("handshake with a revoked token = %s", got)
	}
	if n := org.Stats().Grants; n != 2 {
		t.Errorf("%d grants, want 2", n)
	}
}

// The parameters of an Apex REST class are its own, whatever their names.
func TestApexParametersPass(t *testing.T) {
	queries := make(chan string, 1)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { queries <- r.URL.RawQuery })
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	for path, want := range map[string]string{
		"/services/apexrest/student?sid=4711&oauth_token=a": "sid=4711&oauth_token=a",
		"/services/data/v60.0/limits?sid=00D!x&a=b":         "a=b",
	} {
		r.send(t, "GET", path, nil)
		if got := <-queries; got != want {
			t.Errorf("query of %s = %q, want %q", path, got, want)
		}
	}
}

// One bad request does not make a path hopeless for the good ones.
func TestTransportForgivesPaths(t *testing.T) {
	var revoked atomic.Bool
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Bad") != "" || revoked.Load() && strings.HasSuffix(r.Header.Get("Authorization"), "-2") {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)
		}
	})
	tokens := newTokens(base)
	r := start(t, proxy.Config{Tokens: tokens})
	r.send(t, "GET", limitsPath, nil)
	r.send(t, "GET", limitsPath, nil, "X-Bad: 1")
	r.send(t, "GET", limitsPath, nil)
	revoked.Store(true)
	if got := r.send(t, "GET", limitsPath, nil); got.status != 200 || tokens.grants() != 3 {
		t.Errorf("after the revocation: %d with %d grants, want 200 with 3", got.status, tokens.grants())
	}
}
