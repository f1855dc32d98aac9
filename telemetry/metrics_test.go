package telemetry_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/quota"
	"github.com/sfproxy/sfproxy/telemetry"
)

var update = flag.Bool("update", false, "write the table in docs/metrics.md")

// integration is the default subject.
const integration = "integration@example.com"

// newMetrics returns metrics each of which has a value.
func newMetrics(t *testing.T) *telemetry.Metrics {
	t.Helper()
	reserve, err := quota.ParseReserve("10%")
	if err != nil {
		t.Fatal(err)
	}
	m := telemetry.NewMetrics("v1.2.3")
	m.KeyChanged(telemetry.KeyRefused)
	m.Reloaded(telemetry.ReloadApplied)
	m.KeyPending(true)
	m.CertificateExpires(time.Unix(1_900_000_000, 0))
	m.APIVersionRaised("billing")
	m.Denied("billing", "read_only")
	m.Limited("requests")
	m.Client("billing").Done(&proxy.Observation{Status: 503, Whole: true, Forwarded: true, Upstream: time.Second, Failure: "PROXY_INSTANCE_TIMEOUT"})
	token := &auth.Token{IssuedAt: time.Unix(1_800_000_000, 0), ExpiresAt: time.Unix(1_800_007_200, 0)}
	subjects := telemetry.NewSubjects(integration)
	for _, c := range [][2]string{{"billing", integration}, {"sync", "sync@example.com"}, {"sync2", "sync@example.com"}, {"idle", "idle@example.com"}} {
		subjects.Add(c[0], c[1])
	}
	outcomes := map[string]auth.Outcome{integration: {Token: token, GrantsLeft: 58}, "sync@example.com": {Token: token, GrantsLeft: 9}, "idle@example.com": {GrantsLeft: 60}}
	m.FollowTokens(subjects, func(subject string) auth.Outcome { return outcomes[subject] }, func() int { return 3 })
	m.FollowListenerCertificate(func() time.Time { return time.Unix(1_850_000_000, 0) })
	m.FollowIdle(func() int { return 7 })
	m.FollowClients(func() int { return 4 })
	m.FollowQueue(quota.NewQueue(20))
	usage := new(quota.Usage)
	usage.Note(quota.Reading{Used: 18, Limit: 15000}, quota.Reading{Used: 3, Limit: 5000}, time.Now())
	m.FollowUsage(usage, map[string]quota.Reserve{"billing": {}, "sync": reserve})
	grant := m.CountGrants(subjects, func(context.Context, string) (*auth.Token, error) { return nil, err })
	for _, err = range []error{nil, &auth.GrantError{Permanent: true}, errors.New("no route")} {
		for _, subject := range []string{integration, "sync@example.com"} {
			if _, got := grant(t.Context(), subject); got != err {
				t.Errorf("the counted grant returns %v, want %v", got, err)
			}
		}
	}
	return m
}

func TestMetricsPage(t *testing.T) {
	m := newMetrics(t)
	admin := telemetry.NewAdmin(&telemetry.Health{Outcome: func() auth.Outcome { return auth.Outcome{} }}, m)
	page := func(path string) string {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s = %d, want 200", path, w.Code)
		}
		return w.Body.String()
	}
	text := page("/metrics")
	for _, want := range []string{
		`sfproxy_build_info{version="v1.2.3"} 1`,
		`sfproxy_denials_total{client="billing",rule="read_only"} 1`,
		`sfproxy_limited_total{limit="requests"} 1`,
		`sfproxy_key_changes_total{result="accepted"} 0`,
		`sfproxy_key_changes_total{result="refused"} 1`,
		`sfproxy_key_changes_total{result="unreadable"} 0`,
		`sfproxy_config_reloads_total{result="applied"} 1`,
		`sfproxy_config_reloads_total{result="unchanged"} 0`,
		`sfproxy_key_pending 1`,
		`sfproxy_certificate_expiry_timestamp_seconds 1.9e+09`,
		`sfproxy_api_version_raised_requests_total{client="billing"} 1`,
		`sfproxy_grants_total{result="granted",subject=""} 1`,
		`sfproxy_grants_total{result="refused",subject=""} 1`,
		`sfproxy_grants_total{result="failed",subject=""} 1`,
		`sfproxy_grants_total{result="failed",subject="sync"} 1`,
		`sfproxy_grants_total{result="refused",subject="idle"} 0`,
		`sfproxy_grant_duration_seconds_count 6`,
		`sfproxy_listener_certificate_expiry_timestamp_seconds 1.85e+09`,
		`sfproxy_grants_left{subject=""} 58`,
		`sfproxy_grants_left{subject="sync"} 9`,
		`sfproxy_grants_left{subject="idle"} 60`,
		`sfproxy_client_info{client="billing",subject=""} 1`,
		`sfproxy_client_info{client="sync",subject="sync"} 1`,
		`sfproxy_client_info{client="sync2",subject="sync"} 1`,
		`sfproxy_client_api_calls_left{client="billing"} 4997`,
		`sfproxy_client_api_calls_left{client="sync"} 4497`,
		`sfproxy_app_api_calls_used 3`,
		`sfproxy_app_api_calls_limit 5000`,
		`sfproxy_live_tokens 3`,
		`sfproxy_upstream_idle_connections 7`,
		`sfproxy_client_connections 4`,
		`sfproxy_token_issue_timestamp_seconds{subject=""} 1.8e+09`,
		`sfproxy_token_expiry_timestamp_seconds{subject=""} 1.8000072e+09`,
		`sfproxy_token_expiry_timestamp_seconds{subject="sync"} 1.8000072e+09`,
		`go_goroutines `,
		`process_open_fds `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("/metrics has no line %s", want)
		}
	}
	for _, unwanted := range []string{`expiry_timestamp_seconds{subject="idle"}`, `subject="sync2"} 9`, "@"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("/metrics has %s", unwanted)
		}
	}
	page("/healthz")

	m.KeyPending(false)
	m.CertificateExpires(time.Time{})
	text = page("/metrics")
	if !strings.Contains(text, "\nsfproxy_key_pending 0\n") || strings.Contains(text, "\nsfproxy_certificate_expiry") {
		t.Errorf("/metrics does not say that no key is pending and no certificate known:\n%s", text)
	}
}

// TestKeyPendingIsSteady reads the metric while it is set to what it is.
func TestKeyPendingIsSteady(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	m.KeyPending(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for t.Context().Err() == nil {
			m.KeyPending(true)
		}
	}()
	t.Cleanup(func() { <-ended })
	for range 200 {
		families, err := m.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "sfproxy_key_pending" && family.GetMetric()[0].GetGauge().GetValue() != 1 {
				t.Fatal("sfproxy_key_pending is 0 for a moment, want 1 all the time")
			}
		}
	}
}

func TestMetricsFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(newMetrics(t).Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsAreDocumented compares docs/metrics.md with the metrics there are.
func TestMetricsAreDocumented(t *testing.T) {
	const path, begin, end = "../docs/metrics.md", "| metric | type | labels | meaning |\n", "\n\n"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table", path)
	}
	want := metricsTable(t)
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("the table of %s is out of date (go test ./telemetry -update writes it); it should be\n%s", path, want)
	}
}

// TestDeployNamesMetrics compares the metrics that alerts and dashboard ask for
// with those there are.
func TestDeployNamesMetrics(t *testing.T) {
	families, err := newMetrics(t).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, family := range families {
		name := family.GetName()
		known[name] = true
		if family.GetType() == dto.MetricType_HISTOGRAM {
			known[name+"_bucket"], known[name+"_sum"], known[name+"_count"] = true, true, true
		}
	}
	for _, path := range []string{"../deploy/alerts.yaml", "../deploy/dashboard.json"} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bsfproxy_\w+`).FindAllString(string(content), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", path)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s asks for %s, which is no metric", path, name)
			}
		}
	}
}

func metricsTable(t *testing.T) string {
	t.Helper()
	families, err := newMetrics(t).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{"| --- | --- | --- | --- |"}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "sfproxy_") {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", family.GetName(),
				strings.ToLower(family.GetType().String()), labelsOf(family), family.GetHelp()))
		}
	}
	return strings.Join(rows, "\n")
}

func labelsOf(family *dto.MetricFamily) string {
	var names []string
	for _, label := range family.GetMetric()[0].GetLabel() {
		names = append(names, "`"+label.GetName()+"`")
	}
	return strings.Join(names, ", ")
}
