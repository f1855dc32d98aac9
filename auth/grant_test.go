package auth_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5" // verifies what the package signs
	"github.com/sfproxy/sfproxy/auth"
)

const consumerKey = "3MVG9consumerKey"

// rsaKey is the key that signs in these tests.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// roundTrip is a token endpoint without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answers returns a transport that gives every request this answer.
func answers(status int, body string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)),
			Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// cheapSigner signs without the work of RSA, where nobody verifies.
type cheapSigner struct{}

func (cheapSigner) Public() crypto.PublicKey { return &rsa.PublicKey{} }
func (cheapSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return []byte("signature"), nil
}

func parseURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// newOrg returns an Org with the defaults of these tests for what cfg leaves out.
func newOrg(t testing.TB, loginURL string, cfg auth.OrgConfig) *auth.Org {
	t.Helper()
	cfg.LoginURL = parseURL(t, loginURL)
	if cfg.ConsumerKey == "" {
		cfg.ConsumerKey = consumerKey
	}
	if cfg.Key == nil {
		cfg.Key = cheapSigner{}
	}
	org, err := auth.NewOrg(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return org
}

// newTransport returns a transport whose connections end with the test.
func newTransport(t testing.TB) *http.Transport {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// newServer starts a token endpoint.
func newServer(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// serverOrg returns an Org whose token endpoint is handler.
func serverOrg(t testing.TB, handler http.HandlerFunc) *auth.Org {
	t.Helper()
	return newOrg(t, newServer(t, handler).URL, auth.OrgConfig{Transport: newTransport(t)})
}

func wantGrantError(t *testing.T, err error) *auth.GrantError {
	t.Helper()
	e, ok := errors.AsType[*auth.GrantError](err)
	if !ok {
		t.Fatalf("Grant = %v (%T), want a *GrantError", err, err)
	}
	return e
}

const goodAnswer = `{"access_token":"00D000000000001!AQ.secret","scope":"id api","instance_url":"http://127.0.0.1:1","id":"https://login.salesforce.com/id/00D/005","token_type":"Bearer"}`

// verify checks an assertion as a strict authorization server does.
func verify(assertion, audience string, now time.Time) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(audience), jwt.WithIssuer(consumerKey), jwt.WithSubject(ada),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }),
	).ParseWithClaims(assertion, claims, func(*jwt.Token) (any, error) { return &rsaKey().PublicKey, nil })
	if err != nil {
		return nil, err
	}
	if exp, err := claims.GetExpirationTime(); err != nil || exp.After(now.Add(3*time.Minute)) {
		return nil, fmt.Errorf("exp is %v at %v: %v", exp, now, err)
	}
	return claims, nil
}

func TestGrantSendsTheFormAndReturnsTheToken(t *testing.T) {
	var requests []*http.Request
	var forms []url.Values
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		requests, forms = append(requests, r), append(forms, form)
		io.WriteString(w, goodAnswer)
	})
	for _, path := range []string{"", "/", "/customers", "/customers/"} {
		org := newOrg(t, server.URL+path, auth.OrgConfig{Transport: newTransport(t), Key: rsaKey(), Audience: "https://test.salesforce.com"})
		before := time.Now().Round(0)
		token, err := org.Grant(t.Context(), ada)
		if err != nil {
			t.Fatalf("Grant = %v, want a token", err)
		}
		r, form := requests[len(requests)-1], forms[len(forms)-1]
		if got, want := r.Method+" "+r.RequestURI, "POST "+strings.TrimRight(path, "/")+"/services/oauth2/token"; got != want {
			t.Errorf("Grant at %q sends %s, want %s", path, got, want)
		}
		if got := r.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
			t.Errorf("Content-Type = %q, want a form", got)
		}
		if len(form) != 2 || len(form["assertion"]) != 1 || !slices.Equal(form["grant_type"], []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"}) {
			t.Errorf("form = %v, want grant_type and one assertion", form)
		}
		claims, err := verify(form.Get("assertion"), "https://test.salesforce.com", time.Now())
		if err != nil {
			t.Fatalf("verify(assertion) = %v, want it good", err)
		}
		if _, ok := claims["aud"].(string); !ok {
			t.Errorf("aud is a %T, want a string", claims["aud"])
		}
		if got, ok := claims["jti"].(string); !ok || len(got) < 20 {
			t.Errorf("jti = %v, want 20 characters or more", claims["jti"])
		}
		if token.AccessToken.Reveal() != "00D000000000001!AQ.secret" || token.InstanceURL.String() != "http://127.0.0.1:1" ||
			token.IdentityURL != "https://login.salesforce.com/id/00D/005" || token.Scope != "id api" || token.Subject != ada {
			t.Errorf("Grant = %+v, want what the answer says", token)
		}
		if token.IssuedAt.Before(before) || token.ExpiresAt.Sub(token.IssuedAt) != 2*time.Hour {
			t.Errorf("issued %v, expires %v, want 2h from now", token.IssuedAt, token.ExpiresAt)
		}
	}
	jtis := map[any]bool{}
	for _, form := range forms {
		claims, _ := verify(form.Get("assertion"), "https://test.salesforce.com", time.Now())
		jtis[claims["jti"]] = true
	}
	if len(jtis) != len(forms) {
		t.Errorf("%d assertions had %d jti, want one each", len(forms), len(jtis))
	}
}

// refusals are the entries of the error catalogue that have a code.
var refusals = []struct {
	code, description string
	permanent         bool
	hint              string // a part of it
}{
	{"invalid_grant", "user hasn't approved this consumer", true, "pre-authorized"},
	{"invalid_grant", "user hasn’t approved this consumer", true, "pre-authorized"},
	{"invalid_app_access", "user is not admin approved to access this app", true, "permission set"},
	{"invalid_client_id", "client identifier invalid", true, "SF_CLIENT_ID"},
	{"invalid_grant", "audience is invalid", true, "SF_AUDIENCE"},
	{"invalid_grant", "Audience validation failed", true, "SF_AUDIENCE"},
	{"invalid_grant", "invalid assertion", true, "certificate"},
	{"invalid_grant", "expired authorization code", true, "clock"},
	{"invalid_grant", "invalid user", true, "SF_USERNAME"},
	{"invalid_grant", "login rate exceeded", false, "3,600"},
	{"rate_limit_exceeded", "number of logins exceeded", false, "3,600"},
	{"invalid_grant", "inactive user", true, "deactivated"},
	{"inactive_user", "user is inactive", true, "deactivated"},
	{"inactive_org", "organization is locked, closed, or suspended", true, "suspended"},
	{"invalid_grant", "ip restricted", true, "address"},
	{"invalid_grant", "IP restricted or invalid login hours", true, "hours"},
	{"invalid_grant", "authentication failure", true, "Login History"},
	{"invalid_grant", "expired access/refresh token", true, "Login History"},
	{"invalid_grant", "no client credentials user enabled", true, "Login History"},
	{"invalid_grant", "request not supported on this domain", true, "My Domain"},
	{"unsupported_grant_type", "grant type not supported", true, "SF_LOGIN_URL"},
	{"invalid_client", "invalid client credentials", true, "Login History"},
	{"invalid_client", "app must be installed into org", true, "install"},
	{"app_not_found", "External client app is not installed in this org", true, "My Domain"},
	{"OAUTH_EC_APP_NOT_FOUND", "External client app is not installed in this org", true, "My Domain"},
	{"OAUTH_APP_BLOCKED", "this app is blocked by admin", true, "unblock"},
	{"OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app", true, "permission set"},
	{"OAUTH_APPROVAL_ERROR_GENERIC", "An unexpected error has occured during authentication. Please try again.", true, "install"},
	{"invalid_request", "HTTPS required", true, "SF_LOGIN_URL"},
	{"invalid_scope", "requested scope is invalid, unknown, or malformed", true, "(api)"},
	{"a_code_of_tomorrow", "", true, "Login History"},
	{"unknown_error", "retry your request", false, ""},
	{"server_error", "", false, ""},
	{"temporarily_unavailable", "", false, ""},
	{"invalid_request", "token request is already being processed", false, ""},
}

func TestGrantExplainsRefusals(t *testing.T) {
	var answer []byte
	status := http.StatusBadRequest
	org := serverOrg(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write(answer)
	})
	for _, tt := range refusals {
		name := tt.code + ": " + tt.description
		answer, _ = json.Marshal(map[string]string{"error_description": tt.description, "error": tt.code})
		status = http.StatusBadRequest
		_, err := org.Grant(t.Context(), ada)
		e := wantGrantError(t, err)
		if e.Code != tt.code || e.Description != tt.description || e.Status != status {
			t.Errorf("Grant after %q = %q, %q, %d, want code, description and %d", name, e.Code, e.Description, e.Status, status)
		}
		if e.Permanent != tt.permanent || auth.IsPermanent(fmt.Errorf("wrapped: %w", err)) != tt.permanent {
			t.Errorf("Permanent after %q = %v, want %v", name, e.Permanent, tt.permanent)
		}
		if got := auth.Hint(err); !strings.Contains(got, tt.hint) || tt.permanent && got == "" {
			t.Errorf("Hint after %q = %q, want %q in it", name, got, tt.hint)
		}
		if got, want := err.Error(), "grant for "+ada+" refused: "+name; got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
		status = http.StatusInternalServerError
		_, err = org.Grant(t.Context(), ada)
		if auth.IsPermanent(err) {
			t.Errorf("a 500 with %q is permanent, want it passing", name)
		}
	}
}

func TestGrantBoundsWhatARefusalSays(t *testing.T) {
	org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{
		Transport: answers(400, `{"error":"bad\r\nX: y","error_description":"`+strings.Repeat("x", 10000)+`"}`)})
	_, err := org.Grant(t.Context(), ada)
	if got := err.Error(); len(got) > 400 || strings.ContainsAny(got, "\r\n") {
		t.Errorf("Error() = %q, want one line of at most 400 bytes", got)
	}
}

func TestGrantExplainsOtherAnswers(t *testing.T) {
	const html = "<!DOCTYPE html><title>Salesforce</title>"
	for _, tt := range []struct {
		name      string
		status    int
		body      string
		permanent bool
		want      string // in the error
		hint      string
	}{
		{"HTML 200", 200, html, true, "not the JSON of a token", "SF_LOGIN_URL"},
		{"empty 200", 200, "", true, "not the JSON of a token", "SF_LOGIN_URL"},
		{"null", 200, "null", true, "no access_token", "SF_LOGIN_URL"},
		{"array", 200, "[" + goodAnswer + "]", true, "not the JSON of a token", "SF_LOGIN_URL"},
		{"two values", 200, goodAnswer + goodAnswer, true, "not the JSON of a token", "SF_LOGIN_URL"},
		{"error in a 200", 200, `{"error":"invalid_grant"}`, true, "no access_token", "SF_LOGIN_URL"},
		{"204", 204, "", true, "204", "SF_LOGIN_URL"},
		{"10 MB", 200, strings.Repeat(" ", 10<<20) + goodAnswer, true, "larger than 65536 bytes", "SF_LOGIN_URL"},
		{"HTML 404", 404, html, true, "404 Not Found", "SF_LOGIN_URL"},
		{"HTML 403", 403, html, true, "403", "SF_LOGIN_URL"},
		{"420 of the edge", 420, "", true, "420", "SF_LOGIN_URL"},
		{"error of another type", 400, `{"error":{"code":"x"}}`, true, "without an OAuth error", "SF_LOGIN_URL"},
		{"500", 500, `{"message":"x"}`, false, "500", "status.salesforce.com"},
		{"empty 503", 503, "", false, "503", "status.salesforce.com"},
		{"502 of the edge", 502, html, false, "502", "status.salesforce.com"},
		{"10 MB 503", 503, strings.Repeat("x", 10<<20), false, "503", "status.salesforce.com"},
		{"429", 429, "", false, "429", ""},
		{"408", 408, "", false, "408", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			org := serverOrg(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			token, err := org.Grant(t.Context(), ada)
			if token != nil {
				t.Errorf("Grant = %v, want no token", token)
			}
			e := wantGrantError(t, err)
			if e.Permanent != tt.permanent || e.Status != tt.status || e.Code != "" {
				t.Errorf("Grant = %+v, want permanent %v and status %d", e, tt.permanent, tt.status)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "/services/oauth2/token") {
				t.Errorf("Error() = %q, want %q and the endpoint in it", err, tt.want)
			}
			if !strings.Contains(auth.Hint(err), tt.hint) {
				t.Errorf("Hint = %q, want %q in it", auth.Hint(err), tt.hint)
			}
			if strings.Contains(err.Error(), "DOCTYPE") {
				t.Errorf("Error() = %q, want nothing of the body", err)
			}
		})
	}
}

// endless is a body that notes how much of it is read. It ends after all,
// so that a test fails before the memory is full.
type endless struct{ read int }

func (b *endless) Read(p []byte) (int, error) {
	if b.read > 10<<20 {
		return 0, io.EOF
	}
	b.read += len(p)
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}

func TestGrantBoundsWhatItReads(t *testing.T) {
	for _, status := range []int{200, 400, 503} {
		body := &endless{}
		org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := answers(status, "")(r)
			resp.Body = io.NopCloser(body)
			return resp, err
		})})
		if _, err := org.Grant(t.Context(), ada); err == nil || body.read > 128<<10 {
			t.Errorf("Grant = %v after reading %d bytes of a %d, want an error after 64 KiB", err, body.read, status)
		}
	}
}

func TestGrantNeverFollowsARedirect(t *testing.T) {
	followed := false
	elsewhere := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		followed = true
		io.WriteString(w, goodAnswer)
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		org := serverOrg(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/services/oauth2/token?secret=1")
			w.WriteHeader(status)
		})
		_, err := org.Grant(t.Context(), ada)
		e := wantGrantError(t, err)
		if !e.Permanent || e.Status != status || !strings.Contains(e.Hint, "SF_LOGIN_URL") {
			t.Errorf("Grant after %d = %+v, want it permanent with a hint at SF_LOGIN_URL", status, e)
		}
		if !strings.Contains(err.Error(), elsewhere.URL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Error() = %q, want where the redirect leads, without its query", err)
		}
	}
	if followed {
		t.Error("the redirect was followed")
	}
}

func TestGrantReadsGzip(t *testing.T) {
	zipped := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, text)
		z.Close()
		return b.Bytes()
	}
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"answer", goodAnswer, true},
		{"bomb", strings.Repeat(" ", 1<<20) + goodAnswer, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := zipped(tt.text)
			org := serverOrg(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					t.Error("the request does not accept gzip")
				}
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(body)
			})
			if _, err := org.Grant(t.Context(), ada); (err == nil) != tt.ok {
				t.Errorf("Grant = %v, want a token: %v", err, tt.ok)
			}
		})
	}
}

func TestGrantTreatsABrokenConnectionAsPassing(t *testing.T) {
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		conn.Close()
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"before the answer", func(w http.ResponseWriter, _ *http.Request) { hangUp(w) }},
		{"in the answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, goodAnswer[:50])
			http.NewResponseController(w).Flush()
			hangUp(w)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int32
			org := serverOrg(t, func(w http.ResponseWriter, r *http.Request) { requests.Add(1); tt.handler(w, r) })
			_, err := org.Grant(t.Context(), ada)
			if e := wantGrantError(t, err); e.Permanent || errors.Unwrap(err) == nil {
				t.Errorf("Grant = %+v, want a passing fault with its cause", e)
			}
			if got := requests.Load(); got != 1 { // one assertion, one attempt
				t.Errorf("%d requests, want 1", got)
			}
		})
	}
}

func TestGrantEndsWithItsContext(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	arrived := make(chan struct{}, 1)
	org := serverOrg(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := org.Grant(ctx, ada)
	if e := wantGrantError(t, err); e.Permanent || e.Hint != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("Grant = %+v, want it to wrap %v, without a hint", e, context.Canceled)
	}
}

func TestGrantGivesUpOnASilentEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		start := time.Now()
		_, err := org.Grant(t.Context(), ada)
		if e := wantGrantError(t, err); e.Permanent || !strings.Contains(e.Hint, "does not answer in time") {
			t.Errorf("Grant = %+v, want a passing fault with a hint", e)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("Grant took %v, want 15s", took)
		}
	})
}

func TestGrantChecksTheAnswer(t *testing.T) {
	answer := func(changes ...string) string {
		fields := map[string]any{"access_token": "00D!AQ.x", "instance_url": "https://acme.my.salesforce.com", "token_type": "Bearer"}
		for i := 0; i < len(changes); i += 2 {
			fields[changes[i]] = json.RawMessage(changes[i+1])
		}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, tt := range []struct {
		name, answer string
		want         string // in the error; "" for a token
	}{
		{"plain", answer(), ""},
		{"unknown fields", answer("sfdc_community_url", `"x"`, "issued_at", `"1"`, "nested", `{"a":[1]}`), ""},
		{"issued_at a number", answer("issued_at", "1700000000000"), ""},
		{"no token_type", answer("token_type", "null"), ""},
		{"token_type in lower case", answer("token_type", `"bearer"`), ""},
		{"token_type MAC", answer("token_type", `"MAC"`), `token_type is "MAC"`},
		{"token_type N_A", answer("token_type", `"N_A"`), `token_type is "N_A"`},
		{"empty token", answer("access_token", `""`), "no access_token"},
		{"token null", answer("access_token", `null`), "no access_token"},
		{"token a number", answer("access_token", `12`), "not the JSON of a token"},
		{"LF in token", answer("access_token", `"a\nb"`), "no header can carry"},
		{"CR LF in token", answer("access_token", `"a\r\nX-Evil: 1"`), "no header can carry"},
		{"space in token", answer("access_token", `"a b"`), "no header can carry"},
		{"NUL in token", answer("access_token", `"a\u0000b"`), "no header can carry"},
		{"DEL in token", answer("access_token", `"a\u007fb"`), "no header can carry"},
		{"letter beyond ASCII in token", answer("access_token", `"aé"`), "no header can carry"},
		{"token of 12 KiB", answer("access_token", `"`+strings.Repeat("x", 12<<10)+`"`), ""},
		{"token over 12 KiB", answer("access_token", `"`+strings.Repeat("x", 12<<10+1)+`"`), "longer than 12288 bytes"},
		{"expires_in not a number", answer("expires_in", `"soon"`), "not the JSON of a token"},
		{"no instance_url", answer("instance_url", "null"), "SF_INSTANCE_URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Transport: answers(200, tt.answer)})
			token, err := org.Grant(t.Context(), ada)
			if tt.want == "" {
				if err != nil {
					t.Errorf("Grant = %v, want a token", err)
				}
				return
			}
			e := wantGrantError(t, err)
			if !e.Permanent || e.Hint == "" || token != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Grant = %v, %v (permanent %v, hint %q), want a permanent error with %q and a hint", token, err, e.Permanent, e.Hint, tt.want)
			}
		})
	}
}

func TestGrantWithoutInstanceURL(t *testing.T) {
	const answer = `{"access_token":"00D!AQ.x"}`
	org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{
		Transport: answers(200, answer), InstanceURL: parseURL(t, "https://crm.example/ignored/")})
	token, err := org.Grant(t.Context(), ada)
	if err != nil || token.InstanceURL.String() != "https://crm.example" {
		t.Errorf("Grant = %+v, %v, want the configured instance's origin", token, err)
	}
	org = newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Transport: answers(200, answer)})
	if _, err := org.Grant(t.Context(), ada); !strings.Contains(auth.Hint(err), "SF_INSTANCE_URL") {
		t.Errorf("Hint(%v) = %q, want SF_INSTANCE_URL in it", err, auth.Hint(err))
	}
	// What the answer says goes before the default.
	org = newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{
		Transport: answers(200, `{"access_token":"x","instance_url":"https://b.my.salesforce.com"}`), InstanceURL: parseURL(t, "https://crm.example")})
	if token, err := org.Grant(t.Context(), ada); err != nil || token.InstanceURL.Host != "b.my.salesforce.com" {
		t.Errorf("Grant = %+v, %v, want the answer's instance", token, err)
	}
}

func TestTokenLife(t *testing.T) {
	now := time.Now()
	jwtFor := func(exp time.Time) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"exp": exp.Unix()}).SignedString(rsaKey())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, tt := range []struct {
		name, token, expiresIn string
		want                   time.Duration
		jwt                    bool
	}{
		{"nothing said", "00D!a.b.c", "null", 3 * time.Hour, false},
		{"expires_in", "00D!x", "600", 10 * time.Minute, false},
		{"expires_in as a string", "00D!x", `"600"`, 10 * time.Minute, false},
		{"expires_in of 0", "00D!x", "0", 3 * time.Hour, false},
		{"expires_in below 0", "00D!x", "-5", 3 * time.Hour, false},
		{"expires_in without bound", "00D!x", "9223372036854775807", 3 * time.Hour, false},
		{"expires_in with a fraction", "00D!x", "600.5", 3 * time.Hour, false},
		{"JWT", jwtFor(now.Add(time.Hour)), "null", time.Hour, true},
		{"JWT with expires_in", jwtFor(now.Add(time.Hour)), "600", 10 * time.Minute, true},
		{"JWT of the past", jwtFor(now.Add(-time.Hour)), "null", 3 * time.Hour, true},
		{"JWT of the far future", jwtFor(now.Add(10000 * time.Hour)), "null", 3 * time.Hour, true},
		{"not quite a JWT", "eyJ.b.c", "null", 3 * time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := fmt.Sprintf(`{"access_token":%q,"instance_url":"https://acme.my.salesforce.com","expires_in":%s}`, tt.token, tt.expiresIn)
			org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Transport: answers(200, body), TokenTTL: 3 * time.Hour})
			token, err := org.Grant(t.Context(), ada)
			if err != nil {
				t.Fatal(err)
			}
			if got := token.ExpiresAt.Sub(token.IssuedAt); got < tt.want-time.Minute || got > tt.want {
				t.Errorf("the token lives %v, want %v", got, tt.want)
			}
			if got := token.JWT(); got != tt.jwt {
				t.Errorf("JWT() = %v, want %v", got, tt.jwt)
			}
		})
	}
}

func TestGrantRenewalIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ages []time.Duration
		for range 20 {
			grants := 0
			org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{TokenTTL: 100 * time.Minute,
				Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					grants++
					return answers(200, `{"access_token":"x","instance_url":"https://acme.my.salesforce.com"}`)(r)
				})})
			m := auth.NewManager(org.Grant, nil)
			start := time.Now()
			for grants < 2 {
				take(t, m, ada)
				advance(10 * time.Second)
			}
			ages = append(ages, time.Since(start))
			m.Close()
		}
		slices.Sort(ages)
		if first, last := ages[0], ages[len(ages)-1]; first < 65*time.Minute || last > 75*time.Minute+20*time.Second || last-first < time.Minute {
			t.Errorf("renewals came between %v and %v, want them spread over 65m to 75m", first, last)
		}
	})
}

func TestGrantCorrectsTheClock(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour, 45 * time.Second} {
		t.Run(off.String(), func(t *testing.T) {
			requests := 0
			var log bytes.Buffer
			server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				now := time.Now().Add(off)
				w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
				claims, err := verify(r.PostFormValue("assertion"), "https://login.salesforce.com", now)
				if err != nil {
					w.WriteHeader(400)
					io.WriteString(w, `{"error":"invalid_grant","error_description":"expired authorization code"}`)
					return
				}
				if exp, _ := claims.GetExpirationTime(); requests > 1 && exp.Sub(now) < time.Minute {
					t.Errorf("a corrected assertion lives %v, want over a minute", exp.Sub(now))
				}
				io.WriteString(w, goodAnswer)
			})
			org := newOrg(t, server.URL, auth.OrgConfig{Transport: newTransport(t), Key: rsaKey(), Audience: "https://login.salesforce.com",
				Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for range 2 {
				if _, err := org.Grant(t.Context(), ada); err != nil {
					t.Errorf("Grant with a clock off by %v = %v, want a token", off, err)
				}
			}
			want := 3
			if off == 45*time.Second { // within what the first assertion allows for
				want = 2
			}
			if requests != want {
				t.Errorf("%d requests for two grants, want %d", requests, want)
			}
			if got := strings.Count(log.String(), "clock differs"); got != 1 {
				t.Errorf("log = %q, want one warning", log.String())
			}
		})
	}
}

func TestGrantSendsAtMostOneCorrectedAssertion(t *testing.T) {
	requests := 0
	org := serverOrg(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++ // each answer tells another time
		w.Header().Set("Date", time.Now().Add(time.Duration(requests)*time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(400)
		io.WriteString(w, `{"error":"invalid_grant","error_description":"expired authorization code"}`)
	})
	if _, err := org.Grant(t.Context(), ada); !auth.IsPermanent(err) || requests != 2 {
		t.Errorf("Grant = %v after %d requests, want the refusal after 2", err, requests)
	}
}

func TestGrantLeavesASmallDifferenceOfClocksAlone(t *testing.T) {
	for _, date := range []string{
		time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat),
		time.Now().Add(-20 * time.Second).UTC().Format(http.TimeFormat),
		"yesterday", "",
	} {
		requests := 0
		org := serverOrg(t, func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header()["Date"] = []string{date}
			w.WriteHeader(400)
			io.WriteString(w, `{"error":"invalid_grant","error_description":"invalid assertion"}`)
		})
		org.Grant(t.Context(), ada)
		if requests != 1 {
			t.Errorf("%d requests with the Date %q, want 1", requests, date)
		}
	}
}

func TestGrantNoticesThatTheClockIsRightAgain(t *testing.T) {
	var log bytes.Buffer
	off := time.Hour
	org := newOrg(t, newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		claims := jwt.MapClaims{}
		jwt.NewParser().ParseUnverified(r.PostFormValue("assertion"), claims)
		exp, err := claims.GetExpirationTime()
		if ahead := time.Until(exp.Time) - off; err != nil || ahead < 0 || ahead > 3*time.Minute {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":"invalid_grant","error_description":"invalid assertion"}`)
			return
		}
		io.WriteString(w, goodAnswer)
	}).URL, auth.OrgConfig{Transport: newTransport(t), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, off = range []time.Duration{time.Hour, 0, 0} {
		if _, err := org.Grant(t.Context(), ada); err != nil {
			t.Errorf("Grant with a clock off by %v = %v, want a token", off, err)
		}
	}
	text := log.String()
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "agrees with Salesforce's again") != 1 ||
		!strings.Contains(text, "clock_behind=1h0m0s") && !strings.Contains(text, "clock_behind=59m59s") { // Date has whole seconds
		t.Errorf("log = %q, want one warning of 1h and one line of its end", text)
	}
}

// Two subjects start together: the one whose answer comes second finds the
// clock corrected already, and its assertion was as wrong.
func TestGrantCorrectsTheClockForAllWhoWereWrong(t *testing.T) {
	var mu sync.Mutex
	requests := 0
	both := make(chan struct{})
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(time.Hour)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		claims := jwt.MapClaims{}
		jwt.NewParser().ParseUnverified(r.PostFormValue("assertion"), claims)
		mu.Lock()
		if requests++; requests == 2 {
			close(both)
		}
		mu.Unlock()
		<-both
		if exp, err := claims.GetExpirationTime(); err != nil || exp.Before(now) {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":"invalid_grant","error_description":"expired authorization code"}`)
			return
		}
		io.WriteString(w, goodAnswer)
	})
	org := newOrg(t, server.URL, auth.OrgConfig{Transport: newTransport(t)})
	var wg sync.WaitGroup
	for _, subject := range []string{ada, grace} {
		wg.Go(func() {
			if _, err := org.Grant(t.Context(), subject); err != nil {
				t.Errorf("Grant(%s) = %v, want a token", subject, err)
			}
		})
	}
	wg.Wait()
}

func TestGrantOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodAnswer) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	stale := httptest.NewUnstartedServer(server.Config.Handler)
	stale.Config.ErrorLog = server.Config.ErrorLog
	staleCert := newCertificate(t, time.Now().Add(-time.Hour))
	stale.TLS = &tls.Config{Certificates: []tls.Certificate{staleCert}}
	stale.StartTLS()
	t.Cleanup(stale.Close)
	plain := newServer(t, server.Config.Handler.ServeHTTP)

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	roots.AddCert(staleCert.Leaf)
	for _, tt := range []struct {
		name  string
		url   string
		roots *x509.CertPool
		hint  string // "" for a token
	}{
		{"trusted", server.URL, roots, ""},
		{"untrusted", server.URL, nil, "SF_CA_FILE"},
		{"wrong host name", "https://wrong.my.salesforce.com", roots, "for another host"},
		{"expired", stale.URL, roots, "clock"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), roots, "does not speak TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			transport := newTransport(t)
			transport.TLSClientConfig = &tls.Config{RootCAs: tt.roots}
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dial(ctx, network, strings.Replace(addr, "wrong.my.salesforce.com:443", server.Listener.Addr().String(), 1))
			}
			_, err := newOrg(t, tt.url, auth.OrgConfig{Transport: transport}).Grant(t.Context(), ada)
			if tt.hint == "" {
				if err != nil {
					t.Errorf("Grant = %v, want a token", err)
				}
				return
			}
			if e := wantGrantError(t, err); !e.Permanent || e.Status != 0 || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("Grant = %v, permanent %v, hint %q, want a permanent error with %q in the hint", err, e.Permanent, e.Hint, tt.hint)
			}
		})
	}
}

// newCertificate returns a self-signed certificate for 127.0.0.1 that ends at
// notAfter.
func newCertificate(t *testing.T, notAfter time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: rsaKey(), Leaf: leaf}
}

func TestGrantWithAnUnreachableEndpoint(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	_, err = newOrg(t, "http://"+listener.Addr().String(), auth.OrgConfig{Transport: newTransport(t)}).Grant(t.Context(), ada)
	if e := wantGrantError(t, err); e.Permanent || e.Status != 0 || !strings.Contains(e.Hint, "HTTPS_PROXY") {
		t.Errorf("Grant = %+v, want a passing fault with a hint", e)
	}
	if opErr, ok := errors.AsType[*net.OpError](err); !ok || opErr.Op != "dial" {
		t.Errorf("Grant = %v, want a dial error in it", err)
	}
}

type brokenSigner struct{ cheapSigner }

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token was pulled out")
}

func TestGrantWithAKeyThatFails(t *testing.T) {
	org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Key: brokenSigner{}, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errors.New("no")
	})})
	if _, err := org.Grant(t.Context(), ada); err == nil || err.Error() != "signing the assertion: the token was pulled out" || auth.IsPermanent(err) {
		t.Errorf("Grant = %v, want the signer's error", err)
	}
}

func TestNewOrgRefusesWhatCannotWork(t *testing.T) {
	good := auth.OrgConfig{LoginURL: acme, ConsumerKey: consumerKey, Key: cheapSigner{}}
	for _, tt := range []struct {
		name   string
		change func(*auth.OrgConfig)
		want   string // in the error; "" for none
	}{
		{"good", func(*auth.OrgConfig) {}, ""},
		{"no login URL", func(c *auth.OrgConfig) { c.LoginURL = nil }, "LoginURL"},
		{"no consumer key", func(c *auth.OrgConfig) { c.ConsumerKey = "" }, "ConsumerKey"},
		{"no key", func(c *auth.OrgConfig) { c.Key = nil }, "Key"},
		{"login URL without scheme", func(c *auth.OrgConfig) { c.LoginURL = parseURL(t, "acme.my.salesforce.com") }, "not an https URL"},
		{"login URL with a password", func(c *auth.OrgConfig) { c.LoginURL = parseURL(t, "https://a:b@acme.my.salesforce.com") }, "more than"},
		{"login URL with a query", func(c *auth.OrgConfig) { c.LoginURL = parseURL(t, "https://acme.my.salesforce.com?a=b") }, "more than"},
		{"login URL over HTTP", func(c *auth.OrgConfig) { c.LoginURL = parseURL(t, "http://acme.my.salesforce.com") }, "SF_ALLOW_HTTP"},
		{"login URL over HTTP, allowed", func(c *auth.OrgConfig) {
			c.LoginURL, c.AllowHTTP = parseURL(t, "http://devorg:8080"), true
		}, ""},
		{"login URL over HTTP on loopback", func(c *auth.OrgConfig) { c.LoginURL = parseURL(t, "http://LOCALHOST:8080") }, ""},
		{"instance URL over HTTP", func(c *auth.OrgConfig) { c.InstanceURL = parseURL(t, "http://crm.example") }, "InstanceURL"},
		{"instance URL with a password", func(c *auth.OrgConfig) { c.InstanceURL = parseURL(t, "https://a:b@crm.example") }, "InstanceURL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			_, err := auth.NewOrg(cfg)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("NewOrg = %v, want %q in it", err, tt.want)
			}
		})
	}
}
