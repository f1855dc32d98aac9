package integration_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestHostileEnvelopes: whatever is done to the place where a session stands,
// the answer is a SOAP fault or Salesforce's own, and no session of the proxy's
// reaches Salesforce.
func TestHostileEnvelopes(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	recorder := recordSOAP(t, org)
	p := startProxy(t, legacyEnv(org))
	login, err := soapLogin(t.Context(), p.URL, legacyUsername, legacyPassword)
	if err != nil {
		t.Fatal(err)
	}
	const open = `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="urn:partner.soap.sforce.com">`
	const body, end = `<e:Body><p:getUserInfo/></e:Body>`, `</e:Envelope>`
	const session = `<p:sessionId>SESSION</p:sessionId>`
	header := func(content string) string {
		return open + `<e:Header><p:SessionHeader>` + content + `</p:SessionHeader></e:Header>` + body + end
	}
	good := header(session)
	const refused, invalid, taken = "PROXY_BAD_ENVELOPE", "INVALID_SESSION_ID", "<userName>"
	laughs := `<!DOCTYPE l [<!ENTITY a "ha">`
	for c := 'b'; c <= 'z'; c++ {
		laughs += `<!ENTITY ` + string(c) + ` "` + strings.Repeat("&"+string(c-1)+";", 10) + `">`
	}
	var references strings.Builder
	for _, c := range login.id {
		fmt.Fprintf(&references, "&#x%x;", c)
	}
	places := strings.NewReplacer("SESSION", login.id, "REFERENCES", references.String(), "FORGED", login.id[:len(login.id)-4]+"AAAA")
	for _, tt := range []struct{ name, envelope, want string }{
		{"as it should be", good, taken},
		{"in CDATA", header(`<p:sessionId><![CDATA[SESSION]]></p:sessionId>`), taken},
		{"in character references", header(`<p:sessionId>REFERENCES</p:sessionId>`), taken},
		{"beside a comment", header(`<p:sessionId><!-- SESSION -->SESSION</p:sessionId>`), taken},
		{"in a comment only", header(`<p:sessionId><!-- SESSION --></p:sessionId>`), "PROXY_UNAUTHORIZED"},
		{"with its prefix bound elsewhere", header(`<p:sessionId xmlns:p="urn:other">SESSION</p:sessionId>`), refused},
		{"with its header's prefix bound elsewhere", strings.Replace(good, "<p:SessionHeader>", `<p:SessionHeader xmlns:p="urn:other">`, 1), invalid},
		{"in no namespace", header(`<sessionId>SESSION</sessionId>`), refused},
		{"twice", header(session + session), refused},
		{"in two SessionHeaders", header(session + `</p:SessionHeader><p:SessionHeader>` + session), refused},
		{"in two Headers", header(session + `</p:SessionHeader></e:Header><e:Header><p:SessionHeader>` + session), refused},
		{"in a Header after the Body", strings.Replace(good, end, `<e:Header><p:SessionHeader>`+session+`</p:SessionHeader></e:Header>`+end, 1), refused},
		{"in a Header after the Body alone", open + body + `<e:Header><p:SessionHeader>` + session + `</p:SessionHeader></e:Header>` + end, refused},
		{"with an element in it", header(`<p:sessionId>SESSION<p:x/></p:sessionId>`), refused},
		{"billion laughs", laughs + `]>` + header(`<p:sessionId>&z;</p:sessionId>`), refused},
		{"an external entity", `<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + header(`<p:sessionId>&x;</p:sessionId>`), refused},
		{"an undeclared entity", header(`<p:sessionId>&x;SESSION</p:sessionId>`), refused},
		{"a header of 10 MB", header(`<p:x>` + strings.Repeat("x", 10<<20) + `</p:x>` + session), refused},
		{"an attribute of 10 MB", strings.Replace(good, "<p:SessionHeader>", `<p:SessionHeader x="`+strings.Repeat("x", 10<<20)+`">`, 1), refused},
		{"100,000 elements deep", header(strings.Repeat("<p:x>", 100_000) + session), refused},
		{"SOAP 1.2", strings.Replace(good, "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope", 1), refused},
		{"UTF-16", `<?xml version="1.0" encoding="UTF-16"?><?in UTF-16?>` + good, refused},
		{"UTF-8 that says UTF-16", `<?xml version="1.0" encoding="UTF-16"?>` + good, refused},
		{"UTF-7", `<?xml version="1.0" encoding="UTF-7"?>` + good, refused},
		{"cut off", good[:len(open)+40], refused},
		{"no XML", "SESSION", refused},
		{"forged", strings.Replace(good, "SESSION", "FORGED", 1), invalid},
	} {
		text := places.Replace(tt.envelope)
		if strings.Contains(text, "<?in UTF-16?>") {
			text = inUTF16(text)
		}
		got := fetch(t, "POST", p.URL+"/services/Soap/u/60.0", text, "Content-Type: text/xml", `SOAPAction: ""`)
		wantStatus := map[bool]int{true: 200, false: 500}[tt.want == taken]
		if got.status != wantStatus || !strings.Contains(string(got.body), tt.want) || !strings.Contains(string(got.body), "Envelope") {
			t.Errorf("%s = %d %.600s, want %d and %s in an envelope", tt.name, got.status, got.body, wantStatus, tt.want)
		}
	}
	checkAccepted(t, p.URL, login.id)
	for _, received := range recorder.all() {
		if strings.Contains(string(received), login.id) {
			t.Errorf("a session reached Salesforce in %.600s", received)
		}
	}
	if stats := org.Stats(); stats.Leaks != 0 || stats.Forbidden != 0 {
		t.Errorf("leaks = %d, forbidden requests = %d, want none", stats.Leaks, stats.Forbidden)
	}
}

func inUTF16(text string) string {
	b := []byte{0xfe, 0xff}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit>>8), byte(unit))
	}
	return string(b)
}

// TestHostileForms: the token endpoint answers what is no login with OAuth's
// errors, and a login that is hidden among it is none.
func TestHostileForms(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, legacyEnv(org))
	const form = "application/x-www-form-urlencoded"
	right := "grant_type=password&username=" + url.QueryEscape(legacyUsername) + "&password=" + url.QueryEscape(legacyPassword)
	for _, tt := range []struct {
		name, contentType, query, body string
		status                         int
		want                           string // OAuth's error; "" for a session
	}{
		{"as it should be", form, "", right, 200, ""},
		{"1 MB", form, "", right + "&x=" + strings.Repeat("x", 1<<20), 400, "invalid_request"},
		{"bad escapes", form, "", right + "&x=%zz", 400, "invalid_request"},
		{"bad escapes in the query", form, "?x=%zz", right, 400, "invalid_request"},
		{"semicolons", form, "", strings.ReplaceAll(right, "&", ";"), 400, "invalid_request"},
		{"JSON", "application/json", "", `{"grant_type":"password"}`, 400, "unsupported_grant_type"},
		{"multipart", "multipart/form-data; boundary=x", "", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\npassword\r\n--x--\r\n", 400, "unsupported_grant_type"},
		{"no content", "", "", "", 400, "unsupported_grant_type"},
		{"an array", form, "", strings.Replace(right, "username", "username[]", 1), 400, "invalid_grant"},
		{"a NUL", form, "", right + "%00", 400, "invalid_grant"},
		{"a wrong password before the right one", form, "", strings.Replace(right, "&password=", "&password=x&password=", 1), 400, "invalid_grant"},
	} {
		got := fetch(t, "POST", p.URL+"/services/oauth2/token"+tt.query, tt.body, "Content-Type: "+tt.contentType)
		parsed := decode[struct {
			granted
			Error string
		}](t, got.body)
		if got.status != tt.status || parsed.Error != tt.want || (parsed.AccessToken != "") != (tt.want == "") {
			t.Errorf("%s = %d with the error %q, want %d and %q", tt.name, got.status, parsed.Error, tt.status, tt.want)
		}
	}
	if stats := org.Stats(); stats.Leaks != 0 || stats.Forbidden != 0 || stats.Grants != 1 {
		t.Errorf("leaks = %d, forbidden requests = %d, grants = %d, want none, none and one", stats.Leaks, stats.Forbidden, stats.Grants)
	}
}
