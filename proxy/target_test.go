package proxy_test

import (
	"cmp"
	"net/http"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// What the client sent is what Salesforce gets: path and query byte for byte,
// but for credentials in the query.
func TestTargetArrivesAsSent(t *testing.T) {
	targets := make(chan string, 1)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) { targets <- r.RequestURI })
	r := start(t, proxy.Config{Tokens: newTokens(url)})
	const p = "/services/data/v60.0/"
	for _, tt := range []struct{ sent, want string }{
		{p + "query?q=a;b&c=1", ""},
		{p + "query?q=%zz", ""},
		{p + "query?q=SELECT+Id+FROM+Account+WHERE+Name='O''Brien'", ""},
		{p + `query?q="a"&x={b}|^` + "`", ""},
		{p + "query?&&=&a&a=&b=%20+", ""},
		{p + "query?", ""},
		{p + "query??", ""},
		{p + "query?a=é", ""},
		{p + "sobjects/Account/Ext__c/a%2Fb%2fc", ""},
		{p + `a"b{c}d|e^f` + "`g\\h<i>", ""},
		{p + "a'b(c)*d,e;f=g:h@i!j$k&l", ""},
		{p + "%41%7e~%C3%A9é", ""},
		{p + "a//b/", ""},
		{"/" + p + "x?y=//z", ""},
		{p + "x?y=/../z", ""},
		{p + "x#y", ""},
		{"http://localhost" + p + "a%2Fb?q=a;b", p + "a%2Fb?q=a;b"},
		{p + "query?sid=S", p + "query"},
		{p + "query?q=a;b&oauth_token=S&c=%zz", p + "query?q=a;b&c=%zz"},
		{p + "query?access_token=S&access_token=T&a=1", p + "query?a=1"},
		{p + "query?acc%65ss_token=S&a=1", p + "query?a=1"},
		{p + "query?side=1&xsid=2", ""},
	} {
		r.wantArrival(t, targets, tt.sent, cmp.Or(tt.want, tt.sent))
	}
}

// wantArrival sends a request for a target, byte for byte, and checks what arrives.
func (r *rig) wantArrival(t *testing.T, targets <-chan string, sent, want string) {
	t.Helper()
	c := r.dial(t)
	c.write("GET " + sent + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := c.response("GET"); got.status != http.StatusOK {
		t.Errorf("%s: answer = %d %s", sent, got.status, got.body)
		return
	}
	if got := receive(t, targets, "the request"); got != want {
		t.Errorf("%s arrived as %s, want %s", sent, got, want)
	}
}

func TestTargetThatIsNoPath(t *testing.T) {
	r := start(t, proxy.Config{Tokens: newTokens("http://localhost:1"), AllowPaths: []string{"/"}})
	for _, line := range []string{"GET *", "CONNECT localhost:443", "GET data:/services/data", "GET ftp://localhost/services/data"} {
		c := r.dial(t)
		c.write(line + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		c.response("GET").wantFault(t, 400, "PROXY_BAD_TARGET")
	}
	r.send(t, "TRACE", limitsPath, nil).wantFault(t, 403, "PROXY_METHOD_NOT_ALLOWED")
}
