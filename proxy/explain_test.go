package proxy_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// What Explain says of a request is what the request would get.
func TestExplainSaysWhatIsAnswered(t *testing.T) {
	key, _ := proxy.HashAPIKey("key-of-billing-app")
	p := newHandler(t, proxy.Config{Tokens: newTokens("https://acme.my.salesforce.com"), Transport: instantUpstream{},
		Clients: []proxy.Client{{Name: "billing", Subject: username, APIKey: key}}}, io.Discard).(*proxy.Proxy)
	const soap, namespace = "/services/Soap/u/60.0", "urn:partner.soap.sforce.com"
	for _, tt := range []struct{ method, target, body, code string }{
		{"GET", limitsPath, "", ""},
		{"GET", "/setup", "", "PROXY_PATH_NOT_ALLOWED"},
		{"GET", "/secur/frontdoor.jsp", "", "PROXY_PATH_NEVER_ALLOWED"},
		{"GET", "/services/data/../x", "", "PROXY_AMBIGUOUS_PATH"},
		{"TRACE", limitsPath, "", "PROXY_METHOD_NOT_ALLOWED"},
		{"POST", soap, envelope("query", namespace), ""},
		{"POST", soap, envelope("logout", namespace), ""},
		{"POST", soap, envelope("login", namespace), "PROXY_LOGIN_OFF"},
		{"POST", soap, envelope("invalidateSessions", namespace), "PROXY_LOGIN_IS_SHARED"},
		{"POST", "/services/Soap/class/Mine", envelope("invalidateSessions", namespace), ""},
		{"POST", soap, "none", "PROXY_BAD_ENVELOPE"},
		{"PUT", soap, envelope("query", namespace), "PROXY_METHOD_NOT_ALLOWED"},
	} {
		r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
		r.Header.Set("X-Api-Key", "key-of-billing-app")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if code := w.Header().Get("X-SFProxy-Error"); code != tt.code {
			t.Errorf("%s %s: answer = %d %s, want code %q", tt.method, tt.target, w.Code, w.Body, tt.code)
		}
		verdict, err := p.Explain("billing", httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
		if isLogin := tt.code == "PROXY_LOGIN_OFF"; err != nil || !isLogin && verdict.Code != tt.code || verdict.Allowed != (verdict.Code == "") {
			t.Errorf("%s %s: Explain = %+v, %v, want code %q", tt.method, tt.target, verdict, err, tt.code)
		}
	}
}
