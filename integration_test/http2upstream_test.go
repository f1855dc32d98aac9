package integration_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// spoken returns the version of HTTP that a request with a body reached the org by.
func spoken(t *testing.T, p *process, body string) string {
	t.Helper()
	a := fetch(t, http.MethodPost, p.URL+echoPath, body)
	seen := decode[struct {
		Proto  string
		Length int64
	}](t, a.body)
	if a.status != http.StatusOK || seen.Length != int64(len(body)) {
		t.Errorf("answer = %d, %d of %d bytes arrived", a.status, seen.Length, len(body))
	}
	return seen.Proto
}

// TestHTTP2Upstream has tokens lost under requests of all sizes, by the version
// of HTTP that the setting asks for.
func TestHTTP2Upstream(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"": "HTTP/1.1", "true": "HTTP/2.0"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, devorg.Config{TLS: true})
			p := startProxy(t, with(org.env, "SF_HTTP2="+setting))
			spoken(t, p, "x")
			for _, size := range []int{1, 100 << 10, 3 << 20} { // the last is refused before it is sent
				org.ExpireTokens()
				before := org.Stats()
				if got := spoken(t, p, strings.Repeat("x", size)); got != want {
					t.Errorf("%d bytes reached the org by %s, want %s", size, got, want)
				}
				after := org.Stats()
				if requests, grants := after.Requests-before.Requests, after.Grants-before.Grants; requests != 2 || grants != 1 {
					t.Errorf("%d bytes: %d requests and %d grants, want 2 and 1", size, requests, grants)
				}
			}
			org.RevokeTokens()
			before := org.Stats().Grants
			var crowd sync.WaitGroup
			for range 64 {
				crowd.Go(func() { spoken(t, p, "x") })
			}
			crowd.Wait()
			if grants := org.Stats().Grants - before; grants != 1 {
				t.Errorf("%d grants for 64 requests, want 1", grants)
			}
		})
	}
}
