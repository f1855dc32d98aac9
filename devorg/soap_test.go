package devorg_test

import (
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

const (
	partnerSpace    = "urn:partner.soap.sforce.com"
	enterpriseSpace = "urn:enterprise.soap.sforce.com"
	illegalSession  = "<faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session</faultstring><detail>" +
		`<sf:UnexpectedErrorFault xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>INVALID_SESSION_ID</sf:exceptionCode>`
)

func soapHTTP(t *testing.T, s session, path, envelope string) *http.Request {
	t.Helper()
	request := newRequest(t, "POST", s.org.InstanceURL()+"/services/Soap/"+path, envelope)
	request.Header.Set("Content-Type", "text/xml; charset=UTF-8")
	request.Header.Set("SOAPAction", `""`)
	return request
}

func soapRequest(t *testing.T, s session, api, envelope string) reply {
	t.Helper()
	return send(t, soapHTTP(t, s, api+"/60.0", envelope))
}

// envelope has prefixes that no client would choose.
func envelope(namespace, header, body string) string {
	return `<x:Envelope xmlns:x="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="` + namespace + `" ` +
		`xmlns:r="` + strings.Replace(namespace, "urn:", "urn:sobject.", 1) + `" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">` +
		`<x:Header>` + header + `</x:Header><x:Body>` + body + `</x:Body></x:Envelope>`
}

func sessionHeader(token string) string {
	return `<p:SessionHeader><p:sessionId>` + token + `</p:sessionId></p:SessionHeader>`
}

func partnerEnvelope(token, call string) string {
	return envelope(partnerSpace, sessionHeader(token), "<p:"+call+"/>")
}

// soap makes one call of the partner API.
func (s session) soap(header, body string) reply {
	s.t.Helper()
	return soapRequest(s.t, s, "u", envelope(partnerSpace, sessionHeader(s.token)+header, body))
}

func wantBody(t *testing.T, what string, got reply, status int, parts ...string) {
	t.Helper()
	if got.status != status {
		t.Errorf("%s = %d %s, want %d", what, got.status, got.body, status)
	}
	for _, part := range parts {
		if !strings.Contains(got.body, part) {
			t.Errorf("%s = %s, want %s in it", what, got.body, part)
		}
	}
}

func TestSOAPSession(t *testing.T) {
	s := open(t, start(t, nil))
	good := partnerEnvelope(s.token, "getUserInfo")
	body := "<p:getUserInfo/>"
	tests := []struct {
		name, api, envelope string
		want                string
	}{
		{"unknown session", "u", partnerEnvelope("x", "getUserInfo"), illegalSession},
		{"no session", "u", envelope(partnerSpace, "", body), illegalSession},
		{"no session header", "u", envelope(partnerSpace, "<p:sessionId>"+s.token+"</p:sessionId>", body), illegalSession},
		{"session in another header", "u", envelope(partnerSpace, strings.ReplaceAll(sessionHeader(s.token), "SessionHeader", "CallOptions"), body), illegalSession},
		{"white space", "u", partnerEnvelope("\n"+s.token+"\n", "getUserInfo"), illegalSession},
		{"partner session on enterprise", "c", good, illegalSession},
		{"session of no namespace", "u", envelope(partnerSpace, strings.ReplaceAll(sessionHeader(s.token), "p:", ""), body), illegalSession},
		{"session in the body", "u", strings.ReplaceAll(good, "Header>", "Body>"), illegalSession},
		{"session in the call", "u", envelope(partnerSpace, "", "<p:getUserInfo>"+sessionHeader(s.token)+"</p:getUserInfo>"), illegalSession},
		{"two session ids", "u", strings.Replace(good, "<p:sessionId>", "<p:sessionId/><p:sessionId>", 1), "more than one sessionId"},
		{"two session headers", "u", envelope(partnerSpace, sessionHeader(s.token)+sessionHeader(s.token), body), "more than one sessionId"},
		{"two headers", "u", strings.Replace(good, "<x:Body>", "<x:Header/><x:Body>", 1), "one Header at most"},
	}
	for _, tt := range tests {
		request := soapHTTP(t, s, tt.api+"/60.0", tt.envelope)
		request.Header.Set("Authorization", "Bearer "+s.token) // counts for nothing
		wantBody(t, tt.name, send(t, request), 500, tt.want)
	}
	wantBody(t, "good session", soapRequest(t, s, "u", good), 200, "<userName>"+username+"</userName>")
}

func TestSOAPSessionIsOfItsHost(t *testing.T) {
	s := open(t, start(t, nil))
	if _, err := s.org.MoveInstance(); err != nil {
		t.Fatal(err)
	}
	wantBody(t, "old token at the new host", s.soap("", "<p:getUserInfo/>"), 500, illegalSession)
}

func TestSOAPRefusesMalformedEnvelopes(t *testing.T) {
	s := open(t, start(t, nil))
	good := partnerEnvelope(s.token, "getUserInfo")
	tests := []struct{ name, envelope, want string }{
		{"DTD", "<!DOCTYPE x>" + good, "DTD"},
		{"entity", strings.Replace(good, s.token, "&xxe;", 1), "invalid character entity"},
		{"processing instruction", "<?php x?>" + good, "processing instruction"},
		{"no XML", "{}", "outside the root"},
		{"empty", "", "no element"},
		{"cut off", good[:len(good)-3], "unexpected EOF"},
		{"second root", good + "<x/>", "more than one root"},
		{"text after the root", good + "x", "outside the root"},
		{"text between elements", strings.Replace(good, "<x:Body>", "x<x:Body>", 1), "text between elements"},
		{"undeclared prefix", strings.Replace(good, "<p:getUserInfo/>", "<q:getUserInfo/>", 1), "prefix q is not declared"},
		{"attribute twice", strings.Replace(good, "<x:Body>", `<x:Body a="1" a="2">`, 1), "given twice"},
		{"too deep", strings.Replace(good, "<p:getUserInfo/>", strings.Repeat("<p:a>", 60)+strings.Repeat("</p:a>", 60), 1), "too deep"},
		{"SOAP 1.2", strings.Replace(good, "schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope", 1), "not an Envelope of SOAP 1.1"},
		{"two calls", strings.Replace(good, "<p:getUserInfo/>", "<p:getUserInfo/><p:logout/>", 1), "one Body with one element"},
		{"no body", strings.Replace(good, "<x:Body><p:getUserInfo/></x:Body>", "", 1), "one Body with one element"},
		{"two bodies", strings.Replace(good, "<x:Body>", "<x:Body><p:logout/></x:Body><x:Body>", 1), "one Body with one element"},
		{"no call", strings.Replace(good, "<p:getUserInfo/>", "", 1), "one Body with one element"},
		{"header after the body", envelope(partnerSpace, "", "")[:strings.Index(envelope(partnerSpace, "", ""), "<x:Header>")] +
			"<x:Body><p:getUserInfo/></x:Body><x:Header>" + sessionHeader(s.token) + "</x:Header></x:Envelope>", "before the Body"},
		{"something besides", strings.Replace(good, "<x:Body>", "<x:Foot/><x:Body>", 1), "nothing but Header and Body"},
		{"another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?>` + good, "encoding"},
	}
	for _, tt := range tests {
		got := soapRequest(t, s, "u", tt.envelope)
		wantBody(t, tt.name, got, 500, "<faultcode>sf:UNKNOWN_EXCEPTION</faultcode>", tt.want)
	}
}

func TestSOAPEndpoint(t *testing.T) {
	s := open(t, start(t, nil))
	partner, enterprise := partnerEnvelope(s.token, "getUserInfo"), envelope(enterpriseSpace, sessionHeader(s.token), "<p:getUserInfo/>")
	tests := []struct {
		path, envelope string
		status         int
		want           string
	}{
		{"u/31.0", partner, 200, "<getUserInfoResponse>"},
		{"u/67.0/" + s.org.OrgID(), partner, 200, "<getUserInfoResponse>"},
		{"u/60.0/" + s.org.OrgID()[:15], partner, 200, "<getUserInfoResponse>"},
		{"c/60.0", enterprise, 200, `xmlns="urn:enterprise.soap.sforce.com"`},
		{"c/60.0/" + s.org.OrgID() + "/0DF5g0000000001", enterprise, 200, "<getUserInfoResponse>"},
		{"u/60.0/" + s.org.OrgID() + "/0DF5g0000000001", partner, 500, "Destination URL not reset"},
		{"u/60.0/00D000000000001", partner, 500, "Destination URL not reset"},
		{"u/30.0", partner, 500, "sf:UNSUPPORTED_API_VERSION</faultcode><faultstring>UNSUPPORTED_API_VERSION: The API version that was specified (30.0) is below the minimum"},
		{"c/30.0", enterprise, 500, `xmlns:sf="urn:fault.enterprise.soap.sforce.com"`},
		{"u/68.0", partner, 500, "UNSUPPORTED_API_VERSION: Invalid Api version specified on URL"},
		{"u/60", partner, 500, "UNSUPPORTED_API_VERSION"},
		{"u/", partner, 500, "UNSUPPORTED_API_VERSION"},
		{"x/60.0", partner, 404, "URL No Longer Exists"},
		{"m/60.0", envelope("http://soap.sforce.com/2006/04/metadata", sessionHeader(s.token), "<p:getUserInfo/>"), 200, "<getUserInfoResponse>"},
		{"T/60.0", envelope("urn:tooling.soap.sforce.com", sessionHeader(s.token), "<p:query/>"), 500, "No operation available"},
	}
	for _, tt := range tests {
		wantBody(t, tt.path, send(t, soapHTTP(t, s, tt.path, tt.envelope)), tt.status, tt.want)
	}
	wantBody(t, "GET", s.do("GET", "/services/Soap/u/60.0", ""), 404, "URL No Longer Exists")
}

func TestSOAPTransport(t *testing.T) {
	s := open(t, start(t, nil))
	good := partnerEnvelope(s.token, "getUserInfo")
	ask := func(change func(http.Header)) reply {
		request := soapHTTP(t, s, "u/60.0", good)
		change(request.Header)
		return send(t, request)
	}
	wantBody(t, "no charset", ask(func(h http.Header) { h.Set("Content-Type", "text/xml") }), 200)
	const media = "content-type of the request should be text/xml"
	wantBody(t, "other charset", ask(func(h http.Header) { h.Set("Content-Type", "text/xml; charset=utf-16") }), 415, media)
	wantBody(t, "SOAP 1.2's type", ask(func(h http.Header) { h.Set("Content-Type", "application/soap+xml") }), 415, media)
	wantBody(t, "no type", ask(func(h http.Header) { h.Del("Content-Type") }), 415, media)
	wantBody(t, "no SOAPAction", ask(func(h http.Header) { h.Del("SOAPAction") }), 500, "SOAPAction HTTP header missing")
	wantBody(t, "false gzip", ask(func(h http.Header) { h.Set("Content-Encoding", "gzip") }), 500, "not gzip")

	zipped := func(body string) reply {
		t.Helper()
		request := soapHTTP(t, s, "u/60.0", body)
		request.Header.Set("Content-Encoding", "gzip")
		return send(t, request)
	}
	wantBody(t, "gzip", zipped(gzipped(good)), 200, "<getUserInfoResponse>")
	start, end, _ := strings.Cut(good, "<x:Body>")
	spaces := strings.Repeat(gzipped(strings.Repeat(" ", 1<<20)), 50)
	wantBody(t, "over 50 MB once unzipped", zipped(gzipped(start)+spaces+gzipped("<x:Body>"+end)), 500, "sf:EXCEEDED_MAX_SIZE_REQUEST")
}

// gzipped is text as a gzip member, of which there may be several in a row.
func gzipped(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

func TestSOAPHeaders(t *testing.T) {
	s := open(t, start(t, nil))
	tests := []struct {
		header string
		want   string
	}{
		{"<p:CallOptions><p:client>x</p:client></p:CallOptions><p:AssignmentRuleHeader/><p:MruHeader/>", ""},
		{"<p:QueryOptions><p:batchSize>200</p:batchSize></p:QueryOptions><p:AllOrNoneHeader><p:allOrNone>false</p:allOrNone></p:AllOrNoneHeader>", ""},
		{`<o:Security xmlns:o="urn:other"/>`, ""},
		{`<o:Security xmlns:o="urn:other" x:mustUnderstand="1"/>`, "INVALID_SOAP_HEADER"},
		{"<p:NoSuchHeader/>", "INVALID_SOAP_HEADER"},
		{"<p:AllowFieldTruncationHeader><p:allowFieldTruncation>true</p:allowFieldTruncation></p:AllowFieldTruncationHeader>", "INVALID_SOAP_HEADER"},
		{"<p:CallOptions/><p:CallOptions/>", "INVALID_SOAP_HEADER"},
		{"<p:QueryOptions><p:other/></p:QueryOptions>", "INVALID_SOAP_HEADER"},
		{"<p:AllOrNoneHeader><p:allOrNone>maybe</p:allOrNone></p:AllOrNoneHeader>", "INVALID_SOAP_HEADER"},
		{"<p:QueryOptions><p:batchSize>199</p:batchSize></p:QueryOptions>", "INVALID_BATCH_SIZE"},
		{"<p:QueryOptions><p:batchSize>2001</p:batchSize></p:QueryOptions>", "INVALID_BATCH_SIZE"},
		{"<p:QueryOptions><p:batchSize/></p:QueryOptions>", "INVALID_BATCH_SIZE"},
	}
	for _, tt := range tests {
		got := s.soap(tt.header, "<p:getUserInfo/>")
		if tt.want == "" {
			wantBody(t, tt.header, got, 200, "<getUserInfoResponse>")
		} else {
			wantBody(t, tt.header, got, 500, "<faultcode>sf:"+tt.want+"</faultcode>")
		}
	}
}

func TestSOAPUserInfo(t *testing.T) {
	s := open(t, start(t, nil))
	got := s.soap("", "<p:getUserInfo/>")
	var answer struct {
		Usage struct {
			Current int    `xml:"current"`
			Limit   int    `xml:"limit"`
			Type    string `xml:"type"`
		} `xml:"Header>LimitInfoHeader>limitInfo"`
		Result struct {
			Children []struct{ XMLName xml.Name } `xml:",any"`
		} `xml:"Body>getUserInfoResponse>result"`
	}
	if err := xml.Unmarshal([]byte(got.body), &answer); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, child := range answer.Result.Children {
		if child.XMLName.Space != partnerSpace {
			t.Errorf("%s is in the namespace %q", child.XMLName.Local, child.XMLName.Space)
		}
		names = append(names, child.XMLName.Local)
	}
	const want = "accessibilityMode chatterExternal currencySymbol orgAttachmentFileSizeLimit orgDefaultCurrencyIsoCode orgDefaultCurrencyLocale " +
		"orgDisallowHtmlAttachments orgHasPersonAccounts organizationId organizationMultiCurrency organizationName profileId roleId " +
		"sessionSecondsValid userDefaultCurrencyIsoCode userEmail userFullName userId userLanguage userLocale userName userTimeZone userType userUiSkin"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("getUserInfo has %s, want %s", got, want)
	}
	if answer.Usage.Current != 1 || answer.Usage.Limit != 15000 || answer.Usage.Type != "API REQUESTS" {
		t.Errorf("LimitInfoHeader = %+v", answer.Usage)
	}
}

func TestSOAPQuery(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	id := s.create("Account", `{"Name":"A & <B>","AnnualRevenue":12500000,"NumberOfEmployees":7}`)
	contact := s.create("Contact", `{"LastName":"C","AccountId":"`+id+`"}`)
	s.create("Contact", `{"LastName":"D"}`)
	query := func(soql string) string { return "<p:query><p:queryString>" + soql + "</p:queryString></p:query>" }

	const open = `<queryResponse><result xsi:type="QueryResult"><done>true</done><queryLocator xsi:nil="true"/>`
	wantBody(t, "fields", s.soap("", query("SELECT Name, Id, Industry, AnnualRevenue, NumberOfEmployees, IsDeleted FROM Account")), 200,
		`xmlns="urn:partner.soap.sforce.com" xmlns:sf="urn:sobject.partner.soap.sforce.com"`,
		open+`<records xsi:type="sf:sObject"><sf:type>Account</sf:type><sf:Id>`+id+`</sf:Id><sf:Name>A &amp; &lt;B&gt;</sf:Name>`+
			`<sf:Id>`+id+`</sf:Id><sf:Industry xsi:nil="true"/><sf:AnnualRevenue>1.25E7</sf:AnnualRevenue>`+
			`<sf:NumberOfEmployees>7</sf:NumberOfEmployees><sf:IsDeleted>false</sf:IsDeleted></records><size>1</size></result></queryResponse>`)
	wantBody(t, "relation", s.soap("", query("SELECT LastName, Account.Name, Account.Id FROM Contact ORDER BY LastName")), 200,
		`<records xsi:type="sf:sObject"><sf:type>Contact</sf:type><sf:Id xsi:nil="true"/><sf:LastName>C</sf:LastName>`+
			`<sf:Account xsi:type="sf:sObject"><sf:type>Account</sf:type><sf:Id>`+id+`</sf:Id><sf:Name>A &amp; &lt;B&gt;</sf:Name><sf:Id>`+id+`</sf:Id></sf:Account></records>`,
		`<sf:LastName>D</sf:LastName><sf:Account xsi:nil="true"/></records><size>2</size>`)
	wantBody(t, "count", s.soap("", query("SELECT COUNT() FROM Contact")), 200, open+`<size>2</size>`)
	wantBody(t, "nothing", s.soap("", query("SELECT Id FROM Contact WHERE LastName = 'Z'")), 200, open+`<size>0</size>`)
	s.do("DELETE", data+"/sobjects/Contact/"+contact, "")
	wantBody(t, "query after delete", s.soap("", query("SELECT COUNT() FROM Contact")), 200, `<size>1</size>`)
	wantBody(t, "queryAll after delete", s.soap("", strings.ReplaceAll(query("SELECT COUNT() FROM Contact"), "p:query>", "p:queryAll>")), 200, `<queryAllResponse>`, `<size>2</size>`)

	faults := []struct{ body, code, kind string }{
		{query("SELECT FROM Account"), "MALFORMED_QUERY", "MalformedQueryFault"},
		{query("SELECT Nope FROM Account"), "INVALID_FIELD", "InvalidFieldFault"},
		{query("SELECT Id FROM Nope"), "INVALID_TYPE", "InvalidSObjectFault"},
		{"<p:query/>", "UNKNOWN_EXCEPTION", "UnexpectedErrorFault"},
		{"<p:query><p:queryString><p:a/></p:queryString></p:query>", "UNKNOWN_EXCEPTION", "UnexpectedErrorFault"},
		{"<p:query><p:queryString>x</p:queryString><p:other/></p:query>", "UNKNOWN_EXCEPTION", "UnexpectedErrorFault"},
		{"<p:query><queryString>x</queryString></p:query>", "UNKNOWN_EXCEPTION", "UnexpectedErrorFault"},
		{"<p:queryMore><p:queryLocator>x</p:queryLocator></p:queryMore>", "INVALID_QUERY_LOCATOR", "InvalidQueryLocatorFault"},
	}
	for _, tt := range faults {
		wantBody(t, tt.body, s.soap("", tt.body), 500, "<faultcode>sf:"+tt.code+"</faultcode>", `<sf:`+tt.kind+` xsi:type="sf:`+tt.kind+`">`)
	}
	wantBody(t, "position", s.soap("", query("SELECT FROM Account")), 500, "<sf:row>1</sf:row><sf:column>8</sf:column></sf:MalformedQueryFault>")
}

func TestSOAPNumbers(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	tests := []struct{ number, want string }{
		{"0", "0.0"}, {"420000", "420000.0"}, {"1.25", "1.25"}, {"-9999999.5", "-9999999.5"}, {"0.001", "0.001"},
		{"1e7", "1.0E7"}, {"12500000", "1.25E7"}, {"0.00025", "2.5E-4"}, {"-1e21", "-1.0E21"},
	}
	for _, tt := range tests {
		id := s.create("Account", `{"Name":"n","AnnualRevenue":`+tt.number+`}`)
		got := s.soap("", "<p:retrieve><p:fieldList>AnnualRevenue</p:fieldList><p:sObjectType>Account</p:sObjectType><p:ids>"+id+"</p:ids></p:retrieve>")
		wantBody(t, tt.number, got, 200, "<sf:AnnualRevenue>"+tt.want+"</sf:AnnualRevenue>")
	}
}

func TestSOAPQueryMore(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) {
		cfg.Empty = true
		cfg.Users = append(cfg.Users, "other@devorg.example")
	})
	org.AddAccounts(1201)
	s := open(t, org)
	page := func(got reply) (done, locator string, records int) {
		t.Helper()
		wantBody(t, "page", got, 200, "<size>1201</size>")
		return between(got.body, "<done>", "</done>"), between(got.body, "<queryLocator>", "</queryLocator>"), strings.Count(got.body, "<records ")
	}
	const query = "<p:query><p:queryString>SELECT Id FROM Account</p:queryString></p:query>"
	sized := func(n int) string {
		return fmt.Sprintf("<p:QueryOptions><p:batchSize>%d</p:batchSize></p:QueryOptions>", n)
	}
	more := func(header, locator string) reply {
		return s.soap(header, "<p:queryMore><p:queryLocator>"+locator+"</p:queryLocator></p:queryMore>")
	}
	done, locator, n := page(s.soap("", query))
	if done != "false" || n != 500 || locator == "" {
		t.Errorf("first page = %s, %q, %d records, want 500", done, locator, n)
	}
	_, next, n := page(more("", locator))
	if n != 500 {
		t.Errorf("second page has %d records, want 500", n)
	}
	if done, last, n := page(more("", next)); done != "true" || last != "" || n != 201 {
		t.Errorf("last page = %s, %q, %d records, want 201", done, last, n)
	}
	if done, _, n := page(more(sized(1000), locator)); done != "true" || n != 701 {
		t.Errorf("second page of 1000 = %s, %d records, want 701", done, n)
	}
	if _, _, n := page(s.soap(sized(200), query)); n != 200 {
		t.Errorf("page of 200 has %d records", n)
	}
	claims := goodClaims(org)
	claims["sub"] = "other@devorg.example"
	got := send(t, grantRequest(t, org, sign(appKey(), goodHeader(), claims)))
	s.token = got.json(t)["access_token"].(string)
	wantBody(t, "another user's locator", more("", locator), 500, "sf:INVALID_QUERY_LOCATOR")
}

func sent(fields string) string {
	return "<p:sObjects><r:type>Account</r:type>" + fields + "</p:sObjects>"
}

func (s session) account(id string) fields {
	s.t.Helper()
	return s.do("GET", data+"/sobjects/Account/"+id, "").json(s.t)
}

// between returns what is between two marks the first time.
func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

func TestSOAPSaves(t *testing.T) {
	s := open(t, start(t, nil))
	got := s.soap("", "<p:create>"+sent("<r:Name>Ä &amp; B</r:Name><r:AnnualRevenue>1.5E3</r:AnnualRevenue><r:NumberOfEmployees>3</r:NumberOfEmployees><r:External_Id__c>E1</r:External_Id__c>")+
		sent("<r:Industry>x</r:Industry>")+sent("<r:Name>n</r:Name><r:AnnualRevenue>much</r:AnnualRevenue>")+"</p:create>")
	id := between(got.body, "<id>", "</id>")
	wantBody(t, "create", got, 200, "<createResponse><result><id>"+id+"</id><success>true</success></result>"+
		"<result><errors><fields>Name</fields><message>Required fields are missing: [Name]</message><statusCode>REQUIRED_FIELD_MISSING</statusCode></errors>"+
		`<id xsi:nil="true"/><success>false</success></result>`+
		"<result><errors><fields>AnnualRevenue</fields><message>Annual Revenue: value not of required type: much</message><statusCode>INVALID_TYPE_ON_FIELD_IN_RECORD</statusCode></errors>")
	if r := s.account(id); r["Name"] != "Ä & B" || r["AnnualRevenue"] != 1500.0 || r["NumberOfEmployees"] != 3.0 {
		t.Errorf("created %v", r)
	}

	wantBody(t, "update", s.soap("", "<p:update>"+sent("<r:fieldsToNull>AnnualRevenue</r:fieldsToNull><r:Id>"+id+"</r:Id><r:Id>"+id+"</r:Id><r:Name>New</r:Name><r:NumberOfEmployees i:nil='true'/><r:External_Id__c/>")+
		sent("<r:Name>no id</r:Name>")+sent("<r:Id>0015g000000ZZZZ</r:Id><r:Name>x</r:Name>")+"</p:update>"), 200,
		"<updateResponse><result><id>"+id+"</id><success>true</success></result>", "<statusCode>MISSING_ARGUMENT</statusCode>", "<statusCode>INVALID_CROSS_REFERENCE_KEY</statusCode>")
	if r := s.account(id); r["Name"] != "New" || r["AnnualRevenue"] != nil || r["NumberOfEmployees"] != 3.0 || r["External_Id__c"] != "E1" {
		t.Errorf("updated to %v", r)
	}

	key := func(name string) string { return "<p:externalIDFieldName>" + name + "</p:externalIDFieldName>" }
	got = s.soap("", "<p:upsert>"+key("External_Id__c")+sent("<r:External_Id__c>E1</r:External_Id__c><r:Name>Up</r:Name>")+
		sent("<r:External_Id__c>E2</r:External_Id__c><r:Name>Two</r:Name>")+sent("<r:Name>none</r:Name>")+
		sent("<r:External_Id__c>E1</r:External_Id__c><r:Id>"+id+"</r:Id>")+"</p:upsert>")
	wantBody(t, "upsert", got, 200, "<result><created>false</created><id>"+id+"</id><success>true</success></result><result><created>true</created><id>",
		"<statusCode>MISSING_ARGUMENT</statusCode>", "<statusCode>INVALID_FIELD_FOR_INSERT_UPDATE</statusCode>")
	if r := s.account(id); r["Name"] != "Up" {
		t.Errorf("upserted to %v", r)
	}
	wantBody(t, "upsert by id", s.soap("", "<p:upsert>"+key("Id")+sent("<r:Id>"+id+"</r:Id><r:Name>By id</r:Name>")+sent("<r:Name>New one</r:Name>")+"</p:upsert>"), 200,
		"<created>false</created><id>"+id+"</id>", "<created>true</created>")
	s.create("Account", `{"Name":"twin","External_Id__c":"E1"}`)
	wantBody(t, "ambiguous upsert", s.soap("", "<p:upsert>"+key("External_Id__c")+sent("<r:External_Id__c>E1</r:External_Id__c>")+"</p:upsert>"), 200, "<statusCode>DUPLICATE_EXTERNAL_ID</statusCode>")

	for _, text := range []string{"Infinity", "NaN", "0x10", "1.5", ""} {
		got := s.soap("", "<p:update>"+sent("<r:Id>"+id+"</r:Id><r:NumberOfEmployees>"+text+"</r:NumberOfEmployees>")+"</p:update>")
		if refused := strings.Contains(got.body, "<statusCode>INVALID_TYPE_ON_FIELD_IN_RECORD</statusCode>"); refused != (text != "") {
			t.Errorf("number %q = %s", text, got.body)
		}
	}
	wantBody(t, "delete a user", s.soap("", "<p:delete><p:ids>"+s.account(id)["OwnerId"].(string)+"</p:ids></p:delete>"), 200, "<statusCode>CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY</statusCode>")
	wantBody(t, "delete", s.soap("", "<p:delete><p:ids>"+id[:15]+"</p:ids><p:ids>"+id+"</p:ids><p:ids>x</p:ids></p:delete>"), 200,
		"<deleteResponse><result><id>"+id+"</id><success>true</success></result>", "<statusCode>ENTITY_IS_DELETED</statusCode>", "<statusCode>MALFORMED_ID</statusCode>")
	wantError(t, "deleted record", s.do("GET", data+"/sobjects/Account/"+id, ""), 404, "ENTITY_IS_DELETED")
}

func TestSOAPSaveFaults(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	good := sent("<r:Name>good</r:Name>")
	tests := []struct{ name, body, want string }{
		{"unknown field", "<p:create>" + good + sent("<r:Nope>x</r:Nope>") + "</p:create>", "INVALID_FIELD"},
		{"unknown field to null", "<p:create>" + good + sent("<r:fieldsToNull>Nope</r:fieldsToNull>") + "</p:create>", "INVALID_FIELD"},
		{"field twice", "<p:create>" + good + sent("<r:Name>a</r:Name><r:Name>b</r:Name>") + "</p:create>", "INVALID_FIELD"},
		{"field twice the same", "<p:create>" + good + sent("<r:Name>a</r:Name><r:Name>a</r:Name>") + "</p:create>", "INVALID_FIELD"},
		{"null with a value", "<p:create>" + good + sent("<r:Name i:nil='true'>a</r:Name>") + "</p:create>", "INVALID_FIELD"},
		{"field set and emptied", "<p:create>" + good + sent("<r:Name>a</r:Name><r:fieldsToNull>Name</r:fieldsToNull>") + "</p:create>", "INVALID_FIELD"},
		{"record in a record", "<p:create>" + good + sent("<r:OwnerId><r:type>User</r:type></r:OwnerId>") + "</p:create>", "INVALID_FIELD"},
		{"two ids", "<p:update>" + sent("<r:Id>a</r:Id><r:Id>b</r:Id>") + "</p:update>", "INVALID_FIELD"},
		{"unknown type", "<p:create>" + good + strings.ReplaceAll(good, "Account", "Nope") + "</p:create>", "INVALID_TYPE"},
		{"no type", "<p:create>" + good + "<p:sObjects><r:Name>x</r:Name></p:sObjects></p:create>", "INVALID_TYPE"},
		{"two types", "<p:create>" + good + sent("<r:type>Account</r:type>") + "</p:create>", "INVALID_TYPE"},
		{"other namespace", `<p:create>` + good + sent(`<o:Name xmlns:o="urn:other">x</o:Name>`) + "</p:create>", "UNKNOWN_EXCEPTION"},
		{"unknown argument", "<p:create>" + good + "<p:other/></p:create>", "UNKNOWN_EXCEPTION"},
		{"too many", "<p:create>" + strings.Repeat(good, 201) + "</p:create>", "EXCEEDED_ID_LIMIT"},
		{"no key", "<p:upsert>" + good + "</p:upsert>", "UNKNOWN_EXCEPTION"},
		{"no such key", "<p:upsert><p:externalIDFieldName>Name</p:externalIDFieldName>" + good + "</p:upsert>", "INVALID_FIELD"},
		{"empty id", "<p:delete><p:ids i:nil='true'/></p:delete>", "UNKNOWN_EXCEPTION"},
	}
	for _, tt := range tests {
		wantBody(t, tt.name, s.soap("", tt.body), 500, "<faultcode>sf:"+tt.want+"</faultcode>")
	}
	wantBody(t, "count", s.soap("", "<p:query><p:queryString>SELECT COUNT() FROM Account</p:queryString></p:query>"), 200, "<size>0</size>")
	wantBody(t, "user", s.soap("", "<p:create>"+strings.ReplaceAll(sent(""), "Account", "User")+"</p:create>"), 200, "<statusCode>CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY</statusCode>")
}

func TestSOAPAllOrNone(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	got := s.soap("<p:AllOrNoneHeader><p:allOrNone>true</p:allOrNone></p:AllOrNoneHeader>", "<p:create>"+sent("<r:Name>good</r:Name>")+sent("")+"</p:create>")
	wantBody(t, "create", got, 200, "<statusCode>ALL_OR_NONE_OPERATION_ROLLED_BACK</statusCode>", "<statusCode>REQUIRED_FIELD_MISSING</statusCode>")
	if strings.Contains(got.body, "<success>true") {
		t.Errorf("create = %s", got.body)
	}
	wantBody(t, "count", s.soap("", "<p:query><p:queryString>SELECT COUNT() FROM Account</p:queryString></p:query>"), 200, "<size>0</size>")
}

func TestSOAPRetrieveAndDescribe(t *testing.T) {
	s := open(t, start(t, nil))
	id := s.create("Account", `{"Name":"R"}`)
	file := s.create("Attachment", `{"Name":"f","ParentId":"`+id+`","Body":"aGVsbG8="}`)
	retrieve := func(fields, kind string, ids ...string) string {
		body := "<p:retrieve><p:fieldList>" + fields + "</p:fieldList><p:sObjectType>" + kind + "</p:sObjectType>"
		for _, id := range ids {
			body += "<p:ids>" + id + "</p:ids>"
		}
		return body + "</p:retrieve>"
	}
	wantBody(t, "retrieve", s.soap("", retrieve("Name, Id", "Account", "001000000000001", id)), 200,
		`<retrieveResponse><result xsi:nil="true"/><result xsi:type="sf:sObject"><sf:type>Account</sf:type><sf:Id>`+id+`</sf:Id><sf:Name>R</sf:Name><sf:Id>`+id+`</sf:Id></result>`)
	wantBody(t, "retrieve a file", s.soap("", retrieve("Body", "Attachment", file)), 200, "<sf:Body>aGVsbG8=</sf:Body>")
	wantBody(t, "wrong kind of id", s.soap("", retrieve("Id", "Contact", id)), 500, "sf:MALFORMED_ID", "InvalidIdFault")
	wantBody(t, "no fields", s.soap("", retrieve("", "Account", id)), 500, "sf:INVALID_FIELD")
	wantBody(t, "unknown field", s.soap("", retrieve("Nope", "Account", id)), 500, "sf:INVALID_FIELD")
	wantBody(t, "unknown type", s.soap("", retrieve("Id", "Nope", id)), 500, "sf:INVALID_TYPE")
	wantBody(t, "too many", s.soap("", retrieve("Id", "Account", strings.Split(strings.Repeat(id+" ", 2001), " ")[:2001]...)), 500, "sf:EXCEEDED_ID_LIMIT")

	wantBody(t, "describeGlobal", s.soap("", "<p:describeGlobal/>"), 200, "<encoding>UTF-8</encoding><maxBatchSize>200</maxBatchSize><sobjects>", "<name>ContentVersion</name>")
	wantBody(t, "describeSObject", s.soap("", "<p:describeSObject><p:sObjectType>Contact</p:sObjectType></p:describeSObject>"), 200,
		"<keyPrefix>003</keyPrefix>", "<referenceTo>Account</referenceTo><relationshipName>Account</relationshipName>", "<soapType>tns:ID</soapType>", "<type>email</type>")
	wantBody(t, "describe nothing", s.soap("", "<p:describeSObject><p:sObjectType>Nope</p:sObjectType></p:describeSObject>"), 500, "InvalidSObjectFault")
	wantBody(t, "timestamp", s.soap("", "<p:getServerTimestamp/>"), 200, "<getServerTimestampResponse><result><timestamp>2")
	wantBody(t, "unknown call", s.soap("", "<p:merge/>"), 500, "<faultcode>soapenv:Client</faultcode>", "No operation available for request {urn:partner.soap.sforce.com}merge")
	wantBody(t, "call of another API", s.soap("", "<r:getUserInfo/>"), 500, "No operation available for request {urn:sobject.partner.soap.sforce.com}getUserInfo")
	for _, call := range []string{"getUserInfo", "getServerTimestamp", "describeGlobal", "logout"} {
		wantBody(t, call+" with an argument", s.soap("", "<p:"+call+"><p:x/></p:"+call+">"), 500, "unexpected element x")
	}
}

func TestSOAPEnterprise(t *testing.T) {
	s := open(t, start(t, nil))
	ask := func(body string) reply {
		return soapRequest(t, s, "c", envelope(enterpriseSpace, sessionHeader(s.token), body))
	}
	got := ask(`<p:create><p:sObjects i:type="r:Account"><r:Name>Ent</r:Name><r:Industry>x</r:Industry></p:sObjects></p:create>`)
	id := between(got.body, "<id>", "</id>")
	wantBody(t, "create", got, 200, "<createResponse><result><id>"+id+"</id><success>true</success></result>")
	wantBody(t, "query", ask(`<p:query><p:queryString>SELECT Name, Id, Industry, Owner.Name FROM Account WHERE Name = 'Ent'</p:queryString></p:query>`), 200,
		`xmlns:sf="urn:sobject.enterprise.soap.sforce.com"`,
		`<records xsi:type="sf:Account"><sf:Id>`+id+`</sf:Id><sf:Industry>x</sf:Industry><sf:Name>Ent</sf:Name><sf:Owner xsi:type="sf:User"><sf:Id xsi:nil="true"/><sf:Name>`)
	wantBody(t, "update", ask(`<p:update><p:sObjects i:type="r:Account"><r:fieldsToNull>Industry</r:fieldsToNull><r:Id>`+id+`</r:Id></p:sObjects></p:update>`), 200, "<success>true</success>")
	if r := s.account(id); r["Industry"] != nil {
		t.Errorf("updated to %v", r)
	}
	const abstract = "INVALID_TYPE: Must send a concrete entity type."
	wantBody(t, "no type", ask(`<p:create><p:sObjects><r:Name>x</r:Name></p:sObjects></p:create>`), 500, abstract)
	wantBody(t, "partner's way", ask(`<p:create><p:sObjects><r:type>Account</r:type></p:sObjects></p:create>`), 500, abstract)
	wantBody(t, "type of another namespace", ask(`<p:create><p:sObjects i:type="p:Account"/></p:create>`), 500, abstract)
	wantBody(t, "undeclared type", ask(`<p:create><p:sObjects i:type="q:Account"/></p:create>`), 500, abstract)
	wantBody(t, "unknown type", ask(`<p:create><p:sObjects i:type="r:Nope"/></p:create>`), 500, "sf:INVALID_TYPE", `xmlns:sf="urn:fault.enterprise.soap.sforce.com"`)
	wantBody(t, "logout", ask("<p:logout/>"), 200, "<logoutResponse/>")
	wantBody(t, "after logout", ask("<p:getUserInfo/>"), 500, illegalSession)
}

// One client has the arguments in a namespace that no WSDL has, and the fields in that of
// the call.
func TestSOAPLooseNamespaces(t *testing.T) {
	s := open(t, start(t, nil))
	got := s.soap("", `<create xmlns="urn:partner.soap.sforce.com" xmlns:n="sobject.partner.soap.sforce.com"><n:sObjects><type>Account</type><Name>Loose</Name></n:sObjects></create>`)
	wantBody(t, "create", got, 200, "<success>true</success>")
}

func TestSOAPLoginIsGone(t *testing.T) {
	s := open(t, start(t, nil))
	got := send(t, newRequest(t, "POST", s.org.LoginURL()+"/services/Soap/u/60.0", "<x/>"))
	wantBody(t, "login host", got, 500, "sf:INVALID_OPERATION")
	call := envelope(partnerSpace, "", "<p:login><p:username>u</p:username><p:password>p</p:password></p:login>")
	wantBody(t, "instance host", soapRequest(t, s, "u", call), 500, "<faultcode>sf:INVALID_OPERATION</faultcode>", "login() is disabled")
}

func TestSOAPLogout(t *testing.T) {
	s := open(t, start(t, nil))
	wantBody(t, "logout", s.soap("", "<p:logout/>"), 200, "<logoutResponse/>")
	wantBody(t, "after logout", s.soap("", "<p:getUserInfo/>"), 500, illegalSession)
	wantError(t, "REST after logout", s.do("GET", data+"/limits", ""), 401, "INVALID_SESSION_ID")
	if got := s.org.Stats(); got.Forbidden != 1 || got.Unauthorized != 2 {
		t.Errorf("Stats = %+v", got)
	}
}
