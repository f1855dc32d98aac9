package integration_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// What the apps know of the proxy. The password is one that the search through
// the outputs of the run finds, and one that XML and forms have to escape.
const (
	legacyUsername      = "legacy+etl@example.com"
	legacyPassword      = passphrase + ` & <"staple'> 100% + ü`
	legacySecurityToken = "T0kEn"
)

// legacyEnv lets a client log in.
func legacyEnv(o *org) []string {
	return with(o.env, "PROXY_CLIENT_0_NAME=legacy", "PROXY_CLIENT_0_USERNAME="+legacyUsername,
		"PROXY_CLIENT_0_PASSWORD="+legacyPassword, "PROXY_CLIENT_0_SECURITY_TOKEN="+legacySecurityToken)
}

// legacyApp is an app that logs in, and how it is tried.
type legacyApp struct {
	command []string // %PROXY% stands for the proxy's URL
	revoked []string // the steps before which the org's tokens are revoked
	logins  int      // how often the app logs in, each time because its session was ended
	env     []string // further settings of the proxy
}

// run runs the app until its end and checks that what it went through was
// neither Salesforce's business nor, as to the revoked tokens, its own.
func (a legacyApp) run(t *testing.T) {
	t.Helper()
	org := startOrg(t, devorg.Config{TLS: true})
	org.AddAccounts(2500)
	p := startProxy(t, with(legacyEnv(org), a.env...))
	var args []string
	for _, arg := range a.command {
		args = append(args, strings.ReplaceAll(arg, "%PROXY%", p.URL))
	}
	beforeStep := map[string]func(){}
	for _, step := range a.revoked {
		beforeStep[step] = org.RevokeTokens
	}
	runClient(t, beforeStep, args[0], args[1:]...)
	checkShared(t, org.Stats(), len(a.revoked))
	if n := strings.Count(p.Log.String(), `"msg":"login",`); n != a.logins {
		t.Errorf("the app logged in %d times, want %d: it noticed what was not its business", n, a.logins)
	}
}

// checkShared checks that the login behind the proxy outlived all of the apps'
// sessions, and was renewed once for each time it was revoked.
func checkShared(t *testing.T, stats devorg.Stats, revocations int) {
	t.Helper()
	if want := int64(1 + revocations); stats.Grants != want || stats.GrantAttempts != want {
		t.Errorf("grants = %d of %d attempts, want %d: one at first and one a revocation", stats.Grants, stats.GrantAttempts, want)
	}
	if stats.Unauthorized < int64(revocations) {
		t.Errorf("%d requests met a revoked token, want at least %d: the test proves nothing", stats.Unauthorized, revocations)
	}
	if stats.LiveTokens != 1 {
		t.Errorf("live tokens = %d, want the one that all clients share", stats.LiveTokens)
	}
	if stats.Leaks != 0 || stats.Forbidden != 0 {
		t.Errorf("leaks = %d, forbidden requests = %d, want none", stats.Leaks, stats.Forbidden)
	}
}

// legacyScript returns the path of an app on one of the packages of legacy-js.
func legacyScript(t *testing.T, name, pkg string) string {
	t.Helper()
	need(t, "node")
	dir := filepath.Join("testdata", "clients", "legacy-js")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", pkg)); err != nil {
		skip(t, pkg+" is not installed: run npm ci in integration_test/"+filepath.ToSlash(dir))
	}
	return filepath.Join(dir, name)
}

// TestLegacyJsforce runs an app on both generations of jsforce, by both ways in.
func TestLegacyJsforce(t *testing.T) {
	t.Parallel()
	script := legacyScript(t, "jsforce.js", "jsforce")
	jsforceScript(t, "") // jsforce 3 is there
	revoked := []string{"rest update", "rest queryMore", "identity", "soap update", "soap delete", "bulk query", "bulk delete"}
	for _, major := range []string{"1", "3"} {
		for flow, logins := range map[string]int{"soap": 4, "oauth": 1} {
			app := legacyApp{command: []string{"node", script, major, flow, "%PROXY%", legacyUsername, legacyPassword}, revoked: revoked, logins: logins}
			if major == "3" {
				app.revoked = append(app.revoked[:len(revoked):len(revoked)], "bulk2 insert", "bulk2 query", "bulk2 delete")
			}
			t.Run(major+" by "+flow, func(t *testing.T) {
				t.Parallel()
				app.run(t)
			})
		}
	}
}

// TestLegacyNforce runs an app whose password has the security token appended.
func TestLegacyNforce(t *testing.T) {
	t.Parallel()
	script := legacyScript(t, "nforce.js", "nforce")
	legacyApp{
		command: []string{"node", script, "%PROXY%", legacyUsername, legacyPassword, legacySecurityToken},
		revoked: []string{"update", "query", "identity", "delete"}, logins: 2,
	}.run(t)
}

// TestLegacyGoSalesforce is TestGoSalesforce by username and password.
func TestLegacyGoSalesforce(t *testing.T) {
	t.Parallel()
	legacyApp{
		command: []string{goSalesforceApp(t), "%PROXY%", legacyUsername, legacyPassword, legacySecurityToken},
		revoked: []string{"query", "all pages", "bulk", "delete"}, logins: 1,
	}.run(t)
}

const python = "/usr/bin/python3" // that of the Debian packages

// zeepScript returns the path of an app of which a SOAP library has read the contract.
func zeepScript(t *testing.T) string {
	t.Helper()
	if err := exec.Command(python, "-c", "import zeep").Run(); err != nil {
		skip(t, "python3-zeep is not installed")
	}
	return filepath.Join("testdata", "clients", "zeep", "legacy.py")
}

// TestLegacyZeep runs an app on a SOAP library.
func TestLegacyZeep(t *testing.T) {
	t.Parallel()
	legacyApp{
		command: []string{python, "-B", zeepScript(t), "%PROXY%", legacyUsername, legacyPassword},
		revoked: []string{"user", "query", "update", "next pages", "delete"}, logins: 1,
	}.run(t)
}

// TestLegacySessionExpires runs apps whose sessions end by the clock, again and
// again, while they work: the libraries log in again by themselves, and the login
// behind the proxy is none the wiser.
func TestLegacySessionExpires(t *testing.T) {
	t.Parallel()
	jsforceScript(t, "") // jsforce 3 is there
	jsforce := legacyScript(t, "expiry.js", "jsforce")
	for name, command := range map[string][]string{
		"jsforce 1": {"node", jsforce, "1"},
		"jsforce 3": {"node", jsforce, "3"},
		"zeep":      {python, "-B", filepath.Join(filepath.Dir(zeepScript(t)), "expiry.py")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, devorg.Config{})
			p := startProxy(t, with(legacyEnv(org), "PROXY_SESSION_TTL=2s"))
			runClient(t, nil, command[0], append(command[1:], p.URL, legacyUsername, legacyPassword)...)
			checkShared(t, org.Stats(), 0)
			if n := strings.Count(p.Log.String(), `"msg":"login",`); n != 3 {
				t.Errorf("the app logged in %d times, want 3", n)
			}
		})
	}
}

// soapRecorder stands before an org's instance and keeps the bodies of SOAP
// requests as they arrive.
type soapRecorder struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte // guarded by mu
	faults []string // guarded by mu
}

// recordSOAP puts a recorder between the org's grants and its instance.
func recordSOAP(t *testing.T, o *org) *soapRecorder {
	t.Helper()
	instance, err := url.Parse(o.InstanceURL())
	if err != nil {
		t.Fatal(err)
	}
	recorder := &soapRecorder{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(instance) }}
	recorder.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		recorder.mu.Lock()
		if err != nil || r.ContentLength >= 0 && r.ContentLength != int64(len(body)) || r.Header.Get("Content-Encoding") != "" {
			recorder.faults = append(recorder.faults, fmt.Sprintf("%d bytes of a declared %d, Content-Encoding %q, %v",
				len(body), r.ContentLength, r.Header.Get("Content-Encoding"), err))
		}
		if strings.HasPrefix(r.URL.Path, "/services/Soap/") {
			recorder.bodies = append(recorder.bodies, body)
		}
		recorder.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(recorder.Close)
	o.SetInstanceURLInGrants(recorder.URL)
	return recorder
}

// last returns the body of the last SOAP request, and what was wrong with any.
func (r *soapRecorder) last(t *testing.T) []byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bodies) == 0 {
		t.Fatal("no SOAP request has arrived")
	}
	for _, fault := range r.faults {
		t.Errorf("a request arrived with %s", fault)
	}
	return r.bodies[len(r.bodies)-1]
}

// all returns the bodies of all SOAP requests.
func (r *soapRecorder) all() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// checkOnlySession checks that two bodies differ in nothing but that the
// session in the first is an access token in the second.
func checkOnlySession(t *testing.T, sent, received []byte, session string) {
	t.Helper()
	before, after, found := bytes.Cut(sent, []byte(session))
	if !found {
		t.Fatal("the session is not in what was sent")
	}
	token, startsAlike := bytes.CutPrefix(received, before)
	token, endsAlike := bytes.CutSuffix(token, after)
	if !startsAlike || !endsAlike {
		t.Errorf("sent     %.2000q\nreceived %.2000q\nwhich differ in more than the session", sent, received)
	} else if !regexp.MustCompile(`^00D\w{12}![\w.]{20,}$`).Match(token) || string(token) == session {
		t.Errorf("what stands in the session's place is not an access token: %.20q", token)
	}
}

// curlSOAP sends a SOAP envelope as an old integration in shell would, and returns
// the status and the answer.
func curlSOAP(t *testing.T, url string, envelope []byte, args ...string) (status, answer string) {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--max-time", "30", "-H", "Content-Type: text/xml; charset=UTF-8", "-H", `SOAPAction: ""`,
		"--data-binary", "@-", "--write-out", "\n%{http_code}"}, append(args, url)...)
	cmd := exec.CommandContext(t.Context(), "curl", args...)
	cmd.Stdin = bytes.NewReader(envelope)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	end := bytes.LastIndexByte(out, '\n')
	return string(out[end+1:]), string(out[:end])
}

// tagText finds a tag without a prefix by search, as integrations in shell do.
func tagText(t *testing.T, answer, tag string) string {
	t.Helper()
	match := regexp.MustCompile("<" + tag + ">([^<]*)</" + tag + ">").FindStringSubmatch(answer)
	if match == nil {
		t.Fatalf("no <%s> in %.2000s", tag, answer)
	}
	return match[1]
}

var escapeXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// loginEnvelope is a login() in the manner of the WSDL's samples.
func loginEnvelope(username, password string) []byte {
	return []byte(`<?xml version="1.0" encoding="utf-8" ?>
<env:Envelope xmlns:xsd="http://www.w3.org/2001/XMLSchema"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xmlns:env="http://schemas.xmlsoap.org/soap/envelope/">
  <env:Body>
    <n1:login xmlns:n1="urn:partner.soap.sforce.com">
      <n1:username>` + escapeXML.Replace(username) + `</n1:username>
      <n1:password>` + escapeXML.Replace(password) + `</n1:password>
    </n1:login>
  </env:Body>
</env:Envelope>
`)
}

// sampleEnvelope is a call in the manner of the WSDL's samples, in a style of
// prefixes, quotes and line ends that few libraries would choose.
func sampleEnvelope(session, call string) []byte {
	return []byte("<?xml version='1.0' encoding='UTF-8'?>\r\n<!-- Ünïcode, and <sessionId>not this</sessionId> -->\r\n" +
		"<SOAP-ENV:Envelope xmlns:SOAP-ENV = 'http://schemas.xmlsoap.org/soap/envelope/'\r\n\txmlns:ns1=\"urn:partner.soap.sforce.com\"  xmlns:ns2='urn:sobject.partner.soap.sforce.com'>\r\n" +
		"<SOAP-ENV:Header>\r\n  <ns1:CallOptions><ns1:client>shell/1 &#x2713;</ns1:client></ns1:CallOptions>\r\n" +
		"  <ns1:SessionHeader SOAP-ENV:mustUnderstand='1' ><ns1:sessionId>" + session + "</ns1:sessionId ></ns1:SessionHeader>\r\n" +
		"</SOAP-ENV:Header>\r\n<SOAP-ENV:Body>" + call + "</SOAP-ENV:Body>\r\n</SOAP-ENV:Envelope>\r\n\r\n")
}

func zipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLegacyCurl goes by hand-written XML, as it is, compressed, and with an
// absolute request target, and compares each request with what arrived.
func TestLegacyCurl(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	for name, send := range map[string]func(t *testing.T, url string, envelope []byte) (string, string){
		"plain": func(t *testing.T, url string, envelope []byte) (string, string) { return curlSOAP(t, url, envelope) },
		"gzip": func(t *testing.T, url string, envelope []byte) (string, string) {
			return curlSOAP(t, url, zipped(t, envelope), "-H", "Content-Encoding: gzip", "--compressed")
		},
		"chunked": func(t *testing.T, url string, envelope []byte) (string, string) {
			return curlSOAP(t, url, envelope, "-H", "Transfer-Encoding: chunked")
		},
		"absolute": func(t *testing.T, url string, envelope []byte) (string, string) {
			return curlSOAP(t, url, envelope, "--request-target", url)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, devorg.Config{})
			org.AddAccounts(2500)
			recorder := recordSOAP(t, org)
			p := startProxy(t, legacyEnv(org))
			endpoint := p.URL + "/services/Soap/u/60.0"
			if status, answer := send(t, endpoint, loginEnvelope(legacyUsername, legacyPassword+"x")); status != "500" || !strings.Contains(answer, "<faultcode>sf:INVALID_LOGIN</faultcode>") {
				t.Fatalf("login with a wrong password = %s %s, want 500 INVALID_LOGIN", status, answer)
			}
			status, answer := send(t, endpoint, loginEnvelope(legacyUsername, legacyPassword+legacySecurityToken))
			if status != "200" {
				t.Fatalf("login = %s %s", status, answer)
			}
			session, serverURL := tagText(t, answer, "sessionId"), tagText(t, answer, "serverUrl")
			if want := endpoint + "/" + org.OrgID(); serverURL != want {
				t.Fatalf("serverUrl = %s, want %s", serverURL, want)
			}
			losses := 0
			call := func(lose bool, wantStatus, call string) string {
				t.Helper()
				if lose {
					org.RevokeTokens()
					losses++
				}
				sent := sampleEnvelope(session, call)
				status, answer := send(t, serverURL, sent)
				if status != wantStatus {
					t.Fatalf("%s = %s %.1000s, want %s", call, status, answer, wantStatus)
				}
				checkOnlySession(t, sent, recorder.last(t), session)
				return answer
			}
			const record = `<ns1:%s><ns1:sObjects><ns2:type>Account</ns2:type>%s<ns2:Name>%s</ns2:Name></ns1:sObjects></ns1:%[1]s>`
			id := tagText(t, call(false, "200", fmt.Sprintf(record, "create", "", "Käse &amp; <![CDATA[<sessionId>"+session+"</sessionId>]]>")), "id")
			found := call(true, "200", `<ns1:query><ns1:queryString>SELECT Name FROM Account WHERE Id = '`+id+`'</ns1:queryString></ns1:query>`)
			if want := "Käse &amp; &lt;sessionId&gt;" + session + "&lt;/sessionId&gt;"; !strings.Contains(found, want) {
				t.Errorf("the record is %s, want its name to be as it was sent", found)
			}
			call(true, "200", fmt.Sprintf(record, "update", "<ns2:Id>"+id+"</ns2:Id>", "Ŝanĝita"))
			page := call(false, "200", `<ns1:query><ns1:queryString>SELECT Name FROM Account WHERE Name LIKE 'Bulk Account%'</ns1:queryString></ns1:query>`)
			rows := strings.Count(page, "<sf:Name>Bulk Account ")
			for strings.Contains(page, "<done>false</done>") {
				page = call(true, "200", `<ns1:queryMore><ns1:queryLocator>`+tagText(t, page, "queryLocator")+`</ns1:queryLocator></ns1:queryMore>`)
				rows += strings.Count(page, "<sf:Name>Bulk Account ")
			}
			if rows != 2500 {
				t.Errorf("query and queryMore found %d records, want 2500", rows)
			}
			if fault := call(false, "500", `<ns1:query><ns1:queryString>SELECT FROM Account</ns1:queryString></ns1:query>`); !strings.Contains(fault, ":MALFORMED_QUERY</faultcode>") {
				t.Errorf("a bad query = %s, want Salesforce's MALFORMED_QUERY", fault)
			}
			call(true, "200", `<ns1:delete><ns1:ids>`+id+`</ns1:ids></ns1:delete>`)
			// More than the proxy keeps for a second attempt.
			large := `<ns1:sObjects><ns2:type>Account</ns2:type><ns2:Name>L</ns2:Name><ns2:Description>` + strings.Repeat("0123456789abcdé ", 1800) + `</ns2:Description></ns1:sObjects>`
			if got := call(false, "200", `<ns1:create>`+strings.Repeat(large, 150)+`</ns1:create>`); strings.Count(got, "<success>true</success>") != 150 {
				t.Errorf("creating 150 large records = %.1000s", got)
			}
			if status, answer := send(t, serverURL, sampleEnvelope(session, `<ns1:logout/>`)); status != "200" || !strings.Contains(answer, "logoutResponse") {
				t.Errorf("logout = %s %s", status, answer)
			}
			if status, answer := send(t, serverURL, sampleEnvelope(session, `<ns1:getUserInfo/>`)); status != "500" || !strings.Contains(answer, "<faultcode>sf:INVALID_SESSION_ID</faultcode>") {
				t.Errorf("after logout = %s %s, want 500 INVALID_SESSION_ID", status, answer)
			}
			checkShared(t, org.Stats(), losses)
		})
	}
}

// soapSession is what comes of a login by SOAP.
type soapSession struct{ id, serverURL, userID string }

// soapLogin logs in by SOAP.
func soapLogin(ctx context.Context, proxyURL, username, password string) (s soapSession, err error) {
	status, answer, err := postText(ctx, proxyURL+"/services/Soap/u/60.0", "text/xml", "", loginEnvelope(username, password))
	if err != nil {
		return s, err
	}
	id := regexp.MustCompile(`<sessionId>([^<]+)<`).FindStringSubmatch(answer)
	server := regexp.MustCompile(`<serverUrl>([^<]+)<`).FindStringSubmatch(answer)
	user := regexp.MustCompile(`<userId>([^<]+)<`).FindStringSubmatch(answer)
	if status != 200 || id == nil || server == nil || user == nil {
		return s, fmt.Errorf("login = %d %.500s", status, answer)
	}
	return soapSession{id[1], server[1], user[1]}, nil
}

// granted is what comes of a password grant.
type granted struct {
	AccessToken string `json:"access_token"`
	ID          string `json:"id"`
}

// oauthLogin logs in by the password grant.
func oauthLogin(ctx context.Context, proxyURL, username, password string) (g granted, err error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {"any"}, "client_secret": {"any"}, "username": {username}, "password": {password}}
	status, answer, err := postText(ctx, proxyURL+"/services/oauth2/token", "application/x-www-form-urlencoded", "", []byte(form.Encode()))
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal([]byte(answer), &g); err != nil || status != 200 || g.AccessToken == "" {
		return g, fmt.Errorf("password grant = %d %.500s", status, answer)
	}
	return g, nil
}

// postText posts a text, or gets if there is none, and returns the answer.
func postText(ctx context.Context, url, contentType, bearer string, text []byte) (int, string, error) {
	method := http.MethodPost
	if text == nil {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("SOAPAction", `""`)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// refusals are how each API says that a session is not or no longer good.
var refusals = []struct {
	path   string
	status int
	text   string
}{
	{"/services/data/v60.0/limits", 401, `"errorCode":"INVALID_SESSION_ID"`},
	{"/services/Soap/u/60.0", 500, `<faultcode>sf:INVALID_SESSION_ID</faultcode>`},
	{"/services/async/60.0/job", 400, `InvalidSessionId`},
	{"/services/oauth2/userinfo", 403, `Bad_OAuth_Token`},
}

func checkRefused(t *testing.T, proxyURL, session string) {
	t.Helper()
	for _, want := range refusals {
		var body []byte
		if strings.Contains(want.path, "/Soap/") {
			body = sampleEnvelope(session, "<ns1:getUserInfo/>")
		}
		status, answer, err := postText(t.Context(), proxyURL+want.path, "text/xml", session, body)
		if err != nil || status != want.status || !strings.Contains(answer, want.text) {
			t.Errorf("%s = %d %.500s (%v), want %d %s", want.path, status, answer, err, want.status, want.text)
		}
	}
}

func checkAccepted(t *testing.T, proxyURL, session string) {
	t.Helper()
	if status, answer, err := postText(t.Context(), proxyURL+"/services/data/v60.0/limits", "", session, nil); err != nil || status != 200 {
		t.Errorf("REST = %d %.500s (%v), want 200", status, answer, err)
	}
	if status, answer, err := postText(t.Context(), proxyURL+"/services/Soap/u/60.0", "text/xml", "", sampleEnvelope(session, "<ns1:getUserInfo/>")); err != nil || status != 200 {
		t.Errorf("SOAP = %d %.500s (%v), want 200", status, answer, err)
	}
}

// TestSessionEndsWithItsPassword: replicas and restarted proxies take each
// other's sessions, as long as the client has the password it logged in with.
func TestSessionEndsWithItsPassword(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	env := legacyEnv(org)
	first := startProxy(t, env)
	session, err := soapLogin(t.Context(), first.URL, legacyUsername, legacyPassword)
	if err != nil {
		t.Fatal(err)
	}
	checkAccepted(t, first.URL, session.id)
	replica := startProxy(t, env)
	checkAccepted(t, replica.URL, session.id)
	other := with(without(env, "PROXY_CLIENT_0_PASSWORD"), "PROXY_CLIENT_0_PASSWORD="+passphrase+"-other")
	checkRefused(t, startProxy(t, other).URL, session.id)
	renamed := with(without(env, "PROXY_CLIENT_0_NAME"), "PROXY_CLIENT_0_NAME=renamed")
	checkRefused(t, startProxy(t, renamed).URL, session.id)
	otherKey := with(without(env, "SF_JWT_KEY_FILE"), "SF_JWT_KEY_FILE="+writeFile(t, "other.key", keyPEM(t, newKey(2048))))
	checkRefused(t, startProxy(t, otherKey).URL, session.id)
	checkRefused(t, first.URL, session.id[:len(session.id)-1])
	checkRefused(t, first.URL, org.OrgID()[:15]+"!AQ4AQ"+strings.Repeat("x", 90))
	stats := org.Stats()
	if stats.Leaks != 0 || stats.Forbidden != 0 || stats.Unauthorized != 0 {
		t.Errorf("leaks = %d, forbidden = %d, unauthorized = %d, want none", stats.Leaks, stats.Forbidden, stats.Unauthorized)
	}
}

// TestLogoutEndsSession: whichever way an app logs out, its session is refused
// from then on by every API, another session of the same client is not, and the
// login behind the proxy lives on.
func TestLogoutEndsSession(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(legacyEnv(org), "PROXY_SESSION_TTL=1m"))
	staying, err := soapLogin(t.Context(), p.URL, legacyUsername, legacyPassword)
	if err != nil {
		t.Fatal(err)
	}
	for name, logout := range map[string]func(session string) (int, string, error){
		"SOAP": func(session string) (int, string, error) {
			return postText(t.Context(), p.URL+"/services/Soap/u/60.0", "text/xml", "", sampleEnvelope(session, "<ns1:logout/>"))
		},
		"revocation": func(session string) (int, string, error) {
			return postText(t.Context(), p.URL+"/services/oauth2/revoke", "application/x-www-form-urlencoded", "", []byte("token="+url.QueryEscape(session)))
		},
		"revocation at a base URL that ends in a slash": func(session string) (int, string, error) {
			return postText(t.Context(), p.URL+"//services/oauth2/revoke", "application/x-www-form-urlencoded", "", []byte("token="+url.QueryEscape(session)))
		},
		"revocation by GET": func(session string) (int, string, error) {
			return postText(t.Context(), p.URL+"/services/oauth2/revoke?token="+url.QueryEscape(session), "", "", nil)
		},
	} {
		grant, err := oauthLogin(t.Context(), p.URL, legacyUsername, legacyPassword)
		if err != nil {
			t.Fatal(err)
		}
		session := grant.AccessToken
		checkAccepted(t, p.URL, session)
		if status, answer, err := logout(session); err != nil || status != 200 {
			t.Errorf("%s: logout = %d %.500s (%v)", name, status, answer, err)
		}
		checkRefused(t, p.URL, session)
		checkAccepted(t, p.URL, staying.id)
	}
	checkShared(t, org.Stats(), 0)
}

// TestConsumerKey: a client that has a consumer key logs in by the password
// grant with it alone, and by SOAP as ever.
func TestConsumerKey(t *testing.T) {
	t.Parallel()
	p := startProxy(t, with(legacyEnv(startOrg(t, devorg.Config{})), "PROXY_CLIENT_0_CONSUMER_KEY=any",
		"PROXY_CLIENT_0_CONSUMER_SECRET_FILE="+writeFile(t, "secret", []byte(passphrase+"-consumer\n"))))
	for secret, want := range map[string]string{"any": "invalid_client", passphrase + "-consumer": ""} {
		form := url.Values{"grant_type": {"password"}, "client_id": {"any"}, "client_secret": {secret}, "username": {legacyUsername}, "password": {legacyPassword}}
		got := fetch(t, http.MethodPost, p.URL+"/services/oauth2/token", form.Encode(), "Content-Type: application/x-www-form-urlencoded")
		if answer := decode[struct{ Error string }](t, got.body); answer.Error != want {
			t.Errorf("password grant = %d %q, want %q", got.status, answer.Error, want)
		}
	}
	if _, err := soapLogin(t.Context(), p.URL, legacyUsername, legacyPassword); err != nil {
		t.Error(err)
	}
}

// TestAPIKeyForSession is about apps that take a session ID and a server URL: an
// API key will do for the session wherever a client can put one.
func TestAPIKeyForSession(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	key := newAPIKey()
	p := startProxy(t, with(org.env, "PROXY_CLIENT_0_NAME=keyed", "PROXY_CLIENT_0_API_KEY="+key,
		"PROXY_CLIENT_1_NAME=legacy", "PROXY_CLIENT_1_USERNAME="+legacyUsername, "PROXY_CLIENT_1_PASSWORD="+legacyPassword))
	_, answer, err := postText(t.Context(), p.URL+"/services/oauth2/token", "application/x-www-form-urlencoded", "",
		[]byte("grant_type=client_credentials&client_id=keyed&client_secret="+key))
	if err != nil {
		t.Fatal(err)
	}
	session := decode[granted](t, []byte(answer)).AccessToken
	const limits = "/services/data/v60.0/limits"
	job := `{"operation":"insert","object":"Account","contentType":"JSON"}`
	bare := `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><getUserInfo xmlns="urn:partner.soap.sforce.com"/></e:Body></e:Envelope>`
	enterprise := strings.ReplaceAll(string(sampleEnvelope("SESSION", "<ns1:getUserInfo/>")), "partner.soap", "enterprise.soap")
	for credential, losses := range map[string]bool{key: false, session: true} {
		for name, request := range map[string]struct{ path, header, value, body string }{
			"Bearer":               {limits, "Authorization", "Bearer " + credential, ""},
			"OAuth":                {limits, "Authorization", "OAuth " + credential, ""},
			"cookie":               {limits, "Cookie", "sid=" + credential, ""},
			"oauth_token":          {limits + "?oauth_token=" + url.QueryEscape(credential), "", "", ""},
			"sid":                  {limits + "?sid=" + url.QueryEscape(credential), "", "", ""},
			"Bulk":                 {"/services/async/60.0/job", "X-SFDC-Session", credential, job},
			"SOAP":                 {"/services/Soap/u/60.0", "", "", string(sampleEnvelope(credential, "<ns1:getUserInfo/>"))},
			"SOAP, enterprise":     {"/services/Soap/c/60.0", "", "", strings.Replace(enterprise, "SESSION", credential, 1)},
			"SOAP, no session":     {"/services/Soap/u/60.0", "Authorization", "Bearer " + credential, bare},
			"SOAP, Bearer as well": {"/services/Soap/u/60.0", "Authorization", "Bearer " + credential, string(sampleEnvelope(credential, "<ns1:getUserInfo/>"))},
		} {
			if losses {
				org.RevokeTokens()
			}
			method, contentType := http.MethodGet, "text/xml"
			if request.body != "" {
				method = http.MethodPost
			}
			if request.header == "X-SFDC-Session" {
				contentType = "application/json"
			}
			req, err := http.NewRequestWithContext(t.Context(), method, p.URL+request.path, strings.NewReader(request.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("SOAPAction", `""`)
			if request.header != "" {
				req.Header.Set(request.header, request.value)
			}
			resp, err := httpClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode/100 != 2 {
				t.Errorf("%s = %d %.500s", name, resp.StatusCode, answer)
			}
		}
	}
	checkShared(t, org.Stats(), 10)
}
