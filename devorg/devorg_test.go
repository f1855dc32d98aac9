package devorg_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

const (
	consumerKey = "3MVG9.test.consumer.key"
	username    = "integration@devorg.example"
)

var appKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey() })

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// start runs an org for the test, with what change makes of the usual configuration.
func start(t *testing.T, change func(*devorg.Config)) *devorg.Org {
	t.Helper()
	cfg := devorg.Config{ConsumerKey: consumerKey, PublicKey: &appKey().PublicKey, Users: []string{username}}
	if change != nil {
		change(&cfg)
	}
	org, err := devorg.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := org.Close(); err != nil {
			t.Error(err)
		}
	})
	return org
}

type fields = map[string]any

func goodHeader() fields { return fields{"alg": "RS256", "typ": "JWT"} }

func goodClaims(org *devorg.Org) fields {
	return fields{"iss": consumerKey, "sub": username, "aud": org.LoginURL(), "exp": time.Now().Add(3 * time.Minute).Unix()}
}

// sign makes an assertion of anything, signed with RS256 whatever its header says.
func sign(key *rsa.PrivateKey, header, claims any) string {
	encode := func(v any) string {
		data, isRaw := v.([]byte)
		if !isRaw {
			data, _ = json.Marshal(v)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func grantForm(assertion string) string {
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}.Encode()
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, request *http.Request) reply {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

func newRequest(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

func grantRequest(t *testing.T, org *devorg.Org, assertion string) *http.Request {
	t.Helper()
	request := newRequest(t, "POST", org.LoginURL()+"/services/oauth2/token", grantForm(assertion))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// login returns a token of a valid grant.
func login(t *testing.T, org *devorg.Org) string {
	t.Helper()
	got := send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org))))
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("grant = %d %s", got.status, got.body)
	}
	return answer.AccessToken
}

// A session sends requests with a token.
type session struct {
	t     *testing.T
	org   *devorg.Org
	token string
}

func open(t *testing.T, org *devorg.Org) session { return session{t, org, login(t, org)} }

func (s session) request(method, path, body string) *http.Request {
	s.t.Helper()
	request := newRequest(s.t, method, s.org.InstanceURL()+path, body)
	request.Header.Set("Authorization", "Bearer "+s.token)
	return request
}

func (s session) do(method, path, body string) reply {
	s.t.Helper()
	return send(s.t, s.request(method, path, body))
}

const data = "/services/data/v60.0"

func (s session) create(sobject, body string) string {
	s.t.Helper()
	got := s.do("POST", data+"/sobjects/"+sobject, body)
	if got.status != http.StatusCreated {
		s.t.Fatalf("create %s = %d %s", sobject, got.status, got.body)
	}
	return got.json(s.t)["id"].(string)
}

func (r reply) json(t *testing.T) fields {
	t.Helper()
	var decoded fields
	if err := json.Unmarshal([]byte(r.body), &decoded); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return decoded
}

// errorCode is the code of a REST error, or empty.
func (r reply) errorCode() string {
	var items []struct {
		Code string `json:"errorCode"`
	}
	if json.NewDecoder(bytes.NewReader([]byte(r.body))).Decode(&items) != nil || len(items) != 1 {
		return ""
	}
	return items[0].Code
}

func wantError(t *testing.T, what string, got reply, status int, code string) {
	t.Helper()
	if got.status != status || got.errorCode() != code {
		t.Errorf("%s = %d %s, want %d %s", what, got.status, got.body, status, code)
	}
}

func TestStartNamesEveryFault(t *testing.T) {
	_, err := devorg.Start(devorg.Config{PublicLoginURL: "org.example/path", OrgID: "x"})
	if err == nil {
		t.Fatal("Start accepted an empty configuration")
	}
	for _, want := range []string{"ConsumerKey", "PublicKey", "Users", "PublicLoginURL", "OrgID"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}

func TestStartReportsBusyAddress(t *testing.T) {
	org := start(t, nil)
	_, err := devorg.Start(devorg.Config{ConsumerKey: consumerKey, PublicKey: &appKey().PublicKey,
		Users: []string{username}, InstanceListen: strings.TrimPrefix(org.InstanceURL(), "http://")})
	if err == nil || !strings.Contains(err.Error(), "InstanceListen") {
		t.Errorf("Start on a busy address: %v, want an error that names InstanceListen", err)
	}
}
