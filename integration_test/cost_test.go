package integration_test

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestCostOfSOAP says what a SOAP call costs the proxy next to a REST call for
// the same record by the same client: the CPU time of its process, of which the
// org's and the test's are no part. It asserts nothing about the time. It runs
// with SFPROXY_TEST_COST=1.
func TestCostOfSOAP(t *testing.T) {
	if os.Getenv("SFPROXY_TEST_COST") == "" {
		t.Skip("a measurement: set SFPROXY_TEST_COST=1")
	}
	const rounds, calls = 15, 2000
	org := startOrg(t, devorg.Config{})
	key := newAPIKey()
	p := startProxy(t, with(org.env, "PROXY_CLIENT_0_NAME=app", "PROXY_CLIENT_0_API_KEY="+key))
	bearer := "Authorization: Bearer " + key
	created := fetch(t, "POST", p.URL+"/services/data/v60.0/sobjects/Account", `{"Name":"Cost"}`, bearer, "Content-Type: application/json")
	id := decode[struct{ ID string }](t, created.body).ID
	soql := "SELECT Id, Name FROM Account WHERE Id = '" + id + "'"
	rest := func() answer { return get(t, p.URL+"/services/data/v60.0/query?q="+url.QueryEscape(soql), bearer) }
	envelope := string(sampleEnvelope(key, "<ns1:query><ns1:queryString>"+soql+"</ns1:queryString></ns1:query>"))
	soap := func() answer {
		return fetch(t, "POST", p.URL+"/services/Soap/u/60.0", envelope, "Content-Type: text/xml; charset=UTF-8", `SOAPAction: ""`)
	}
	measure := func(call func() answer) (ticks float64) {
		before := p.cpuTicks(t)
		for range calls {
			if got := call(); got.status != 200 || !strings.Contains(string(got.body), "Cost") {
				t.Fatalf("answer = %d %.500s", got.status, got.body)
			}
		}
		return p.cpuTicks(t) - before
	}
	measure(rest)
	measure(soap)
	var ratios, restTicks, soapTicks []float64
	for range rounds {
		restTicks, soapTicks = append(restTicks, measure(rest)), append(soapTicks, measure(soap))
		ratios = append(ratios, soapTicks[len(soapTicks)-1]/restTicks[len(restTicks)-1])
	}
	for _, list := range [][]float64{ratios, restTicks, soapTicks} {
		slices.Sort(list)
	}
	const microseconds = 10_000.0 / calls // a call, of a tick
	t.Logf("a SOAP call costs %.2f times the CPU of a REST call (median of %d rounds of %d calls; %.2f to %.2f): %.0f and %.0f µs",
		ratios[rounds/2], rounds, calls, ratios[0], ratios[rounds-1], soapTicks[rounds/2]*microseconds, restTicks[rounds/2]*microseconds)
}

// cpuTicks returns the CPU time that the process has used, in hundredths of a
// second (proc_pid_stat(5), utime and stime).
func (p *process) cpuTicks(t *testing.T) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var user, system float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return user + system
}
