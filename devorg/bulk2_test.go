package devorg_test

import (
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

const (
	ingest    = data + "/jobs/ingest"
	queryJobs = data + "/jobs/query"
)

// newJob returns the path of a new ingest job.
func (s session) newJob(body string) string {
	s.t.Helper()
	got := s.do("POST", ingest, body)
	if got.status != 200 || got.json(s.t)["state"] != "Open" {
		s.t.Fatalf("create job = %d %s", got.status, got.body)
	}
	return ingest + "/" + got.json(s.t)["id"].(string)
}

func (s session) upload(job, contentType, body string) reply {
	s.t.Helper()
	request := s.request("PUT", job+"/batches", body)
	request.Header.Set("Content-Type", contentType)
	return send(s.t, request)
}

// run uploads the data of a job, completes it and returns the state it ends in.
func (s session) run(job, body string) fields {
	s.t.Helper()
	if got := s.upload(job, "text/csv", body); got.status != 201 || got.body != "" {
		s.t.Fatalf("upload = %d %s", got.status, got.body)
	}
	if got := s.do("PATCH", job, `{"state":"UploadComplete"}`); got.status != 200 || got.json(s.t)["state"] != "UploadComplete" {
		s.t.Fatalf("complete = %d %s", got.status, got.body)
	}
	return s.do("GET", job, "").json(s.t)
}

func TestBulk2Ingest(t *testing.T) {
	s := open(t, start(t, nil))
	got := s.do("POST", ingest, `{"operation":"insert","object":"account","contentType":"CSV","columnDelimiter":"COMMA","lineEnding":"LF","externalIdFieldName":null}`)
	info := got.json(t)
	id := info["id"].(string)
	if got.status != 200 || info["object"] != "Account" || info["apiVersion"] != 60.0 || info["lineEnding"] != "LF" || info["columnDelimiter"] != "COMMA" ||
		info["contentUrl"] != "services/data/v60.0/jobs/ingest/"+id+"/batches" || !strings.HasPrefix(id, "750") || info["jobType"] != nil {
		t.Errorf("create = %d %s", got.status, got.body)
	}
	job := ingest + "/" + id
	info = s.run(job, "Name,External_Id__c\n\"a \"\"b\"\"\",I1\n,I2\n")
	if info["state"] != "JobComplete" || info["jobType"] != "V2Ingest" || info["numberRecordsProcessed"] != 2.0 || info["numberRecordsFailed"] != 1.0 {
		t.Errorf("job = %v", info)
	}
	done := s.do("GET", job+"/successfulResults", "")
	record := between(done.body, "\n\"", `"`)
	if want := "\"sf__Id\",\"sf__Created\",\"Name\",\"External_Id__c\"\n\"" + record + "\",\"true\",\"a \"\"b\"\"\",\"I1\"\n"; done.body != want {
		t.Errorf("successfulResults = %q, want %q", done.body, want)
	}
	if done.header.Get("Content-Type") != "text/csv; charset=UTF-8" {
		t.Errorf("successfulResults is %s", done.header.Get("Content-Type"))
	}
	if got := s.do("GET", job+"/failedResults", ""); got.body != "\"sf__Id\",\"sf__Error\",\"Name\",\"External_Id__c\"\n\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --\",\"\",\"I2\"\n" {
		t.Errorf("failedResults = %q", got.body)
	}
	if got := s.do("GET", job+"/unprocessedrecords", ""); got.body != "\"Name\",\"External_Id__c\"\n" {
		t.Errorf("unprocessedrecords = %q", got.body)
	}
	if r := s.account(record); r["Name"] != `a "b"` {
		t.Errorf("inserted %v", r)
	}

	job = s.newJob(`{"operation":"upsert","object":"Account","externalIdFieldName":"External_Id__c","lineEnding":"CRLF"}`)
	if info := s.run(job, "External_Id__c,Name\r\nI1,Up\r\nI9,New\r\n"); info["numberRecordsFailed"] != 0.0 || info["externalIdFieldName"] != "External_Id__c" {
		t.Errorf("upsert = %v", info)
	}
	wantBody(t, "upsert", s.do("GET", job+"/successfulResults", ""), 200, "\""+record+"\",\"false\",\"I1\",\"Up\"\r\n", "\"true\",\"I9\",\"New\"\r\n")

	job = s.newJob(`{"operation":"update","object":"Account"}`)
	s.run(job, "Id,External_Id__c\n"+record+",#N/A\nx,\n")
	wantBody(t, "update", s.do("GET", job+"/failedResults", ""), 200, "\"x\",\"MALFORMED_ID:")
	if r := s.account(record); r["External_Id__c"] != nil || r["Name"] != "Up" {
		t.Errorf("updated to %v", r)
	}

	s.run(s.newJob(`{"operation":"delete","object":"Account"}`), "Id\n"+record+"\n")
	wantError(t, "deleted", s.do("GET", data1(record), ""), 404, "ENTITY_IS_DELETED")
}

func TestBulk2FailedJobs(t *testing.T) {
	s := open(t, start(t, nil))
	tests := []struct{ name, ending, body, want string }{
		{"unknown field", "LF", "Name,Nope\nx,y\n", "InvalidBatch : Field name not found : Nope"},
		{"CRLF in an LF job", "LF", "Name\r\nx\r\n", "InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is LF"},
		{"LF in a CRLF job", "CRLF", "Name\nx\n", "InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is CRLF"},
		{"ragged", "LF", "Name\nx,y\n", "InvalidBatch : Failed to parse CSV"},
	}
	for _, tt := range tests {
		job := s.newJob(`{"operation":"insert","object":"Account","lineEnding":"` + tt.ending + `"}`)
		info := s.run(job, tt.body)
		if message, _ := info["errorMessage"].(string); info["state"] != "Failed" || !strings.HasPrefix(message, tt.want) || info["numberRecordsProcessed"] != 0.0 {
			t.Errorf("%s = %v, want %s", tt.name, info, tt.want)
		}
	}
	job := s.newJob(`{"operation":"insert","object":"Account"}`)
	s.run(job, "Name,Nope\nx,y\n")
	if got := s.do("GET", job+"/unprocessedrecords", ""); got.body != "\"Name\",\"Nope\"\n\"x\",\"y\"\n" {
		t.Errorf("unprocessedrecords = %q", got.body)
	}
	if got := s.do("GET", job+"/successfulResults", ""); got.body != "\"sf__Id\",\"sf__Created\",\"Name\",\"Nope\"\n" {
		t.Errorf("successfulResults = %q", got.body)
	}
}

func TestBulk2Create(t *testing.T) {
	s := open(t, start(t, nil))
	tests := []struct{ path, body, code string }{
		{ingest, `{"operation":"insert","object":"Nope"}`, "INVALIDENTITY"},
		{ingest, `{"operation":"insert"}`, "INVALIDENTITY"},
		{ingest, `{"operation":"merge","object":"Account"}`, "INVALIDJOB"},
		{ingest, `{"operation":"query","object":"Account"}`, "INVALIDJOB"},
		{ingest, `{"operation":"hardDelete","object":"Account"}`, "FEATURENOTENABLED"},
		{ingest, `{"operation":"upsert","object":"Account"}`, "INVALIDJOB"},
		{ingest, `{"operation":"upsert","object":"Account","externalIdFieldName":"Name"}`, "INVALIDJOB"},
		{ingest, `{"operation":"insert","object":"Account","externalIdFieldName":"Id"}`, "INVALIDJOB"},
		{ingest, `{"operation":"insert","object":"Account","columnDelimiter":"TAB"}`, "INVALIDJOB"},
		{ingest, `{"operation":"insert","object":"Account","lineEnding":"CR"}`, "INVALIDJOB"},
		{ingest, `{"operation":"insert","object":"Account","contentType":"JSON"}`, "INVALIDJOB"},
		{ingest, `{"operation":"insert","object":"Account","assignmentRuleId":"01Q000000000001"}`, "INVALIDJOB"},
		{ingest, `{"operation":"insert","object":"Account","query":"x"}`, "JSON_PARSER_ERROR"},
		{ingest, `{"operation":1}`, "JSON_PARSER_ERROR"},
		{queryJobs, `{"operation":"query","query":"SELECT"}`, "MALFORMED_QUERY"},
		{queryJobs, `{"operation":"query","query":"SELECT Nope FROM Account"}`, "INVALID_FIELD"},
		{queryJobs, `{"operation":"query","query":"SELECT COUNT() FROM Account"}`, "FUNCTIONALITY_NOT_ENABLED"},
		{queryJobs, `{"operation":"query","query":"SELECT Body FROM Attachment"}`, "FEATURENOTENABLED"},
		{queryJobs, `{"operation":"insert","query":"SELECT Id FROM Account"}`, "INVALIDJOB"},
		{queryJobs, `{"operation":"query","query":"SELECT Id FROM Account","object":"Account"}`, "JSON_PARSER_ERROR"},
	}
	for _, tt := range tests {
		wantError(t, tt.body, s.do("POST", tt.path, tt.body), 400, tt.code)
	}
	const good = `{"operation":"insert","object":"Account"}`
	wantError(t, "list", s.do("GET", ingest, ""), 405, "METHOD_NOT_ALLOWED")
	wantError(t, "other jobs", s.do("POST", data+"/jobs/other", good), 404, "NOT_FOUND")
	wantError(t, "before there were ingest jobs", s.do("POST", "/services/data/v40.0/jobs/ingest", good), 404, "NOT_FOUND")
	wantError(t, "before there were query jobs", s.do("POST", "/services/data/v46.0/jobs/query", good), 404, "NOT_FOUND")
	wantError(t, "retired version", s.do("POST", "/services/data/v30.0/jobs/ingest", good), 410, "GONE")
	request := s.request("POST", ingest, good)
	request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	wantError(t, "multipart", send(t, request), 415, "UNSUPPORTED_MEDIA_TYPE")
	got := s.do("POST", data+"/composite", `{"compositeRequest":[{"method":"POST","url":"`+ingest+`","referenceId":"a","body":`+good+`}]}`)
	wantBody(t, "composite", got, 200, "a composite request cannot hold bulk jobs")
	s.org.ExpireTokens()
	wantError(t, "expired", s.do("POST", ingest, good), 401, "INVALID_SESSION_ID")
}

func TestBulk2States(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.Users = append(cfg.Users, "other@devorg.example") })
	s := open(t, org)
	job := s.newJob(`{"operation":"insert","object":"Account"}`)
	wantError(t, "results of an open job", s.do("GET", job+"/successfulResults", ""), 400, "INVALIDJOBSTATE")
	wantError(t, "delete an open job", s.do("DELETE", job, ""), 400, "INVALIDJOBSTATE")
	wantError(t, "complete without data", s.do("PATCH", job, `{"state":"UploadComplete"}`), 400, "INVALIDJOBSTATE")
	wantError(t, "unknown state", s.do("PATCH", job, `{"state":"JobComplete"}`), 400, "INVALIDJOB")
	wantError(t, "more than a state", s.do("PATCH", job, `{"state":"Aborted","object":"x"}`), 400, "JSON_PARSER_ERROR")
	wantError(t, "upload of another type", s.upload(job, "application/json", "[]"), 415, "UNSUPPORTED_MEDIA_TYPE")
	wantError(t, "upload of another charset", s.upload(job, "text/csv; charset=utf-16", "Name\nx\n"), 415, "UNSUPPORTED_MEDIA_TYPE")
	wantError(t, "empty upload", s.upload(job, "text/csv", ""), 400, "CLIENTINPUTERROR")
	wantError(t, "POST of data", s.do("POST", job+"/batches", "x"), 405, "METHOD_NOT_ALLOWED")
	wantError(t, "query results of an ingest job", s.do("GET", job+"/results", ""), 404, "NOT_FOUND")
	wantError(t, "ingest job as query job", s.do("GET", strings.Replace(job, "ingest", "query", 1), ""), 404, "NOT_FOUND")
	wantError(t, "too deep", s.do("GET", job+"/batches/x", ""), 404, "NOT_FOUND")
	wantError(t, "PUT of the job", s.do("PUT", job, "x"), 405, "METHOD_NOT_ALLOWED")
	if got := s.upload(job, "text/csv; charset=UTF-8", "Name\nx\n"); got.status != 201 {
		t.Errorf("upload = %d %s", got.status, got.body)
	}
	wantError(t, "second upload", s.upload(job, "text/csv", "Name\nx\n"), 400, "CLIENTINPUTERROR")
	wantBody(t, "abort", s.do("PATCH", job, `{"state":"Aborted"}`), 200, `"state":"Aborted"`)
	if got := s.do("GET", job+"/unprocessedrecords", ""); got.body != "\"Name\"\n\"x\"\n" {
		t.Errorf("unprocessedrecords of an aborted job = %q", got.body)
	}
	wantError(t, "complete what is aborted", s.do("PATCH", job, `{"state":"UploadComplete"}`), 400, "INVALIDJOBSTATE")
	wantError(t, "upload to what is aborted", s.upload(job, "text/csv", "Name\nx\n"), 400, "INVALIDJOBSTATE")

	mine := s.token
	claims := goodClaims(org)
	claims["sub"] = "other@devorg.example"
	s.token = send(t, grantRequest(t, org, sign(appKey(), goodHeader(), claims))).json(t)["access_token"].(string)
	wantError(t, "another user's job", s.do("GET", job, ""), 404, "NOT_FOUND")
	s.token = mine
	if got := s.do("DELETE", job, ""); got.status != 204 {
		t.Errorf("delete = %d %s", got.status, got.body)
	}
	wantError(t, "deleted job", s.do("GET", job, ""), 404, "NOT_FOUND")

	job = s.newJob(`{"operation":"insert","object":"Account"}`)
	s.run(job, "Name\nx\n")
	wantBody(t, "abort what is done", s.do("PATCH", job, `{"state":"Aborted"}`), 400, "Aborting already Completed Job not allowed")
	wantError(t, "job of Bulk 1.0", s.do("GET", ingest+strings.TrimPrefix(s.openJob("insert", "CSV", ""), "/job"), ""), 404, "NOT_FOUND")
	wantBody(t, "job of the other API", s.bulk("GET", strings.Replace(job, ingest, "/job", 1), "", ""), 400, "InvalidJob")
}

func TestBulk2Query(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	s.org.AddAccounts(5)
	open := func(body string) (job string) {
		t.Helper()
		got := s.do("POST", queryJobs, body)
		if got.status != 200 || got.json(t)["state"] != "UploadComplete" {
			t.Fatalf("create = %d %s", got.status, got.body)
		}
		return queryJobs + "/" + got.json(t)["id"].(string)
	}
	job := open(`{"operation":"query","query":"SELECT Name, Owner.Name FROM Account","lineEnding":"CRLF"}`)
	s.org.AddAccounts(1) // too late to be found
	if info := s.do("GET", job, "").json(t); info["state"] != "JobComplete" || info["jobType"] != "V2Query" || info["object"] != "Account" || info["numberRecordsProcessed"] != 5.0 {
		t.Errorf("job = %v", info)
	}
	page := func(query, locator, records, body string) string {
		t.Helper()
		got := s.do("GET", job+"/results"+query, "")
		if next := got.header.Get("Sforce-Locator"); got.status != 200 || (next == "null") != (locator == "null") ||
			got.header.Get("Sforce-NumberOfRecords") != records || got.body != body {
			t.Errorf("results%s = %d %q, locator %q, %s records", query, got.status, got.body, next, got.header.Get("Sforce-NumberOfRecords"))
		}
		return got.header.Get("Sforce-Locator")
	}
	const head = "\"Name\",\"Owner.Name\"\r\n"
	line := func(numbers ...string) string {
		text := head
		for _, n := range numbers {
			text += "\"Bulk Account 0000" + n + "\",\"integration\"\r\n"
		}
		return text
	}
	page("", "null", "5", line("1", "2", "3", "4", "5"))
	next := page("?maxRecords=2", "more", "2", line("1", "2"))
	next = page("?maxRecords=2&locator="+next, "more", "2", line("3", "4"))
	page("?maxRecords=2&locator="+next, "null", "1", line("5"))
	page("?maxRecords=5", "null", "5", line("1", "2", "3", "4", "5"))
	for _, locator := range []string{"null", "!", "MA", "NQ", "LTE"} { // 0, 5, -1
		wantError(t, "locator "+locator, s.do("GET", job+"/results?locator="+locator, ""), 400, "INVALID_QUERY_LOCATOR")
	}
	for _, n := range []string{"0", "-1", "x"} {
		wantError(t, "maxRecords "+n, s.do("GET", job+"/results?maxRecords="+n, ""), 400, "ILLEGAL_QUERY_PARAMETER_VALUE")
	}
	wantError(t, "abort", s.do("PATCH", job, `{"state":"Aborted"}`), 400, "INVALIDJOBSTATE")
	wantError(t, "complete", s.do("PATCH", job, `{"state":"UploadComplete"}`), 400, "INVALIDJOB")
	wantError(t, "upload", s.upload(job, "text/csv", "x"), 404, "NOT_FOUND")
	if got := s.do("DELETE", job, ""); got.status != 204 {
		t.Errorf("delete = %d %s", got.status, got.body)
	}
	wantError(t, "deleted job", s.do("GET", job+"/results", ""), 404, "NOT_FOUND")

	job = open(`{"operation":"query","query":"SELECT Name FROM Account WHERE Name = 'none'"}`)
	page("", "null", "0", "\"Name\"\n")
	wantBody(t, "queryAll", s.do("POST", queryJobs, `{"operation":"queryAll","query":"SELECT Id FROM Account"}`), 200, `"operation":"queryAll"`)
}
