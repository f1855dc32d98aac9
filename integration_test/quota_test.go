package integration_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// quotaEnv are a job that leaves a fifth of the org's requests to others, and an
// app that may use the last one.
var quotaEnv = []string{
	"PROXY_API_RESERVE=20%",
	"PROXY_CLIENT_0_NAME=etl", "PROXY_CLIENT_0_API_KEY=etl-etl-etl-etl-etl",
	"PROXY_CLIENT_1_NAME=billing", "PROXY_CLIENT_1_API_KEY=billing-billing-billing", "PROXY_CLIENT_1_API_RESERVE=0",
}

const (
	etlKey     = "Authorization: Bearer etl-etl-etl-etl-etl"
	billingKey = "Authorization: Bearer billing-billing-billing"
)

// The job runs away with the org's requests, and is stopped where its reserve
// begins, while the app goes on to the last request there is.
func TestReserveStopsTheRunawayJob(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, quotaEnv...))
	const allowance = 100
	org.SetAPIUsage(0, allowance)
	limits := p.URL + dataPath + "/limits"
	served := 0
	var refused answer
	for refused.status == 0 && served <= allowance {
		switch a := get(t, limits, etlKey); a.status {
		case http.StatusOK:
			served++
		default:
			refused = a
		}
	}
	// What is left is known after an answer, so that the reserve is touched once.
	if served != allowance*8/10+1 {
		t.Errorf("the job got %d answers, want 81 of 100", served)
	}
	wait, _ := strconv.Atoi(refused.header.Get("Retry-After"))
	if refused.status != http.StatusForbidden || !strings.HasSuffix(string(refused.body), `"errorCode":"REQUEST_LIMIT_EXCEEDED"}]`) ||
		!strings.HasPrefix(string(refused.body), `[{"message":"TotalRequests Limit exceeded. `) || wait < 1 || wait > 60 {
		t.Errorf("the job's last answer = %d, Retry-After %d, %s", refused.status, wait, refused.body)
	}
	if got := refused.header.Get("X-SFProxy-Error"); got != "PROXY_API_RESERVE" {
		t.Errorf("X-SFProxy-Error = %q", got)
	}
	for left := allowance - served; left > 0; left-- {
		if a := get(t, limits, billingKey); a.status != http.StatusOK {
			t.Fatalf("the app, with %d left: %d %s", left, a.status, a.body)
		}
	}
	last := get(t, limits, billingKey)
	if last.status != http.StatusForbidden || last.header.Get("X-SFProxy-Error") != "" {
		t.Errorf("with nothing left: %d %s, want the org's own refusal", last.status, last.body)
	}
	if usage := org.Stats().APIUsage; usage != allowance {
		t.Errorf("the org counts %d requests, want %d", usage, allowance)
	}
	if metrics := string(p.ask(t, "/metrics").body); !strings.Contains(metrics, `sfproxy_denials_total{client="etl",rule="api_reserve"} 1`) {
		t.Error("the refusal is not among the denials")
	}
}

// Each API has its own shape for the refusal, and its own place for the usage.
func TestReserveInEachAPI(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, quotaEnv...))
	envelope := string(sampleEnvelope("etl-etl-etl-etl-etl", "<ns1:query><ns1:queryString>SELECT Id FROM Account</ns1:queryString></ns1:query>"))
	soap := func(header ...string) answer {
		return fetch(t, "POST", p.URL+"/services/Soap/u/60.0", envelope,
			append(header, "Content-Type: text/xml", `SOAPAction: ""`)...)
	}
	org.SetAPIUsage(85, 100)
	if a := soap(); a.status != http.StatusOK {
		t.Fatalf("before the usage is known: %d %s", a.status, a.body)
	}
	if a := soap(); a.status != http.StatusInternalServerError || !strings.Contains(string(a.body), "<sf:exceptionCode>REQUEST_LIMIT_EXCEEDED</sf:exceptionCode>") {
		t.Errorf("SOAP, after an answer in SOAP: %d %s", a.status, a.body)
	}
	bulk := get(t, p.URL+"/services/async/60.0/job/7505g0000000001AAA", "X-SFDC-Session: etl-etl-etl-etl-etl")
	if bulk.status != http.StatusBadRequest || !strings.Contains(string(bulk.body), "<exceptionCode>ExceededQuota</exceptionCode>") {
		t.Errorf("Bulk API 1.0: %d %s", bulk.status, bulk.body)
	}
	for _, path := range []string{"/services/data", "/services/oauth2/userinfo"} {
		if a := get(t, p.URL+path, etlKey); a.status != http.StatusOK {
			t.Errorf("%s, which spends nothing: %d %s", path, a.status, a.body)
		}
	}
	org.SetAPIUsage(10, 100)
	get(t, p.URL+dataPath+"/limits", billingKey) // brings the news
	if a := soap(); a.status != http.StatusOK {
		t.Errorf("once there is enough again: %d %s", a.status, a.body)
	}
	org.SetAPIUsage(90, 100)
	if a := soap("Accept-Encoding: gzip"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := soap(); a.status != http.StatusInternalServerError {
		t.Errorf("SOAP, after a compressed answer: %d %s", a.status, a.body)
	}
}

// With three requests at a time, an app waits for its turn and not for the
// hundred requests that a job has sent before.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	const atATime, ofTheJob = 3, 60
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, append(quotaEnv, fmt.Sprint("SF_MAX_CONCURRENT=", atATime))...))
	get(t, p.URL+dataPath+"/limits", billingKey)
	org.SetLatency(100 * time.Millisecond)
	var ended atomic.Int64 // requests of the job
	var job sync.WaitGroup
	for range ofTheJob {
		job.Go(func() {
			if a := get(t, p.URL+dataPath+"/limits", etlKey); a.status != http.StatusOK {
				t.Errorf("the job: %d %s", a.status, a.body)
			}
			ended.Add(1)
		})
	}
	p.waitForMetric(t, "sfproxy_queue_waiting_requests", func(n float64) bool { return n+float64(ended.Load())+2*atATime >= ofTheJob })
	before := ended.Load()
	if a := get(t, p.URL+dataPath+"/limits", billingKey); a.status != http.StatusOK {
		t.Errorf("the app: %d %s", a.status, a.body)
	}
	if overtook := ended.Load() - before; overtook > 4*atATime {
		t.Errorf("%d requests of the job ended before the app's", overtook)
	}
	job.Wait()
	if n := org.Stats().MaxConcurrent; n > atATime {
		t.Errorf("%d requests ran at a time, want %d at most", n, atATime)
	}
}

func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, append(quotaEnv, "SF_MAX_CONCURRENT=1", "SF_QUEUE_TIMEOUT=100ms")...))
	get(t, p.URL+dataPath+"/limits", billingKey)
	org.SetLatency(2 * time.Second)
	first := make(chan answer)
	go func() { first <- get(t, p.URL+dataPath+"/limits", etlKey) }()
	p.waitForMetric(t, "sfproxy_queue_running_requests", func(n float64) bool { return n == 1 })
	a := get(t, p.URL+dataPath+"/limits", billingKey)
	if a.status != http.StatusForbidden || !strings.Contains(string(a.body), "ConcurrentRequests (Concurrent API Requests) Limit exceeded.") || a.header.Get("Retry-After") != "1" {
		t.Errorf("while the only place is taken: %d %s", a.status, a.body)
	}
	if a := <-first; a.status != http.StatusOK {
		t.Errorf("who has the place: %d %s", a.status, a.body)
	}
}

// metrics returns what tells the values of metrics as they stand now.
func (p *process) metrics(t *testing.T) func(name string) float64 {
	t.Helper()
	page := string(p.ask(t, "/metrics").body)
	return func(name string) float64 {
		t.Helper()
		value, ok := metricOn(page, name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		return value
	}
}

// metricOn returns the value of a metric, labels and all, on the page of metrics.
func metricOn(page, name string) (value float64, found bool) {
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err := fmt.Sscan(rest, &value)
			return value, err == nil
		}
	}
	return 0, false
}

// waitForMetric waits until a metric is as wanted.
func (p *process) waitForMetric(t *testing.T, name string, wanted func(float64) bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		value, found := metricOn(string(p.ask(t, "/metrics").body), name)
		switch {
		case found && wanted(value):
			return
		case time.Now().After(end):
			t.Fatalf("%s = %v (there: %v), not as wanted within 20 s", name, value, found)
		}
		time.Sleep(5 * time.Millisecond) // a scrape has nothing to wait on
	}
}
