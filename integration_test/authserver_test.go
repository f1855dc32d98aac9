package integration_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestForeignAuthServer has an authorization server on somebody else's library
// judge the assertions of sfproxy: it accepts them as they are and refuses them
// bent.
func TestForeignAuthServer(t *testing.T) {
	t.Parallel()
	s := startAuthServer(t)
	t.Run("accepts", s.testAccepts)
	t.Run("refuses a wrong setting", s.testWrongSettings)
	t.Run("refuses flipped bits and a replay", s.testFlippedBits)
	t.Run("refuses wrong claims and algorithms", s.testWrongClaims)
	t.Run("has another clock", s.testClock)
}

// noKey is what the server says where it has no key for the issuer and the
// subject that verifies the signature.
const noKey = "No public JWK was registered"

func (s *authServer) testAccepts(t *testing.T) {
	got, assertions := s.grant(t)
	if token := strings.TrimSuffix(got.stdout, "\n"); got.status != 0 || token == "" || strings.ContainsAny(token, " \n") {
		t.Fatalf("token = %+v, want one", got)
	}
	if len(assertions) != 1 {
		t.Fatalf("sent %d assertions, want 1", len(assertions))
	}
	t.Run("openssl", func(t *testing.T) { s.verifyWithOpenSSL(t, assertions[0]) })
	t.Run("only once", func(t *testing.T) { s.refuses(t, assertions[0], "jti_known", "already used") })
}

func (s *authServer) testWrongSettings(t *testing.T) {
	otherKey := writeFile(t, "other.key", keyPEM(t, testKey()))
	for _, test := range []struct{ setting, reason string }{
		{"SF_JWT_KEY_FILE=" + otherKey, noKey},
		{"SF_CLIENT_ID=another-consumer-key", noKey},
		{"SF_USERNAME=somebody.else@example.com", noKey},
		{"SF_AUDIENCE=https://test.salesforce.com", "identifies the authorization server as an intended audience"},
	} {
		name, _, _ := strings.Cut(test.setting, "=")
		t.Run(name, func(t *testing.T) {
			got, assertions := s.grant(t, test.setting)
			got.check(t, 1, "invalid_grant", "\nhint: ")
			if len(assertions) != 1 {
				t.Fatalf("sent %d assertions, want 1", len(assertions))
			}
			s.refuses(t, assertions[0], "invalid_grant", test.reason)
		})
	}
}

// testFlippedBits flips every bit of an assertion in turn, which the server has
// not seen, and at the end shows that it was good.
func (s *authServer) testFlippedBits(t *testing.T) {
	assertion := s.steal(t)
	parts := strings.Split(assertion, ".")
	for n, part := range parts {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(raw) {
			flipped := slices.Clone(raw)
			flipped[bit/8] ^= 1 << (bit % 8)
			bent := slices.Clone(parts)
			bent[n] = base64.RawURLEncoding.EncodeToString(flipped)
			if s.refuses(t, strings.Join(bent, "."), "invalid_grant", ""); t.Failed() {
				t.Fatalf("with bit %d of part %d flipped", bit, n)
			}
		}
	}
	if a := s.post(t, assertion); a.status != http.StatusOK {
		t.Errorf("the assertion itself: answer %d %s, want 200", a.status, a.body)
	}
	s.refuses(t, assertion, "jti_known", "already used")
}

// testWrongClaims signs claims of its own, made of those of a real assertion.
func (s *authServer) testWrongClaims(t *testing.T) {
	original := claimsOf(t, s.steal(t))
	claims := func(change jwt.MapClaims) jwt.MapClaims {
		c := maps.Clone(original)
		c["jti"] = rand.Text()
		maps.Copy(c, change)
		maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
		return c
	}
	sign := func(method jwt.SigningMethod, key any, change jwt.MapClaims) string {
		signed, err := jwt.NewWithClaims(method, claims(change)).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	if a := s.post(t, sign(jwt.SigningMethodRS256, s.key, nil)); a.status != http.StatusOK {
		t.Fatalf("the claims unchanged: answer %d %s, want 200", a.status, a.body)
	}

	now := time.Now()
	for _, test := range []struct {
		name   string
		change jwt.MapClaims // nil leaves a claim out
		reason string
	}{
		{"no iss", jwt.MapClaims{"iss": nil}, "'iss' (issuer)"},
		{"no sub", jwt.MapClaims{"sub": nil}, "'sub' (subject)"},
		{"no aud", jwt.MapClaims{"aud": nil}, "'aud' (audience)"},
		{"no exp", jwt.MapClaims{"exp": nil}, "'exp' (expiration time)"},
		{"no jti", jwt.MapClaims{"jti": nil}, "'jti' (JWT ID)"},
		{"expired", jwt.MapClaims{"exp": now.Add(-time.Second).Unix()}, "parameter expired"},
		{"expires in an hour", jwt.MapClaims{"exp": now.Add(time.Hour).Unix()}, "unreasonably far in the future"},
		{"not yet valid", jwt.MapClaims{"nbf": now.Add(time.Minute).Unix()}, "'nbf' (not before)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.refuses(t, sign(jwt.SigningMethodRS256, s.key, test.change), "invalid_grant", test.reason)
		})
	}

	public, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	for name, assertion := range map[string]string{
		"another key":             sign(jwt.SigningMethodRS256, testKey(), nil),
		"none":                    sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256 by the public key": sign(jwt.SigningMethodHS256, secret, nil),
	} {
		t.Run(name, func(t *testing.T) { s.refuses(t, assertion, "invalid_grant", noKey) })
	}
}

// testClock shifts what the server says of its clock: sfproxy tries a refused
// assertion again with the server's time. The library's own clock stays right.
func (s *authServer) testClock(t *testing.T) {
	s.set(func() { s.clockAhead = time.Hour })
	defer s.set(func() { s.clockAhead = 0 })
	got, assertions := s.grant(t, "SF_CLIENT_ID=another-consumer-key")
	if got.status != 1 || len(assertions) != 2 {
		t.Fatalf("token = %+v after %d assertions, want exit status 1 after 2", got, len(assertions))
	}
	first, second := claimsOf(t, assertions[0]), claimsOf(t, assertions[1])
	later := time.Duration(second["exp"].(float64)-first["exp"].(float64)) * time.Second
	if (later - time.Hour).Abs() > 10*time.Second {
		t.Errorf("the second assertion expires %v after the first, want an hour", later)
	}
	if first["jti"] == second["jti"] {
		t.Error("both assertions have the same jti")
	}
}

// authServer is the server with a recorder in front of it, and what sfproxy
// needs to log in there.
type authServer struct {
	endpoint    string // token endpoint of the server itself, past the recorder
	env         []string
	key         *rsa.PrivateKey
	certificate string // path

	mu         sync.Mutex    // guards what follows
	assertions []string      // that sfproxy has sent
	isHolding  bool          // nothing reaches the server
	clockAhead time.Duration // what Date is ahead of the server's clock
}

// startAuthServer makes a key pair with sfproxy keygen and starts a server that
// knows its certificate.
func startAuthServer(t *testing.T) *authServer {
	t.Helper()
	const audience = "https://login.salesforce.com"
	dir := t.TempDir()
	if got := run(t, nil, "keygen", "--dir", dir); got.status != 0 {
		t.Fatalf("keygen = %+v", got)
	}
	keyFile := filepath.Join(dir, "server.key")
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := &authServer{certificate: filepath.Join(dir, "server.crt")}
	if s.key, err = jwt.ParseRSAPrivateKeyFromPEM(text); err != nil {
		t.Fatal(err)
	}
	origin := startAuthProgram(t, "-certificate", s.certificate, "-issuer", consumerKey,
		"-subject", subject, "-audience", audience, "-instance", "https://example.my.salesforce.com")
	s.endpoint = origin.JoinPath("services/oauth2/token").String()
	recorder := httptest.NewServer(s.recorder(origin))
	t.Cleanup(recorder.Close)
	s.env = []string{
		"SF_LOGIN_URL=" + recorder.URL,
		"SF_AUDIENCE=" + audience,
		"SF_CLIENT_ID=" + consumerKey,
		"SF_USERNAME=" + subject,
		"SF_JWT_KEY_FILE=" + keyFile,
	}
	return s
}

// startAuthProgram runs the server's program until the test ends and returns
// its URL.
func startAuthProgram(t *testing.T, args ...string) *url.URL {
	t.Helper()
	cmd := exec.Command(buildModule(t, filepath.Join("testdata", "authserver")), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not say where it listens: %v\n%s", err, &stderr)
	}
	origin, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return origin
}

// recorder keeps the assertions that it passes on.
func (s *authServer) recorder(origin *url.URL) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(origin) },
		ModifyResponse: func(resp *http.Response) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			resp.Header.Set("Date", time.Now().Add(s.clockAhead).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		s.mu.Lock()
		s.assertions = append(s.assertions, form.Get("assertion"))
		isHolding := s.isHolding
		s.mu.Unlock()
		if isHolding {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	})
}

func (s *authServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// grant runs sfproxy token with further variables, and returns what it sent.
func (s *authServer) grant(t *testing.T, variables ...string) (got result, assertions []string) {
	t.Helper()
	s.set(func() { s.assertions = nil })
	got = run(t, with(s.env, variables...), "token")
	s.set(func() { assertions = s.assertions })
	return got, assertions
}

// steal returns an assertion of sfproxy that the server has not seen.
func (s *authServer) steal(t *testing.T) string {
	t.Helper()
	s.set(func() { s.isHolding = true })
	defer s.set(func() { s.isHolding = false })
	got, assertions := s.grant(t)
	if got.status != 1 || len(assertions) != 1 {
		t.Fatalf("token = %+v after %d assertions, want exit status 1 after 1", got, len(assertions))
	}
	return assertions[0]
}

// post sends an assertion to the server itself.
func (s *authServer) post(t *testing.T, assertion string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	return fetch(t, http.MethodPost, s.endpoint, form.Encode(), "Content-Type: application/x-www-form-urlencoded")
}

// refuses fails the test unless the server answers with the OAuth error code
// and a description that has reason in it.
func (s *authServer) refuses(t *testing.T, assertion, code, reason string) {
	t.Helper()
	a := s.post(t, assertion)
	refusal := decode[struct {
		Error       string
		Description string `json:"error_description"`
	}](t, a.body)
	if a.status != http.StatusBadRequest || refusal.Error != code || !strings.Contains(refusal.Description, reason) {
		t.Errorf("answer %d %s, want 400 with %q and %q", a.status, a.body, code, reason)
	}
}

// verifyWithOpenSSL checks an assertion's signature by the certificate alone.
func (s *authServer) verifyWithOpenSSL(t *testing.T, assertion string) {
	need(t, "openssl")
	end := strings.LastIndex(assertion, ".")
	signature, err := base64.RawURLEncoding.DecodeString(assertion[end+1:])
	if err != nil {
		t.Fatal(err)
	}
	public := openssl(t, "x509", "-in", s.certificate, "-noout", "-pubkey")
	got := openssl(t, "dgst", "-sha256", "-verify", writeFile(t, "public.pem", public),
		"-signature", writeFile(t, "signature", signature), writeFile(t, "text", []byte(assertion[:end])))
	if want := "Verified OK\n"; string(got) != want {
		t.Errorf("openssl dgst = %q, want %q", got, want)
	}
}

func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
	}
	return out
}

// claimsOf returns the claims of an assertion, whoever signed it.
func claimsOf(t *testing.T, assertion string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(assertion, claims); err != nil {
		t.Fatal(fmt.Errorf("%w in %q", err, assertion))
	}
	return claims
}
