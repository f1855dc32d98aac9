package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// versionedRequest is a request for an API version, and how Salesforce refuses
// it. SESSION stands for a credential.
type versionedRequest struct {
	name, path, contentType, body string
	status                        int
	refusal                       string
}

// retiredRequests are for versions that Salesforce has retired.
var retiredRequests = []versionedRequest{
	{"REST", "/services/data/v29.0/limits", "", "", 410, `"errorCode":"GONE"`},
	{"REST, root", "/services/data/v20.0", "", "", 410, `"errorCode":"GONE"`},
	{"Bulk 2.0", "/services/data/v30.0/jobs/ingest", "application/json", `{"object":"Account","operation":"insert"}`, 410, `"errorCode":"GONE"`},
	{"SOAP", "/services/Soap/u/25.0", "text/xml", string(sampleEnvelope("SESSION", "<ns1:getUserInfo/>")), 500, "sf:UNSUPPORTED_API_VERSION"},
	{"SOAP, enterprise", "/services/Soap/c/25.0", "text/xml",
		strings.ReplaceAll(string(sampleEnvelope("SESSION", "<ns1:getUserInfo/>")), "partner.soap", "enterprise.soap"), 500, "sf:UNSUPPORTED_API_VERSION"},
	{"Bulk 1.0", "/services/async/29.0/job", "application/xml",
		`<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><operation>insert</operation><object>Account</object><contentType>CSV</contentType></jobInfo>`, 400, "InvalidVersion"},
	{"Bulk 1.0, JSON", "/services/async/29.0/job", "application/json", `{"operation":"insert","object":"Account","contentType":"JSON"}`, 400, `"exceptionCode":"InvalidVersion"`},
}

// send sends the request with a credential wherever an API looks for one.
func (r versionedRequest) send(t *testing.T, origin, credential string) answer {
	t.Helper()
	method := http.MethodGet
	if r.body != "" {
		method = http.MethodPost
	}
	return fetch(t, method, origin+r.path, strings.ReplaceAll(r.body, "SESSION", credential),
		"Content-Type: "+r.contentType, `SOAPAction: ""`, "Authorization: Bearer "+credential, "X-SFDC-Session: "+credential)
}

// TestRetiredVersionIsRefused: unless told otherwise the proxy passes on what
// Salesforce says to a version that it has retired, byte for byte.
func TestRetiredVersionIsRefused(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, org.env)
	token := strings.TrimSpace(run(t, org.env, "token").stdout)
	for _, r := range retiredRequests {
		got := r.send(t, p.URL, "any")
		if got.status != r.status || !strings.Contains(string(got.body), r.refusal) {
			t.Errorf("%s = %d %.500s, want %d %s", r.name, got.status, got.body, r.status, r.refusal)
		}
		if direct := r.send(t, org.InstanceURL(), token); direct.status != got.status || string(direct.body) != string(got.body) {
			t.Errorf("%s = %d %.500s, where Salesforce itself answers %d %.500s", r.name, got.status, got.body, direct.status, direct.body)
		}
	}
}

// TestMinAPIVersion: with SF_MIN_API_VERSION the same requests work, and what
// the answers lead to works as well.
func TestMinAPIVersion(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	org.AddAccounts(2500)
	key := newAPIKey()
	p := startProxy(t, with(legacyEnv(org), "SF_MIN_API_VERSION=60.0", "PROXY_CLIENT_0_API_KEY="+key))
	for _, r := range retiredRequests {
		org.RevokeTokens() // the replay has to go to the same version
		if got := r.send(t, p.URL, key); got.status/100 != 2 {
			t.Errorf("%s = %d %.500s, want success", r.name, got.status, got.body)
		}
	}
	bearer := "Authorization: Bearer " + key
	found := get(t, p.URL+"/services/data/v26.0/query?q=SELECT+Id+FROM+Account", bearer)
	next := decode[struct{ NextRecordsURL string }](t, found.body).NextRecordsURL
	if !strings.HasPrefix(next, "/services/data/v60.0/query/") {
		t.Fatalf("nextRecordsUrl = %q, want one of version 60.0", next)
	}
	if got := get(t, p.URL+next, bearer); got.status != 200 {
		t.Errorf("next records = %d %.500s", got.status, got.body)
	}
	if got := get(t, p.URL+"/services/data/v99.0/limits", bearer); got.status != 404 {
		t.Errorf("a version that is not there yet = %d %.500s, want Salesforce's 404", got.status, got.body)
	}
	login := fetch(t, "POST", p.URL+"/services/Soap/u/25.0", string(loginEnvelope(legacyUsername, legacyPassword)), "Content-Type: text/xml", `SOAPAction: ""`)
	if name := tagText(t, string(login.body), "organizationName"); name != "devorg" {
		t.Errorf("login() of 25.0 names the organization %q, want what Salesforce says at 60.0", name)
	}
	p.stop(t)
	if n := strings.Count(p.Log.String(), "below SF_MIN_API_VERSION"); n != 3 {
		t.Errorf("%d warnings, want one each for REST, SOAP and Bulk 1.0:\n%s", n, p.Log)
	}
}

// TestRetiredClients runs the apps of the other tests, which ask for versions
// that are retired, to their ends.
func TestRetiredClients(t *testing.T) {
	t.Parallel()
	jsforceScript(t, "") // jsforce 3 is there
	login := []string{"%PROXY%", legacyUsername, legacyPassword}
	jsforce, nforce := legacyScript(t, "jsforce.js", "jsforce"), legacyScript(t, "nforce.js", "nforce")
	revoked := []string{"rest update", "soap update", "bulk query"}
	for name, app := range map[string]legacyApp{
		"jsforce 1, 26.0": {command: append(append([]string{"node", jsforce, "1", "soap"}, login...), "26.0"), revoked: revoked, logins: 4},
		"jsforce 3, 26.0": {command: append(append([]string{"node", jsforce, "3", "oauth"}, login...), "26.0"), revoked: revoked, logins: 1},
		"nforce, 24.0":    {command: append(append([]string{"node", nforce}, login...), legacySecurityToken, "24.0"), revoked: revoked[:0], logins: 2},
		"zeep, 25.0":      {command: append(append([]string{python, "-B", zeepScript(t)}, login...), "25.0"), revoked: []string{"update", "next pages"}, logins: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app.env = []string{"SF_MIN_API_VERSION=60.0"}
			app.run(t)
		})
	}
}
