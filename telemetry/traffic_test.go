package telemetry_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/quota"
	"github.com/sfproxy/sfproxy/telemetry"
)

// seen is what a usual request does.
func seen() *proxy.Observation {
	return &proxy.Observation{Family: proxy.FamilyQuery, Status: 200, Whole: true, Forwarded: true,
		Duration: 30 * time.Millisecond, SendDelay: 200 * time.Microsecond, TokenWait: time.Microsecond, Upstream: 20 * time.Millisecond,
		Received: 10, Sent: 2000, Counted: true}
}

// page returns the metrics as they are read.
func page(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func wantLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the metrics have no line %s", line)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	usage := new(quota.Usage)
	m.FollowUsage(usage, map[string]quota.Reserve{"billing": {}})
	if text := page(t, m); strings.Contains(text, "_api_calls_left") || strings.Contains(text, "sfproxy_org_api_calls") {
		t.Errorf("there are API calls of the org before anybody told of them")
	}
	usage.Note(quota.Reading{Used: 19, Limit: 15000}, quota.Reading{}, time.Now())
	billing, nobody := m.Client("billing"), m.Client("")
	for _, o := range []*proxy.Observation{
		seen(),
		{Family: proxy.FamilyQuery, Status: 401, Whole: true, Forwarded: true, Upstream: 3 * time.Second, Duration: 3 * time.Second, Refused: proxy.RefusalRepeated},
		{Family: proxy.FamilyBulk, Status: 200, Source: proxy.FromClient, Forwarded: true},
		{Family: proxy.FamilySOAP, Status: 304, Whole: true, Counted: true, Forwarded: true, Upstream: time.Second},
		{Family: proxy.FamilySObjects, Status: 503, Whole: true, Source: proxy.FromProxy, Forwarded: true, TokenWait: time.Second, Failure: "PROXY_GRANT_UNAVAILABLE"},
	} {
		m.Arrived()
		billing.Done(o)
	}
	m.Arrived()
	m.Arrived()
	nobody.Done(&proxy.Observation{Status: 401, Whole: true, Source: proxy.FromProxy})
	wantLines(t, page(t, m),
		`sfproxy_requests_total{client="billing",family="query",source="salesforce",status="2xx"} 1`,
		`sfproxy_requests_total{client="billing",family="query",source="salesforce",status="4xx"} 1`,
		`sfproxy_requests_total{client="billing",family="bulk",source="client",status="aborted"} 1`,
		`sfproxy_requests_total{client="billing",family="soap",source="salesforce",status="3xx"} 1`,
		`sfproxy_requests_total{client="billing",family="sobjects",source="proxy",status="5xx"} 1`,
		`sfproxy_requests_total{client="",family="other",source="proxy",status="4xx"} 1`,
		`sfproxy_requests_in_flight 1`,
		`sfproxy_request_body_bytes_total{client="billing"} 10`,
		`sfproxy_response_body_bytes_total{client="billing"} 2000`,
		`sfproxy_api_calls_total{client="billing"} 2`,
		`sfproxy_api_calls_total{client=""} 0`,
		`sfproxy_org_api_calls_used 19`,
		`sfproxy_org_api_calls_limit 15000`,
		`sfproxy_client_api_calls_left{client="billing"} 14981`,
		`sfproxy_failures_total{code="PROXY_GRANT_UNAVAILABLE"} 1`,
		`sfproxy_token_refusals_total{result="repeated"} 1`,
		`sfproxy_token_refusals_total{result="cured"} 0`,
		`sfproxy_request_duration_seconds_bucket{family="query",le="0.05"} 1`,
		`sfproxy_request_duration_seconds_count{family="query"} 2`,
		`sfproxy_upstream_duration_seconds_bucket{family="query",le="0.025"} 1`,
		`sfproxy_upstream_duration_seconds_bucket{family="query",le="2.5"} 1`,
		`sfproxy_upstream_duration_seconds_bucket{family="query",le="600"} 2`,
		`sfproxy_upstream_duration_seconds_sum{family="query"} 3.02`,
		`sfproxy_token_wait_seconds_bucket{le="0.0001"} 4`,
		`sfproxy_token_wait_seconds_count 5`,
		`sfproxy_send_delay_seconds_bucket{le="0.0001"} 0`,
		`sfproxy_send_delay_seconds_bucket{le="0.00025"} 1`,
		`sfproxy_send_delay_seconds_count 1`,
	)
	if text := page(t, m); strings.Contains(text, "sfproxy_app_api_calls") {
		t.Error("there are API calls of an app that has no limit of its own")
	}
	if text := page(t, m); strings.Contains(text, `sfproxy_upstream_duration_seconds_count{family="sobjects"}`) {
		t.Error("a request that Salesforce did not answer counts in the time that it took to")
	}
}

// TestSeriesAreFew counts the series of what clients can do at most.
func TestSeriesAreFew(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	for _, name := range []string{"", "billing"} {
		for range 2 { // clients are set anew when their credentials change
			client := m.Client(name)
			for family := range proxy.Families {
				for source := range proxy.Sources {
					for status := range 1000 {
						client.Done(&proxy.Observation{Family: proxy.Family(family), Source: proxy.Source(source), Status: status, Whole: status%2 == 0, Forwarded: true, Upstream: 1})
					}
				}
			}
		}
	}
	series := 0
	for line := range strings.Lines(page(t, m)) {
		if strings.HasPrefix(line, "sfproxy_requests_total{") {
			series++
		}
	}
	if want := 2 * proxy.Families * proxy.Sources * 5; series != want {
		t.Errorf("two clients make %d series of requests, want %d", series, want)
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	dial := m.CountDials(new(net.Dialer).DialContext)
	first, err := dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	second, err := dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := first.(syscall.Conn); !ok {
		t.Error("a counted connection hides its descriptor, by which package upstream knows a dead one")
	}
	first.Close()
	first.Close()
	listener.Close()
	if _, err := dial(t.Context(), "tcp", address); err == nil {
		t.Error("a closed port takes a connection")
	}
	for _, resumed := range []bool{false, true, true} {
		if err := m.CountHandshake(tls.ConnectionState{DidResume: resumed}); err != nil {
			t.Errorf("counting a handshake fails: %v", err)
		}
	}
	wantLines(t, page(t, m),
		`sfproxy_upstream_connections 1`,
		`sfproxy_upstream_dials_total{result="connected"} 2`,
		`sfproxy_upstream_dials_total{result="failed"} 1`,
		`sfproxy_upstream_tls_handshakes_total{kind="full"} 1`,
		`sfproxy_upstream_tls_handshakes_total{kind="resumed"} 2`,
	)
	second.Close()
	wantLines(t, page(t, m), `sfproxy_upstream_connections 0`)
}

func TestRequestsCostNoMemory(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	client, o := m.Client("billing"), seen()
	if n := testing.AllocsPerRun(100, func() { m.Arrived(); client.Done(o) }); n != 0 {
		t.Errorf("counting a request takes %v allocations, want none", n)
	}
}
