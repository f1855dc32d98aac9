package integration_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestCompanyProxy has an org that is reached through a company's proxy alone:
// its names resolve nowhere else.
func TestCompanyProxy(t *testing.T) {
	t.Parallel()
	const login, instance = "login.example.test:443", "org.example.test:443"
	listeners := map[string]string{login: freeAddress(t), instance: freeAddress(t)}
	var mu sync.Mutex
	connected := map[string]int{}
	company := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, known := listeners[r.Host]
		if r.Method != http.MethodConnect || !known {
			http.Error(w, "not through here", http.StatusForbidden)
			return
		}
		mu.Lock()
		connected[r.Host]++
		mu.Unlock()
		tunnel(w, address)
	}))
	t.Cleanup(company.Close)
	org := startOrg(t, devorg.Config{TLS: true, LoginListen: listeners[login], InstanceListen: listeners[instance],
		PublicLoginURL: "https://login.example.test", PublicInstanceURL: "https://org.example.test"})
	p := startProxy(t, append(org.env, "SF_TRUSTED_DOMAINS=example.test", "HTTPS_PROXY="+company.URL))
	if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
	mu.Lock()
	defer mu.Unlock()
	if connected[login] == 0 || connected[instance] == 0 {
		t.Errorf("connections through the company's proxy = %v, want some to both hosts", connected)
	}
}

// TestCompanyProxyRefuses: what stands in the way is named wherever a person
// looks.
func TestCompanyProxyRefuses(t *testing.T) {
	t.Parallel()
	company := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(company.Close)
	env := append(startOrg(t, devorg.Config{}).env, "SF_LOGIN_URL=https://acme.my.salesforce.com", "HTTPS_PROXY="+company.URL)
	const status, hint = "answered 407 Proxy Authentication Required", "the company proxy in HTTPS_PROXY cannot be reached or refuses"
	if got := run(t, env, "token"); got.status != 1 || !strings.Contains(got.stderr, status) || !strings.Contains(got.stderr, hint) {
		t.Errorf("sfproxy token = %d, %s; want 1, %q and %q", got.status, got.stderr, status, hint)
	}
	startProxy(t, env).Log.waitFor(t, `"msg":"grant failed, trying again".*`+status+`.*"hint":"`+hint)
}

// tunnel joins the connection of a CONNECT request with one to address.
func tunnel(w http.ResponseWriter, address string) {
	far, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	done := make(chan struct{}, 2)
	go func() { io.Copy(far, buffered); done <- struct{}{} }()
	go func() { io.Copy(near, far); done <- struct{}{} }()
	<-done
}

// freeAddress returns an address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
