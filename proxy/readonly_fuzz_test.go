package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/policy"
	"github.com/sfproxy/sfproxy/proxy"
)

// FuzzReadOnlyChangesNothing sends made-up requests through the proxy to an org
// whose readers are lenient: what a read-only client is allowed changes no
// record.
func FuzzReadOnlyChangesNothing(f *testing.F) {
	for i := range 64 {
		f.Add(randomBytes(64), []string{"", "%", `"method":"DELETE",`, "/../"}[i%4])
	}
	w := newWritableOrg(f)
	before := w.org.Snapshot()
	f.Fuzz(func(t *testing.T, choices []byte, noise string) {
		g := &generator{choices: choices, noise: noise, jobs: w.jobs}
		request := g.request()
		w.serve("reader", request)
		if after := w.org.Snapshot(); after != before {
			t.Errorf("%s\nchanged the org from\n%s\nto\n%s", request, before, after)
			before = after // the next input, or a smaller one, is judged by itself
		}
	})
}

// TestGeneratedRequestsChangeMuch holds that the property of the fuzz target
// could fail: without a policy the same requests do change records, and a fair
// part of them is allowed to a reader.
func TestGeneratedRequestsChangeMuch(t *testing.T) {
	w := newWritableOrg(t)
	changed, allowed := 0, 0
	for range 2000 {
		request := (&generator{choices: randomBytes(64), jobs: w.jobs}).request()
		if got := w.serve("reader", request); got.Code != 400 && got.Header().Get("X-SFProxy-Error") == "" {
			allowed++
		}
		before := w.org.Snapshot()
		w.serve("writer", request)
		if w.org.Snapshot() != before {
			changed++
		}
	}
	if changed < 100 || allowed < 150 {
		t.Errorf("of 2000 requests %d changed records, want 100; a reader got %d answers, want 150", changed, allowed)
	}
}

// writableOrg is an org with a proxy whose clients are a reader and a writer.
type writableOrg struct {
	org     *devorg.Org
	handler http.Handler
	jobs    []string // that wait for records to write
}

func newWritableOrg(t testing.TB) *writableOrg {
	t.Helper()
	readOnly, err := policy.New(policy.Config{ReadOnly: true, OwnSubject: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &writableOrg{}
	client := func(name string, p *policy.Policy) proxy.Client {
		key, err := proxy.HashAPIKey(name)
		if err != nil {
			t.Fatal(err)
		}
		return proxy.Client{Name: name, Subject: username, APIKey: key, Policy: p}
	}
	var cfg *proxy.Config // which startOrg completes
	_, w.org = startOrg(t, func(_ *devorg.Config, c *proxy.Config) {
		cfg = c
		cfg.Clients, cfg.Logger = []proxy.Client{client("reader", readOnly), client("writer", nil)}, quiet
	})
	w.handler = newHandler(t, *cfg, nil)
	id := regexp.MustCompile(`(?:"id":"|<id>)(750[0-9A-Za-z]{15})`)
	for _, job := range []sketch{
		{"POST", "/services/data/v60.0/jobs/ingest", "application/json", `{"operation":"insert","object":"Account"}`, ""},
		{"POST", "/services/async/60.0/job", "application/json", `{"operation":"insert","object":"Account","contentType":"JSON"}`, ""},
		{"POST", "/services/async/60.0/job", "application/json", `{"operation":"insert","object":"Account","contentType":"CSV"}`, ""},
		{"POST", "/services/async/60.0/job", "application/json", `{"operation":"insert","object":"Account","contentType":"XML"}`, ""},
		{"POST", "/services/async/60.0/job", "application/json", `{"operation":"query","object":"Account","contentType":"CSV"}`, ""},
	} {
		got := w.serve("writer", job)
		match := id.FindStringSubmatch(got.Body.String())
		if match == nil {
			t.Fatalf("%s = %d %s, want a job", job, got.Code, got.Body)
		}
		w.jobs = append(w.jobs, match[1])
	}
	return w
}

func (w *writableOrg) serve(client string, s sketch) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // of a long poll
	defer cancel()
	recorder := httptest.NewRecorder()
	r, err := http.NewRequestWithContext(ctx, s.method, "http://localhost", strings.NewReader(s.body))
	if err != nil {
		return recorder // no method of HTTP
	}
	path, _, _ := strings.Cut(s.target, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil || strings.ContainsAny(s.target, " \r\n\x00") {
		recorder.Code = http.StatusBadRequest // net/http's server refuses it
		return recorder
	}
	r.RequestURI, r.URL.Path = s.target, decoded
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Api-Key", client)
	if s.contentType != "" {
		r.Header.Set("Content-Type", s.contentType)
	}
	if s.override != "" {
		r.Header.Set("X-Http-Method-Override", s.override)
	}
	defer func() {
		if failure := recover(); failure != nil && failure != http.ErrAbortHandler {
			panic(failure)
		}
	}()
	w.handler.ServeHTTP(recorder, r)
	return recorder
}

// sketch is a request to be made.
type sketch struct{ method, target, contentType, body, override string }

func (s sketch) String() string {
	return fmt.Sprintf("%s %q (%s, override %q) %q", s.method, s.target, s.contentType, s.override, s.body)
}

// generator makes requests out of a sequence of choices.
type generator struct {
	choices []byte
	noise   string
	jobs    []string
	depth   int
	calm    bool // most requests within requests read
}

// choose returns a number below n.
func (g *generator) choose(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

func (g *generator) pick(list ...string) string { return list[g.choose(len(list))] }

// bend changes a text a little, more often than not in no way.
func (g *generator) bend(text string) string {
	if len(text) == 0 {
		return text
	}
	at := g.choose(len(text))
	switch g.choose(16) {
	case 1:
		return text[:at] + fmt.Sprintf("%%%02x", text[at]) + text[at+1:]
	case 2:
		return text[:at] + strings.ToUpper(text[at:])
	case 3:
		return text[:at] + g.pick(";x=1", "/./", "//", "%2F", ".json", "%2e%2e/") + text[at:]
	case 4:
		return text[:at] + g.noise + text[at:]
	}
	return text
}

func (g *generator) request() sketch {
	g.calm = g.choose(4) > 0
	switch g.choose(8) {
	case 0:
		return sketch{"POST", "/services/Soap/" + g.pick("u", "c", "T") + "/60.0", "text/xml", g.bend(g.envelope()), ""}
	case 1:
		return g.bulk()
	}
	s := sketch{method: g.method(), contentType: "application/json"}
	path, body := g.resource()
	s.target = g.bend("/services/data/v60.0/"+path) + g.query(path)
	if g.choose(12) == 0 {
		s.target, body = "/services/apexrest/"+g.pick("create", "echo"), "{}"
	}
	if body != nil {
		text, _ := json.Marshal(body)
		s.body = g.bend(g.twice(string(text)))
	}
	if s.method == "GET" && g.choose(8) > 0 {
		s.body = ""
	}
	if g.choose(16) == 1 {
		s.contentType = g.pick("application/x-www-form-urlencoded", "application/json; charset=utf-7", "text/xml", "")
	}
	if g.choose(16) == 1 {
		s.override = g.pick("DELETE", "PATCH")
	}
	return s
}

func (g *generator) method() string {
	if g.calm && g.depth > 0 && g.choose(16) > 0 {
		return "GET"
	}
	return g.pick("GET", "POST", "GET", "POST", "DELETE", "PATCH", "PUT")
}

const soqlExample = "SELECT Id FROM Account"

// resource returns a path below the API version and a body that it may take.
func (g *generator) resource() (path string, body any) {
	record := map[string]any{"attributes": map[string]string{"type": "Account"}, "Name": "x", "Id": firstAccount}
	switch g.choose(8) {
	case 0:
		return g.pick("sobjects/Account", "sobjects/Account/"+firstAccount, "sobjects/Account/External_Id__c/x"), map[string]any{"Name": "x"}
	case 1, 2:
		return "composite", map[string]any{"compositeRequest": g.subrequests("body", "/services/data/v60.0/")}
	case 3:
		return "composite/batch", map[string]any{"batchRequests": g.subrequests("richInput", "v60.0/")}
	case 4:
		return g.pick("composite/sobjects", "composite/sobjects/Account", "composite/sobjects/Account/External_Id__c"),
			map[string]any{"records": []any{record}, "ids": []string{firstAccount}, "fields": []string{"Id"}}
	case 5:
		return g.pick("tooling/executeAnonymous", "tooling/runTestsSynchronous", "actions/custom/apex/Do"), map[string]any{}
	case 6:
		return g.pick("jobs/query", "jobs/ingest", "jobs/ingest/"+g.jobs[0]), map[string]any{"operation": g.pick("query", "insert"), "query": soqlExample, "object": "Account", "state": "UploadComplete"}
	}
	return g.pick("query", "limits", "sobjects"), nil
}

// firstAccount is the id of the org's first account.
const firstAccount = "0015g0000000002AAA"

func (g *generator) subrequests(bodyName, prefix string) []any {
	g.depth++
	defer func() { g.depth-- }()
	var list []any
	for i := range 1 + g.choose(3) {
		path, body := "limits", any(nil)
		if g.depth < 3 && (i == 0 || g.choose(3) == 0) {
			path, body = g.resource()
		}
		one := map[string]any{"method": g.method(), "url": g.bend(prefix+path) + g.query(path), "referenceId": fmt.Sprintf("r%d", i)}
		if body != nil {
			one[bodyName] = body
		}
		list = append(list, one)
	}
	return list
}

// twice says the method of a request within the request again, before or after.
func (g *generator) twice(text string) string {
	const get = `"method":"GET"`
	other := `"` + g.pick("method", "Method", "METHOD") + `":"` + g.pick("DELETE", "PATCH") + `"`
	switch g.choose(6) {
	case 1:
		return strings.Replace(text, get, get+","+other, 1)
	case 2:
		return strings.Replace(text, get, other+","+get, 1)
	}
	return text
}

func (g *generator) query(path string) string {
	switch {
	case g.choose(10) == 1:
		return "?" + g.pick("_HttpMethod", "_httpmethod", "_Http%4dethod") + "=" + g.pick("DELETE", "PATCH", "GET")
	case path == "query":
		return "?q=" + url.QueryEscape(soqlExample)
	case strings.HasPrefix(path, "composite/sobjects"):
		return "?ids=" + firstAccount + "&fields=Id"
	}
	return ""
}

func (g *generator) envelope() string {
	record := `<sObjects><type>Account</type><Id>` + firstAccount + `</Id><Name>x</Name></sObjects>`
	operations := ""
	for range 1 + g.choose(4)/3 {
		operations += g.pick(`<getUserInfo/>`, `<query><queryString>`+soqlExample+`</queryString></query>`, `<create>`+record+`</create>`,
			`<update>`+record+`</update>`, `<delete><ids>`+firstAccount+`</ids></delete>`, `<describeGlobal/>`)
	}
	return `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body xmlns="urn:` +
		g.pick("partner", "partner", "enterprise") + `.soap.sforce.com">` + operations + `</e:Body></e:Envelope>`
}

func (g *generator) bulk() sketch {
	s := sketch{method: g.method(), contentType: g.pick("text/csv", "application/json", "application/xml")}
	job := g.jobs[g.choose(len(g.jobs))]
	s.target = g.bend(g.pick("/services/async/60.0/job", "/services/async/60.0/job/"+job, "/services/async/60.0/job/"+job+"/batch",
		"/services/async/60.0/job/"+job+"/batch", "/services/data/v60.0/jobs/ingest/"+g.jobs[0]+"/batches"))
	s.body = g.bend(g.pick("Name\nx\n", soqlExample, soqlExample+"\nx\n", `[{"Name":"x"}]`,
		`{"operation":"insert","object":"Account","contentType":"CSV"}`, `{"state":"Closed"}`, `{"operation":"query","object":"Account","contentType":"CSV"}`))
	return s
}
