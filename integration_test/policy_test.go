package integration_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

const dataPath = "/services/data/v60.0"

// policyEnv are two clients: one may read accounts, the other may read and
// write contacts, with an API version of its own.
var policyEnv = []string{
	"PROXY_CLIENT_0_NAME=reports", "PROXY_CLIENT_0_API_KEY=reports-reports-reports",
	"PROXY_CLIENT_0_USERNAME=login-reports", "PROXY_CLIENT_0_PASSWORD=password-of-reports",
	"PROXY_CLIENT_0_READ_ONLY=true", "PROXY_CLIENT_0_READ_OBJECTS=Account",
	"PROXY_CLIENT_1_NAME=sync", "PROXY_CLIENT_1_API_KEY=sync-sync-sync-sync", "PROXY_CLIENT_1_SUBJECT=sync@example.com",
	"PROXY_CLIENT_1_USERNAME=login-sync", "PROXY_CLIENT_1_PASSWORD=password-of-sync",
	"PROXY_CLIENT_1_READ_OBJECTS=Contact", "PROXY_CLIENT_1_WRITE_OBJECTS=Contact", "PROXY_CLIENT_1_API_VERSIONS=60.0",
	"PROXY_CLIENT_1_ALLOW_PATHS=" + dataPath + ",/services/data/v61.0,/services/oauth2/userinfo," + soapPath,
}

const soapPath = "/services/Soap/u/60.0"

// deed is a request of a client and the rule that denies it, "" for none. In the
// body of a SOAP call stands SESSION.
type deed struct {
	client, method, path, body, rule string
}

func (d deed) isSOAP() bool { return d.path == soapPath }

// makes reports whether the deed makes a contact, which only one client may.
func (d deed) makes() bool {
	return d.rule == "" && d.client == "sync" && strings.Contains(d.body, "Made")
}

func policyDeeds() []deed {
	const reports, sync = "reports", "sync"
	query := func(object string) string { return dataPath + "/query?q=SELECT+Id+FROM+" + object }
	composite := func(method, path string) string {
		return fmt.Sprintf(`{"compositeRequest":[{"method":"GET","url":"%s/limits","referenceId":"a"},{"method":%q,"url":%q,"referenceId":"b","body":{"LastName":"Made"}}]}`, dataPath, method, path)
	}
	soap := func(operation string) string { return string(sampleEnvelope("SESSION", operation)) }
	create := func(object, field string) string {
		return soap("<ns1:create><ns1:sObjects><ns2:type>" + object + "</ns2:type><ns2:" + field + ">Made</ns2:" + field + "></ns1:sObjects></ns1:create>")
	}
	return []deed{
		{reports, "GET", query("Account"), "", ""},
		{reports, "GET", query("Contact"), "", "read_objects"},
		{reports, "POST", dataPath + "/sobjects/Account", `{"Name":"x"}`, "read_only"},
		{reports, "POST", dataPath + "/sobjects/Contact", `{"LastName":"x"}`, "read_only"},
		{reports, "POST", dataPath + "/composite", composite("GET", query("Account")), ""},
		{reports, "POST", dataPath + "/composite", composite("POST", dataPath+"/sobjects/Contact"), "read_only"},
		{reports, "GET", "/services/data/v61.0/limits", "", ""},
		{reports, "GET", "/services/oauth2/userinfo", "", ""},
		{sync, "GET", query("Contact"), "", ""},
		{sync, "GET", query("Account"), "", "read_objects"},
		{sync, "POST", dataPath + "/composite", composite("POST", dataPath+"/sobjects/Contact"), ""},
		{sync, "POST", dataPath + "/composite", composite("DELETE", dataPath+"/sobjects/Account/0015g0000000002AAA"), "write_objects"},
		{sync, "POST", dataPath + "/sobjects/Account", `{"Name":"x"}`, "write_objects"},
		{sync, "GET", "/services/data/v61.0/limits", "", "api_versions"},
		{sync, "GET", "/services/async/60.0/job/1", "", "paths"},
		{sync, "GET", "/services/oauth2/userinfo", "", ""},
		{reports, "POST", soapPath, soap("<ns1:getUserInfo/>"), ""},
		{reports, "POST", soapPath, soap("<ns1:query><ns1:queryString>SELECT Id FROM Account</ns1:queryString></ns1:query>"), ""},
		{reports, "POST", soapPath, soap("<ns1:query><ns1:queryString>SELECT Id FROM Contact</ns1:queryString></ns1:query>"), "read_objects"},
		{reports, "POST", soapPath, create("Contact", "LastName"), "read_only"},
		{sync, "POST", soapPath, soap("<ns1:getUserInfo/>"), ""},
		{sync, "POST", soapPath, create("Contact", "LastName"), ""},
		{sync, "POST", soapPath, create("Account", "Name"), "write_objects"},
	}
}

// policySubjects are the users that the clients act as.
var policySubjects = map[string]string{"reports": subject, "sync": "sync@example.com"}

// TestPoliciesUnderLoad has two clients, 64 requests at a time, with API keys and
// sessions over the same connections, those of HTTP/2 among them: no request has
// the other's rights or is the other's. With SFPROXY_TEST_LONG it takes a minute.
func TestPoliciesUnderLoad(t *testing.T) {
	t.Parallel()
	const together = 64
	lasting := 5 * time.Second
	if os.Getenv("SFPROXY_TEST_LONG") != "" {
		lasting = time.Minute
	}
	org := startOrg(t, devorg.Config{Users: []string{subject, policySubjects["sync"]}})
	p := startProxy(t, with(org.env, append(listenerTLS(t), policyEnv...)...))
	connections := sharedConnections(t, together)
	credentials, users := policyCredentials(t, connections[0], p.URL)
	before, deeds := others(org), policyDeeds()
	var denied, made, sent atomic.Int64
	end := time.Now().Add(lasting)
	var running sync.WaitGroup
	for range together {
		running.Go(func() {
			for !t.Failed() && time.Now().Before(end) {
				d := deeds[rand.IntN(len(deeds))]
				sent.Add(1)
				switch {
				case d.rule != "":
					denied.Add(1)
				case d.makes():
					made.Add(1)
				}
				own := credentials[d.client]
				if err := d.do(connections[rand.IntN(len(connections))], p.URL, own[rand.IntN(len(own))]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d requests in %v, %d of them denied, %d contacts made", sent.Load(), lasting, denied.Load(), made.Load())
	if after := others(org); after != before {
		t.Errorf("what is no contact has changed from\n%s\nto\n%s", before, after)
	}
	if all, own := makers(org, ""), makers(org, users["sync"]); all != made.Load() || own != all {
		t.Errorf("%d contacts were made, %d of them by the client's user, want %d", all, own, made.Load())
	}
	if counted := p.denials(t); counted != denied.Load() {
		t.Errorf("the metrics count %d denials, want %d", counted, denied.Load())
	}
}

// sharedConnections returns clients of HTTP/1.1 and of HTTP/2, each with
// connections of its own, for whoever uses it.
func sharedConnections(t *testing.T, idle int) []*http.Client {
	var list []*http.Client
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{MaxIdleConnsPerHost: idle, ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		t.Cleanup(transport.CloseIdleConnections)
		list = append(list, &http.Client{Transport: transport})
	}
	return list
}

// policyCredentials returns an API key and a session of each client, and the id
// of its user.
func policyCredentials(t *testing.T, client *http.Client, proxyURL string) (credentials map[string][]string, users map[string]string) {
	t.Helper()
	credentials = map[string][]string{"reports": {"reports-reports-reports"}, "sync": {"sync-sync-sync-sync"}}
	users = map[string]string{}
	for name := range credentials {
		response, err := client.PostForm(proxyURL+"/services/oauth2/token", url.Values{"grant_type": {"password"},
			"client_id": {"any"}, "client_secret": {"any"}, "username": {"login-" + name}, "password": {"password-of-" + name}})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var session granted
		if err := json.NewDecoder(response.Body).Decode(&session); err != nil || session.AccessToken == "" {
			t.Fatalf("login of %s = %d, %v", name, response.StatusCode, err)
		}
		credentials[name] = append(credentials[name], session.AccessToken)
		users[name] = session.ID[strings.LastIndexByte(session.ID, '/')+1:]
	}
	return credentials, users
}

// others returns the org's records but for contacts.
func others(org *org) string {
	var lines []string
	for line := range strings.Lines(org.Snapshot()) {
		if !strings.HasPrefix(line, "Contact ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// makers counts the contacts that the deeds have made as a user, "" for any.
func makers(org *org, userID string) (n int64) {
	for line := range strings.Lines(org.Snapshot()) {
		if strings.HasPrefix(line, "Contact ") && strings.Contains(line, "LastName:Made") && strings.Contains(line, "OwnerId:"+userID) {
			n++
		}
	}
	return n
}

// denials returns how many requests the metrics count as denied.
func (p *process) denials(t *testing.T) (counted int64) {
	t.Helper()
	for line := range strings.Lines(string(p.ask(t, "/metrics").body)) {
		var n int64
		if strings.HasPrefix(line, "sfproxy_denials_total{") {
			fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &n)
			counted += n
		}
	}
	return counted
}

// do sends the request and says what is wrong with the answer.
func (d deed) do(client *http.Client, url, credential string) error {
	request, err := http.NewRequest(d.method, url+d.path, strings.NewReader(strings.Replace(d.body, "SESSION", credential, 1)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if d.isSOAP() {
		request.Header.Set("Content-Type", "text/xml; charset=UTF-8")
		request.Header.Set("SOAPAction", `""`)
	} else {
		request.Header.Set("Authorization", "Bearer "+credential)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	got := answer{response.StatusCode, response.Header, body}
	code, refusal := got.header.Get("X-SFProxy-Error"), http.StatusForbidden
	if d.isSOAP() {
		refusal = http.StatusInternalServerError
	}
	asks := strings.HasSuffix(d.path, "userinfo") || strings.Contains(d.body, "getUserInfo")
	switch user := policySubjects[d.client]; {
	case d.rule == "" && (code != "" || got.status >= 300):
		return fmt.Errorf("%+v: answer = %d %s, want it allowed", d, got.status, got.body)
	case d.rule != "" && (got.status != refusal || code != "PROXY_POLICY_"+strings.ToUpper(d.rule)):
		return fmt.Errorf("%+v: answer = %d %s, want it denied", d, got.status, got.body)
	case asks && !strings.Contains(string(got.body), user):
		return fmt.Errorf("%+v: the org sees %s, want %s", d, got.body, user)
	}
	return nil
}

// TestPolicyExplain asks about the same requests without sending them.
func TestPolicyExplain(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	env := with(org.env, policyEnv...)
	for _, d := range policyDeeds() {
		args := []string{"policy", "explain", d.client, d.method, d.path}
		if d.body != "" {
			args = append(args, "--body", writeFile(t, "body", []byte(d.body)))
		}
		got := run(t, env, args...)
		switch {
		case d.rule == "" && (got.status != 0 || !strings.HasPrefix(got.stdout, "allowed")):
			t.Errorf("%+v: exit status = %d, stdout = %s, want 0 and allowed", d, got.status, got.stdout)
		case d.rule != "" && (got.status != 1 || !strings.HasPrefix(got.stdout, "denied by the rule "+d.rule+" (PROXY_POLICY_")):
			t.Errorf("%+v: exit status = %d, stdout = %s, want 1 and the rule", d, got.status, got.stdout)
		}
	}
	for _, args := range [][]string{{}, {"reports", "GET"}, {"nobody", "GET", "/services/data"}, {"reports", "GET", "services"}} {
		if got := run(t, env, append([]string{"policy", "explain"}, args...)...); got.status != 2 || got.stderr == "" {
			t.Errorf("explain %q: exit status = %d, stderr = %q, want 2 and why", args, got.status, got.stderr)
		}
	}
	if stats := org.Stats(); stats.Requests+stats.GrantAttempts != 0 {
		t.Errorf("the org has seen %+v, want nothing", stats)
	}
}
