package devorg_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

func TestExpireAndRevokeTokens(t *testing.T) {
	org := start(t, nil)
	for name, end := range map[string]func(){"expire": org.ExpireTokens, "revoke": org.RevokeTokens} {
		s := open(t, org)
		end()
		wantError(t, name, s.do("GET", data+"/limits", ""), 401, "INVALID_SESSION_ID")
	}
	if stats := org.Stats(); stats.Unauthorized != 2 || stats.LiveTokens != 0 || stats.Grants != 2 {
		t.Errorf("stats = %+v", stats)
	}
}

func TestRotateKey(t *testing.T) {
	org := start(t, nil)
	s := open(t, org)
	next := newKey()
	org.RotateKey(&next.PublicKey)
	wantRefusal(t, send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org)))), "invalid_grant: invalid assertion")
	if got := send(t, grantRequest(t, org, sign(next, goodHeader(), goodClaims(org)))); got.status != 200 {
		t.Errorf("new key = %d %s", got.status, got.body)
	}
	if got := s.do("GET", data+"/limits", ""); got.status != 200 {
		t.Errorf("old token = %d %s", got.status, got.body)
	}
}

func TestFailGrants(t *testing.T) {
	org := start(t, nil)
	org.FailGrants(2, devorg.OAuthFault("invalid_grant", "user hasn't approved this consumer"))
	for range 2 {
		wantRefusal(t, send(t, grantRequest(t, org, "x")), "invalid_grant: user hasn't approved this consumer")
	}
	login(t, org)
	org.FailGrants(-1, devorg.PageFault(503))
	for range 3 {
		if got := send(t, grantRequest(t, org, "x")); got.status != 503 || !strings.Contains(got.body, "maintenance") {
			t.Errorf("grant = %d %s", got.status, got.body)
		}
	}
	org.FailGrants(0, devorg.Fault{})
	login(t, org)
}

func TestFailRequests(t *testing.T) {
	s := open(t, start(t, nil))
	s.org.FailRequests(1, devorg.RESTFault(503, "SERVER_UNAVAILABLE", "Server too busy"))
	wantError(t, "faulty request", s.do("GET", data+"/limits", ""), 503, "SERVER_UNAVAILABLE")
	if got := s.do("GET", data+"/limits", ""); got.status != 200 {
		t.Errorf("next request = %d %s", got.status, got.body)
	}

	s.org.FailRequests(1, devorg.Fault{CloseConn: true})
	if _, err := http.DefaultTransport.RoundTrip(s.request("POST", data+"/limits", "")); err == nil {
		t.Error("a cut connection gave an answer")
	}
	s.org.FailRequests(1, devorg.Fault{CloseConn: true, Status: 200, Body: "half"})
	response, err := http.DefaultTransport.RoundTrip(s.request("GET", data+"/limits", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut answer = %q, %v, want half and an unexpected EOF", body, err)
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	org := start(t, nil)
	org.FailGrants(1, devorg.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := http.DefaultTransport.RoundTrip(grantRequest(t, org, "x").WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging grant: %v, want deadline exceeded", err)
	}
	login(t, org)
}

func TestDelays(t *testing.T) {
	org := start(t, nil)
	took := func(f func()) time.Duration {
		began := time.Now()
		f()
		return time.Since(began)
	}
	const delay = 50 * time.Millisecond
	org.SetGrantDelay(delay)
	var s session
	if d := took(func() { s = open(t, org) }); d < delay {
		t.Errorf("grant took %v, want %v at least", d, delay)
	}
	org.SetLatency(delay)
	if d := took(func() { s.do("GET", data+"/limits", "") }); d < delay {
		t.Errorf("request took %v, want %v at least", d, delay)
	}
}

// TestStatsCountConcurrentGrants holds each grant until all have come.
func TestStatsCountConcurrentGrants(t *testing.T) {
	org := start(t, nil)
	const n = 3
	var arrived sync.WaitGroup
	arrived.Add(n)
	org.SetTokenEndpoint(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived.Done()
		arrived.Wait()
	}))
	var grants sync.WaitGroup
	for range n {
		request := grantRequest(t, org, "x")
		grants.Go(func() {
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
		})
	}
	grants.Wait()
	if peak := org.Stats().MaxConcurrentGrants; peak != n {
		t.Errorf("MaxConcurrentGrants = %d, want %d", peak, n)
	}
}

func TestClockOffset(t *testing.T) {
	org := start(t, nil)
	s := open(t, org)
	org.SetClockOffset(time.Hour)
	for name, got := range map[string]reply{
		"token":    send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org)))),
		"instance": s.do("GET", "/services/data/", ""),
		"nowhere":  s.do("GET", "/nowhere", ""),
	} {
		at, err := http.ParseTime(got.header.Get("Date"))
		if ahead := time.Until(at); err != nil || ahead < 59*time.Minute || ahead > 61*time.Minute {
			t.Errorf("%s: Date is %v ahead (%v), want an hour", name, ahead, err)
		}
	}
	wantRefusal(t, send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org)))), "invalid_grant: expired authorization code")
}

func TestMoveInstance(t *testing.T) {
	org := start(t, nil)
	old := open(t, org)
	before := org.InstanceURL()
	moved, err := org.MoveInstance()
	if err != nil || moved == before || org.InstanceURL() != moved {
		t.Fatalf("MoveInstance = %q, %v", moved, err)
	}
	if live := org.Stats().LiveTokens; live != 0 {
		t.Errorf("%d tokens live after the move, want 0", live)
	}
	if got := send(t, newRequest(t, "GET", before+"/services/data/", "")); got.status != 420 {
		t.Errorf("old host = %d %s, want 420", got.status, got.body)
	}
	wantError(t, "old token", old.do("GET", data+"/limits", ""), 401, "INVALID_SESSION_ID")
	if got := open(t, org).do("GET", data+"/limits", ""); got.status != 200 {
		t.Errorf("new token = %d %s", got.status, got.body)
	}
}

func TestLies(t *testing.T) {
	org := start(t, nil)
	grant := func() string {
		return send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org)))).body
	}
	org.SetInstanceURLInGrants("https://evil.example")
	if got := grant(); !strings.Contains(got, `"instance_url":"https://evil.example"`) {
		t.Errorf("grant = %s", got)
	}
	org.SetInstanceURLInGrants("")
	org.SetTokenEndpoint(http.NotFoundHandler())
	if got := grant(); got != "404 page not found\n" {
		t.Errorf("grant = %s", got)
	}
	org.SetTokenEndpoint(nil)
	login(t, org)
}

func TestControlPort(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.ControlListen = "127.0.0.1:0" })
	s := open(t, org)
	post := func(path string) reply { return send(t, newRequest(t, "POST", org.ControlURL()+path, "")) }

	post("/records?n=3")
	if got := s.query("SELECT COUNT() FROM Account WHERE Name LIKE 'Bulk%'").json(t)["totalSize"]; got != 3.0 {
		t.Errorf("%v accounts, want 3", got)
	}
	post("/fail-requests?n=1&status=503&error=SERVER_UNAVAILABLE&description=busy")
	wantError(t, "faulty request", s.do("GET", data+"/limits", ""), 503, "SERVER_UNAVAILABLE")
	post("/fail-grants?error=invalid_grant&description=inactive+user")
	wantRefusal(t, send(t, grantRequest(t, org, "x")), "invalid_grant: inactive user")
	post("/fail-grants?n=1&status=503&body=down")
	if got := send(t, grantRequest(t, org, "x")); got.status != 503 || got.body != "down" {
		t.Errorf("faulty grant = %d %s", got.status, got.body)
	}
	post("/expire")
	wantError(t, "expired token", s.do("GET", data+"/limits", ""), 401, "INVALID_SESSION_ID")
	if got := post("/move"); got.json(t)["instance_url"] != org.InstanceURL() {
		t.Errorf("move = %d %s", got.status, got.body)
	}
	for _, path := range []string{"/clock?offset=soon", "/records?n=0", "/slow?grant=-", "/fail-grants?n=x", "/fail-grants?status=99"} {
		if got := post(path); got.status != 400 {
			t.Errorf("%s = %d %s, want 400", path, got.status, got.body)
		}
	}
	list := send(t, newRequest(t, "GET", org.ControlURL()+"/", ""))
	for _, path := range []string{"certificate", "expire", "revoke", "move", "slow", "clock", "records", "publish", "fail-grants", "fail-requests", "stats"} {
		if !strings.Contains(list.body, " /"+path+" ") {
			t.Errorf("GET / does not list /%s:\n%s", path, list.body)
		}
	}
	stats := send(t, newRequest(t, "GET", org.ControlURL()+"/stats", "")).json(t)
	if stats["grants"] != 1.0 || stats["refused_grants"] != 2.0 {
		t.Errorf("stats = %v", stats)
	}
}

func TestControlPortReplacesCertificate(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.ControlListen = "127.0.0.1:0" })
	next := newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &next.PublicKey, next)
	if err != nil {
		t.Fatal(err)
	}
	post := func(kind string) reply {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		return send(t, newRequest(t, "POST", org.ControlURL()+"/certificate", string(text)))
	}
	if got := post("PRIVATE KEY"); got.status != 400 {
		t.Errorf("a key for a certificate = %d %s, want 400", got.status, got.body)
	}
	login(t, org)
	if got := post("CERTIFICATE"); got.status != 200 {
		t.Errorf("certificate = %d %s", got.status, got.body)
	}
	wantRefusal(t, send(t, grantRequest(t, org, sign(appKey(), goodHeader(), goodClaims(org)))), "invalid_grant: invalid assertion")
	if got := send(t, grantRequest(t, org, sign(next, goodHeader(), goodClaims(org)))); got.status != 200 {
		t.Errorf("new key = %d %s", got.status, got.body)
	}
}

func TestControlPortRefusesBrowsers(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.ControlListen = "127.0.0.1:0" })
	s := open(t, org)
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": org.ControlURL()} {
		request := newRequest(t, "POST", org.ControlURL()+"/expire", "")
		request.Header.Set(name, value)
		if got := send(t, request); got.status != 403 {
			t.Errorf("POST with %s = %d, want 403", name, got.status)
		}
	}
	if got := s.do("GET", data+"/limits", ""); got.status != 200 {
		t.Errorf("a refused /expire did its work: %d %s", got.status, got.body)
	}
}

func TestTLS(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) { cfg.TLS = true; cfg.Hosts = []string{"devorg.internal"} })
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(org.CAPEM()) {
		t.Fatal("CAPEM holds no certificate")
	}
	for _, name := range []string{"", "devorg.internal", "localhost"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: name}, DisableKeepAlives: true}
		response, err := transport.RoundTrip(newRequest(t, "GET", org.InstanceURL()+"/services/data/", ""))
		if err != nil {
			t.Errorf("as %q: %v", name, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("as %q: %d", name, response.StatusCode)
		}
	}
	if !strings.HasPrefix(org.LoginURL(), "https://") {
		t.Errorf("LoginURL = %s", org.LoginURL())
	}
}

func TestPublicURLs(t *testing.T) {
	org := start(t, func(cfg *devorg.Config) {
		cfg.PublicLoginURL, cfg.PublicInstanceURL = "http://login.test:81", "http://org.test"
	})
	if org.LoginURL() != "http://login.test:81" || org.InstanceURL() != "http://org.test" || org.Audience() != "http://login.test:81" {
		t.Errorf("URLs = %s %s %s", org.LoginURL(), org.InstanceURL(), org.Audience())
	}
	moved, err := org.MoveInstance()
	if u, _ := url.Parse(moved); err != nil || u.Hostname() != "org.test" || u.Port() == "" {
		t.Errorf("MoveInstance = %s, %v", moved, err)
	}
}
