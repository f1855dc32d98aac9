package auth_test

import (
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/auth"
)

func TestAudience(t *testing.T) {
	const production, sandbox = "https://login.salesforce.com", "https://test.salesforce.com"
	for _, tt := range []struct{ login, want string }{
		{"https://login.salesforce.com", production},
		{"https://login.salesforce.com/", production},
		{"https://LOGIN.salesforce.com", production},
		{"https://login.salesforce.com:443", production},
		{"https://test.salesforce.com", sandbox},
		{"https://test.salesforce.com/", sandbox},
		{"https://acme.my.salesforce.com", production},
		{"https://Acme.My.Salesforce.com", production},
		{"https://sandbox.my.salesforce.com", production}, // a company of that name
		{"https://scratch.my.salesforce.com", production},
		{"https://acme-dev-ed.my.salesforce.com", production},
		{"https://acme-dev-ed.develop.my.salesforce.com", production},
		{"https://acme-dev-ed.trailblaze.my.salesforce.com", production},
		{"https://acme--uat.sandbox.my.salesforce.com", sandbox},
		{"https://ACME--UAT.SANDBOX.my.salesforce.com", sandbox},
		{"https://acme--uat.my.salesforce.com", sandbox},
		{"https://acme--uat.cs42.my.salesforce.com", sandbox},
		{"https://force-ability-1234-dev-ed.scratch.my.salesforce.com", sandbox},
		{"https://acme.my.site.com", "https://acme.my.site.com"},
		{"https://acme.my.site.com/customers", "https://acme.my.site.com/customers"},
		{"https://acme.my.site.com/customers/", "https://acme.my.site.com/customers"},
		{"https://acme--uat.sandbox.my.site.com/customers", "https://acme--uat.sandbox.my.site.com/customers"},
		{"https://acme.force.com/customers", "https://acme.force.com/customers"},
		{"https://acme.my.salesforce.mil", "https://acme.my.salesforce.mil"},
		{"https://crm.example", "https://crm.example"},
		{"https://CRM.example/path", "https://crm.example"},
		{"https://crm.example:8443/", "https://crm.example:8443"},
		{"http://127.0.0.1:8082", "http://127.0.0.1:8082"},
		{"https://my.salesforce.com.evil.example", "https://my.salesforce.com.evil.example"},
		{"https://evilmy.salesforce.com", "https://evilmy.salesforce.com"},
	} {
		if got := auth.Audience(parseURL(t, tt.login)); got != tt.want {
			t.Errorf("Audience(%s) = %s, want %s", tt.login, got, tt.want)
		}
	}
}

func TestGrantUsesTheInstanceURL(t *testing.T) {
	const login, loopback = "https://acme.my.salesforce.com", "http://127.0.0.1:8082"
	own := auth.OrgConfig{TrustedDomains: []string{"", "CRM.example"}}
	for _, tt := range []struct {
		name, login, instance string
		cfg                   auth.OrgConfig
		want                  string // the instance URL, or "!" and a part of the error
	}{
		{"My Domain", login, "https://acme.my.salesforce.com", auth.OrgConfig{}, "https://acme.my.salesforce.com"},
		{"another org of Salesforce", login, "https://na1.salesforce.com", auth.OrgConfig{}, "https://na1.salesforce.com"},
		{"site", login, "https://acme.my.site.com", auth.OrgConfig{}, "https://acme.my.site.com"},
		{"military", login, "https://acme.my.salesforce.mil", auth.OrgConfig{}, "https://acme.my.salesforce.mil"},
		{"China", login, "https://acme.my.sfcrmproducts.cn", auth.OrgConfig{}, "https://acme.my.sfcrmproducts.cn"},
		{"slash", login, "https://acme.my.salesforce.com/", auth.OrgConfig{}, "https://acme.my.salesforce.com"},
		{"upper case", login, "HTTPS://ACME.MY.SALESFORCE.COM", auth.OrgConfig{}, "https://acme.my.salesforce.com"},
		{"port", login, "https://acme.my.salesforce.com:8443", auth.OrgConfig{}, "https://acme.my.salesforce.com:8443"},
		{"the domain itself", login, "https://salesforce.com", auth.OrgConfig{}, "https://salesforce.com"},
		{"login host of one's own", "https://crm.example", "https://crm.example", auth.OrgConfig{}, "https://crm.example"},
		{"trusted domain of one's own", login, "https://eu.crm.example", own, "https://eu.crm.example"},
		{"HTTP where it is allowed", login, "http://acme.my.salesforce.com", auth.OrgConfig{AllowHTTP: true}, "http://acme.my.salesforce.com"},
		{"loopback of loopback", loopback, "http://localhost:9000", auth.OrgConfig{}, "http://localhost:9000"},
		{"IPv6 loopback of loopback", loopback, "http://[::1]:9000", auth.OrgConfig{}, "http://[::1]:9000"},
		{"Salesforce of loopback", loopback, "https://acme.my.salesforce.com", auth.OrgConfig{}, "https://acme.my.salesforce.com"},

		{"HTTP", login, "http://acme.my.salesforce.com", auth.OrgConfig{}, "!it is not https"},
		{"HTTP of loopback", loopback, "http://acme.my.salesforce.com", auth.OrgConfig{}, "!it is not https"},
		{"other scheme", login, "ftp://acme.my.salesforce.com", auth.OrgConfig{}, "!not an https URL"},
		{"no scheme", login, "acme.my.salesforce.com", auth.OrgConfig{}, "!not an https URL"},
		{"no scheme but slashes", login, "//acme.my.salesforce.com", auth.OrgConfig{}, "!not an https URL"},
		{"opaque", login, "https:acme.my.salesforce.com", auth.OrgConfig{}, "!not an https URL"},
		{"no host", login, "https:///path", auth.OrgConfig{}, "!not an https URL"},
		{"port alone", login, "https://:443", auth.OrgConfig{}, "!not an https URL"},
		{"bad port", login, "https://acme.my.salesforce.com:x", auth.OrgConfig{}, "!not a URL"},
		{"foreign", login, "https://evil.example", auth.OrgConfig{}, "!none of the trusted domains"},
		{"suffix without a dot", login, "https://evilsalesforce.com", auth.OrgConfig{}, "!none of the trusted domains"},
		{"suffix in the middle", login, "https://salesforce.com.evil.example", auth.OrgConfig{}, "!none of the trusted domains"},
		{"trailing dot", login, "https://acme.my.salesforce.com.", auth.OrgConfig{}, "!none of the trusted domains"},
		{"foreign with a trailing dot", login, "https://evil.example.", own, "!none of the trusted domains"},
		{"foreign dot of another script", login, "https://evil.example\u3002salesforce.com", auth.OrgConfig{}, "!none of the trusted domains"},
		{"Salesforce where one's own is set", login, "https://na1.salesforce.com", own, "!none of the trusted domains"},
		{"user", login, "https://acme.my.salesforce.com@evil.example", auth.OrgConfig{}, "!more than an origin"},
		{"user of a trusted host", login, "https://a:b@acme.my.salesforce.com", auth.OrgConfig{}, "!more than an origin"},
		{"backslash", login, `https://evil.example\@acme.my.salesforce.com`, auth.OrgConfig{}, "!not a URL"},
		{"path", login, "https://acme.my.salesforce.com/services", auth.OrgConfig{}, "!more than an origin"},
		{"query", login, "https://acme.my.salesforce.com?x=y", auth.OrgConfig{}, "!more than an origin"},
		{"fragment", login, "https://acme.my.salesforce.com#x", auth.OrgConfig{}, "!more than an origin"},
		{"line break", login, "https://acme.my.salesforce.com\r\nX: y", auth.OrgConfig{}, "!not a URL"},
		{"IP", login, "https://203.0.113.7", auth.OrgConfig{}, "!none of the trusted domains"},
		{"IPv6", login, "https://[2001:db8::1]", auth.OrgConfig{}, "!none of the trusted domains"},
		{"IPv6 with a zone like a domain", login, "https://[2001:db8::1%25.salesforce.com]", auth.OrgConfig{}, "!none of the trusted domains"},
		{"unspecified address", login, "https://0.0.0.0", auth.OrgConfig{}, "!none of the trusted domains"},
		{"metadata service", login, "http://169.254.169.254", auth.OrgConfig{AllowHTTP: true}, "!none of the trusted domains"},
		{"loopback", login, "http://127.0.0.1:8080", auth.OrgConfig{}, "!this machine"},
		{"loopback over TLS", login, "https://127.8.9.10", auth.OrgConfig{}, "!this machine"},
		{"loopback by name", login, "https://LocalHost", auth.OrgConfig{}, "!this machine"},
		{"loopback as IPv6", login, "https://[::1]", auth.OrgConfig{}, "!this machine"},
		{"loopback as mapped IPv6", login, "https://[::ffff:127.0.0.1]", auth.OrgConfig{}, "!this machine"},
		{"loopback that is trusted", login, "https://localhost", auth.OrgConfig{TrustedDomains: []string{"localhost"}}, "!this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, _ := json.Marshal(map[string]string{"access_token": "00D!x", "instance_url": tt.instance})
			tt.cfg.Transport = answers(200, string(body))
			token, err := newOrg(t, tt.login, tt.cfg).Grant(t.Context(), ada)
			part, refused := strings.CutPrefix(tt.want, "!")
			if !refused {
				if err != nil || token.InstanceURL.String() != tt.want {
					t.Errorf("Grant with instance_url %q = %+v, %v, want %s", tt.instance, token, err, tt.want)
				}
				return
			}
			e := wantGrantError(t, err)
			if token != nil || !e.Permanent || !strings.Contains(err.Error(), part) || !strings.Contains(e.Hint, "SF_TRUSTED_DOMAINS") {
				t.Errorf("Grant with instance_url %q = %v, %v, want an error with %q and a hint", tt.instance, token, err, part)
			}
		})
	}
}

// Whatever the token endpoint answers, a token comes with an origin that may
// have it, or there is no token.
func FuzzGrantAnswer(f *testing.F) {
	for _, body := range []string{
		goodAnswer, "", "null", "{}", `{"error":"invalid_grant","error_description":"x"}`,
		`{"access_token":"x","instance_url":"https://acme.my.salesforce.com:8443/"}`,
		`{"access_token":"x","instance_url":"https://[2001:db8::1%25.salesforce.com]"}`,
		`{"access_token":"x","instance_url":"http://acme.my.salesforce.com"}`,
		`{"access_token":"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln","instance_url":"https://a.force.com","expires_in":"1"}`,
	} {
		f.Add(200, body, false)
		f.Add(400, body, true)
	}
	f.Fuzz(func(t *testing.T, status int, body string, local bool) {
		login := "https://acme.my.salesforce.com"
		if local {
			login = "http://127.0.0.1:8082"
		}
		org := newOrg(t, login, auth.OrgConfig{Transport: answers(status, body)})
		token, err := org.Grant(t.Context(), ada)
		if err != nil {
			if e := wantGrantError(t, err); token != nil || len(err.Error()) > 4000 || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("Grant(%q) = %v, %v, want no token and one short line", body, token, e)
			}
			return
		}
		if value := token.AccessToken.Reveal(); value == "" || strings.ContainsAny(value, " \t\r\n") {
			t.Errorf("Grant(%q) gave the token %q", body, value)
		}
		if !token.ExpiresAt.After(token.IssuedAt) {
			t.Errorf("Grant(%q) gave a token that has expired", body)
		}
		// Judged as a client sees it: by the text, parsed anew.
		u, err := url.Parse(token.InstanceURL.String())
		if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("Grant(%q) gave the instance URL %v, want an origin", body, token.InstanceURL)
		}
		host := u.Hostname()
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			if !local {
				t.Errorf("Grant(%q) gave the instance URL %v, want none on loopback", body, u)
			}
			return
		}
		trusted := false
		for _, domain := range auth.TrustedDomains {
			trusted = trusted || host == domain || strings.HasSuffix(host, "."+domain)
		}
		if u.Scheme != "https" || !trusted || strings.ContainsAny(host, ":%") {
			t.Errorf("Grant(%q) gave the instance URL %v, want https in a trusted domain", body, u)
		}
	})
}
