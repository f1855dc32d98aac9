package integration_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// metered is a proxy with two clients, billing and reports, whose API keys are
// keys' values.
type metered struct {
	*process
	org  *org
	keys map[string]string
}

func startMetered(t *testing.T, env ...string) *metered {
	t.Helper()
	m := &metered{org: startOrg(t, devorg.Config{TLS: true}), keys: map[string]string{"billing": newAPIKey(), "reports": newAPIKey()}}
	m.process = startProxy(t, with(m.org.env, append(env,
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY="+m.keys["billing"],
		"PROXY_CLIENT_1_NAME=reports", "PROXY_CLIENT_1_API_KEY="+m.keys["reports"], "PROXY_CLIENT_1_READ_ONLY=true")...))
	m.Log.waitFor(t, `"msg":"token granted"`)
	return m
}

// as sends a request of a client, "" for one that the proxy does not know.
func (m *metered) as(t *testing.T, client, method, path, body string, header ...string) answer {
	t.Helper()
	header = append(header, "X-Api-Key: "+m.keys[client])
	return fetch(t, method, m.URL+path, strings.ReplaceAll(body, "KEY", m.keys[client]), header...)
}

// series are the lines of /metrics that begin with prefix.
func (m *metered) series(t *testing.T, prefix string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(string(m.ask(t, "/metrics").body)) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

const queryEnvelope = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:urn="urn:partner.soap.sforce.com">` +
	`<soapenv:Header><urn:SessionHeader><urn:sessionId>KEY</urn:sessionId></urn:SessionHeader></soapenv:Header>` +
	`<soapenv:Body><urn:query><urn:queryString>SELECT Id FROM Account</urn:queryString></urn:query></soapenv:Body></soapenv:Envelope>`

// TestMetricsTellClientsApart has two clients send requests to each family of
// APIs, in numbers that are not the same.
func TestMetricsTellClientsApart(t *testing.T) {
	t.Parallel()
	need(t, "promtool")
	m := startMetered(t)
	jobs := `{"object":"Account","operation":"insert"}`
	want := []string{}
	var sent, received, calls int
	for i, r := range []struct {
		family, method, path, body string
		status                     int // class
		source                     string
		counted                    bool // by the org
	}{
		{"sobjects", "GET", dataPath + "/sobjects", "", 2, "salesforce", true},
		{"query", "GET", dataPath + "/query?q=SELECT+Id+FROM+Account", "", 2, "salesforce", true},
		{"search", "GET", dataPath + "/search?q=x", "", 4, "salesforce", true},
		{"composite", "POST", dataPath + "/composite", `{"compositeRequest":[{"method":"GET","url":"` + dataPath + `/limits","referenceId":"a"}]}`, 2, "salesforce", true},
		{"graphql", "POST", dataPath + "/graphql", "{}", 4, "salesforce", true},
		{"ui", "GET", dataPath + "/ui-api/records/001", "", 4, "salesforce", true},
		{"connect", "GET", dataPath + "/chatter/feeds", "", 4, "salesforce", true},
		{"analytics", "GET", dataPath + "/analytics/reports", "", 4, "salesforce", true},
		{"tooling", "GET", dataPath + "/tooling/query", "", 4, "salesforce", true},
		{"bulk", "POST", dataPath + "/jobs/ingest", jobs, 2, "salesforce", true},
		{"rest", "GET", dataPath + "/limits", "", 2, "salesforce", true},
		{"apexrest", "PUT", echoPath, "0123456789", 2, "salesforce", true},
		{"soap", "POST", "/services/Soap/u/60.0", queryEnvelope, 2, "salesforce", true},
		{"cometd", "POST", "/cometd/60.0", `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`, 2, "salesforce", false},
		{"identity", "GET", "/services/oauth2/userinfo", "", 2, "salesforce", false},
		{"other", "GET", "/lightning/page", "", 4, "proxy", false},
	} {
		for range i + 1 {
			body := strings.ReplaceAll(r.body, "KEY", m.keys["billing"])
			a := m.as(t, "billing", r.method, r.path, body, "Content-Type: "+map[bool]string{true: "text/xml", false: "application/json"}[r.family == "soap"], `SOAPAction: ""`)
			if a.status/100 != r.status {
				t.Errorf("%s %s = %d %s, want a %dxx", r.method, r.path, a.status, a.body, r.status)
			}
			sent, received = sent+len(body), received+len(a.body)
			if r.counted {
				calls++
			}
		}
		want = append(want, fmt.Sprintf(`sfproxy_requests_total{client="billing",family=%q,source=%q,status="%dxx"} %d`, r.family, r.source, r.status, i+1))
	}
	// The other client, and one that is none, are counted apart.
	m.as(t, "reports", "GET", dataPath+"/query?q=SELECT+Id+FROM+Account", "")
	m.as(t, "reports", "POST", dataPath+"/sobjects/Account", `{"Name":"x"}`)
	m.as(t, "", "GET", dataPath+"/query?q=SELECT+Id+FROM+Account", "")
	m.as(t, "", "POST", "/services/oauth2/token", "grant_type=password")
	want = append(want,
		`sfproxy_requests_total{client="reports",family="query",source="salesforce",status="2xx"} 1`,
		`sfproxy_requests_total{client="reports",family="sobjects",source="proxy",status="4xx"} 1`,
		`sfproxy_requests_total{client="",family="query",source="proxy",status="4xx"} 1`,
		`sfproxy_requests_total{client="",family="login",source="proxy",status="4xx"} 1`)
	slices.Sort(want)
	eventually(t, "all requests are counted", func() bool { return len(m.series(t, "sfproxy_requests_in_flight 0")) == 1 })
	if got := m.series(t, "sfproxy_requests_total{"); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("requests are counted as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	usage := m.series(t, "sfproxy_org_api_calls_")
	for _, line := range []string{
		fmt.Sprintf(`sfproxy_request_body_bytes_total{client="billing"} %d`, sent),
		fmt.Sprintf(`sfproxy_response_body_bytes_total{client="billing"} %d`, received),
		fmt.Sprintf(`sfproxy_api_calls_total{client="billing"} %d`, calls),
		`sfproxy_api_calls_total{client="reports"} 1`,
		`sfproxy_api_calls_total{client=""} 0`,
		`sfproxy_request_duration_seconds_count{family="query"} 3`,
		`sfproxy_upstream_duration_seconds_count{family="apexrest"} 12`,
		`sfproxy_live_tokens 1`,
		`sfproxy_grant_duration_seconds_count 1`,
		`sfproxy_upstream_dials_total{result="failed"} 0`,
	} {
		if got := m.series(t, line[:strings.LastIndexByte(line, ' ')]); !slices.Equal(got, []string{line}) {
			t.Errorf("the metrics have %q, want %s", got, line)
		}
	}
	last := m.as(t, "billing", "GET", dataPath+"/limits", "").header.Get("Sforce-Limit-Info")
	eventually(t, "the last Sforce-Limit-Info, "+last+", is shown; first was "+strings.Join(usage, ", "), func() bool {
		got := m.series(t, "sfproxy_org_api_calls_")
		return len(got) == 2 && "api-usage="+valueOf(got[1])+"/"+valueOf(got[0]) == last
	})
	for _, name := range []string{"sfproxy_upstream_connections", "sfproxy_upstream_idle_connections", `sfproxy_upstream_tls_handshakes_total{kind="full"}`} {
		if got := m.series(t, name+" "); len(got) != 1 || valueOf(got[0]) == "0" {
			t.Errorf("the metrics have %q, want some %s", got, name)
		}
	}
	checkMetrics(t, m.ask(t, "/metrics").body)
}

// TestMetricsOfEachSubject has clients act for users of their own: each user's
// token and budget are shown once, whoever's they are, and no username is.
func TestMetricsOfEachSubject(t *testing.T) {
	t.Parallel()
	users := []string{subject, "billing@example.com", "sync@example.com", "gone@example.com"}
	m := &metered{org: startOrg(t, devorg.Config{Users: users[:3]}), keys: map[string]string{}}
	env := []string{"PROXY_API_RESERVE=10%"}
	for i, c := range [][2]string{{"app", ""}, {"billing", users[1]}, {"import", users[2]}, {"export", users[2]}, {"old", users[3]}} {
		prefix := fmt.Sprintf("PROXY_CLIENT_%d_", i)
		m.keys[c[0]] = newAPIKey()
		env = append(env, prefix+"NAME="+c[0], prefix+"API_KEY="+m.keys[c[0]], prefix+"SUBJECT="+c[1])
	}
	m.process = startProxy(t, with(m.org.env, append(env, "PROXY_CLIENT_1_API_RESERVE=0")...))
	m.Log.waitFor(t, `"msg":"token granted"`)
	wantSeries := func(name string, want ...string) {
		t.Helper()
		var got []string
		for _, line := range m.series(t, "sfproxy_"+name) {
			got = append(got, strings.TrimPrefix(line, "sfproxy_"+name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	wantSeries("client_info", `{client="app",subject=""} 1`, `{client="billing",subject="billing"} 1`, `{client="export",subject="import"} 1`,
		`{client="import",subject="import"} 1`, `{client="old",subject="old"} 1`)
	if got := len(m.series(t, "sfproxy_grants_left{")); got != 4 {
		t.Errorf("there are %d budgets, want 4", got)
	}
	wantSeries(`grants_left{subject="billing"}`, " 60")
	if got := m.series(t, "sfproxy_token_expiry"); len(got) != 1 || !strings.HasPrefix(got[0], `sfproxy_token_expiry_timestamp_seconds{subject=""} `) {
		t.Errorf("tokens before anybody has asked: %q", got)
	}
	wantSeries("client_api_calls_left{")

	m.org.SetAPIUsage(7, 100)
	for _, client := range []string{"billing", "export"} {
		if a := m.as(t, client, "GET", dataPath+"/limits", ""); a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", client, a.status, a.body)
		}
	}
	if a := m.as(t, "old", "GET", dataPath+"/limits", ""); a.status != http.StatusBadGateway {
		t.Errorf("a client whose user is gone: %d %s", a.status, a.body)
	}
	wantSeries(`grants_total{result="granted"`, `,subject=""} 1`, `,subject="billing"} 1`, `,subject="import"} 1`, `,subject="old"} 0`)
	wantSeries(`grants_total{result="refused"`, `,subject=""} 0`, `,subject="billing"} 0`, `,subject="import"} 0`, `,subject="old"} 1`)
	wantSeries("live_tokens", " 3")
	if got := m.series(t, "sfproxy_token_issue_"); len(got) != 3 {
		t.Errorf("tokens = %q, want 3", got)
	}
	wantSeries("client_api_calls_left", `{client="app"} 81`, `{client="billing"} 91`, `{client="export"} 81`, `{client="import"} 81`, `{client="old"} 81`)
	page := string(m.ask(t, "/metrics").body)
	for _, user := range users {
		if strings.Contains(page, user) {
			t.Errorf("the metrics name %s", user)
		}
	}
	checkMetrics(t, []byte(page))
}

// valueOf returns the value of a series.
func valueOf(series string) string { return series[strings.LastIndexByte(series, ' ')+1:] }

// checkMetrics has promtool look at a page of metrics.
func checkMetrics(t *testing.T, page []byte) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(string(page))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestMetricsStayFew has strangers and a client send what no two requests have
// in common: no series comes of it, and nothing of it is in one.
func TestMetricsStayFew(t *testing.T) {
	t.Parallel()
	const rounds = 400
	m := startMetered(t)
	round := func(i int) {
		mark := fmt.Sprintf("mark%d", i)
		for _, client := range []string{"billing", ""} {
			m.as(t, client, "GET", dataPath+"/"+mark, "")
			m.as(t, client, "GET", "/services/apexrest/"+mark+"?q="+mark, "", "Sforce-Call-Options: client="+mark, "X-Request-Id: "+mark)
			m.as(t, client, "GET", "/"+mark, "", "User-Agent: "+mark, "X-Forwarded-For: 10.0.0."+fmt.Sprint(i%250))
			m.as(t, client, "M"+strings.Repeat("A", i%200), "/services/data/v"+fmt.Sprint(i)+".0/query/"+mark, "")
			m.as(t, client, "GET", "/services/data/%252e%252e/"+mark, "")
			m.as(t, client, "POST", "/services/Soap/u/"+mark, "<"+mark+"/>", "Host: "+mark+".example")
		}
		m.as(t, "", "GET", dataPath+"/limits", "", "Authorization: Bearer "+mark, "X-Sfdc-Session: 00D!"+mark)
		m.as(t, "", "POST", "/services/oauth2/token", "grant_type=password&username="+mark+"&password="+mark)
	}
	for i := range 10 {
		round(i)
	}
	before := m.names(t)
	for i := range rounds {
		round(10 + i)
	}
	if after := m.names(t); !slices.Equal(before, after) {
		t.Errorf("%d rounds of requests made %d series out of %d: %s", rounds, len(after), len(before),
			slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) }))
	}
	if page := string(m.ask(t, "/metrics").body); strings.Contains(page, "mark") || strings.Contains(page, subject) {
		t.Errorf("the metrics hold what a client sent, or a username:\n%s", page)
	}
}

// names are the series there are, without their values; summaries of the
// runtime come and go.
func (m *metered) names(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, line := range m.series(t, "sfproxy_") {
		names = append(names, line[:strings.LastIndexByte(line, ' ')])
	}
	return names
}

// TestAlerts has promtool try the alerts of deploy/, each of which has a test.
func TestAlerts(t *testing.T) {
	t.Parallel()
	need(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "../deploy/alerts.yaml"}, {"test", "rules", "../deploy/alerts_test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, tests := read(t, "../deploy/alerts.yaml"), read(t, "../deploy/alerts_test.yaml")
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		for _, name := range []string{alert[1] + " fires", alert[1] + " is silent"} {
			if !strings.Contains(tests, "name: "+name+"\n") {
				t.Errorf("deploy/alerts_test.yaml has no test %q", name)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestDashboard has Prometheus read a proxy to which everything happens that the
// dashboard shows, and asks it what each panel asks. The alerts' rules are
// loaded, and one of them fires.
func TestDashboard(t *testing.T) {
	t.Parallel()
	need(t, "prometheus")
	m := startMetered(t, "SF_MIN_API_VERSION=60.0", "SF_MAX_CONCURRENT=20", "SF_JWT_CERT_FILE="+writeFile(t, "server.crt", certificateOfDays(t, 20)))
	prometheus := startPrometheus(t, m.Admin)
	eventually(t, "Prometheus knows sfproxy", func() bool { return len(prometheus.query(t, `up{job="sfproxy"} == 1`)) == 1 })
	queries := panelQueries(t)
	if len(queries) < 40 {
		t.Errorf("the dashboard asks %d questions, want all of its panels'", len(queries))
	}
	eventually(t, "each panel has data", func() bool {
		m.haveItAll(t)
		queries = slices.DeleteFunc(queries, func(q panelQuery) bool { return len(prometheus.query(t, q.expr)) > 0 })
		t.Logf("without data: %s", queries)
		return len(queries) == 0
	})
	eventually(t, "the alert of the certificate fires", func() bool {
		firing := prometheus.query(t, `ALERTS{alertstate="firing"}`)
		return slices.ContainsFunc(firing, func(s map[string]string) bool { return s["alertname"] == "SfproxyCertificateExpires" })
	})
	if documented := prometheus.query(t, failingClients(t)); len(documented) != 0 {
		t.Errorf("clients whose logins fail: %v, want none", documented)
	}
	m.org.RevokeTokens()
	m.org.FailGrants(-1, devorg.OAuthFault("invalid_grant", "user hasn't approved this consumer"))
	m.as(t, "billing", "GET", dataPath+"/limits", "")
	eventually(t, "both clients are shown as such whose logins fail", func() bool { return len(prometheus.query(t, failingClients(t))) == 2 })
	prometheus.checkRules(t)
}

// failingClients returns what docs/metrics.md says to ask for the clients whose
// logins fail.
func failingClients(t *testing.T) string {
	t.Helper()
	expr := regexp.MustCompile(`    (sfproxy_client_info \* .*)`).FindStringSubmatch(read(t, "../docs/metrics.md"))
	if expr == nil {
		t.Fatal("docs/metrics.md does not say how to ask for the clients whose logins fail")
	}
	return expr[1]
}

// haveItAll makes each counter of the proxy count.
func (m *metered) haveItAll(t *testing.T) {
	t.Helper()
	query := dataPath + "/query?q=SELECT+Id+FROM+Account"
	m.as(t, "billing", "GET", query, "")
	m.as(t, "billing", "POST", dataPath+"/sobjects/Account", `{"Name":"x"}`, "Content-Type: application/json")
	m.as(t, "reports", "GET", "/services/data/v50.0/limits", "") // is raised
	m.as(t, "reports", "DELETE", dataPath+"/sobjects/Account/001000000000001AAA", "")
	m.as(t, "", "GET", query, "")
	m.as(t, "billing", "GET", "/"+strings.Repeat("long", 5<<10), "")
	m.org.ExpireTokens()
	m.as(t, "billing", "GET", query, "")
	m.org.FailRequests(1, devorg.Fault{CloseConn: true})
	m.as(t, "billing", "PATCH", dataPath+"/limits", "")
	m.org.FailRequests(1, devorg.PageFault(503))
	m.as(t, "billing", "GET", query, "")
}

// certificateOfDays returns a certificate of the test's key that is valid for
// some days.
func certificateOfDays(t *testing.T, days int) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "integration"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &testKey().PublicKey, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// panelQuery is what a panel of the dashboard asks.
type panelQuery struct{ title, expr string }

func (q panelQuery) String() string { return q.title + ": " + q.expr + "\n" }

// panelQueries are those of deploy/dashboard.json, as Grafana would send them
// for all instances and clients.
func panelQueries(t *testing.T) []panelQuery {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Type, Title string
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../deploy/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*", "$client", ".*", "$job", "sfproxy")
	var queries []panelQuery
	titles := map[string]bool{}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && (len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "") {
			t.Errorf("the panel %q asks nothing, or has no unit", p.Title)
		}
		if p.Title == "" || titles[p.Title] {
			t.Errorf("a panel has no title, or that of another one: %q", p.Title)
		}
		titles[p.Title] = true
		for _, target := range p.Targets {
			queries = append(queries, panelQuery{p.Title, variables.Replace(target.Expr)})
		}
	}
	return queries
}

// prometheusServer is Debian's Prometheus, reading a proxy.
type prometheusServer struct{ url string }

// startPrometheus runs Prometheus, with the rules of deploy/, until the test ends.
func startPrometheus(t *testing.T, admin string) prometheusServer {
	t.Helper()
	rules, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	config := writeFile(t, "prometheus.yaml", fmt.Appendf(nil, `
global: {scrape_interval: 500ms, evaluation_interval: 1s}
rule_files: [%s/../deploy/alerts.yaml]
scrape_configs: [{job_name: sfproxy, static_configs: [{targets: [%q]}]}]
`, rules, strings.TrimPrefix(admin, "http://")))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	output := newLines(&transcripts)
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+address)
	cmd.Stderr = lineWriter{output}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of Prometheus:\n%s", output)
		}
	})
	output.waitFor(t, "Server is ready to receive web requests")
	return prometheusServer{"http://" + address}
}

// lineWriter adds what is written to lines.
type lineWriter struct{ *lines }

func (w lineWriter) Write(text []byte) (int, error) {
	w.record.add(text)
	w.add(string(text))
	return len(text), nil
}

// query returns the labels of the series that an expression has now.
func (p prometheusServer) query(t *testing.T, expr string) []map[string]string {
	t.Helper()
	a := get(t, p.url+"/api/v1/query?query="+url.QueryEscape(expr))
	if a.status != http.StatusOK {
		t.Fatalf("%s: %s", expr, a.body)
	}
	reply := decode[struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}](t, a.body)
	var series []map[string]string
	for _, r := range reply.Data.Result {
		series = append(series, r.Metric)
	}
	return series
}

// checkRules says which rules cannot be evaluated.
func (p prometheusServer) checkRules(t *testing.T) {
	t.Helper()
	reply := decode[struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}](t, get(t, p.url+"/api/v1/rules").body)
	if len(reply.Data.Groups) == 0 {
		t.Error("Prometheus has no rules")
	}
	for _, group := range reply.Data.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				t.Errorf("the rule %s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
}
