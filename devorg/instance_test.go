package devorg_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestInstanceWantsToken(t *testing.T) {
	org := start(t, nil)
	token := login(t, org)
	tests := []struct {
		path, authorization string
		status              int
		want                string
	}{
		{"/services/data/", "", 200, `"version":"60.0"`},
		{data + "/limits", "", 401, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`},
		{data + "/limits", "Bearer 00Dwrong!token", 401, "INVALID_SESSION_ID"},
		{data + "/limits", "bearer " + token, 401, "INVALID_SESSION_ID"},
		{data + "/limits", "Basic " + token, 401, "INVALID_SESSION_ID"},
		{data + "/limits", "Bearer " + token, 200, "DailyApiRequests"},
		{data + "/limits", "OAuth " + token, 200, "DailyApiRequests"},
		{"/services/apexrest/echo", "", 401, "INVALID_SESSION_ID"},
		{"/services/oauth2/userinfo", "", 403, "Bad_OAuth_Token"},
		{"/id/" + org.OrgID() + "/005", "Bearer x", 403, "Bad_OAuth_Token"},
		{"/services/async/60.0/job", "Bearer " + token, 400, "Unable to find session id"},
	}
	for _, tt := range tests {
		request := newRequest(t, "GET", org.InstanceURL()+tt.path, "")
		if tt.authorization != "" {
			request.Header.Set("Authorization", tt.authorization)
		}
		if got := send(t, request); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("GET %s with %.12q = %d %s, want %d %s", tt.path, tt.authorization, got.status, got.body, tt.status, tt.want)
		}
	}
}

func TestInstanceAnswersErrorsInXML(t *testing.T) {
	org := start(t, nil)
	request := newRequest(t, "GET", org.InstanceURL()+data+"/limits", "")
	request.Header.Set("Accept", "application/xml")
	got := send(t, request)
	if want := "<Errors><Error><message>Session expired or invalid</message><errorCode>INVALID_SESSION_ID</errorCode></Error></Errors>"; got.status != 401 || !strings.Contains(got.body, want) {
		t.Errorf("answer = %d %s, want %s", got.status, got.body, want)
	}
}

func TestInstanceNamesLeaks(t *testing.T) {
	s := open(t, start(t, nil))
	for _, header := range [][2]string{
		{"X-Forwarded-For", "10.0.0.1"}, {"X-Forwarded-Host", "x"}, {"X-Forwarded-Proto", "http"}, {"Forwarded", "for=x"},
		{"Via", "1.1 x"}, {"Proxy-Authorization", "Basic x"}, {"Cookie", "sid=x"}, {"X-SFDC-Session", "other"},
	} {
		request := s.request("GET", data+"/limits", "")
		request.Header.Set(header[0], header[1])
		wantError(t, header[0], send(t, request), 400, "DEVORG_LEAK")
	}
	request := s.request("GET", data+"/limits", "")
	request.Header.Add("Authorization", "Bearer other")
	wantError(t, "two Authorization fields", send(t, request), 400, "DEVORG_LEAK")
	wantError(t, "a token in the URL", s.do("GET", "/services/oauth2/userinfo?access_token=x", ""), 400, "DEVORG_LEAK")
	if leaks := s.org.Stats().Leaks; leaks != 10 {
		t.Errorf("Leaks = %d, want 10", leaks)
	}
}

func TestInstanceLimitsHead(t *testing.T) {
	s := open(t, start(t, nil))
	long := strings.Repeat("x", 16384)
	wantError(t, "a long URI", s.do("GET", data+"/limits?x="+long, ""), 414, "URI_TOO_LONG")
	request := s.request("GET", data+"/limits", "")
	request.Header.Set("X-Custom", long[:16200])
	wantError(t, "long headers", send(t, request), 431, "REQUEST_HEADER_TOO_LARGE")
	request.Header.Set("X-Custom", long[:15000])
	if got := send(t, request); got.status != 200 {
		t.Errorf("headers within the limit = %d %s", got.status, got.body)
	}
}

func TestInstanceKnowsItsHost(t *testing.T) {
	s := open(t, start(t, nil))
	request := s.request("GET", data+"/limits", "")
	request.Host = "other.my.salesforce.com"
	if got := send(t, request); got.status != 420 || !strings.HasPrefix(got.body, "Salesforce Edge doesn't have routing") {
		t.Errorf("answer = %d %s, want 420", got.status, got.body)
	}
}

func TestInstanceHeaders(t *testing.T) {
	s := open(t, start(t, nil))
	first, second := s.do("GET", data+"/limits", ""), s.do("GET", data+"/limits", "")
	if got := first.header.Get("Sforce-Limit-Info") + " " + second.header.Get("Sforce-Limit-Info"); got != "api-usage=1/15000 api-usage=2/15000" {
		t.Errorf("Sforce-Limit-Info = %s", got)
	}
	if got := first.header.Get("Strict-Transport-Security"); got != "max-age=63072000; includeSubDomains" {
		t.Errorf("Strict-Transport-Security = %q", got)
	}
	if got := first.header.Get("Set-Cookie"); !strings.HasPrefix(got, "BrowserId=") || !strings.Contains(got, "domain=.salesforce.com") {
		t.Errorf("Set-Cookie = %q", got)
	}
	if got := first.header.Get("Content-Type"); got != "application/json;charset=UTF-8" {
		t.Errorf("Content-Type = %q", got)
	}
}

func TestInstanceCompresses(t *testing.T) {
	s := open(t, start(t, nil))
	plain := s.do("GET", data+"/sobjects/Account/describe", "")
	if plain.header.Get("Content-Encoding") != "" || !strings.Contains(plain.body, `"externalId":true`) {
		t.Errorf("without Accept-Encoding = %v %.200s", plain.header, plain.body)
	}
	request := s.request("GET", data+"/sobjects/Account/describe", "")
	request.Header.Set("Accept-Encoding", "gzip")
	got := send(t, request)
	if got.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("headers = %v, want gzip", got.header)
	}
	reader, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(reader); err != nil || string(unpacked) != plain.body {
		t.Errorf("unpacked body differs: %v", err)
	}
}

func TestInstanceVersions(t *testing.T) {
	s := open(t, start(t, nil))
	wantError(t, "v30.0", s.do("GET", "/services/data/v30.0/limits", ""), 410, "GONE")
	wantError(t, "v68.0", s.do("GET", "/services/data/v68.0/limits", ""), 404, "NOT_FOUND")
	wantError(t, "v60", s.do("GET", "/services/data/v60/limits", ""), 404, "NOT_FOUND")
	for _, version := range []string{"v31.0", "v67.0"} {
		if got := s.do("GET", "/services/data/"+version, ""); got.status != 200 || !strings.Contains(got.body, version+"/sobjects") {
			t.Errorf("%s = %d %s", version, got.status, got.body)
		}
	}
	if got := s.do("GET", "/services/data", ""); !strings.Contains(got.body, `{"label":"Summer '26","url":"/services/data/v67.0","version":"67.0"}`) {
		t.Errorf("versions = %s", got.body)
	}
}

// TestInstanceJudgesTokenBeforeBody has a client that waits for leave to send its body.
func TestInstanceJudgesTokenBeforeBody(t *testing.T) {
	org := start(t, nil)
	body, never := io.Pipe()
	defer never.Close()
	request, _ := http.NewRequest("POST", org.InstanceURL()+data+"/sobjects/Account", body)
	request.Header.Set("Authorization", "Bearer expired")
	request.Header.Set("Expect", "100-continue")
	wantError(t, "a body that never comes", send(t, request), 401, "INVALID_SESSION_ID")
}

func TestIdentity(t *testing.T) {
	s := open(t, start(t, nil))
	info := s.do("GET", "/services/oauth2/userinfo", "").json(t)
	path := "/id/" + info["organization_id"].(string) + "/" + info["user_id"].(string)
	identity := s.do("GET", path, "").json(t)
	if identity["username"] != username {
		t.Errorf("identity = %v", identity)
	}
	want := s.org.InstanceURL() + "/services/data/v{version}/sobjects/"
	if got := identity["urls"].(fields)["sobjects"]; got != want {
		t.Errorf("urls.sobjects = %v, want %s", got, want)
	}
	versioned := s.do("GET", path+"?version=60.0", "").json(t)["urls"].(fields)["partner"].(string)
	if !strings.HasPrefix(versioned, s.org.InstanceURL()+"/services/Soap/u/60.0/00D") {
		t.Errorf("urls.partner = %v", versioned)
	}
	wantError(t, "another user", s.do("GET", "/id/"+s.org.OrgID()+"/0055g00000000zz", ""), 404, "NOT_FOUND")
}

func TestApexEcho(t *testing.T) {
	s := open(t, start(t, nil))
	request := s.request("PUT", "/services/apexrest/echo/a%2Fb?q=a;b&c", "hello")
	request.Header.Set("Sforce-Call-Options", "client=test")
	got := send(t, request).json(t)
	if got["uri"] != "/services/apexrest/echo/a%2Fb?q=a;b&c" || got["method"] != "PUT" || got["length"] != 5.0 {
		t.Errorf("echo = %v", got)
	}
	if got["sha256"] != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Errorf("sha256 = %v", got["sha256"])
	}
	if headers := got["headers"].(fields); headers["Sforce-Call-Options"] == nil || headers["Authorization"] != nil {
		t.Errorf("headers = %v", headers)
	}
}

func TestApexAnswers(t *testing.T) {
	s := open(t, start(t, nil))
	tests := []struct {
		path   string
		status int
		body   string
	}{
		{"deny", 401, "{\"error\":\"not for you\"}\n"},
		{"policy", 401, `[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]` + "\n"},
		{"status/503", 503, ""},
		{"bytes/4", 200, "\x00\x01\x02\x03"},
		{"bytes/3?length=1", 200, "\x00\x01\x02"},
	}
	for _, tt := range tests {
		if got := s.do("GET", "/services/apexrest/"+tt.path, ""); got.status != tt.status || got.body != tt.body {
			t.Errorf("%s = %d %q, want %d %q", tt.path, got.status, got.body, tt.status, tt.body)
		}
	}
	if got := s.do("GET", "/services/apexrest/absolute-location", ""); got.header.Get("Location") != s.org.InstanceURL()+"/services/apexrest/echo" {
		t.Errorf("Location = %q", got.header.Get("Location"))
	}
	wantError(t, "unknown class", s.do("GET", "/services/apexrest/none", ""), 404, "NOT_FOUND")
}

func TestApexTrailers(t *testing.T) {
	s := open(t, start(t, nil))
	request := s.request("POST", "/services/apexrest/trailers", "")
	request.Body = io.NopCloser(strings.NewReader("body"))
	request.ContentLength = -1
	request.Trailer = http.Header{"X-Client-Digest": {"abc"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if !strings.Contains(string(body), `"X-Client-Digest":["abc"]`) {
		t.Errorf("body = %s", body)
	}
	if got := response.Trailer.Get("X-Apex-Digest"); got != "end" {
		t.Errorf("trailer = %q, want end", got)
	}
	http.DefaultClient.CloseIdleConnections()
}
