package login_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/login"
)

const (
	subject  = "integration@example.com"
	username = "etl@legacy.local"
	password = "correct horse & <staple>"
	apiKey   = "0123456789abcdef0123"
)

// fixture is a Logins in front of an embedded org.
type fixture struct {
	*login.Logins
	org     *devorg.Org
	manager *auth.Manager
	server  *httptest.Server
}

func hash(text string) login.Hash { return login.HashOf([]byte(text)) }

func start(t *testing.T, change func(*login.Config)) *fixture {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	org, err := devorg.Start(devorg.Config{ConsumerKey: "key", PublicKey: &key.PublicKey, Users: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { org.Close() })
	loginURL, _ := url.Parse(org.LoginURL())
	granter, err := auth.NewOrg(auth.OrgConfig{LoginURL: loginURL, ConsumerKey: "key", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	manager := auth.NewManager(granter.Grant, nil)
	t.Cleanup(manager.Close)
	cfg := login.Config{
		Accounts: []login.Account{
			{Client: "etl", Subject: subject, Username: username, Password: hash(password), PasswordAndToken: hash(password + "TOKEN")},
			{Client: "billing", Subject: subject, APIKey: hash(apiKey)},
		},
		Secret: bytes.Repeat([]byte{7}, 32), TTL: time.Hour,
		Tokens: manager, Transport: http.DefaultTransport,
	}
	if change != nil {
		change(&cfg)
	}
	logins, err := login.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Logins: logins, org: org, manager: manager}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/services/Soap/") {
			text, _ := io.ReadAll(r.Body)
			f.ServeSOAP(w, r, "http://"+r.Host, text)
			return
		}
		f.ServeOAuth(w, r, "http://"+r.Host)
	}))
	t.Cleanup(f.server.Close)
	return f
}

// soapLogin is a login() as an app would send it.
func soapLogin(namespace, user, pass string) string {
	var u, p bytes.Buffer
	xml.EscapeText(&u, []byte(user))
	xml.EscapeText(&p, []byte(pass))
	return `<?xml version="1.0" encoding="utf-8"?><se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body><n1:login xmlns:n1="` +
		namespace + `"><n1:username>` + u.String() + `</n1:username><n1:password>` + p.String() + `</n1:password></n1:login></se:Body></se:Envelope>`
}

func (f *fixture) post(t *testing.T, path, contentType, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(f.server.URL+path, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// tagText finds a bare tag by search, as some clients do.
func tagText(t *testing.T, text, name string) string {
	t.Helper()
	m := regexp.MustCompile(`<` + name + `>([^<]*)</` + name + `>`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no <%s> in %s", name, text)
	}
	return m[1]
}

func TestSOAPLogin(t *testing.T) {
	f := start(t, nil)
	for _, tt := range []struct{ path, namespace, pass, packages string }{
		{"/services/Soap/u/60.0", "urn:partner.soap.sforce.com", password, ""},
		{"/services/Soap/u/67.0/00D000000000001", "urn:partner.soap.sforce.com", password, ""},
		{"/services/Soap/u/20.0", "urn:partner.soap.sforce.com", password + "TOKEN", ""},
		{"/services/Soap/c/45.0", "urn:enterprise.soap.sforce.com", password, ""},
		{"/services/Soap/c/45.0/0DF5g000000PkgV", "urn:enterprise.soap.sforce.com", password, "/0DF5g000000PkgV"},
		{"/services/Soap/c/45.0/00D5g000000DvOr/0DF5g000000PkgV", "urn:enterprise.soap.sforce.com", password, "/0DF5g000000PkgV"},
		{"/services/Soap/c/45.0/0DF", "urn:enterprise.soap.sforce.com", password, ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			resp, text := f.post(t, tt.path, "text/xml", soapLogin(tt.namespace, username, tt.pass))
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", resp.StatusCode, text)
			}
			orgID := f.org.OrgID()
			want := f.server.URL + strings.Join(strings.Split(tt.path, "/")[:5], "/") + "/" + orgID + tt.packages
			if got := tagText(t, text, "serverUrl"); got != want {
				t.Errorf("serverUrl = %q, want %q", got, want)
			}
			if got := tagText(t, text, "organizationId"); got != orgID {
				t.Errorf("organizationId = %q, want %q", got, orgID)
			}
			if got := tagText(t, text, "userName"); got != subject {
				t.Errorf("userName = %q, want %q", got, subject)
			}
			if got := tagText(t, text, "sessionSecondsValid"); got != "3600" {
				t.Errorf("sessionSecondsValid = %q, want our session's 3600", got)
			}
			session := tagText(t, text, "sessionId")
			if !strings.HasPrefix(session, orgID[:15]+"!") {
				t.Errorf("session does not begin with the org's id and an exclamation mark")
			}
			if client, err := f.Client(session); client != "etl" || err != nil {
				t.Errorf("Client = %q, %v, want etl", client, err)
			}
			var doc struct {
				Result struct {
					Children []struct{ XMLName xml.Name } `xml:",any"`
				} `xml:"Body>loginResponse>result"`
			}
			if err := xml.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			var order []string
			for _, c := range doc.Result.Children {
				if c.XMLName.Space != tt.namespace {
					t.Errorf("<%s> is in namespace %q, want %q", c.XMLName.Local, c.XMLName.Space, tt.namespace)
				}
				order = append(order, c.XMLName.Local)
			}
			if got, want := strings.Join(order, " "), "metadataServerUrl passwordExpired sandbox serverUrl sessionId userId userInfo"; got != want {
				t.Errorf("children of result: %s, want %s", got, want)
			}
		})
	}
}

func TestSOAPLoginRefusals(t *testing.T) {
	partner, enterprise := "urn:partner.soap.sforce.com", "urn:enterprise.soap.sforce.com"
	good := soapLogin(partner, username, password)
	for _, tt := range []struct{ name, path, body, code, namespace string }{
		{"wrong password", "/services/Soap/u/60.0", soapLogin(partner, username, "wrong"), "INVALID_LOGIN", partner},
		{"wrong user", "/services/Soap/c/60.0", soapLogin(enterprise, "nobody", password), "INVALID_LOGIN", enterprise},
		{"empty password", "/services/Soap/u/60.0", soapLogin(partner, username, ""), "INVALID_LOGIN", partner},
		{"no account's empty name", "/services/Soap/u/60.0", soapLogin(partner, "", ""), "INVALID_LOGIN", partner},
		{"too old a version", "/services/Soap/u/19.0", good, "INVALID_OPERATION", partner},
		{"document type", "/services/Soap/u/60.0", `<!DOCTYPE x [<!ENTITY a "b">]>` + strings.TrimPrefix(good, `<?xml version="1.0" encoding="utf-8"?>`), "INVALID_OPERATION", partner},
		{"another namespace", "/services/Soap/u/60.0", soapLogin("urn:other", username, password), "INVALID_OPERATION", partner},
		{"not XML", "/services/Soap/u/60.0", "username=x", "INVALID_OPERATION", partner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := start(t, nil).post(t, tt.path, "text/xml", tt.body)
			if resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("status %d, want 500", resp.StatusCode)
			}
			if got, want := tagText(t, text, "faultcode"), "sf:"+tt.code; got != want {
				t.Errorf("faultcode = %q, want %q", got, want)
			}
			if want := strings.Replace(tt.namespace, "urn:", "urn:fault.", 1); !strings.Contains(text, `xmlns:sf="`+want+`"`) {
				t.Errorf("the fault is not in namespace %s: %s", want, text)
			}
		})
	}
}

func TestSOAPLogoutEndsTheSession(t *testing.T) {
	f := start(t, nil)
	_, text := f.post(t, "/services/Soap/u/60.0", "text/xml", soapLogin("urn:partner.soap.sforce.com", username, password))
	session := tagText(t, text, "sessionId")
	logout := `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header><SessionHeader xmlns="urn:partner.soap.sforce.com"><sessionId>` + session +
		`</sessionId></SessionHeader></Header><Body><logout xmlns="urn:partner.soap.sforce.com"/></Body></Envelope>`
	resp, text := f.post(t, "/services/Soap/u/60.0", "text/xml", logout)
	if resp.StatusCode != http.StatusOK || !strings.Contains(text, "<logoutResponse/>") {
		t.Fatalf("logout = %d %s", resp.StatusCode, text)
	}
	if _, err := f.Client(session); err == nil {
		t.Error("the session is still good after logout")
	}
	if _, text = f.post(t, "/services/Soap/u/60.0", "text/xml", logout); !strings.Contains(text, "sf:INVALID_SESSION_ID") {
		t.Errorf("a second logout = %s, want INVALID_SESSION_ID", text)
	}
	if stats := f.org.Stats(); stats.LiveTokens != 1 {
		t.Errorf("live tokens at the org = %d, want the shared one", stats.LiveTokens)
	}
}

func TestOAuthGrants(t *testing.T) {
	f := start(t, nil)
	for _, tt := range []struct {
		name, client, secret string
		form                 url.Values
		query                bool
	}{
		{"password", "etl", "s3cret", url.Values{"grant_type": {"password"}, "client_id": {"any"}, "client_secret": {"s3cret"}, "username": {username}, "password": {password + "TOKEN"}}, false},
		{"password in the query", "etl", "s3cret", url.Values{"grant_type": {"password"}, "client_id": {"any"}, "client_secret": {"s3cret"}, "username": {username}, "password": {password}}, true},
		{"client credentials", "billing", apiKey, url.Values{"grant_type": {"client_credentials"}, "client_id": {"billing"}, "client_secret": {apiKey}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, body := login.TokenPath, tt.form.Encode()
			if tt.query {
				path, body = path+"?"+body, ""
			}
			resp, text := f.post(t, path, "application/x-www-form-urlencoded", body)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", resp.StatusCode, text)
			}
			var answer map[string]string
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatal(err)
			}
			if client, err := f.Client(answer["access_token"]); client != tt.client || err != nil {
				t.Errorf("Client = %q, %v, want %q", client, err, tt.client)
			}
			if answer["instance_url"] != f.server.URL || answer["token_type"] != "Bearer" || answer["scope"] == "" {
				t.Errorf("answer = %v", answer)
			}
			if want := f.server.URL + "/id/" + f.org.OrgID() + "/005"; !strings.HasPrefix(answer["id"], want) {
				t.Errorf("id = %q, want %q…", answer["id"], want)
			}
			h := hmac.New(sha256.New, []byte(tt.secret))
			h.Write([]byte(answer["id"] + answer["issued_at"]))
			if want := base64.StdEncoding.EncodeToString(h.Sum(nil)); answer["signature"] != want {
				t.Errorf("signature = %q, want %q", answer["signature"], want)
			}
		})
	}
}

func TestOAuthRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, form, code, description string
	}{
		{"wrong password", "grant_type=password&username=" + username + "&password=wrong", "invalid_grant", "authentication failure"},
		{"wrong key", "grant_type=client_credentials&client_id=billing&client_secret=wrong", "invalid_client", "invalid client credentials"},
		{"client without a key", "grant_type=client_credentials&client_id=etl&client_secret=", "invalid_client", "invalid client credentials"},
		{"refresh token", "grant_type=refresh_token&refresh_token=x", "unsupported_grant_type", "grant type not supported"},
		{"nothing", "", "unsupported_grant_type", "grant type not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := start(t, nil).post(t, login.TokenPath, "application/x-www-form-urlencoded", tt.form)
			want := fmt.Sprintf(`{"error":%q,"error_description":%q}`, tt.code, tt.description)
			if resp.StatusCode != http.StatusBadRequest || strings.TrimSpace(text) != want {
				t.Errorf("answer = %d %s, want 400 %s", resp.StatusCode, text, want)
			}
		})
	}
}

func TestRevokeEndsTheSession(t *testing.T) {
	f := start(t, nil)
	_, text := f.post(t, login.TokenPath, "application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=billing&client_secret="+apiKey)
	var answer struct {
		Token string `json:"access_token"`
	}
	json.Unmarshal([]byte(text), &answer)
	if _, err := f.Client(answer.Token); err != nil {
		t.Fatal(err)
	}
	if resp, _ := f.post(t, login.RevokePath, "application/x-www-form-urlencoded", url.Values{"token": {answer.Token}}.Encode()); resp.StatusCode != http.StatusOK {
		t.Errorf("revoke = %d, want 200", resp.StatusCode)
	}
	if _, err := f.Client(answer.Token); err == nil {
		t.Error("the session is still good after its revocation")
	}
}

func TestSixthFailureWaits(t *testing.T) {
	f := start(t, nil)
	for range 5 {
		if _, text := f.post(t, "/services/Soap/u/60.0", "text/xml", soapLogin("urn:partner.soap.sforce.com", username, "wrong")); !strings.Contains(text, "INVALID_LOGIN") {
			t.Fatalf("early failure = %s", text)
		}
	}
	resp, _ := f.post(t, login.TokenPath, "application/x-www-form-urlencoded", "grant_type=password&username=x&password=y")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("sixth failure = %d, Retry-After %q; want 429 with one", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

func TestChangedPasswordEndsSessions(t *testing.T) {
	f := start(t, nil)
	_, text := f.post(t, "/services/Soap/u/60.0", "text/xml", soapLogin("urn:partner.soap.sforce.com", username, password))
	session := tagText(t, text, "sessionId")
	same := start(t, nil)
	if client, err := same.Client(session); client != "etl" || err != nil {
		t.Errorf("another replica: Client = %q, %v, want etl", client, err)
	}
	changed := start(t, func(c *login.Config) { c.Accounts[0].Password = hash("new") })
	if _, err := changed.Client(session); err == nil {
		t.Error("a session outlived its password")
	}
	other := start(t, func(c *login.Config) { c.Secret = bytes.Repeat([]byte{8}, 32) })
	if _, err := other.Client(session); err == nil {
		t.Error("a session signed with another secret is good")
	}
}

// TestSetAccounts changes each credential of a client that is logged in.
func TestSetAccounts(t *testing.T) {
	whole := login.Account{Client: "etl", Subject: subject, Username: username, Password: hash(password), PasswordAndToken: hash(password + "TOKEN"), ConsumerSecret: hash("s")}
	other := login.Account{Client: "crm", Subject: subject, Username: "crm", Password: hash(password)}
	for name, change := range map[string]func(*login.Account){
		"password":        func(a *login.Account) { a.Password = hash("another") },
		"security token":  func(a *login.Account) { a.PasswordAndToken = hash("another") },
		"username":        func(a *login.Account) { a.Username = "another" },
		"consumer key":    func(a *login.Account) { a.ConsumerKey = "another" },
		"consumer secret": func(a *login.Account) { a.ConsumerSecret = hash("another") },
		"API key":         func(a *login.Account) { a.APIKey = hash(apiKey) },
		"gone":            func(a *login.Account) { *a = other },
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, func(c *login.Config) { c.Accounts = []login.Account{whole, other} })
			session := func(user string) string {
				_, text := f.post(t, "/services/Soap/u/60.0", "text/xml", soapLogin("urn:partner.soap.sforce.com", user, password))
				return tagText(t, text, "sessionId")
			}
			changing, staying := session(username), session("crm")
			changed := whole
			change(&changed)
			f.SetAccounts([]login.Account{changed, other})
			if client, err := f.Client(changing); err == nil {
				t.Errorf("the session of %s is still good", client)
			}
			if client, err := f.Client(staying); client != "crm" || err != nil {
				t.Errorf("the other client's session = %q, %v, want crm's", client, err)
			}
			f.SetAccounts([]login.Account{whole, other})
			if client, err := f.Client(changing); client != "etl" || err != nil {
				t.Errorf("the session after the change was taken back = %q, %v, want etl's", client, err)
			}
		})
	}
}

func TestLoginSurvivesARevokedToken(t *testing.T) {
	f := start(t, nil)
	f.manager.Token(t.Context(), subject)
	f.org.RevokeTokens()
	if resp, text := f.post(t, "/services/Soap/u/60.0", "text/xml", soapLogin("urn:partner.soap.sforce.com", username, password)); resp.StatusCode != http.StatusOK {
		t.Errorf("login = %d %s", resp.StatusCode, text)
	}
}

func TestLoginSaysWhyThereIsNoToken(t *testing.T) {
	f := start(t, nil)
	f.org.FailGrants(-1, devorg.OAuthFault("invalid_grant", "user hasn't approved this consumer"))
	resp, text := f.post(t, "/services/Soap/u/60.0", "text/xml", soapLogin("urn:partner.soap.sforce.com", username, password))
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(text, "SERVER_UNAVAILABLE") || !strings.Contains(text, "approved this consumer") {
		t.Errorf("login = %d %s, want a fault that names the OAuth error", resp.StatusCode, text)
	}
}

// A login over plain HTTP is refused, and the log says why under the answer's id.
func TestPasswordOverPlainHTTPFromElsewhereIsRefused(t *testing.T) {
	const advice = "PROXY_ALLOW_PLAIN_LOGIN"
	var log bytes.Buffer
	f := start(t, func(c *login.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for how, serve := range map[string]func(w http.ResponseWriter){
		"soap": func(w http.ResponseWriter) {
			r := httptest.NewRequest("POST", "/services/Soap/u/60.0", nil) // from 192.0.2.1
			f.ServeSOAP(w, r, "http://proxy", []byte(soapLogin("urn:partner.soap.sforce.com", username, password)))
		},
		"password": func(w http.ResponseWriter) {
			r := httptest.NewRequest("POST", login.TokenPath+"?grant_type=password&username="+url.QueryEscape(username), nil)
			f.ServeOAuth(w, r, "http://proxy")
		},
	} {
		log.Reset()
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "id-of-"+how)
		serve(w)
		if !strings.Contains(w.Body.String(), advice) {
			t.Errorf("%s: login = %s, want a refusal that names %s", how, w.Body, advice)
		}
		for _, want := range []string{"level=WARN", `msg="login refused"`, "request_id=id-of-" + how, "address=192.0.2.1", "how=" + how, advice} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: the log is %q, want %s in it", how, &log, want)
			}
		}
		if strings.Contains(log.String(), username) {
			t.Errorf("%s: the log names the user that was tried: %s", how, &log)
		}
	}
}

// A client with a consumer key logs in with it alone. A refusal goes by the
// consumer key and secret, so that without them a right password looks like a
// wrong one; while a client that takes any key is there, that is all there is to say.
func TestConsumerKeyOfAPasswordGrant(t *testing.T) {
	const wrongKey, wrongSecret, wrongPassword = "invalid_client_id: client identifier invalid", "invalid_client: invalid client credentials", "invalid_grant: authentication failure"
	mixed := start(t, func(c *login.Config) {
		c.Accounts = append(c.Accounts, login.Account{Client: "strict", Subject: subject, Username: "strict", Password: hash(password), ConsumerKey: "app", ConsumerSecret: hash("s%cret")})
	})
	strict := start(t, func(c *login.Config) { c.Accounts[0].ConsumerKey, c.Accounts[0].ConsumerSecret = "app", hash("s%cret") })
	keyOnly := start(t, func(c *login.Config) { c.Accounts[0].ConsumerKey = "app" })
	for _, tt := range []struct {
		name                           string
		f                              *fixture
		username, password, id, secret string
		basic                          bool
		want                           string // "" for a session
	}{
		{"right", strict, username, password, "app", "s%cret", false, ""},
		{"right, by Basic", strict, username, password, "app", "s%cret", true, ""},
		{"wrong key", strict, username, password, "other", "s%cret", false, wrongKey},
		{"wrong key and password", strict, username, "x", "other", "s%cret", false, wrongKey},
		{"wrong secret", strict, username, password, "app", "other", false, wrongSecret},
		{"wrong secret and password", strict, username, "x", "app", "other", false, wrongSecret},
		{"no key", strict, username, password, "", "", false, wrongKey},
		{"wrong password", strict, username, "x", "app", "s%cret", false, wrongPassword},
		{"any secret", keyOnly, username, password, "app", "x", false, ""},
		{"wrong key alone", keyOnly, username, password, "x", "x", false, wrongKey},
		{"beside one that takes any: right", mixed, "strict", password, "app", "s%cret", false, ""},
		{"beside one that takes any: wrong key", mixed, "strict", password, "other", "s%cret", false, wrongPassword},
		{"the one that takes any", mixed, username, password, "other", "", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"password"}, "username": {tt.username}, "password": {tt.password}}
			if !tt.basic {
				form.Set("client_id", tt.id)
				form.Set("client_secret", tt.secret)
			}
			r := httptest.NewRequest("POST", login.TokenPath, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = fmt.Sprintf("[::ffff:127.0.0.%d]:1", len(tt.name)) // each its own throttle
			if tt.basic {
				r.SetBasicAuth(url.QueryEscape(tt.id), url.QueryEscape(tt.secret))
			}
			w := httptest.NewRecorder()
			tt.f.ServeOAuth(w, r, "http://proxy")
			var answer struct {
				Error       string
				Description string `json:"error_description"`
				Token       string `json:"access_token"`
			}
			json.Unmarshal(w.Body.Bytes(), &answer)
			got := answer.Error + ": " + answer.Description
			if tt.want == "" && (w.Code != http.StatusOK || answer.Token == "") || tt.want != "" && (w.Code != http.StatusBadRequest || got != tt.want) {
				t.Errorf("answer = %d %s, want %q", w.Code, got, tt.want)
			}
		})
	}
}

// A failed consumer key counts as a failed login.
func TestSixthWrongConsumerKeyWaits(t *testing.T) {
	f := start(t, func(c *login.Config) { c.Accounts[0].ConsumerKey = "app" })
	form := url.Values{"grant_type": {"password"}, "client_id": {"other"}, "username": {username}, "password": {password}}.Encode()
	for try := range 6 {
		want := http.StatusBadRequest
		if try == 5 {
			want = http.StatusTooManyRequests
		}
		if resp, text := f.post(t, login.TokenPath, "application/x-www-form-urlencoded", form); resp.StatusCode != want {
			t.Fatalf("try %d = %d %s, want %d", try, resp.StatusCode, text, want)
		}
	}
}

// A login() of a retired version is answered with what that version had, which
// Salesforce says at another one.
func TestLoginOfARetiredVersion(t *testing.T) {
	f := start(t, func(c *login.Config) { c.MinAPIVersion = "60.0" })
	log := func(path string) string {
		resp, text := f.post(t, path, "text/xml", soapLogin("urn:partner.soap.sforce.com", username, password))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s = %d %s", path, resp.StatusCode, text)
		}
		return text
	}
	old, current := log("/services/Soap/u/25.0"), log("/services/Soap/u/45.0")
	if tagText(t, old, "organizationName") != tagText(t, current, "organizationName") || strings.Contains(old, "<chatterExternal>") || !strings.Contains(current, "<chatterExternal>") {
		t.Errorf("login() of 25.0 = %s, want that of 45.0 without newer elements: %s", old, current)
	}
	if want := f.server.URL + "/services/Soap/u/25.0/" + f.org.OrgID(); tagText(t, old, "serverUrl") != want {
		t.Errorf("serverUrl = %s, want %s", tagText(t, old, "serverUrl"), want)
	}
}
