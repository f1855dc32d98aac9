package proxy_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

func TestGuard(t *testing.T) {
	base := upstream(t, func(http.ResponseWriter, *http.Request) {})
	public, _ := url.Parse("https://sf.example.com")
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	loopback := start(t, proxy.Config{Tokens: newTokens(base)})
	named := start(t, proxy.Config{Tokens: newTokens(base), PublicURL: public})
	anyHost := start(t, proxy.Config{Tokens: newTokens(base), AnyHost: true})
	network := start(t, proxy.Config{Tokens: newTokens(base), NetworkHosts: true})
	listed := start(t, proxy.Config{Tokens: newTokens(base), AllowHosts: []string{"proxy.internal", "10.0.0.1", "fd00::1"}})
	clients := start(t, proxy.Config{Tokens: newTokens(base), Clients: []proxy.Client{{Name: "billing", Subject: username, APIKey: key}}})
	const wrongHost, crossSite = "PROXY_WRONG_HOST", "PROXY_CROSS_SITE"
	const browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/150.0|Accept-Language: en|"
	for _, tt := range []struct {
		name  string
		rig   *rig
		lines string // "|" ends each
		want  string
	}{
		{"IPv4", loopback, "Host: 127.0.0.1:8080|", ""},
		{"another IPv4 loopback", loopback, "Host: 127.1.2.3|", ""},
		{"IPv6", loopback, "Host: [::1]:8080|", ""},
		{"IPv6 without port", loopback, "Host: [::1]|", ""},
		{"name", loopback, "Host: LOCALHOST:1|", ""},
		{"rebound name", loopback, "Host: evil.example.com|", wrongHost},
		{"name that begins like ours", loopback, "Host: localhost.evil.example.com|", wrongHost},
		{"address of the network", loopback, "Host: 10.0.0.1|", wrongHost},
		{"public name, not configured", loopback, "Host: sf.example.com|", wrongHost},
		{"public name", named, "Host: SF.example.com|", ""},
		{"loopback beside a public name", named, "Host: localhost|", ""},
		{"rebound beside a public name", named, "Host: evil.example.com|", wrongHost},
		{"public name at another port", named, "Host: sf.example.com:8080|", ""},
		{"listed name", listed, "Host: Proxy.internal:8080|", ""},
		{"listed address", listed, "Host: 10.0.0.1|", ""},
		{"listed IPv6 address", listed, "Host: [FD00:0::1]:8080|", ""},
		{"below a listed name", listed, "Host: evil.proxy.internal|", wrongHost},
		{"loopback beside listed names", listed, "Host: localhost|", ""},
		{"address in a network", network, "Host: 172.17.0.2:8080|", ""},
		{"name in a network", network, "Host: proxy:8080|", ""},
		{"rebound name in a network", network, "Host: evil.example.com|", wrongHost},
		{"name with a dot at its end", network, "Host: evil.|", wrongHost},
		{"any host", anyHost, "Host: evil.example.com|", ""},
		{"clients", clients, "Host: evil.example.com|Authorization: Bearer key-of-billing-app|", ""},
		{"own page", loopback, "Host: localhost:80|Origin: http://localhost:80|Sec-Fetch-Site: same-origin|", ""},
		{"typed into a browser, or redirected to from there", loopback, "Host: localhost|Sec-Fetch-Site: none|", crossSite},
		{"the same with a certificate", anyHost, "Host: localhost|Sec-Fetch-Site: none|", crossSite},
		{"image in a page, by a name that is not this machine", listed, "Host: proxy.internal|" + browser, crossSite},
		{"image in a page, by an address of the network", network, "Host: 172.17.0.2|" + browser, crossSite},
		{"program that calls itself a browser", listed, "Host: proxy.internal|User-Agent: Mozilla/5.0 (compatible; MSIE 6.0; MS Web Services Client Protocol)|", ""},
		{"what looks like a browser, with a key", clients, "Host: proxy.internal|Authorization: Bearer key-of-billing-app|" + browser, ""},
		{"other site", loopback, "Host: localhost|Sec-Fetch-Site: cross-site|", crossSite},
		{"other port", loopback, "Host: localhost|Sec-Fetch-Site: same-site|", crossSite},
		{"other site with a key", clients, "Host: localhost|Sec-Fetch-Site: cross-site|Authorization: Bearer key-of-billing-app|", crossSite},
		{"other origin", loopback, "Host: localhost:80|Origin: http://evil.example.com|", crossSite},
		{"other port's origin", loopback, "Host: localhost:80|Origin: http://localhost:81|", crossSite},
		{"other scheme's origin", loopback, "Host: localhost:80|Origin: https://localhost:80|", crossSite},
		{"opaque origin", loopback, "Host: localhost|Origin: null|", crossSite},
		{"two origins", loopback, "Host: localhost|Origin: http://localhost|Origin: http://evil.example.com|", crossSite},
		{"public origin", named, "Host: localhost|Origin: https://sf.example.com|", ""},
	} {
		c := tt.rig.dial(t)
		c.write("GET " + limitsPath + " HTTP/1.1\r\n" + strings.ReplaceAll(tt.lines, "|", "\r\n") + "\r\n")
		got := c.response("GET")
		if tt.want == "" && got.status != http.StatusOK {
			t.Errorf("%s: answer = %d %s, want 200", tt.name, got.status, got.body)
		}
		if tt.want != "" {
			got.wantFault(t, 403, tt.want)
		}
	}
	c := loopback.dial(t)
	c.write("GET " + limitsPath + " HTTP/1.0\r\n\r\n")
	if got := c.response("GET"); got.status != http.StatusOK || !got.last {
		t.Errorf("HTTP/1.0 without Host: answer = %d %s", got.status, got.body)
	}
}

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestIdentify(t *testing.T) {
	tokens := newTokens(upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(r.Header.Get("Sforce-Call-Options")))
	}))
	sum := sha256.Sum256([]byte("key-of-reports-app"))
	billing, _ := proxy.HashAPIKey("key-of-billing-app")
	reports, err := proxy.HashAPIKey("sha256:" + strings.ToUpper(hex.EncodeToString(sum[:])))
	if err != nil {
		t.Fatal(err)
	}
	keyless, _ := proxy.HashAPIKey("")
	r := start(t, proxy.Config{Tokens: tokens, Clients: []proxy.Client{
		{Name: "keyless", Subject: username, APIKey: keyless},
		{Name: "billing", Subject: username, APIKey: billing},
		{Name: "reports", Subject: username, APIKey: reports},
	}})
	for _, tt := range []struct{ header, want string }{
		{"Authorization: Bearer key-of-billing-app", "billing"},
		{"Authorization: bearer  key-of-reports-app ", "reports"},
		{"Authorization: OAuth key-of-billing-app", "billing"},
		{basic("anybody", "key-of-billing-app"), "billing"},
		{"X-SFDC-Session: key-of-billing-app", "billing"},
		{"X-Api-Key: key-of-reports-app", "reports"},
		{"X-Other: key-of-billing-app", ""},
		{"Authorization: key-of-billing-app", ""},
		{"Authorization: Digest key-of-billing-app", ""},
		{"Authorization: Bearer key-of-billing-ap", ""},
		{"Authorization: Bearer", ""},
		{"Authorization: Bearer ", ""},
		{"X-Api-Key: ", ""},
		{basic("key-of-billing-app", ""), ""},
		{basic("keyless", ""), ""},
		{"Authorization: Basic %%%", ""},
		{"Authorization: Bearer sha256:" + hex.EncodeToString(sum[:]), ""},
		{"Cookie: a=b; sid=key-of-billing-app", "billing"},
		{"Cookie: session=key-of-billing-app", ""},
	} {
		got := r.send(t, "GET", limitsPath, nil, tt.header)
		if tt.want != "" {
			if got.body != "client="+tt.want {
				t.Errorf("%s: answer = %d %s, want client %s", tt.header, got.status, got.body, tt.want)
			}
			continue
		}
		got.wantFault(t, 401, "PROXY_UNAUTHORIZED")
		if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="sfproxy"` {
			t.Errorf("%s: WWW-Authenticate = %q", tt.header, challenge)
		}
	}
	if _, err := proxy.HashAPIKey("sha256:abc"); err == nil || !strings.Contains(err.Error(), "64") {
		t.Errorf("HashAPIKey of a short hash = %v", err)
	}
}

func TestIsNetworkHost(t *testing.T) {
	allowed := []string{"metrics.example.com", "fd00::1"}
	for host, want := range map[string]bool{
		"localhost:8081": true, "LOCALHOST": true, "127.0.0.1:8081": true, "[::1]:8081": true, "10.0.0.7": true, "[fd00::2]": true,
		"sfproxy:8081": true, "Metrics.Example.com:8081": true, "[FD00:0::1]:8081": true,
		"rebound.example": false, "localhost.rebound.example:8081": false, "evil.": false, "127.0.0.1.nip.io": false, "below.metrics.example.com": false,
	} {
		if got := proxy.IsNetworkHost(host, allowed); got != want {
			t.Errorf("IsNetworkHost(%q) = %t, want %t", host, got, want)
		}
	}
}
