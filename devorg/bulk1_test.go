package devorg_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

const bulkSpace = "http://www.force.com/2009/06/asyncapi/dataload"

func (s session) bulkRequest(method, path, contentType, body string) *http.Request {
	s.t.Helper()
	request := newRequest(s.t, method, s.org.InstanceURL()+"/services/async/60.0"+path, body)
	request.Header.Set("X-SFDC-Session", s.token)
	request.Header.Del("Content-Type")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request
}

func (s session) bulk(method, path, contentType, body string) reply {
	s.t.Helper()
	return send(s.t, s.bulkRequest(method, path, contentType, body))
}

func jobXML(members string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="` + bulkSpace + `">` + members + `</jobInfo>`
}

// openJob returns the path of a new job.
func (s session) openJob(operation, contentType, more string) string {
	s.t.Helper()
	got := s.bulk("POST", "/job", "application/xml; charset=UTF-8",
		jobXML("<operation>"+operation+"</operation><object>Account</object>"+more+"<contentType>"+contentType+"</contentType>"))
	if got.status != 201 {
		s.t.Fatalf("create job = %d %s", got.status, got.body)
	}
	return "/job/" + between(got.body, "<id>", "</id>")
}

// addBatch returns the path of a new batch.
func (s session) addBatch(job, contentType, body string) string {
	s.t.Helper()
	got := s.bulk("POST", job+"/batch", contentType, body)
	if got.status != 201 || (!strings.Contains(got.body, "<state>Queued</state>") && !strings.Contains(got.body, `"state":"Queued"`)) {
		s.t.Fatalf("add batch = %d %s", got.status, got.body)
	}
	id := between(got.body, "<id>", "</id>")
	if id == "" {
		id = got.json(s.t)["id"].(string)
	}
	return job + "/batch/" + id
}

func TestBulkSession(t *testing.T) {
	s := open(t, start(t, nil))
	ask := func(token, contentType string) reply {
		request := s.bulkRequest("POST", "/job", contentType, "x")
		request.Header.Set("X-SFDC-Session", token)
		return send(t, request)
	}
	const code = "<exceptionCode>InvalidSessionId</exceptionCode>"
	wantBody(t, "XML", ask("x", "application/xml"), 400, `xmlns="`+bulkSpace+`"`, code+"<exceptionMessage>Invalid session id</exceptionMessage>")
	wantBody(t, "CSV", ask("x", "text/csv"), 400, code)
	wantBody(t, "JSON", ask("x", "application/json; charset=UTF-8"), 400, `{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid session id"}`)
	request := s.bulkRequest("POST", "/job", "application/xml", "x")
	request.Header.Del("X-SFDC-Session")
	request.Header.Set("Authorization", "Bearer "+s.token)
	wantBody(t, "Authorization alone", send(t, request), 400, code+"<exceptionMessage>Unable to find session id</exceptionMessage>")
	s.org.ExpireTokens()
	wantBody(t, "expired", ask(s.token, "application/xml"), 400, code)
}

func TestBulkURL(t *testing.T) {
	s := open(t, start(t, nil))
	at := func(path string) reply {
		request := s.request("GET", "/services/async/"+path, "")
		request.Header.Set("X-SFDC-Session", s.token)
		return send(t, request)
	}
	tests := []struct{ path, code string }{
		{"30.0/job", "InvalidVersion"},
		{"68.0/job", "InvalidVersion"},
		{"v60.0/job", "InvalidVersion"},
		{"60.0", "InvalidUrl"},
		{"60.0/services", "InvalidUrl"},
		{"60.0/job", "ClientInputError"}, // GET
		{"60.0/job/7505g0000000009", "InvalidJob"},
		{"60.0/job/x", "InvalidJob"},
	}
	for _, tt := range tests {
		wantBody(t, tt.path, at(tt.path), 400, "<exceptionCode>"+tt.code+"</exceptionCode>")
	}
	job := s.openJob("insert", "CSV", "")
	batch := s.addBatch(job, "text/csv", "Name\nx\n")
	tests = []struct{ path, code string }{
		{job + "/nope", "InvalidUrl"},
		{job + "/batch/7515g0000000009", "InvalidBatch"},
		{batch + "/nope", "InvalidUrl"},
		{batch + "/result/7525g0000000009", "InvalidBatch"},
		{batch + "/result/a/b", "InvalidUrl"},
	}
	for _, tt := range tests {
		wantBody(t, tt.path, at("60.0"+tt.path), 400, "<exceptionCode>"+tt.code+"</exceptionCode>")
	}
}

func TestBulkCreateJob(t *testing.T) {
	s := open(t, start(t, nil))
	got := s.bulk("POST", "/job", "application/xml", jobXML("<operation>insert</operation><object>account</object><contentType>CSV</contentType>"))
	wantBody(t, "XML", got, 201, "<operation>insert</operation><object>Account</object>", "<state>Open</state><concurrencyMode>Parallel</concurrencyMode><contentType>CSV</contentType>", "<apiVersion>60.0</apiVersion>")
	if strings.Contains(got.body, "externalIdFieldName") {
		t.Errorf("a job without a key has %s", got.body)
	}
	got = s.bulk("POST", "/job", "application/json", `{"operation":"upsert","object":"Account","externalIdFieldName":"external_id__c","contentType":"JSON","concurrencyMode":"Serial"}`)
	if info := got.json(t); got.status != 201 || info["state"] != "Open" || info["externalIdFieldName"] != "External_Id__c" || info["apiVersion"] != 60.0 ||
		info["concurrencyMode"] != "Serial" || !strings.HasSuffix(info["createdDate"].(string), "+0000") {
		t.Errorf("JSON = %d %s", got.status, got.body)
	}
	wantBody(t, "look without a type", s.bulk("GET", "/job/"+got.json(t)["id"].(string), "", ""), 200, `"operation":"upsert"`)

	const op, object, csv = "<operation>insert</operation>", "<object>Account</object>", "<contentType>CSV</contentType>"
	tests := []struct{ name, body, code string }{
		{"no XML", "x", "InvalidXML"},
		{"DTD", "<!DOCTYPE x>" + jobXML(op+object), "InvalidXML"},
		{"other root", strings.ReplaceAll(jobXML(op+object), "jobInfo", "batchInfo"), "InvalidXML"},
		{"other namespace", strings.ReplaceAll(jobXML(op+object), bulkSpace, "urn:x"), "InvalidXML"},
		{"root of another namespace", strings.NewReplacer("<jobInfo ", `<x:jobInfo xmlns:x="urn:x" `, "</jobInfo", "</x:jobInfo").Replace(jobXML(op + object)), "InvalidXML"},
		{"nested", jobXML(op + "<object><a/></object>"), "InvalidXML"},
		{"unknown member", jobXML(op + object + "<state>Open</state>"), "InvalidJob"},
		{"member twice", jobXML(op + object + object), "InvalidJob"},
		{"no operation", jobXML(object), "InvalidJob"},
		{"unknown operation", jobXML("<operation>merge</operation>" + object), "InvalidJob"},
		{"hardDelete", jobXML("<operation>hardDelete</operation>" + object), "FeatureNotEnabled"},
		{"unknown object", jobXML(op + "<object>Nope</object>"), "InvalidEntity"},
		{"upsert without a key", jobXML("<operation>upsert</operation>" + object), "InvalidJob"},
		{"upsert by no key", jobXML("<operation>upsert</operation>" + object + "<externalIdFieldName>Name</externalIdFieldName>"), "InvalidJob"},
		{"key of an insert", jobXML(op + object + "<externalIdFieldName>Id</externalIdFieldName>"), "InvalidJob"},
		{"ZIP", jobXML(op + object + "<contentType>ZIP_CSV</contentType>"), "InvalidJob"},
		{"concurrency", jobXML(op + object + csv + "<concurrencyMode>Wild</concurrencyMode>"), "InvalidJob"},
		{"assignment rule", jobXML(op + object + csv + "<assignmentRuleId>01Q000000000001</assignmentRuleId>"), "InvalidJob"},
	}
	for _, tt := range tests {
		wantBody(t, tt.name, s.bulk("POST", "/job", "application/xml", tt.body), 400, "<exceptionCode>"+tt.code+"</exceptionCode>")
	}
	wantBody(t, "JSON number", s.bulk("POST", "/job", "application/json", `{"operation":1}`), 400, `"exceptionCode":"InvalidJob"`)
	request := s.bulkRequest("POST", "/job", "application/xml", jobXML(op+object+csv))
	request.Header.Set("Sforce-Enable-PKChunking", "chunkSize=1000")
	wantBody(t, "PK chunking", send(t, request), 400, "<exceptionCode>FeatureNotEnabled</exceptionCode>")
}

func TestBulkIngest(t *testing.T) {
	s := open(t, start(t, nil))
	job := s.openJob("insert", "CSV", "")
	data := "Name,AnnualRevenue,External_Id__c\n\"One, \"\"1\"\"\",12.5,B1\nTwo,,\n,1,\nThree,much,\n"
	batch := s.addBatch(job, "text/csv; charset=UTF-8", data)
	wantBody(t, "batch", s.bulk("GET", batch, "", ""), 200, "<state>Completed</state>", "<numberRecordsProcessed>4</numberRecordsProcessed><numberRecordsFailed>2</numberRecordsFailed>")
	wantBody(t, "batches", s.bulk("GET", job+"/batch", "", ""), 200, "<batchInfoList xmlns=", "<batchInfo><id>", "<state>Completed</state>")
	wantBody(t, "job", s.bulk("GET", job, "", ""), 200, "<numberBatchesCompleted>1</numberBatchesCompleted>", "<numberRecordsProcessed>4</numberRecordsProcessed>")
	if got := s.bulk("GET", batch+"/request", "", ""); got.body != data {
		t.Errorf("request = %q, want %q", got.body, data)
	}
	got := s.bulk("GET", batch+"/result", "", "")
	id := between(got.body, "\n\"", `"`)
	wantBody(t, "result", got, 200, "\"Id\",\"Success\",\"Created\",\"Error\"\n\""+id+"\",\"true\",\"true\",\"\"\n",
		"\"\",\"false\",\"false\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --\"\n",
		"\"\",\"false\",\"false\",\"INVALID_TYPE_ON_FIELD_IN_RECORD:Annual Revenue: value not of required type: much:AnnualRevenue --\"\n")
	if got.header.Get("Content-Type") != "text/csv; charset=UTF-8" {
		t.Errorf("result is %s", got.header.Get("Content-Type"))
	}
	if r := s.account(id); r["Name"] != `One, "1"` || r["AnnualRevenue"] != 12.5 {
		t.Errorf("inserted %v", r)
	}

	batch = s.addBatch(s.openJob("update", "CSV", ""), "text/csv", "Id,Name,AnnualRevenue\r\n"+id+",,#N/A\r\n,x,\r\n0015g000000ZZZZ,x,\r\n")
	wantBody(t, "update", s.bulk("GET", batch+"/result", "", ""), 200, "\""+id+"\",\"true\",\"false\",\"\"\n", "MISSING_ARGUMENT:", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--")
	if r := s.account(id); r["Name"] != `One, "1"` || r["AnnualRevenue"] != nil {
		t.Errorf("updated to %v", r)
	}

	batch = s.addBatch(s.openJob("upsert", "CSV", "<externalIdFieldName>External_Id__c</externalIdFieldName>"), "text/csv", "\ufeffExternal_Id__c,Name\nB1,Up\nB2,New\n,x\n")
	wantBody(t, "upsert", s.bulk("GET", batch+"/result", "", ""), 200, "\""+id+"\",\"true\",\"false\",\"\"\n", "\"true\",\"true\",\"\"\n", "MISSING_ARGUMENT:External_Id__c not specified:--")

	batch = s.addBatch(s.openJob("delete", "CSV", ""), "text/csv", "id\n"+id+"\n"+id+"\n")
	wantBody(t, "delete", s.bulk("GET", batch+"/result", "", ""), 200, "\""+id+"\",\"true\",\"false\",\"\"\n", "ENTITY_IS_DELETED:entity is deleted:--")
	wantError(t, "deleted", s.do("GET", data1(id), ""), 404, "ENTITY_IS_DELETED")
}

func data1(id string) string { return data + "/sobjects/Account/" + id }

func TestBulkJSONAndXML(t *testing.T) {
	s := open(t, start(t, nil))
	job := s.openJob("insert", "JSON", "")
	batch := s.addBatch(job, "application/json", `[{"Name":"J","NumberOfEmployees":3,"Industry":null},{"Industry":"x"},{"attributes":{"type":"Contact"},"Name":"x"}]`)
	got := s.bulk("GET", batch+"/result", "", "")
	var results []struct {
		ID      *string
		Success bool
		Created bool
		Errors  []struct{ StatusCode string }
	}
	if err := json.Unmarshal([]byte(got.body), &results); err != nil || len(results) != 3 || results[0].ID == nil || !results[0].Created || len(results[0].Errors) != 0 ||
		results[1].ID != nil || results[1].Success || results[1].Errors[0].StatusCode != "REQUIRED_FIELD_MISSING" || results[2].Errors[0].StatusCode != "INVALID_TYPE" {
		t.Errorf("JSON result = %s", got.body)
	}
	if got := s.bulk("GET", job+"/batch", "application/json", ""); len(got.json(t)["batchInfo"].([]any)) != 1 {
		t.Errorf("JSON batches = %s", got.body)
	}

	job = s.openJob("insert", "XML", "")
	batch = s.addBatch(job, "application/xml", `<sObjects xmlns="`+bulkSpace+`" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><sObject><Name>X &amp; Y</Name><Industry i:nil="true"/></sObject><sObject><Industry>x</Industry></sObject></sObjects>`)
	wantBody(t, "XML result", s.bulk("GET", batch+"/result", "", ""), 200, "<results xmlns=", "<success>true</success><created>true</created></result>",
		"<result><errors><fields>Name</fields><message>Required fields are missing: [Name]</message><statusCode>REQUIRED_FIELD_MISSING</statusCode></errors><success>false</success><created>false</created></result>")
}

func TestBulkFailedBatches(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	tests := []struct{ name, operation, format, body, want string }{
		{"unknown field", "insert", "CSV", "Name,Nope\nx,y\n", "InvalidBatch : Field name not found : Nope"},
		{"field twice", "insert", "CSV", "Name,name\nx,y\n", "Duplicate field"},
		{"ragged", "insert", "CSV", "Name,Phone\nx\n", "Failed to parse CSV"},
		{"bare quote", "insert", "CSV", "Name\nx\"y\n", "Failed to parse CSV"},
		{"empty", "insert", "CSV", "", "Failed to parse CSV header"},
		{"no UTF-8", "insert", "CSV", "Name\n\xff\n", "not UTF-8"},
		{"too many", "insert", "CSV", "Name\n" + strings.Repeat("x\n", 10_001), "exceed 10000"},
		{"more than ids", "delete", "CSV", "Id,Name\nx,y\n", "must contain only ids"},
		{"no ids", "delete", "CSV", "Name\ny\n", "must contain only ids"},
		{"unknown JSON field", "insert", "JSON", `[{"Name":"x"},{"Nope":1}]`, "Field name not found : Nope"},
		{"JSON object", "insert", "JSON", `{}`, "Failed to parse JSON"},
		{"two JSON values", "insert", "JSON", `[][]`, "data after the list"},
		{"JSON field twice", "insert", "JSON", `[{"Name":"x","name":"y"}]`, "Duplicate field"},
		{"unknown XML field", "insert", "XML", `<sObjects xmlns="` + bulkSpace + `"><sObject><Nope/></sObject></sObjects>`, "Field name not found : Nope"},
		{"other XML", "insert", "XML", `<sObjects xmlns="` + bulkSpace + `"><other/></sObjects>`, "sObjects of sObject are expected"},
		{"no XML", "insert", "XML", `x`, "Failed to parse XML"},
		{"malformed query", "query", "CSV", "SELECT", "InvalidBatch : Failed to process query: MALFORMED_QUERY: "},
		{"query of another object", "query", "CSV", "SELECT Id FROM Contact", "the query is not of Account"},
		{"COUNT", "query", "CSV", "SELECT COUNT() FROM Account", "FUNCTIONALITY_NOT_ENABLED"},
	}
	types := map[string]string{"CSV": "text/csv", "JSON": "application/json", "XML": "application/xml"}
	for _, tt := range tests {
		job := s.openJob(tt.operation, tt.format, "")
		batch := s.addBatch(job, types[tt.format], tt.body)
		got := s.bulk("GET", batch, "application/xml", "")
		wantBody(t, tt.name, got, 200, "<state>Failed</state>", "<numberRecordsProcessed>0</numberRecordsProcessed>")
		if message := between(got.body, "<stateMessage>", "</stateMessage>"); !strings.Contains(message, tt.want) {
			t.Errorf("%s: stateMessage = %q, want %q in it", tt.name, message, tt.want)
		}
		wantBody(t, tt.name, s.bulk("GET", batch+"/result", "application/xml", ""), 400, "<exceptionCode>InvalidBatch</exceptionCode>", "Records not processed")
		wantBody(t, tt.name, s.bulk("GET", job, "application/xml", ""), 200, "<numberBatchesFailed>1</numberBatchesFailed>")
	}
	wantBody(t, "count", s.soap("", "<p:query><p:queryString>SELECT COUNT() FROM Account</p:queryString></p:query>"), 200, "<size>0</size>")
	job := "/job/" + between(s.bulk("POST", "/job", "application/xml", jobXML("<operation>query</operation><object>Attachment</object><contentType>CSV</contentType>")).body, "<id>", "</id>")
	batch := s.addBatch(job, "text/csv", "SELECT Body FROM Attachment")
	wantBody(t, "binary", s.bulk("GET", batch, "", ""), 200, "Binary field not supported")
}

func TestBulkBatchRefusals(t *testing.T) {
	s := open(t, start(t, nil))
	job := s.openJob("insert", "CSV", "")
	for _, contentType := range []string{"application/json", "application/xml", "text/csv; charset=ISO-8859-1", "text/plain", ""} {
		got := s.bulk("POST", job+"/batch", contentType, "Name\nx\n")
		wantBody(t, "type "+contentType, got, 400, "InvalidBatch")
	}
	wantBody(t, "too long", s.bulk("POST", job+"/batch", "text/csv", "Name\n"+strings.Repeat("x", 10<<20)), 400, "<exceptionCode>ClientInputError</exceptionCode>")

	request := s.bulkRequest("POST", job+"/batch", "text/csv", gzipped("Name\nzipped\n"))
	request.Header.Set("Content-Encoding", "gzip")
	wantBody(t, "gzip", send(t, request), 201, "<state>Queued</state>")
	request = s.bulkRequest("POST", job+"/batch", "text/csv", "Name\nx\n")
	request.Header.Set("Content-Encoding", "gzip")
	wantBody(t, "false gzip", send(t, request), 400, "<exceptionCode>ClientInputError</exceptionCode>")
}

func TestBulkJobStates(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.Users = append(cfg.Users, "other@devorg.example") })
	s := open(t, org)
	job := s.openJob("insert", "CSV", "")
	set := func(state string) reply {
		return s.bulk("POST", job, "application/xml", jobXML("<state>"+state+"</state>"))
	}
	wantBody(t, "unknown state", set("Open"), 400, "<exceptionCode>InvalidJob</exceptionCode>")
	wantBody(t, "close", set("Closed"), 200, "<state>Closed</state>")
	wantBody(t, "batch of a closed job", s.bulk("POST", job+"/batch", "text/csv", "Name\nx\n"), 400, "<exceptionCode>InvalidJobState</exceptionCode>")
	wantBody(t, "close again", set("Closed"), 400, "InvalidJobState", "Closing already Closed Job not allowed")
	wantBody(t, "abort", s.bulk("POST", job, "application/json", `{"state":"Aborted"}`), 200, `"state":"Aborted"`)
	wantBody(t, "abort again", set("Aborted"), 400, "Aborting already Aborted Job not allowed")
	wantBody(t, "close what is aborted", set("Closed"), 400, "Closing already Aborted Job not allowed")

	claims := goodClaims(org)
	claims["sub"] = "other@devorg.example"
	s.token = send(t, grantRequest(t, org, sign(appKey(), goodHeader(), claims))).json(t)["access_token"].(string)
	wantBody(t, "another user's job", s.bulk("GET", job, "", ""), 400, "<exceptionCode>InvalidJob</exceptionCode>")
}

func TestBulkQuery(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	id := s.create("Account", `{"Name":"a \"b\"","AnnualRevenue":12500000}`)
	const soql = "SELECT Id, Name, AnnualRevenue, Industry, Owner.Name, Owner.IsActive, CreatedDate FROM Account"
	run := func(format, contentType, soql string) (list, rows reply) {
		t.Helper()
		batch := s.addBatch(s.openJob("query", format, ""), contentType, soql)
		list = s.bulk("GET", batch+"/result", "", "")
		result := between(list.body, "<result>", "</result>")
		if format == "JSON" {
			result = between(list.body, `"`, `"`)
		}
		return list, s.bulk("GET", batch+"/result/"+result, "", "")
	}
	list, rows := run("CSV", "text/csv", soql)
	wantBody(t, "result list", list, 200, "<result-list xmlns=")
	created := s.account(id)["CreatedDate"].(string)
	created = strings.TrimSuffix(created, "+0000") + "Z"
	want := "\"Id\",\"Name\",\"AnnualRevenue\",\"Industry\",\"Owner.Name\",\"Owner.IsActive\",\"CreatedDate\"\n" +
		`"` + id + `","a ""b""","1.25E7","","integration","true","` + created + "\"\n"
	if rows.body != want {
		t.Errorf("CSV = %q, want %q", rows.body, want)
	}
	_, rows = run("CSV", "text/csv", "SELECT Id FROM Account WHERE Name = 'none'")
	if rows.body != "Records not found for this query" {
		t.Errorf("CSV of nothing = %q", rows.body)
	}
	_, rows = run("JSON", "application/json", soql)
	var records []fields
	if err := json.Unmarshal([]byte(rows.body), &records); err != nil || len(records) != 1 || records[0]["Id"] != id || records[0]["CreatedDate"].(float64) < 1e12 ||
		records[0]["attributes"].(fields)["type"] != "Account" || records[0]["Owner"].(fields)["Name"] != "integration" {
		t.Errorf("JSON = %s", rows.body)
	}
	_, rows = run("XML", "application/xml", soql)
	wantBody(t, "XML", rows, 200, `<queryResult xmlns="`+bulkSpace+`"`, `<records xsi:type="sObject"><type>Account</type><Id>`+id+`</Id><Id>`+id+`</Id><Name>a "b"</Name>`, `<Industry xsi:nil="true"/>`)
	s.create("Account", `{"Name":"<sf:x \"sf:sObject\">"}`)
	_, rows = run("XML", "application/xml", "SELECT Name FROM Account")
	wantBody(t, "XML that looks like XML", rows, 200, `<Name>&lt;sf:x "sf:sObject"&gt;</Name>`)
	s.do("DELETE", data+"/sobjects/Account/"+id, "")
	batch := s.addBatch(s.openJob("queryAll", "CSV", ""), "text/csv", "SELECT Id FROM Account")
	wantBody(t, "queryAll", s.bulk("GET", batch, "", ""), 200, "<numberRecordsProcessed>2</numberRecordsProcessed>")
}
