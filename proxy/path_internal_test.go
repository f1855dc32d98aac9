package proxy

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// What is let pass at a glance would be let pass at a closer look.
func TestPlainDataIsNotForbidden(t *testing.T) {
	pieces := []string{"/services/data", "/services/oauth2", "/apps", "/Apps/OAuth", "/oauth", "/credentials", "/secur", "/login", "/v60.0", "/sobjects/Account", "%2f", ";x", "\\", " ", ".", "/", "_", "-", "İ", "ſ"}
	plain := 0
	for range 200_000 {
		var b strings.Builder
		if rand.IntN(2) == 0 {
			b.WriteString("/services/data")
		}
		for range 1 + rand.IntN(5) {
			b.WriteString(pieces[rand.IntN(len(pieces))])
		}
		p := b.String()
		if !strings.HasPrefix(p, "/") || !isPlainData(p) {
			continue
		}
		plain++
		if forbiddenPage(p) || forbiddenPage(unescape(p)) {
			t.Fatalf("%q is plain data, and forbidden", p)
		}
	}
	if plain < 1000 || !isPlainData("/services/data/v60.0/sobjects/Account/0015g0000000002AAA") || isPlainData("/services/data/APPS/oauth/credentials") {
		t.Errorf("%d of the paths are plain data", plain)
	}
}
