package devorg_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
)

func TestRecordLife(t *testing.T) {
	s := open(t, start(t, nil))
	got := s.do("POST", data+"/sobjects/Account", `{"Name":"Fir","NumberOfEmployees":3,"AnnualRevenue":1500000}`)
	id := got.json(t)["id"].(string)
	path := data + "/sobjects/Account/" + id
	if got.status != 201 || got.header.Get("Location") != path || len(id) != 18 {
		t.Fatalf("create = %d %s %s", got.status, got.header.Get("Location"), got.body)
	}
	read := s.do("GET", path+"?fields=Name,AnnualRevenue,NumberOfEmployees,Industry", "")
	if want := fmt.Sprintf(`{"attributes":{"type":"Account","url":"%s"},"Name":"Fir","AnnualRevenue":1500000.0,"NumberOfEmployees":3,"Industry":null}`+"\n", path); read.body != want {
		t.Errorf("read = %s, want %s", read.body, want)
	}
	if got := s.do("PATCH", path, `{"Name":"Larch"}`); got.status != 204 || got.body != "" {
		t.Errorf("update = %d %s", got.status, got.body)
	}
	if got := s.do("POST", path+"?_HttpMethod=PATCH", `{"Industry":"Energy"}`); got.status != 204 {
		t.Errorf("update by override = %d %s", got.status, got.body)
	}
	record := s.do("GET", data+"/sobjects/Account/"+id[:15], "").json(t)
	if record["Name"] != "Larch" || record["Industry"] != "Energy" || record["Id"] != id || record["IsDeleted"] != false {
		t.Errorf("record by its short id = %v", record)
	}
	if got := s.do("HEAD", path, ""); got.status != 200 {
		t.Errorf("HEAD = %d", got.status)
	}
	if got := s.do("DELETE", path, ""); got.status != 204 {
		t.Errorf("delete = %d %s", got.status, got.body)
	}
	wantError(t, "read after delete", s.do("GET", path, ""), 404, "ENTITY_IS_DELETED")
}

func TestRecordRefusals(t *testing.T) {
	s := open(t, start(t, nil))
	id := s.create("Account", `{"Name":"Fir"}`)
	account := "/sobjects/Account"
	tests := []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", account, `{}`, 400, "REQUIRED_FIELD_MISSING"},
		{"POST", account, `{"Name":""}`, 400, "REQUIRED_FIELD_MISSING"},
		{"POST", account, `{"Name":"x","Nope":1}`, 400, "INVALID_FIELD"},
		{"POST", account, `{"Name":"x","CreatedDate":"2020-01-01"}`, 400, "INVALID_FIELD_FOR_INSERT_UPDATE"},
		{"POST", account, `{"Name":`, 400, "JSON_PARSER_ERROR"},
		{"POST", account, `{"Name":"x"} x`, 400, "JSON_PARSER_ERROR"},
		{"POST", account, `null`, 400, "JSON_PARSER_ERROR"},
		{"POST", account, `{"Name":7}`, 400, "JSON_PARSER_ERROR"},
		{"POST", account, `{"Name":"x","NumberOfEmployees":1.5}`, 400, "JSON_PARSER_ERROR"},
		{"POST", account, `{"Name":"` + strings.Repeat("x", 256) + `"}`, 400, "STRING_TOO_LONG"},
		{"POST", account, `{"Name":"x","attributes":{"type":"Contact"}}`, 400, "INVALID_TYPE"},
		{"POST", "/sobjects/Contact", `{"LastName":"x","Email":"nobody"}`, 400, "INVALID_EMAIL_ADDRESS"},
		{"POST", "/sobjects/Contact", `{"LastName":"x","AccountId":"003"}`, 400, "MALFORMED_ID"},
		{"POST", "/sobjects/Contact", `{"LastName":"x","AccountId":"0015g00000000zz"}`, 400, "INVALID_CROSS_REFERENCE_KEY"},
		{"POST", "/sobjects/User", `{"Username":"x"}`, 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"},
		{"PATCH", account + "/" + id, `{"Name":null}`, 400, "REQUIRED_FIELD_MISSING"},
		{"GET", account + "/" + id + "?fields=Nope", "", 400, "INVALID_FIELD"},
		{"GET", account + "/nope", "", 400, "MALFORMED_ID"},
		{"GET", account + "/" + id[:17] + "0", "", 400, "MALFORMED_ID"},
		{"GET", account + "/0015g00000000zz", "", 404, "NOT_FOUND"},
		{"GET", "/sobjects/Nope", "", 404, "NOT_FOUND"},
		{"GET", "/nope", "", 404, "NOT_FOUND"},
		{"PUT", account + "/" + id, `{}`, 405, "METHOD_NOT_ALLOWED"},
		{"GET", account + "/" + id + "?_HttpMethod=PATCH", "", 405, "METHOD_NOT_ALLOWED"},
	}
	for _, tt := range tests {
		got := s.do(tt.method, data+tt.path, tt.body)
		wantError(t, tt.method+" "+tt.path+" "+tt.body, got, tt.status, tt.code)
	}
	request := s.request("POST", data+account, `{"Name":"x"}`)
	request.Header.Set("Content-Type", "text/plain")
	wantError(t, "text", send(t, request), 415, "UNSUPPORTED_MEDIA_TYPE")
}

func TestUpsert(t *testing.T) {
	s := open(t, start(t, nil))
	path := data + "/sobjects/Account/External_Id__c/a%2Fb%20c"
	got := s.do("PATCH", path, `{"Name":"Fir"}`)
	if answer := got.json(t); got.status != 201 || answer["created"] != true {
		t.Fatalf("first upsert = %d %s", got.status, got.body)
	}
	id := got.json(t)["id"].(string)
	got = s.do("PATCH", path, `{"Name":"Larch"}`)
	if answer := got.json(t); got.status != 200 || answer["created"] != false || answer["id"] != id {
		t.Errorf("second upsert = %d %s", got.status, got.body)
	}
	if got := s.do("PATCH", strings.Replace(path, "v60.0", "v45.0", 1), `{"Name":"Larch"}`); got.status != 204 {
		t.Errorf("upsert before version 46 = %d %s", got.status, got.body)
	}
	if got := s.do("GET", path, "").json(t); got["External_Id__c"] != "a/b c" || got["Name"] != "Larch" {
		t.Errorf("read = %v", got)
	}
	wantError(t, "unknown value", s.do("GET", data+"/sobjects/Account/External_Id__c/none", ""), 404, "NOT_FOUND")
	s.do("DELETE", path, "")
	if got := s.do("PATCH", path, `{"Name":"Fir"}`); got.status != 201 {
		t.Errorf("upsert after delete = %d %s", got.status, got.body)
	}
	other := s.create("Account", `{"Name":"Other","External_Id__c":"A/B C"}`)
	if got := s.do("PATCH", path, `{"Name":"x"}`); got.status != 300 || !strings.Contains(got.body, other) {
		t.Errorf("upsert of two = %d %s", got.status, got.body)
	}
}

func TestConditionalRequests(t *testing.T) {
	s := open(t, start(t, nil))
	path := data + "/sobjects/Account/" + s.create("Account", `{"Name":"Fir"}`)
	tag := s.do("GET", path, "").header.Get("Etag")
	with := func(method, name, value, body string) int {
		request := s.request(method, path, body)
		request.Header.Set(name, value)
		return send(t, request).status
	}
	steps := []struct {
		method, name, value, body string
		want                      int
	}{
		{"GET", "If-None-Match", tag, "", 304},
		{"GET", "If-None-Match", strings.TrimSuffix(tag, `"`) + `-gzip"`, "", 304},
		{"PATCH", "If-Match", `"other"`, `{"Name":"x"}`, 412},
		{"PATCH", "If-Match", tag, `{"Name":"Larch"}`, 204},
		{"PATCH", "If-Match", tag, `{"Name":"x"}`, 412},
		{"GET", "If-None-Match", tag, "", 200},
		{"GET", "If-Modified-Since", "Mon, 01 Jan 2035 00:00:00 GMT", "", 304},
		{"GET", "If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT", "", 200},
	}
	for _, step := range steps {
		if got := with(step.method, step.name, step.value, step.body); got != step.want {
			t.Errorf("%s with %s: %s = %d, want %d", step.method, step.name, step.value, got, step.want)
		}
	}
}

func TestBlobRoundTrip(t *testing.T) {
	s := open(t, start(t, nil))
	content := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // over three chunks
	account := s.create("Account", `{"Name":"Fir"}`)
	inJSON := s.create("Attachment", fmt.Sprintf(`{"Name":"a.bin","ParentId":"%s","Body":"%s"}`, account, base64.StdEncoding.EncodeToString(content)))

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="entity_content"`}, "Content-Type": {"application/json"}})
	part.Write([]byte(`{"PathOnClient":"a.bin"}`))
	part, _ = form.CreateFormFile("VersionData", "a.bin")
	part.Write(content)
	form.Close()
	request := s.request("POST", data+"/sobjects/ContentVersion", body.String())
	request.Header.Set("Content-Type", form.FormDataContentType())
	got := send(t, request)
	if got.status != http.StatusCreated {
		t.Fatalf("multipart create = %d %s", got.status, got.body)
	}

	for _, path := range []string{"/sobjects/Attachment/" + inJSON + "/Body", "/sobjects/ContentVersion/" + got.json(t)["id"].(string) + "/VersionData"} {
		if got := s.do("GET", data+path, ""); got.status != 200 || got.body != string(content) {
			t.Errorf("GET %s = %d with %d bytes, want %d", path, got.status, len(got.body), len(content))
		}
		request := s.request("GET", data+path, "")
		request.Header.Set("Range", "bytes=1048570-1048585")
		if got := send(t, request); got.status != 206 || got.body != string(content[1048570:1048586]) {
			t.Errorf("range of %s = %d %q", path, got.status, got.body)
		}
	}
	record := s.do("GET", data+"/sobjects/Attachment/"+inJSON, "").json(t)
	if record["BodyLength"] != float64(len(content)) || record["Body"] != data+"/sobjects/Attachment/"+inJSON+"/Body" {
		t.Errorf("record = %v", record)
	}
}

func TestMultipartRefusals(t *testing.T) {
	s := open(t, start(t, nil))
	const end = "\r\n--b--\r\n"
	const entity = "--b\r\nContent-Type: application/json\r\n\r\n{\"PathOnClient\":\"a\"}\r\n"
	const wrongName = "--b\r\nContent-Disposition: form-data; name=\"File\"\r\n\r\nx"
	const right = "--b\r\nContent-Disposition: form-data; name=\"VersionData\"\r\n\r\nx"
	for name, body := range map[string]string{
		"one part": entity + "--b--", "wrong name": entity + wrongName + end, "cut short": entity + right,
		"three parts": entity + right + "\r\n" + right + end, "binary first": right + "\r\n" + entity + "--b--",
	} {
		request := s.request("POST", data+"/sobjects/ContentVersion", body)
		request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		wantError(t, name, send(t, request), 400, "INVALID_MULTIPART_REQUEST")
	}
}
