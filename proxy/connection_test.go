package proxy_test

import (
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
	"github.com/sfproxy/sfproxy/proxy"
)

// TestPolicySeesWhatIsSent holds that a policy looks at a request as Salesforce
// gets it: without the header fields that Connection names.
func TestPolicySeesWhatIsSent(t *testing.T) {
	url, headers := arrivals(t)
	readOnly, err := policy.New(policy.Config{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	key, err := proxy.HashAPIKey("key-of-a-reader")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, proxy.Config{Tokens: newTokens(url), Clients: []proxy.Client{{Name: "reader", Subject: username, APIKey: key, Policy: readOnly}}})
	const body = `{"compositeRequest":[{"method":"GET","url":"/services/data/v60.0/limits","referenceId":"a"}]}`
	for _, tt := range []struct {
		connection string
		allowed    bool
	}{{"keep-alive", true}, {"content-type", false}, {"x, Content-Type", false}} {
		got := r.send(t, "POST", "/services/data/v60.0/composite", strings.NewReader(body),
			"Authorization: Bearer key-of-a-reader", "Content-Type: application/json", "Connection: "+tt.connection)
		if tt.allowed {
			if sent := receive(t, headers, "the request"); got.status != 200 || sent.Get("Content-Type") != "application/json" {
				t.Errorf("Connection: %s: answer = %d, Content-Type arrived as %q", tt.connection, got.status, sent.Get("Content-Type"))
			}
			continue
		}
		got.wantFault(t, 403, "PROXY_POLICY_BODY")
	}
}
