package policy_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
)

// resolve is a simple form of what the proxy has.
func resolve(rawPath string) (string, error) {
	decoded, err := url.PathUnescape(rawPath)
	if err != nil || strings.Contains(decoded, "..") {
		return "", errors.New("the path is ambiguous")
	}
	return path.Clean(decoded), nil
}

// decide judges a request whose target has a path in its canonical form. What
// begins with "<" is sent as XML, else as JSON.
func decide(t testing.TB, cfg policy.Config, method, target, body string) policy.Decision {
	t.Helper()
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &policy.Request{Method: method, Header: http.Header{}, HasBody: body != "", Resolve: resolve,
		Body: func() ([]byte, error) { return []byte(body), nil }}
	r.Path, r.RawQuery, _ = strings.Cut(target, "?")
	switch {
	case strings.HasPrefix(body, "<"):
		r.Header.Set("Content-Type", "text/xml; charset=UTF-8")
	case body != "":
		r.Header.Set("Content-Type", "application/json")
	}
	return p.Decide(r)
}

// example is a request and the rule that denies it, "" for none.
type example struct {
	method, target, body string
	want                 policy.Rule
}

func check(t *testing.T, cfg policy.Config, examples []example) {
	t.Helper()
	for _, e := range examples {
		got := decide(t, cfg, e.method, e.target, e.body)
		if got.Rule != e.want || got.Allowed != (e.want == "") {
			t.Errorf("%s %s %s\n\tallowed %v by rule %q, want rule %q: %s (%s)", e.method, e.target, e.body, got.Allowed, got.Rule, e.want, got.Reason, got.Effect)
		}
		if !got.Allowed && (got.Reason == "" || got.Remedy == "") {
			t.Errorf("%s %s: the denial %+v does not say why, or what to do", e.method, e.target, got)
		}
	}
}

const data = "/services/data/v60.0"

// envelope is a SOAP request of an operation in a namespace.
func envelope(namespace, operation string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header><SessionHeader xmlns="urn:partner.soap.sforce.com"><sessionId>x</sessionId></SessionHeader></e:Header><e:Body xmlns="` +
		namespace + `">` + operation + `</e:Body></e:Envelope>`
}

func partner(operation string) string { return envelope("urn:partner.soap.sforce.com", operation) }

func composite(requests ...string) string {
	return `{"compositeRequest":[` + strings.Join(requests, ",") + `]}`
}

func request(method, target string) string {
	text, _ := json.Marshal(map[string]any{"method": method, "url": target, "referenceId": "a"})
	return string(text)
}

func graphQL(document string) string {
	text, _ := json.Marshal(map[string]any{"query": document})
	return string(text)
}

const readOnly, body = policy.ReadOnly, policy.Body

func TestReadOnlyREST(t *testing.T) {
	check(t, policy.Config{ReadOnly: true}, []example{
		{"GET", "/services/data", "", ""},
		{"GET", data + "/sobjects/Account/001000000000001AAA", "", ""},
		{"HEAD", data + "/limits", "", ""},
		{"GET", data + "/query?q=SELECT+Id+FROM+Account", "", ""},
		{"GET", data + "/query?q=SELECT+Id+FROM+Account+FOR+VIEW", "", readOnly},
		{"GET", data + "/query?q=SELECT+Id+FROM+Account+for%0aupdate", "", readOnly},
		{"GET", data + "/query?q=SELECT+Id+FROM+Account+WHERE+Name='FOR+VIEW'", "", ""},
		{"GET", data + "/query?q=SELECT+Id+FROM+K__kav+UPDATE+VIEWSTAT", "", readOnly},
		{"GET", data + "/query/01g000000000001-2000", "", ""},
		{"GET", data + "/search?q=FIND+{Acme}+RETURNING+Account", "", ""},
		{"POST", data + "/parameterizedSearch", `{"q":"Acme","sobjects":[{"name":"Account"}]}`, ""},
		{"POST", data + "/parameterizedSearch", `{"q":"Acme","sobjects":[{"name":"K__kav"}],"updateViewStat":true}`, readOnly},
		{"GET", data + "/ui-api/records/001000000000001AAA", "", ""},
		{"GET", data + "/ui-api/records/001000000000001AAA?updateMru=true", "", readOnly},
		{"GET", data + "/ui-api/records/001000000000001AAA?updateMru=false", "", ""},
		{"GET", data + "/support/knowledgeArticles/kA0000000000001?update%56iewStat=true", "", readOnly},
		{"GET", data + "/support/knowledgeArticles", "", ""},
		{"POST", data + "/query?q=SELECT+Id+FROM+Account", "", readOnly},
		{"POST", data + "/sobjects/Account", `{"Name":"x"}`, readOnly},
		{"PATCH", data + "/sobjects/Account/001000000000001AAA", `{"Name":"x"}`, readOnly},
		{"DELETE", data + "/sobjects/Account/001000000000001AAA", "", readOnly},
		{"GET", data + "/tooling/executeAnonymous?anonymousBody=x", "", readOnly},
		{"GET", data + "/tooling/ExecuteAnonymous.json?anonymousBody=x", "", readOnly},
		{"GET", data + "/tooling.json/executeAnonymous?anonymousBody=x", "", readOnly},
		{"GET", data + "/tooling.json/EXECUTEANONYMOUS.xml?anonymousBody=x", "", readOnly},
		{"HEAD", data + "/executeAnonymous.json/?anonymousBody=x", "", readOnly},
		{"GET", data + "/unknown/executeAnonymous,x/more", "", readOnly},
		{"GET", data + "/tooling.xml/runTestsAsynchronous?classids=x", "", readOnly},
		{"GET", data + "/sobjects/Account/Run__c/runTestsSynchronous", "", readOnly},
		{"POST", data + "/composite", composite(request("GET", data+"/tooling.json/executeAnonymous?anonymousBody=x")), readOnly},
		{"GET", data + "/tooling.json/query?q=x", "", readOnly},
		{"GET", data + "/tooling/executeAnonymous;x?anonymousBody=x", "", body},
		{"GET", data + "/tooling/runTestsSynchronous?classnames=x", "", readOnly},
		{"GET", data + "/tooling/query?q=SELECT+Id+FROM+ApexClass", "", ""},
		{"POST", data + "/tooling/sobjects/TraceFlag", `{}`, readOnly},
		{"GET", data + "/actions/custom/apex/Do", "", ""},
		{"POST", data + "/actions/custom/apex/Do", `{"inputs":[]}`, readOnly},
		{"POST", data + "/actions/custom/flow/Do", `{"inputs":[]}`, readOnly},
		{"POST", data + "/process/rules", `{}`, readOnly},
		{"POST", data + "/quickActions/NewCase", `{}`, readOnly},
		{"POST", data + "/chatter/feed-elements", `{}`, readOnly},
		{"POST", data + "/connect/x", `{}`, readOnly},
		{"GET", "/services/apexrest/anything", "", readOnly},
		{"GET", "/site/services/apexrest/anything", "", readOnly},
		{"GET", "/id/00D000000000001/005000000000001", "", ""},
		{"GET", data + "/limits", "x", body},
	})
}

func TestReadOnlyComposite(t *testing.T) {
	get, other := request("GET", data+"/sobjects/Account/001000000000001AAA"), data+"/composite"
	check(t, policy.Config{ReadOnly: true}, []example{
		{"GET", other, "", ""},
		{"POST", other, composite(get), ""},
		{"POST", other, composite(get, request("DELETE", data+"/sobjects/Account/001000000000001AAA")), readOnly},
		{"POST", other, composite(request("get", data+"/limits")), readOnly},
		{"POST", other, composite(request("GET", data+"/tooling/executeAnonymous?anonymousBody=x")), readOnly},
		{"POST", other, composite(request("GET", data+"/tooling/%65xecuteAnonymous?anonymousBody=x")), readOnly},
		{"POST", other, composite(request("GET", data+"/sobjects/../tooling/executeAnonymous")), policy.Paths},
		{"POST", other, composite(request("GET", data+"/limits?_HttpMethod=PATCH")), readOnly},
		{"POST", other, composite(`{"method":"GET","url":"` + data + `/limits","httpHeaders":{"X-HTTP-Method-Override":"PATCH"}}`), readOnly},
		{"POST", other, composite(`{"method":"GET","method":"DELETE","url":"` + data + `/limits"}`), body},
		{"POST", other, composite(`{"method":"GET","Method":"DELETE","url":"` + data + `/limits"}`), body},
		{"POST", other, composite(get) + `{}`, body},
		{"POST", other, "\ufeff" + composite(get), body},
		{"POST", other, `{"compositeRequest":[]}`, body},
		{"POST", other, composite(request("GET", "https://example.com/")), body},
		{"POST", other, composite(request("GET", data+"/sobjects/Account/@{a.id}")), ""},
		{"POST", other, composite(request("GET", data+"/sobjects/Account/@{a.records[0].OwnerId}")), ""},
		{"POST", other, composite(request("GET", data+"/sobjects/Account/@{a.Name}")), body},
		{"POST", other, composite(request("GET", data+"/@{a.id}/x")), body},
		{"POST", other, composite(request("GET", data+"/query?q=SELECT+MAX(Name)+xId+FROM+Account"), request("GET", data+"/sobjects/Account/@{a.records[0].xId}")), body},
		{"POST", other, composite(request("GET", data+"/query?q=SELECT+Name+xId+FROM+Account"), request("GET", data+"/sobjects/Account/@{a.records[0].xId}")), body},
		{"POST", other, composite(request("GET", data+"/query?q=SELECT+Id,Name,(SELECT+Id+FROM+Contacts)+FROM+Account"), request("GET", data+"/sobjects/Account/@{a.records[0].Id}")), ""},
		{"POST", other, composite(request("GET", data+"/search?q=FIND+{x}+RETURNING+Contact(Id,FORMAT(Name)+xId)"), request("GET", data+"/sobjects/Account/@{a.searchRecords[0].xId}")), body},
		{"POST", other, composite(request("GET", data+"/search?q=FIND+{x}+RETURNING+Contact(Name+xId)"), request("GET", data+"/sobjects/Account/@{a.searchRecords[0].xId}")), body},
		{"POST", other, composite(request("GET", data+"/search?q=FIND+{x}+RETURNING+Contact(Id+WHERE+A=1+ORDER+BY+Name+DESC)"), request("GET", data+"/sobjects/Contact/@{a.searchRecords[0].Id}")), ""},
		{"POST", other, composite(`{"method":"POST","url":"`+data+`/graphql","body":{"query":"{uiapi{query{Account{edges{node{xId:Name{value}}}}}}}"}}`, request("GET", data+"/sobjects/Account/@{a.data.xId}")), body},
		{"POST", other, composite(`{"method":"GET","url":"` + data + `/limits","httpHeaders":{"Sforce-Call-Options":"@{a.id}"}}`), body},
		{"POST", other, composite(`{"method":"GET","url":"` + data + `/limits","httpHeaders":{"@{a.id}":"x"}}`), body},
		{"POST", other, composite(`{"method":"POST","url":"` + data + `/graphql","body":{"query":"{a(b:\"@{a.xId}\"){c}}"}}`), body},
		{"POST", other, composite(request("GET", data+"/%40%7Ba.id%7D/x")), body},
		{"POST", other, composite(request("GET", data+"/sobjects/Contact/Email__c/a@example.com")), ""},
		{"POST", other, composite(request("GET", data+"/query?q=SELECT+Id+FROM+Contact+WHERE+Email='a%40example.com'")), ""},
		{"POST", other, composite(request("GET", data+"/query?q=SELECT+Id+FROM+Contact+WHERE+Name='%40%7Ba.Name}'")), body},
		{"POST", other, `{"compositeRequest":[` + get + `],"compo\u017fiteRequest":[` + request("DELETE", data+"/sobjects/Account/1") + `]}`, body},
		{"POST", other, composite(request("GET", data+"/query?q=SELECT+Id+FROM+Account+WHERE+Id='@{a.id}'")), ""},
		{"POST", other, composite(request("POST", data+"/composite/tree/Account")), readOnly},
		{"POST", other, composite(request("DELETE", data+"/composite/sobjects?ids=1")), readOnly},
		{"POST", other + "/tree/Account", `{"records":[{"attributes":{"type":"Account"}}]}`, readOnly},
		{"POST", other + "/batch", `{"batchRequests":[{"method":"GET","url":"v60.0/limits"}]}`, ""},
		{"POST", other + "/batch", `{"batchRequests":[{"method":"PATCH","url":"v60.0/sobjects/Account/1","richInput":{}}]}`, readOnly},
		{"POST", other + "/graph", `{"graphs":[{"graphId":"1",` + composite(get)[1:] + `]}`, ""},
		{"POST", other + "/graph", `{"graphs":[{"graphId":"1",` + composite(get, request("PUT", data+"/x"))[1:] + `]}`, readOnly},
		{"GET", other + "/sobjects/Account?ids=1&fields=Id", "", ""},
		{"POST", other + "/sobjects/Account", `{"ids":["1"],"fields":["Id"]}`, ""},
		{"POST", other + "/sobjects/Account", `{"ids":["1"],"fields":["Id"],"records":[]}`, readOnly},
		{"POST", other + "/sobjects", `{"records":[{"attributes":{"type":"Account"}}]}`, readOnly},
		{"DELETE", other + "/sobjects?ids=1", "", readOnly},
	})
}

func TestReadOnlyGraphQL(t *testing.T) {
	var examples []example
	for document, want := range map[string]policy.Rule{
		`{uiapi{query{Account{edges{node{Id}}}}}}`:                "",
		`query Q($a: String = "mutation {") { a } # mutation`:     "",
		`query A { a } fragment F on T { b }`:                     "",
		`query A { mutation }`:                                    "",
		`query A($x: I = {y: 1}) { a }`:                           "",
		`mutation M { a }`:                                        readOnly,
		`query A { a } mutation M { a }`:                          readOnly,
		`query A { a(b: """ } mutation { """) } mutation M { a }`: readOnly,
		`query A { a(b: """ \""" } """) }`:                        "",
		`subscription S { a }`:                                    readOnly,
		`query A { a`:                                             readOnly,
		`query A { a ) }`:                                         readOnly,
		`fragment F on T { b }`:                                   readOnly,
		"query A { a } # query\rmutation M { a }":                 readOnly,
		"query A { a } \u2028 mutation M { a }":                   readOnly,
		`query A { a(b: "\"") } mutation M { a(b: "\"") }`:        readOnly,
		`query A { a(b: "") } "" mutation M { a }`:                readOnly,
	} {
		examples = append(examples, example{"POST", data + "/graphql", graphQL(document), want})
	}
	check(t, policy.Config{ReadOnly: true}, append(examples,
		example{"POST", data + "/graphql", `[{"query":"{a}"}]`, readOnly},
		example{"GET", data + "/graphql?query={a}", "", readOnly},
	))
}

func TestReadOnlySOAP(t *testing.T) {
	const u, c, m, s, tooling = "/services/Soap/u/60.0", "/services/Soap/c/60.0/00D000000000001", "/services/Soap/m/60.0", "/services/Soap/s/60.0", "/services/Soap/T/60.0"
	check(t, policy.Config{ReadOnly: true}, []example{
		{"POST", u, partner(`<query><queryString>SELECT Id FROM Account</queryString></query>`), ""},
		{"POST", u, partner(`<query><queryString>SELECT Id FROM Account FOR VIEW</queryString></query>`), readOnly},
		{"POST", u, partner(`<query><queryString>SELECT Id FROM Account FOR VIEW</queryString><queryString>x</queryString></query>`), readOnly},
		{"POST", u, partner(`<queryMore><queryLocator>x</queryLocator></queryMore>`), ""},
		{"POST", u, partner(`<retrieve><fieldList>Id</fieldList><sObjectType>Account</sObjectType><ids>1</ids></retrieve>`), ""},
		{"POST", u, partner(`<describeGlobal/>`), ""},
		{"POST", u, partner(`<getUserInfo/>`), ""},
		{"POST", c, envelope("urn:enterprise.soap.sforce.com", `<getUserInfo/>`), ""},
		{"POST", u, envelope("urn:enterprise.soap.sforce.com", `<getUserInfo/>`), readOnly},
		{"POST", u, partner(`<create><sObjects><type>Account</type></sObjects></create>`), readOnly},
		{"POST", u, partner(`<delete><ids>1</ids></delete>`), readOnly},
		{"POST", u, partner(`<getUserInfo/><delete><ids>1</ids></delete>`), body},
		{"POST", u, strings.Replace(partner(`<getUserInfo/>`), "</e:Body>", "</e:Body><e:Body><delete/></e:Body>", 1), body},
		{"POST", u, strings.Replace(partner(`<getUserInfo/>`), `encoding="UTF-8"`, `encoding="UTF-7"`, 1), body},
		{"POST", m, envelope("http://soap.sforce.com/2006/04/metadata", `<describeMetadata/>`), ""},
		{"POST", m, envelope("http://soap.sforce.com/2006/04/metadata", `<deploy/>`), readOnly},
		{"POST", s, envelope("http://soap.sforce.com/2006/08/apex", `<executeAnonymous/>`), readOnly},
		{"POST", tooling, envelope("urn:tooling.soap.sforce.com", `<query><queryString>SELECT Id FROM ApexClass</queryString></query>`), ""},
		{"POST", tooling, envelope("urn:tooling.soap.sforce.com", `<executeAnonymous/>`), readOnly},
		{"POST", "/services/Soap/class/X", partner(`<getUserInfo/>`), readOnly},
	})
}

func TestReadOnlyBulk(t *testing.T) {
	const jobs, async = data + "/jobs", "/services/async/60.0/job"
	job := func(operation string) string {
		return `<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><operation>` + operation + `</operation><object>Account</object><contentType>CSV</contentType></jobInfo>`
	}
	state := `<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><state>Closed</state></jobInfo>`
	for _, own := range []bool{false, true} {
		ofOthers := readOnly
		if own {
			ofOthers = ""
		}
		check(t, policy.Config{ReadOnly: true, OwnSubject: own}, []example{
			{"POST", jobs + "/query", `{"operation":"query","query":"SELECT Id FROM Account"}`, ""},
			{"POST", jobs + "/query", `{"operation":"queryAll","query":"SELECT Id FROM Account"}`, ""},
			{"POST", jobs + "/query", `{"operation":"delete","query":"SELECT Id FROM Account"}`, readOnly},
			{"GET", jobs + "/query/750000000000001/results", "", ""},
			{"PATCH", jobs + "/query/750000000000001", `{"state":"Aborted"}`, ofOthers},
			{"DELETE", jobs + "/query/750000000000001", "", ofOthers},
			{"POST", jobs + "/ingest", `{"operation":"insert","object":"Account"}`, readOnly},
			{"PUT", jobs + "/ingest/750000000000001/batches", "Name\nx\n", readOnly},
			{"PATCH", jobs + "/ingest/750000000000001", `{"state":"UploadComplete"}`, readOnly},
			{"POST", async, job("query"), ""},
			{"POST", async, job("insert"), readOnly},
			{"POST", async, job("query</operation><operation>delete"), readOnly},
			{"POST", async, `{"operation":"queryAll","object":"Account"}`, ""},
			{"POST", async + "/750000000000001", state, ofOthers},
			{"POST", async + "/750000000000001", strings.Replace(state, "Closed", "Open", 1), readOnly},
			{"POST", async + "/750000000000001/batch", "SELECT Id FROM Account", ""},
			{"POST", async + "/750000000000001/batch", "SELECT Id FROM Account\r\n", ""},
			{"POST", async + "/750000000000001/batch", "SELECT Id FROM Account\nx", readOnly},
			{"POST", async + "/750000000000001/batch", "Name\nx", readOnly},
			{"GET", async + "/750000000000001/batch/751000000000001/result", "", ""},
		})
	}
}

func TestReadOnlyCometD(t *testing.T) {
	check(t, policy.Config{ReadOnly: true}, []example{
		{"POST", "/cometd/60.0", `[{"channel":"/meta/handshake"}]`, ""},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/subscribe","subscription":"/topic/X"}]`, ""},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/connect"},{"channel":"/u/x","data":{}}]`, readOnly},
		{"GET", "/cometd/60.0?message=[]", "", readOnly},
	})
}

// TestOverriddenMethod sends what Salesforce, or another server, takes for
// another method.
func TestOverriddenMethod(t *testing.T) {
	check(t, policy.Config{WriteObjects: []string{"Contact"}}, []example{
		{"POST", data + "/sobjects/Contact/003000000000001AAA?_HttpMethod=PATCH", `{}`, ""},
		{"POST", data + "/sobjects/Account/001000000000001AAA?_HttpMethod=PATCH", `{}`, policy.WriteObjects},
		{"POST", data + "/composite?_HttpMethod=GET", composite(request("DELETE", data+"/sobjects/Account/1")), policy.WriteObjects},
	})
	check(t, policy.Config{ReadOnly: true}, []example{{"GET", data + "/limits?_HttpMethod=GET", "", readOnly}})
	p, _ := policy.New(policy.Config{ReadOnly: true})
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		got := p.Decide(&policy.Request{Method: "GET", Path: data + "/limits", Header: http.Header{http.CanonicalHeaderKey(name): {"DELETE"}}, Resolve: resolve})
		if got.Rule != readOnly {
			t.Errorf("%s: rule = %q, want %q", name, got.Rule, readOnly)
		}
	}
}

func TestContentTypes(t *testing.T) {
	p, _ := policy.New(policy.Config{ReadOnly: true})
	for contentType, want := range map[string]policy.Rule{
		"application/json":                  "",
		"application/json; charset=UTF-8":   "",
		"application/json; charset=UTF-7":   body,
		"application/x-www-form-urlencoded": body,
		"":                                  body,
		"application/json;":                 "",
	} {
		got := p.Decide(&policy.Request{Method: "POST", Path: data + "/composite", HasBody: true, Resolve: resolve,
			Header: http.Header{"Content-Type": {contentType}},
			Body:   func() ([]byte, error) { return []byte(composite(request("GET", data+"/limits"))), nil }})
		if got.Rule != want {
			t.Errorf("%q: rule = %q, want %q (%s)", contentType, got.Rule, want, got.Reason)
		}
	}
}

func TestPathsAndVersions(t *testing.T) {
	check(t, policy.Config{AllowPaths: []string{data + "/query", data + "/composite", "/services/Soap/u"}, APIVersions: "58.0-62.0, 64.0"}, []example{
		{"GET", data + "/query", "", ""},
		{"GET", data + "/queryAll", "", policy.Paths},
		{"GET", "/services/data/v57.0/query", "", policy.Paths},
		{"POST", data + "/composite", composite(request("GET", data+"/query?q=x")), ""},
		{"POST", data + "/composite", composite(request("GET", data+"/sobjects/User/1")), policy.Paths},
		{"POST", "/services/Soap/u/58.0", partner("<getUserInfo/>"), ""},
		{"POST", "/services/Soap/u/57.0", partner("<getUserInfo/>"), policy.APIVersions},
		{"POST", "/services/Soap/u/63.0", partner("<getUserInfo/>"), policy.APIVersions},
		{"POST", "/services/Soap/u/64", partner("<getUserInfo/>"), ""},
		{"POST", "/services/Soap/u", partner("<getUserInfo/>"), policy.APIVersions},
	})
	check(t, policy.Config{APIVersions: "55.0-"}, []example{
		{"GET", "/services/data", "", ""},
		{"GET", "/services/data/v54.0/limits", "", policy.APIVersions},
		{"GET", "/services/data/v99.0/limits", "", ""},
		{"GET", "/services/apexrest/x", "", ""},
		{"POST", data + "/composite/batch", `{"batchRequests":[{"method":"GET","url":"v54.0/limits"}]}`, policy.APIVersions},
		{"GET", "/services/async/54.0/job/1", "", policy.APIVersions},
		{"POST", data + "/%63omposite", composite(request("GET", "/services/data/v54.0/limits")), body}, // decoded once
	})
	check(t, policy.Config{}, []example{{"DELETE", data + "/sobjects/Account/1", "", ""}, {"POST", data + "/composite", "no JSON", ""}})
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []policy.Config{
		{APIVersions: "60"}, {APIVersions: "62.0-58.0"}, {APIVersions: "-60.0"}, {ReadObjects: []string{"Account Contact"}},
		{WriteObjects: []string{""}}, {AllowPaths: []string{"services"}},
	} {
		if _, err := policy.New(cfg); err == nil || !strings.Contains(err.Error(), `"`) {
			t.Errorf("New(%+v) = %v, want an error that quotes the value", cfg, err)
		}
	}
}

// TestRemedyForJobs does not send people to unset READ_ONLY for the end of a
// query job.
func TestRemedyForJobs(t *testing.T) {
	got := decide(t, policy.Config{ReadOnly: true}, "POST", "/services/async/60.0/job/750000000000001", `{"state":"Closed"}`)
	if got.Rule != readOnly || !strings.Contains(got.Remedy, "_SUBJECT") || strings.Contains(got.Remedy, "READ_ONLY") {
		t.Errorf("rule %q, remedy %q, want %q and a remedy that names the subject", got.Rule, got.Remedy, readOnly)
	}
}
