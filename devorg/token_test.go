package devorg_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

func TestGrant(t *testing.T) {
	org := start(t, nil)
	got := send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org))))
	if got.status != http.StatusOK {
		t.Fatalf("grant = %d %s", got.status, got.body)
	}
	var answer map[string]string
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
		t.Fatal(err)
	}
	if token := answer["access_token"]; !regexp.MustCompile(`^00D[0-9A-Za-z]{12}![A-Za-z0-9._]{96}$`).MatchString(token) {
		t.Errorf("access_token = %q", token)
	}
	if answer["instance_url"] != org.InstanceURL() || answer["token_type"] != "Bearer" || answer["scope"] == "" {
		t.Errorf("answer = %v", answer)
	}
	if want := org.LoginURL() + "/id/" + org.OrgID() + "/005"; !strings.HasPrefix(answer["id"], want) {
		t.Errorf("id = %q, want %q…", answer["id"], want)
	}
	if len(answer) != 5 {
		t.Errorf("answer has %d members, want 5: %v", len(answer), answer)
	}
}

// TestGrantRefusesAssertion bends a good assertion in one way at a time.
func TestGrantRefusesAssertion(t *testing.T) {
	org := start(t, nil)
	seconds := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	const invalid = "invalid_grant: invalid assertion"
	header := func(name string, value any) func(h, c fields) { return func(h, c fields) { h[name] = value } }
	claim := func(name string, value any) func(h, c fields) { return func(h, c fields) { c[name] = value } }
	without := func(name string) func(h, c fields) { return func(h, c fields) { delete(c, name) } }
	tests := []struct {
		name string
		bend func(header, claims fields)
		want string
	}{
		{"alg none", header("alg", "none"), invalid},
		{"alg HS256", header("alg", "HS256"), invalid},
		{"alg RS384", header("alg", "RS384"), invalid},
		{"alg PS256", header("alg", "PS256"), invalid},
		{"alg rs256", header("alg", "rs256"), invalid},
		{"alg absent", func(h, c fields) { delete(h, "alg") }, invalid},
		{"typ other", header("typ", "at+jwt"), invalid},
		{"crit", header("crit", []string{"exp"}), invalid},
		{"iss other", claim("iss", "other"), "invalid_client_id: client identifier invalid"},
		{"iss misspelt", func(h, c fields) { c["Iss"] = c["iss"]; delete(c, "iss") }, "invalid_client_id: client identifier invalid"},
		{"sub unknown", claim("sub", "stranger@devorg.example"), "invalid_grant: user hasn't approved this consumer"},
		{"sub absent", without("sub"), invalid},
		{"prn other", claim("prn", "stranger@devorg.example"), invalid},
		{"aud other", claim("aud", "https://login.salesforce.com"), "invalid_grant: audience is invalid"},
		{"aud with slash", claim("aud", org.LoginURL()+"/"), "invalid_grant: audience is invalid"},
		{"aud list", claim("aud", []string{org.LoginURL()}), "invalid_grant: audience is invalid"},
		{"aud absent", without("aud"), "invalid_grant: audience is invalid"},
		{"exp past", claim("exp", seconds(-time.Second)), "invalid_grant: expired authorization code"},
		{"exp far", claim("exp", seconds(6*time.Minute)), invalid},
		{"exp in ms", claim("exp", time.Now().Add(time.Minute).UnixMilli()), invalid},
		{"exp string", claim("exp", fmt.Sprint(seconds(time.Minute))), invalid},
		{"exp absent", without("exp"), invalid},
		{"nbf ahead", claim("nbf", seconds(time.Minute)), invalid},
		{"iat ahead", claim("iat", seconds(time.Minute)), invalid},
		{"jti number", claim("jti", 7), invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header, claims := goodHeader(), goodClaims(org)
			tt.bend(header, claims)
			wantRefusal(t, send(t, grantRequest(t, org, sign(appKey(), header, claims))), tt.want)
		})
	}
	if stats := org.Stats(); stats.Grants != 0 || stats.RefusedGrants != int64(len(tests)) {
		t.Errorf("stats = %+v, want %d refused and none granted", stats, len(tests))
	}
}

func wantRefusal(t *testing.T, got reply, want string) {
	t.Helper()
	var refused struct{ Error, Error_description string }
	if err := json.Unmarshal([]byte(got.body), &refused); err != nil {
		t.Fatalf("body %q: %v", got.body, err)
	}
	if text := refused.Error + ": " + refused.Error_description; got.status != 400 || text != want {
		t.Errorf("answer = %d %s, want 400 %s", got.status, text, want)
	}
	if cache := got.header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", cache)
	}
}

// TestGrantRefusesEncoding bends how an assertion is written.
func TestGrantRefusesEncoding(t *testing.T) {
	org := start(t, nil)
	good := func() string { return sign(appKey(), goodHeader(), goodClaims(org)) }
	claims, _ := json.Marshal(goodClaims(org))
	twice := fmt.Sprintf(`{"iss":%q,"sub":"stranger","sub":%q,"aud":%q,"exp":%d}`,
		consumerKey, username, org.LoginURL(), time.Now().Add(time.Minute).Unix())
	tests := map[string]string{
		"empty":           "",
		"two parts":       strings.Join(strings.Split(good(), ".")[:2], "."),
		"four parts":      good() + ".x",
		"no signature":    strings.Join(strings.Split(good(), ".")[:2], ".") + ".",
		"padding":         good() + "==",
		"line break":      good() + "\n",
		"stray bits":      withStrayBits(good()),
		"other key":       sign(newKey(), goodHeader(), goodClaims(org)),
		"not JSON":        sign(appKey(), goodHeader(), []byte("claims")),
		"trailing data":   sign(appKey(), goodHeader(), append(claims, "{}"...)),
		"a name twice":    sign(appKey(), goodHeader(), []byte(twice)),
		"signature short": good()[:len(good())-4],
	}
	for name, assertion := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, send(t, grantRequest(t, org, assertion)), "invalid_grant: invalid assertion")
		})
	}
}

// withStrayBits sets a bit of the last character that is no part of the signature's bytes.
func withStrayBits(assertion string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(assertion) - 1
	return assertion[:last] + alphabet[strings.IndexByte(alphabet, assertion[last])+1:][:1]
}

func TestGrantRefusesRequest(t *testing.T) {
	org := start(t, nil)
	const unsupported = "unsupported_grant_type: grant type not supported"
	tests := []struct {
		name string
		bend func(r *http.Request, form string) *http.Request
		want string
	}{
		{"GET", func(r *http.Request, form string) *http.Request {
			return newRequest(t, "GET", r.URL.String(), "")
		}, "invalid_request: must use HTTP POST"},
		{"JSON", func(r *http.Request, form string) *http.Request {
			r.Header.Set("Content-Type", "application/json")
			return r
		}, unsupported},
		{"no type", func(r *http.Request, form string) *http.Request {
			r.Header.Del("Content-Type")
			return r
		}, unsupported},
		{"in the query", func(r *http.Request, form string) *http.Request {
			r.URL.RawQuery = "x=1"
			return r
		}, "invalid_request: parameters belong in the body, not in the URL"},
		{"grant_type twice", rebody(t, func(form string) string { return form + "&grant_type=password" }),
			"invalid_request: parameter grant_type is given more than once"},
		{"other grant_type", rebody(t, func(form string) string { return strings.Replace(form, "jwt-bearer", "jwt", 1) }), unsupported},
		{"no grant_type", rebody(t, func(form string) string { return form[:strings.Index(form, "&")] }), unsupported},
		{"extra parameter", rebody(t, func(form string) string { return form + "&client_id=x" }), "invalid_request: unexpected parameter"},
		{"too long", rebody(t, func(form string) string { return form + strings.Repeat("x", 16<<10) }), "invalid_request: request is too long"},
		{"semicolon", rebody(t, func(form string) string { return form + ";x" }), "invalid_request: body is not form-encoded"},
		{"Authorization", withHeader("Authorization", "Basic x"), "invalid_request: the assertion is the only credential of this flow"},
		{"X-Forwarded-For", withHeader("X-Forwarded-For", "10.0.0.1"), "invalid_request: header X-Forwarded-For must not reach the token endpoint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assertion := sign(appKey(), goodHeader(), goodClaims(org))
			wantRefusal(t, send(t, tt.bend(grantRequest(t, org, assertion), grantForm(assertion))), tt.want)
		})
	}
}

func rebody(t *testing.T, change func(string) string) func(*http.Request, string) *http.Request {
	return func(r *http.Request, form string) *http.Request {
		bent := newRequest(t, r.Method, r.URL.String(), change(form))
		bent.Header = r.Header
		return bent
	}
}

func withHeader(name, value string) func(*http.Request, string) *http.Request {
	return func(r *http.Request, _ string) *http.Request {
		r.Header.Set(name, value)
		return r
	}
}

func TestGrantRefusesReplayedID(t *testing.T) {
	org := start(t, nil)
	claims := goodClaims(org)
	claims["jti"] = "once"
	assertion := sign(appKey(), goodHeader(), claims)
	if got := send(t, grantRequest(t, org, assertion)); got.status != 200 {
		t.Fatalf("first use = %d %s", got.status, got.body)
	}
	wantRefusal(t, send(t, grantRequest(t, org, assertion)), "invalid_grant: invalid assertion")
	claims["jti"] = "twice"
	if got := send(t, grantRequest(t, org, sign(appKey(), goodHeader(), claims))); got.status != 200 {
		t.Errorf("another id = %d %s", got.status, got.body)
	}
}

func TestGrantLimitsLogins(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.LoginsPerHour = 2 })
	login(t, org)
	login(t, org)
	assertion := sign(appKey(), goodHeader(), goodClaims(org))
	wantRefusal(t, send(t, grantRequest(t, org, assertion)), "invalid_grant: login rate exceeded")

	org.SetClockOffset(time.Hour)
	claims := goodClaims(org)
	claims["exp"] = time.Now().Add(time.Hour + time.Minute).Unix()
	if got := send(t, grantRequest(t, org, sign(appKey(), goodHeader(), claims))); got.status != 200 {
		t.Errorf("an hour later = %d %s", got.status, got.body)
	}
}

func TestTokenLapses(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.TokenTTL = 10 * time.Minute })
	s := open(t, org)
	org.SetClockOffset(9 * time.Minute)
	if got := s.do("GET", data+"/limits", ""); got.status != 200 {
		t.Errorf("before its time = %d %s", got.status, got.body)
	}
	org.SetClockOffset(10 * time.Minute)
	wantError(t, "after its time", s.do("GET", data+"/limits", ""), 401, "INVALID_SESSION_ID")
}

func TestRevokeEndsTheSession(t *testing.T) {
	org := start(t, nil)
	s := open(t, org)
	request := newRequest(t, "POST", org.LoginURL()+"/services/oauth2/revoke", "token="+s.token)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := send(t, request); got.status != 200 {
		t.Fatalf("revoke = %d %s", got.status, got.body)
	}
	wantError(t, "a revoked token", s.do("GET", data+"/limits", ""), 401, "INVALID_SESSION_ID")
	if stats := org.Stats(); stats.Forbidden != 1 || stats.LiveTokens != 0 {
		t.Errorf("stats = %+v", stats)
	}
}
