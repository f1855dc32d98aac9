package integration_test

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// span is a span as OTLP has it in JSON.
type span struct {
	TraceID      string `json:"traceId"`
	ParentSpanID string `json:"parentSpanId"`
	SpanID       string `json:"spanId"`
	Name         string
	Attributes   []struct {
		Key   string
		Value struct{ StringValue, IntValue string }
	}
	Status struct{ Code int }
	Links  []struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
	}
}

// links reports whether s has one link, which is to other.
func (s span) links(other span) bool {
	return len(s.Links) == 1 && s.Links[0].TraceID == other.TraceID && s.Links[0].SpanID == other.SpanID
}

// attribute returns the value of one as text, "" if there is none.
func (s span) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.StringValue + a.Value.IntValue
		}
	}
	return ""
}

// otlpReceiver is the collector's own OTLP/HTTP receiver.
type otlpReceiver struct {
	*process
	URL string
}

func startReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close() // the receiver does not tell its port, so it is given one
	r := &otlpReceiver{startOf(t, buildModule(t, filepath.Join("testdata", "otlpreceiver")), nil, address), "http://" + address}
	r.Stdout.waitFor(t, "listening\n")
	return r
}

// spans returns those received of a trace, ordered as they began, once there are n.
func (r *otlpReceiver) spans(t *testing.T, trace string, n int) []span {
	t.Helper()
	var found []span
	deadline := time.After(30 * time.Second)
	for {
		r.Stdout.mu.Lock()
		text, changed := r.Stdout.text.String(), r.Stdout.changed
		r.Stdout.mu.Unlock()
		found = nil
		for line := range strings.Lines(text) {
			for _, s := range spansOf(line) {
				if trace == "" || s.TraceID == trace {
					found = append(found, s)
				}
			}
		}
		if len(found) >= n {
			return found
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the receiver got %d spans of trace %s, want %d:\n%s", len(found), trace, n, text)
		}
	}
}

func spansOf(line string) []span {
	var batch struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []span }
		}
	}
	json.Unmarshal([]byte(line), &batch)
	var found []span
	for _, r := range batch.ResourceSpans {
		for _, s := range r.ScopeSpans {
			found = append(found, s.Spans...)
		}
	}
	return found
}

func namesOf(spans []span) []string {
	var names []string
	for _, s := range spans {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

const (
	appTrace  = "0af7651916cd43dd8448eb211c80319c"
	appSpan   = "b7ad6b7169203331"
	traceOf   = "Traceparent: 00-" + appTrace + "-" + appSpan + "-01"
	otherOne  = "11111111111111111111111111111111"
	traceOf2  = "Traceparent: 00-" + otherOne + "-" + appSpan + "-01"
	unsampled = "Traceparent: 00-22222222222222222222222222222222-" + appSpan + "-00"
)

// Requests of an app that is traced go on in its trace: what waited, what was
// sent, and what was sent again.
func TestTraces(t *testing.T) {
	t.Parallel()
	receiver := startReceiver(t)
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, append(quotaEnv, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_RESOURCE_ATTRIBUTES=site=lab")...))
	p.Log.waitFor(t, `"msg":"token granted"`)
	limits := p.URL + dataPath + "/limits"

	a := get(t, limits+"?secret=in-the-query", billingKey, traceOf)
	if got := a.header.Get("Traceresponse"); a.status != http.StatusOK || !strings.HasPrefix(got, "00-"+appTrace+"-") {
		t.Fatalf("answer = %d, Traceresponse %q", a.status, got)
	}
	spans := receiver.spans(t, appTrace, 3)
	if got := namesOf(spans); !slices.Equal(got, []string{"GET " + spanFamily(spans), "token", "upstream"}) {
		t.Errorf("spans = %q", got)
	}
	for _, s := range spans {
		switch {
		case strings.HasPrefix(s.Name, "GET "):
			if s.ParentSpanID != appSpan || s.attribute("sfproxy.client") != "billing" || s.attribute("url.path") != dataPath+"/limits" || s.attribute("http.response.status_code") != "200" {
				t.Errorf("the request's span = %+v", s)
			}
		case s.Name == "upstream" && s.attribute("http.response.status_code") != "200":
			t.Errorf("upstream = %+v", s)
		}
	}

	org.RevokeTokens()
	if a := get(t, limits, billingKey, traceOf2); a.status != http.StatusOK {
		t.Fatalf("after the token was lost: %d %s", a.status, a.body)
	}
	spans = receiver.spans(t, otherOne, 6)
	if got := namesOf(spans)[1:]; !slices.Equal(got, []string{"grant", "replay", "token", "token", "upstream"}) {
		t.Errorf("spans of a replay = %q", got)
	}
	if got := len(named(receiver.spans(t, "", 10), "grant")); got != 2 {
		t.Errorf("%d spans of grants, want 2", got)
	}

	org.RevokeTokens()
	if a := get(t, limits, billingKey, unsampled); a.header.Get("Traceresponse") != "" {
		t.Error("a trace that its app does not sample is followed")
	}
	p.stop(t)
	grants := named(receiver.spans(t, "", 11), "grant")
	if last := grants[len(grants)-1]; len(grants) != 3 || last.ParentSpanID != "" || len(last.Links) > 0 {
		t.Errorf("grants = %+v, want a third one that is a trace of its own", grants)
	}
	for _, hidden := range []string{"in-the-query", "22222222222222222222222222222222", "billing-billing", subject} {
		if strings.Contains(receiver.Stdout.String(), hidden) {
			t.Errorf("the traces hold %s", hidden)
		}
	}
	if !strings.Contains(receiver.Stdout.String(), `"stringValue":"lab"`) {
		t.Error("OTEL_RESOURCE_ATTRIBUTES does not count")
	}
}

// spanFamily returns the family in the span of the request.
func spanFamily(spans []span) string {
	for _, s := range spans {
		if family := s.attribute("sfproxy.family"); family != "" {
			return family
		}
	}
	return ""
}

// named returns the spans of a name.
func named(spans []span, name string) []span {
	return slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.Name != name })
}

// A request that waits for a login shows it: each try is a part of the request
// that began it, and who waits with it has a link there.
func TestTracesShowTheGrantThatIsWaitedFor(t *testing.T) {
	t.Parallel()
	receiver := startReceiver(t)
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=50"))
	p.Log.waitFor(t, `"msg":"token granted"`)
	limits := p.URL + dataPath + "/limits"
	began, release := make(chan struct{}), make(chan struct{})
	org.SetTokenEndpoint(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		org.SetTokenEndpoint(nil)
		org.FailGrants(2, devorg.PageFault(503)) // in whose pauses the second request is sure to wait
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	org.RevokeTokens()
	answers := make(chan answer, 2)
	go func() { answers <- get(t, limits, traceOf) }()
	<-began
	go func() { answers <- get(t, limits, traceOf2) }()
	p.waitForMetric(t, "sfproxy_requests_in_flight", func(n float64) bool { return n == 2 })
	close(release)
	for range 2 {
		if a := <-answers; a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	spans := receiver.spans(t, appTrace, 9)
	grants, tokens := named(spans, "grant"), named(spans, "token")
	if len(grants) != 4 || len(tokens) != 2 {
		t.Fatalf("the first request has the spans %q, want 4 grants, 2 tokens", namesOf(spans))
	}
	failed := 0
	for _, g := range grants {
		if g.ParentSpanID != tokens[1].SpanID {
			t.Errorf("the grant %+v is no part of the token span %s", g, tokens[1].SpanID)
		}
		if g.Status.Code == 2 { // error
			failed++
		}
	}
	if failed != 3 || grants[3].Status.Code != 0 {
		t.Errorf("%d grants failed, want the first 3 of %+v", failed, grants)
	}
	if len(tokens[1].Links) > 0 {
		t.Errorf("the token span has a link to its own part: %+v", tokens[1])
	}
	spans = receiver.spans(t, otherOne, 3)
	waited := slices.DeleteFunc(named(spans, "token"), func(s span) bool { return len(s.Links) == 0 })
	if len(waited) != 1 || !waited[0].links(grants[3]) || len(named(spans, "grant")) > 0 {
		t.Errorf("the second request's spans = %+v, want one token span with a link to %+v", spans, grants[3])
	}
}

// A renewal that nobody waits for is no part of the request that set it off.
func TestTracesKeepRenewalsApart(t *testing.T) {
	t.Parallel()
	receiver := startReceiver(t)
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "SF_TOKEN_TTL=10s", "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=50"))
	p.Log.waitFor(t, `"msg":"token granted"`)
	eventually(t, "the token is renewed", func() bool {
		if a := get(t, p.URL+dataPath+"/limits", traceOf); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return org.Stats().Grants > 1
	})
	var grants, tokens []span
	eventually(t, "the renewal's span arrives", func() bool {
		all := receiver.spans(t, "", 2)
		grants, tokens = named(all, "grant"), named(all, "token")
		return len(grants) > 1
	})
	renewal := grants[1]
	if renewal.TraceID == appTrace || renewal.ParentSpanID != "" || len(renewal.Links) != 1 {
		t.Fatalf("the renewal's span = %+v, want a trace of its own with a link", renewal)
	}
	if !slices.ContainsFunc(tokens, func(s span) bool { return renewal.links(s) && s.TraceID == appTrace }) {
		t.Errorf("the renewal's span = %+v, want a link to one of %+v", renewal, tokens)
	}
}

// A login that waits for one at Salesforce shows it as well.
func TestTracesShowTheGrantOfALogin(t *testing.T) {
	t.Parallel()
	receiver := startReceiver(t)
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=50",
		"PROXY_CLIENT_0_NAME=legacy", "PROXY_CLIENT_0_USERNAME=legacy@example.com", "PROXY_CLIENT_0_PASSWORD=correct-horse-battery"))
	p.Log.waitFor(t, `"msg":"token granted"`)
	org.RevokeTokens()
	form := "grant_type=password&client_id=any&username=legacy@example.com&password=correct-horse-battery"
	a := fetch(t, "POST", p.URL+"/services/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded", traceOf)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	spans := receiver.spans(t, appTrace, 2)
	request, grants := named(spans, "POST login"), named(spans, "grant")
	if len(request) != 1 || len(grants) != 1 || grants[0].ParentSpanID != request[0].SpanID || len(request[0].Links) > 0 {
		t.Errorf("spans = %+v, want a grant as a part of the login", spans)
	}
}

// The trace of a company stays in it, unless it is meant to leave.
func TestTraceparentStaysHere(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	headers := []string{traceOf, "Tracestate: vendor=1", "Baggage: customer=7"}
	quiet := startProxy(t, org.env)
	a := get(t, quiet.URL+"/services/apexrest/echo", headers...)
	for _, sent := range []string{appTrace, "vendor=1", "customer=7"} {
		if strings.Contains(string(a.body), sent) {
			t.Errorf("Salesforce got %s:\n%s", sent, a.body)
		}
	}
	if a.header.Get("Traceresponse") != "" {
		t.Error("an answer tells of a trace, and nobody traces")
	}
	open := startProxy(t, with(org.env, "SF_TRACEPARENT=true"))
	a = get(t, open.URL+"/services/apexrest/echo", headers...)
	if !strings.Contains(string(a.body), appTrace+"-"+appSpan) || !strings.Contains(string(a.body), "vendor=1") || strings.Contains(string(a.body), "customer=7") {
		t.Errorf("with SF_TRACEPARENT Salesforce got\n%s", a.body)
	}
}

// Nobody waits for a receiver that is not there; the log says so, once.
func TestNoTraceReceiver(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_EXPORTER_OTLP_TIMEOUT=500"))
	for range 20 {
		if a := get(t, p.URL+dataPath+"/limits"); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	p.Log.waitFor(t, `"msg":"traces have a fault"`)
	p.stop(t)
	if n := strings.Count(p.Log.String(), "traces have a fault"); n != 1 {
		t.Errorf("the log says %d times that traces have a fault", n)
	}
}
