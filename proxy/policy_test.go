package proxy_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
	"github.com/sfproxy/sfproxy/proxy"
)

const clientKey = "key-of-reports-app"

// withPolicy starts a proxy with one client in front of an instance that
// answers everything with the request's body.
func withPolicy(t testing.TB, cfg policy.Config, change func(*proxy.Config)) *rig {
	t.Helper()
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		w.Write(body.Bytes())
	})
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	key, err := proxy.HashAPIKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	proxyConfig := proxy.Config{Tokens: newTokens(base), Clients: []proxy.Client{{Name: "reports", Subject: username, APIKey: key, Policy: p}}}
	if change != nil {
		change(&proxyConfig)
	}
	return start(t, proxyConfig)
}

func TestAdmitReadOnly(t *testing.T) {
	r := withPolicy(t, policy.Config{ReadOnly: true}, nil)
	for _, tt := range []struct {
		method, target string
		ok             bool
	}{
		{"GET", limitsPath, true}, {"HEAD", limitsPath, true}, {"GET", limitsPath + "?q=_HttpMethod", true},
		{"POST", limitsPath, false}, {"PATCH", limitsPath, false}, {"PUT", limitsPath, false}, {"DELETE", limitsPath, false},
		{"OPTIONS", limitsPath, false}, {"get", limitsPath, false},
		{"GET", limitsPath + "?_HttpMethod=PATCH", false}, {"GET", limitsPath + "?a=;&_Http%4dethod=PATCH", false},
		{"GET", limitsPath + "?_HttpMethod", false}, {"GET", limitsPath + "?_httpmethod=DELETE", false},
		{"POST", limitsPath + "?_HttpMethod=GET", false},
	} {
		got := r.send(t, tt.method, tt.target, nil, "X-Api-Key: "+clientKey)
		if tt.ok && got.status != 200 {
			t.Errorf("%s %s = %d %s, want 200", tt.method, tt.target, got.status, got.body)
		}
		if !tt.ok {
			got.wantFault(t, 403, "PROXY_POLICY_READ_ONLY")
		}
	}
}

const compositePath = "/services/data/v60.0/composite"

// readingComposite reads one record, with padding in front.
func readingComposite(padding int) string {
	return strings.Repeat(" ", padding) + `{"compositeRequest":[{"method":"GET","url":"/services/data/v60.0/sobjects/Account/001000000000001AAA","referenceId":"a"}]}`
}

// TestAdmitInspectsBodies sends bodies that the policy looks into: they arrive
// as they were sent, or not at all.
func TestAdmitInspectsBodies(t *testing.T) {
	r := withPolicy(t, policy.Config{ReadOnly: true}, nil)
	zipped := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(text))
		w.Close()
		return b.String()
	}
	writing := strings.Replace(readingComposite(0), "GET", "DELETE", 1)
	for _, tt := range []struct {
		name, body, coding, want string
	}{
		{"reads", readingComposite(0), "", ""},
		{"writes", writing, "", "PROXY_POLICY_READ_ONLY"},
		{"reads, larger than a replay keeps", readingComposite(200 << 10), "", ""},
		{"reads, too large", readingComposite(1 << 20), "", "PROXY_POLICY_BODY"},
		{"reads, in gzip", zipped(readingComposite(0)), "gzip", ""},
		{"writes, in gzip", zipped(writing), "gzip", "PROXY_POLICY_READ_ONLY"},
		{"in gzip, with more after it", zipped(readingComposite(0)) + zipped(writing), "gzip", "PROXY_POLICY_BODY"},
		{"in gzip, huge", zipped(readingComposite(2 << 20)), "gzip", "PROXY_POLICY_BODY"},
		{"in deflate", readingComposite(0), "deflate", "PROXY_POLICY_BODY"},
		{"not in gzip", readingComposite(0), "gzip", "PROXY_POLICY_BODY"},
		{"none", "", "", "PROXY_POLICY_BODY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			headers := []string{"X-Api-Key: " + clientKey, "Content-Type: application/json"}
			if tt.coding != "" {
				headers = append(headers, "Content-Encoding: "+tt.coding)
			}
			got := r.send(t, "POST", compositePath, unsized{strings.NewReader(tt.body)}, headers...)
			if tt.want != "" {
				got.wantFault(t, 403, tt.want)
			} else if got.status != 200 || got.body != tt.body {
				t.Errorf("answer = %d with %d bytes %.200s, want 200 with the %d sent", got.status, len(got.body), got.body, len(tt.body))
			}
		})
	}
}

// TestAdmitResolvesSubrequests holds requests within requests to the paths that
// are forwarded, with and without a policy.
func TestAdmitResolvesSubrequests(t *testing.T) {
	for _, cfg := range []policy.Config{{}, {ReadOnly: true}} {
		r := withPolicy(t, cfg, func(c *proxy.Config) {
			c.AllowPaths = []string{"/services/data/v60.0/composite", "/services/data/v60.0/sobjects/Account"}
		})
		send := func(body string) answer {
			return r.send(t, "POST", compositePath, strings.NewReader(body), "X-Api-Key: "+clientKey, "Content-Type: application/json")
		}
		if got := send(readingComposite(0)); got.status != 200 {
			t.Errorf("%+v: answer = %d %s, want 200", cfg, got.status, got.body)
		}
		for _, to := range []string{"sobjects/Contact/1", "sobjects/Account/../Contact/1", "sobjects/Account/%2e%2e/Contact/1", "apps/oauth/credentials/1"} {
			send(strings.Replace(readingComposite(0), "sobjects/Account/001000000000001AAA", to, 1)).wantFault(t, 403, "PROXY_POLICY_PATHS")
		}
	}
}

// TestDenialIsTold looks for a denial in the log, in the count and in Explain.
func TestDenialIsTold(t *testing.T) {
	var counted []string
	r := withPolicy(t, policy.Config{APIVersions: "58.0-"}, func(c *proxy.Config) {
		c.OnDenied = func(d proxy.Denial) { counted = append(counted, d.Client+" "+d.Rule) }
	})
	r.send(t, "GET", "/services/data/v57.0/limits", nil, "X-Api-Key: "+clientKey).wantFault(t, 403, "PROXY_POLICY_API_VERSIONS")
	line := r.log.requests(t, 1)[0]
	if line["rule"] != "api_versions" || line["client"] != "reports" || line["level"] != "WARN" {
		t.Errorf("log line = %v, want a warning with the rule and the client", line)
	}
	if len(counted) != 1 || counted[0] != "reports api_versions" {
		t.Errorf("counted %q, want one denial of reports by api_versions", counted)
	}
}

// TestRaisedVersionIsJudged lets a client ask for a version that it may not
// use, if the org is asked for one that it may.
func TestRaisedVersionIsJudged(t *testing.T) {
	r := withPolicy(t, policy.Config{APIVersions: "60.0"}, func(c *proxy.Config) { c.MinAPIVersion = "60.0" })
	for path, want := range map[string]int{"v31.0": 200, "v60.0": 200, "v61.0": 403} {
		got := r.send(t, "GET", "/services/data/"+path+"/limits", nil, "X-Api-Key: "+clientKey)
		if got.status != want {
			t.Errorf("%s = %d %s, want %d", path, got.status, got.body, want)
		}
	}
}
