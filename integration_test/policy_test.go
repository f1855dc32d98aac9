package integration_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
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
	"PROXY_CLIENT_0_READ_ONLY=true", "PROXY_CLIENT_0_READ_OBJECTS=Account",
	"PROXY_CLIENT_1_NAME=sync", "PROXY_CLIENT_1_API_KEY=sync-sync-sync-sync", "PROXY_CLIENT_1_SUBJECT=sync@example.com",
	"PROXY_CLIENT_1_READ_OBJECTS=Contact", "PROXY_CLIENT_1_WRITE_OBJECTS=Contact", "PROXY_CLIENT_1_API_VERSIONS=60.0",
	"PROXY_CLIENT_1_ALLOW_PATHS=" + dataPath + ",/services/data/v61.0,/services/oauth2/userinfo",
}

// deed is a request of a client and the rule that denies it, "" for none.
type deed struct {
	client, method, path, body, rule string
}

func policyDeeds() []deed {
	const reports, sync = "reports", "sync"
	query := func(object string) string { return dataPath + "/query?q=SELECT+Id+FROM+" + object }
	composite := func(method, path string) string {
		return fmt.Sprintf(`{"compositeRequest":[{"method":"GET","url":"%s/limits","referenceId":"a"},{"method":%q,"url":%q,"referenceId":"b","body":{"LastName":"Made"}}]}`, dataPath, method, path)
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
	}
}

// TestPoliciesUnderLoad has two clients, 64 requests at a time, over the same
// connections: no request has the other's rights.
func TestPoliciesUnderLoad(t *testing.T) {
	t.Parallel()
	const together, lasting = 64, 5 * time.Second
	org := startOrg(t, devorg.Config{Users: []string{subject, "sync@example.com"}})
	p := startProxy(t, with(org.env, policyEnv...))
	accounts := func() string {
		var lines []string
		for line := range strings.Lines(org.Snapshot()) {
			if !strings.HasPrefix(line, "Contact ") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	before, deeds := accounts(), policyDeeds()
	connections := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: together}}
	defer connections.CloseIdleConnections()
	var denied, sent atomic.Int64
	end := time.Now().Add(lasting)
	var running sync.WaitGroup
	for range together {
		running.Go(func() {
			for !t.Failed() && time.Now().Before(end) {
				d := deeds[rand.IntN(len(deeds))]
				sent.Add(1)
				if d.rule != "" {
					denied.Add(1)
				}
				if err := d.do(connections, p.URL); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d requests, %d of them denied", sent.Load(), denied.Load())
	if after := accounts(); after != before {
		t.Errorf("what is no contact has changed from\n%s\nto\n%s", before, after)
	}
	var counted int64
	for line := range strings.Lines(string(p.ask(t, "/metrics").body)) {
		var n int64
		if strings.HasPrefix(line, "sfproxy_denials_total{") {
			fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &n)
			counted += n
		}
	}
	if counted != denied.Load() {
		t.Errorf("the metrics count %d denials, want %d", counted, denied.Load())
	}
}

// do sends the request and says what is wrong with the answer.
func (d deed) do(client *http.Client, url string) error {
	request, err := http.NewRequest(d.method, url+d.path, strings.NewReader(d.body))
	if err != nil {
		return err
	}
	key := map[string]string{"reports": "reports-reports-reports", "sync": "sync-sync-sync-sync"}[d.client]
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
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
	code := got.header.Get("X-SFProxy-Error")
	switch user := map[string]string{"reports": subject, "sync": "sync@example.com"}[d.client]; {
	case d.rule == "" && (code != "" || got.status >= 300):
		return fmt.Errorf("%+v: answer = %d %s, want it allowed", d, got.status, got.body)
	case d.rule != "" && (got.status != http.StatusForbidden || code != "PROXY_POLICY_"+strings.ToUpper(d.rule)):
		return fmt.Errorf("%+v: answer = %d %s, want it denied", d, got.status, got.body)
	case strings.HasSuffix(d.path, "userinfo") && !strings.Contains(string(got.body), user):
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
