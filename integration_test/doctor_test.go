package integration_test

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/doctor"
)

// ailment is a set-up that the doctor is to find the fault of.
type ailment struct {
	name    string // of the golden file
	cfg     devorg.Config
	prepare func(*org) // may be nil
	set     []string   // variables
	args    []string
	status  int
	want    string // in the output, whatever the golden file says
}

// noListener keeps the clients' side the same on every machine.
var noListener = []string{"PROXY_LISTEN=127.0.0.1:0", "PROXY_ADMIN_LISTEN=off"}

// examine runs the doctor, once for people and once for machines, and returns
// what it prints for people.
func examine(t *testing.T, env []string, status int, args ...string) string {
	t.Helper()
	env = append(slices.Clone(noListener), with(env, "PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY="+newAPIKey())...)
	got := run(t, env, append([]string{"doctor"}, args...)...)
	if got.status != status || status == 0 && got.stderr != "" {
		t.Errorf("exit status = %d, stderr = %q, want %d; output:\n%s", got.status, got.stderr, status, got.stdout)
	}
	checkMachine(t, run(t, env, append([]string{"doctor", "--json"}, args...)...), normal(got.stdout), status)
	checkSecrets(t, got.stdout)
	return got.stdout
}

// checkMachine compares the JSON document with the text.
func checkMachine(t *testing.T, got result, text string, status int) {
	t.Helper()
	report := decode[doctor.Report](t, []byte(got.stdout))
	if got.status != status || report.OK != (status == 0) || len(report.Checks) < 18 {
		t.Errorf("exit status with --json = %d, ok = %v, %d checks, want %d, %v and 18 or more", got.status, report.OK, len(report.Checks), status, status == 0)
	}
	var machine bytes.Buffer
	for _, check := range report.Checks {
		check.WriteText(&machine)
	}
	if normal(machine.String()) != text {
		t.Errorf("with --json it says\n%s\nwithout it\n%s", &machine, text)
	}
}

// checkSecrets looks for what could be harmful in a ticket: the consumer key
// may be in the URL that needs it, and nowhere else.
func checkSecrets(t *testing.T, text string) {
	t.Helper()
	var r transcript
	r.add([]byte(text))
	if found := r.secrets(); found != nil {
		t.Errorf("the output holds %q", found)
	}
	for line := range strings.Lines(string(keyPEM(t, testKey()))) {
		if strings.Contains(text, strings.TrimSpace(line)) {
			t.Errorf("the output holds a line of the private key:\n%s", text)
		}
	}
	if rest := regexp.MustCompile(`https?://\S+client_id=\S+`).ReplaceAllString(text, ""); strings.Contains(rest, consumerKey) {
		t.Errorf("the output holds the consumer key beyond the URL:\n%s", text)
	}
}

// variable are the parts that differ from run to run.
var variable = []struct{ pattern, name string }{
	{`\d{4}-\d\d-\d\d(T[0-9:]+Z)?`, "DATE"},
	{`fingerprint [0-9a-f]{16}`, "fingerprint FINGERPRINT"},
	{`(127\.0\.0\.\d|localhost|\.com):\d{4,5}`, "$1:PORT"},
	{`(127\.0\.0\.\d|localhost)%3A\d{4,5}`, "$1%3APORT"},
	{`127\.0\.0\.1:\d+->`, ""},
	{`/\S+/([a-z]+\.(key|crt))`, "DIR/$1"},
	{`\d+ of 15000 used`, "N of 15000 used"},
	{`[0-9hm]+s (behind|ahead)`, "TIME $1"},
	{`\((no such host|server misbehaving|[^()]*timeout|[^()]*refused)\)`, "(REASON)"},
}

func normal(text string) string {
	for _, v := range variable {
		text = regexp.MustCompile(v.pattern).ReplaceAllString(text, v.name)
	}
	return text
}

// attention returns the lines that ask for it: all but ticks and dashes.
func attention(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "✓") && !strings.HasPrefix(line, "–") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// golden compares text with testdata/doctor/name.txt.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", "doctor", name+".txt")
	text = normal(text)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the output is not that of %s (go test ./integration_test -run TestDoctor -update writes it); got:\n%s\nwant:\n%s", file, text, want)
	}
}

func TestDoctorOfAHealthySetup(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{TLS: true})
	golden(t, "healthy", examine(t, org.env, 0))
	if stats := org.Stats(); stats.Grants != 2 || stats.RefusedGrants != 0 || stats.Leaks != 0 {
		t.Errorf("stats of two runs = %+v, want a grant each and no leak", stats)
	}
}

// TestDoctorKnowsEveryRefusal has the token endpoint refuse in every way that
// the catalogue knows; what is no OAuth error is in TestDoctorFindsTheFault.
func TestDoctorKnowsEveryRefusal(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	for _, e := range auth.Refusals() {
		code := cmp.Or(e.Code, "a_code_of_tomorrow")
		org.FailGrants(-1, devorg.OAuthFault(code, e.Seen))
		out := examine(t, org.env, 1)
		if !strings.Contains(out, "✗ grant           "+e.Meaning) || !strings.Contains(out, e.Causes[0].Cause) {
			t.Errorf("after %s: %s the doctor says\n%s\nwant %q and its causes", code, e.Seen, out, e.Meaning)
		}
		golden(t, e.ID, attention(out))
	}
}

// TestDoctorKnowsEveryAPIError has the org's API refuse the token in every way
// that the doctor knows.
func TestDoctorKnowsEveryAPIError(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	for _, e := range doctor.APIErrors() {
		code := cmp.Or(e.Code, "A_CODE_OF_TOMORROW")
		org.FailPath("/services/data/v", devorg.RESTFault(http.StatusForbidden, code, e.Seen))
		out := examine(t, org.env, 1)
		if !strings.Contains(out, "✗ API access      "+e.Meaning) || !strings.Contains(out, e.Causes[0].Fix) {
			t.Errorf("after %s: %s the doctor says\n%s\nwant %q and its causes", code, e.Seen, out, e.Meaning)
		}
		golden(t, e.ID, attention(out))
	}
}

// grants puts an answer of its own in the place of the org's grants.
func grants(fields map[string]any) func(*org) {
	return func(o *org) {
		o.SetTokenEndpoint(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(fields)
		}))
	}
}

func grantFault(f devorg.Fault) func(*org) { return func(o *org) { o.FailGrants(-1, f) } }

// ailments are set-ups that are really wrong, each in one way.
func ailments(t *testing.T) []ailment {
	file := func(name string, content []byte) string { return writeFile(t, name, content) }
	other := newAuthority(t, pkix.Name{CommonName: "other"})
	stale, staleKey := other.issue(t, "127.0.0.1", time.Now().AddDate(0, 0, -3))
	staleHost := serveTLS(t, stale, staleKey)
	good, goodKey := other.issue(t, "127.0.0.1", time.Now().AddDate(0, 0, 3))
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	strict := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "log in first", http.StatusProxyAuthRequired)
	}))
	t.Cleanup(strict.Close)
	next := newKey(2048)
	certify := func(key *rsa.PrivateKey, from, to time.Time) string {
		return "SF_JWT_CERT_FILE=" + file("server.crt", other.sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: from, NotAfter: to}, &key.PublicKey))
	}
	now := time.Now()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
	return []ailment{
		// What the org judges for itself.
		{name: "wrong-key", set: []string{"SF_JWT_KEY_FILE=" + file("other.key", keyPEM(t, newKey(2048)))}, status: 1, want: "does not belong to this private key"},
		{name: "wrong-audience", set: []string{"SF_AUDIENCE=" + "https://login.salesforce.com"}, status: 1, want: "set SF_AUDIENCE=http://127.0.0.1:"},
		{name: "unknown-user", set: []string{"SF_USERNAME=stranger@example.com"}, args: []string{"--callback", "https://app.example.com/done"}, status: 1,
			want: "&redirect_uri=https%3A%2F%2Fapp.example.com%2Fdone"},
		{name: "wrong-consumer-key", set: []string{"SF_CLIENT_ID=3MVG9unknown.consumer.key"}, status: 1, want: "this host knows no app with the consumer key"},

		// What is no OAuth error, by the entry's ID.
		{name: "server-fault", prepare: grantFault(devorg.PageFault(503)), status: 1, want: "https://status.salesforce.com"},
		{name: "redirected", prepare: grantFault(devorg.Fault{Status: 302, Header: http.Header{"Location": {"https://new.my.salesforce.com/services/oauth2/token"}}}), status: 1, want: "https://new.my.salesforce.com"},
		{name: "not-the-token-endpoint", prepare: grantFault(devorg.PageFault(200)), status: 1, want: "does not seem to lead to Salesforce"},
		{name: "no-instance-url", prepare: grants(map[string]any{"access_token": "x"}), status: 1, want: "set SF_INSTANCE_URL"},
		{name: "instance-url-not-trusted", prepare: func(o *org) { o.SetInstanceURLInGrants("https://crm.example.com") }, status: 1, want: "SF_TRUSTED_DOMAINS"},
		{name: "answer-broke-off", prepare: grantFault(devorg.Fault{Status: 200, Body: "{", CloseConn: true}), status: 1, want: "broke off"},
		{name: "name-not-found", set: []string{"SF_LOGIN_URL=https://acme.my.salesforce.invalid"}, status: 1, want: "✗ DNS"},
		{name: "no-connection", set: []string{"SF_LOGIN_URL=http://" + closedPort(t)}, status: 1, want: "✗ TCP"},
		{name: "company-proxy", set: []string{"SF_LOGIN_URL=https://acme.my.salesforce.com", "HTTPS_PROXY=" + strict.URL}, status: 1, want: "407"},
		{name: "company-proxy-unreadable", set: []string{"HTTPS_PROXY=http://user:50%" + passphrase + "@" + closedPort(t)}, status: 0, want: "HTTPS_PROXY cannot be read"},
		{name: "company-proxy-absent", set: []string{"SF_LOGIN_URL=https://acme.my.salesforce.com", "HTTPS_PROXY=http://user:" + passphrase + "@" + closedPort(t)}, status: 1, want: "HTTPS_PROXY"},
		{name: "certificate-expired", set: []string{"SF_LOGIN_URL=" + staleHost, "SF_CA_FILE=" + file("ca.crt", other.pem)}, status: 1, want: "set its clock"},
		{name: "certificate-not-trusted", cfg: devorg.Config{TLS: true}, set: []string{"SF_CA_FILE="}, status: 1, want: `issued by "devorg authority"`},
		{name: "no-tls", set: []string{"SF_LOGIN_URL=" + strings.Replace(plain.URL, "http:", "https:", 1)}, status: 1, want: "does not speak TLS"},

		// Configuration and key.
		{name: "configuration", set: []string{"SF_CLIENT_ID=", "SF_TOKEN_TTL=soon", "PROXY_LISTEN=nowhere"}, status: 2, want: "✗ configuration   3 faults"},
		{name: "configuration-of-the-org", set: []string{"SF_CLIENT_ID="}, status: 2, want: "✓ exposure        the API paths, by HTTP, to 1 client (billing)"},
		{name: "configuration-of-clients", set: []string{"PROXY_LISTEN=nowhere"}, status: 2, want: "✓ grant"},
		{name: "configuration-unknown", set: []string{"SF_AUDIENC=https://login.salesforce.com"}, status: 0, want: "SF_AUDIENC"},
		{name: "key-passphrase", set: []string{"SF_JWT_KEY_FILE=" + file("server.key", encryptedKey(t)), "SF_JWT_KEY_PASSPHRASE=" + passphrase + "-not"}, status: 1, want: "✗ key"},
		{name: "key-unsuitable", set: []string{"SF_JWT_KEY_FILE=" + file("server.crt", certificatePEM(t))}, status: 1, want: "→ give the RSA private key"},
		{name: "key-too-short", set: []string{"SF_JWT_KEY_FILE=" + file("server.key", keyPEM(t, newKey(1024)))}, status: 1, want: "→ give the RSA private key"},
		{name: "key-command-missing", set: []string{"SF_JWT_KEY_FILE=", "SF_JWT_SIGNER_COMMAND=/nowhere/sign"}, status: 1, want: "✗ key"},
		{name: "key-of-another-certificate", set: []string{"SF_JWT_CERT_FILE=" + file("server.crt", other.pem)}, status: 0, want: "✓ grant"},
		{name: "key-certificate-unreadable", set: []string{"SF_JWT_CERT_FILE=" + file("server.crt", []byte("nothing"))}, status: 0, want: "✓ grant"},
		{name: "key-command-certificate-unreadable", set: []string{"SF_JWT_KEY_FILE=", "SF_JWT_SIGNER_COMMAND=/bin/false", "SF_JWT_CERT_FILE=/nowhere/server.crt"}, status: 1, want: "! key"},
		{name: "key-certificate-early", set: []string{certify(testKey(), now.AddDate(0, 0, 2), now.AddDate(1, 0, 0))}, status: 0, want: "is not good before"},
		{name: "key-certificate-of-the-next", set: []string{certify(next, now, now.AddDate(1, 0, 0)), "SF_JWT_KEY_FILE_NEXT=" + file("next.key", keyPEM(t, next))}, status: 0,
			want: "the certificate given is the next key's, until "},
		{name: "next-key-unusable", set: []string{"SF_JWT_KEY_FILE_NEXT=" + file("next.key", encryptedKey(t))}, status: 0, want: "it counts as none"},
		{name: "key-certificate-expired", set: []string{"SF_JWT_CERT_FILE=" + file("server.crt", certificatePEM(t))}, status: 0, want: "and expired on"},
		{name: "next-key-taken", set: []string{"SF_JWT_KEY_FILE=" + file("other.key", keyPEM(t, newKey(2048))), "SF_JWT_KEY_FILE_NEXT=" + file("next.key", keyPEM(t, testKey()))}, status: 0,
			want: "✓ next key        RSA, 2048 bits"},
		{name: "next-key-signs", set: []string{"SF_JWT_KEY_FILE=", "SF_JWT_SIGNER_COMMAND=/bin/false", "SF_JWT_KEY_FILE_NEXT=" + file("next.key", keyPEM(t, testKey()))}, status: 0,
			want: "since that of SF_JWT_SIGNER_COMMAND does not serve"},

		// The clock, the token and the org.
		{name: "clock-behind", prepare: func(o *org) { o.SetClockOffset(time.Hour) }, status: 0, want: "behind the login host's; sfproxy corrects"},
		{name: "clock-ahead", prepare: func(o *org) { o.SetClockOffset(-time.Hour) }, status: 0, want: "ahead of the login host's; sfproxy corrects"},
		{name: "scope", prepare: func(o *org) {
			grants(map[string]any{"access_token": "00D!x", "instance_url": o.InstanceURL(), "scope": "id refresh_token"})(o)
		}, status: 1, want: "neither of the scopes api and full"},
		{name: "token-in-jwt-format", prepare: func(o *org) {
			grants(map[string]any{"access_token": jwt, "instance_url": o.InstanceURL(), "scope": "api"})(o)
		}, status: 1, want: "SOAP does not take it"},
		{name: "session-shorter", cfg: devorg.Config{TokenTTL: 15 * time.Minute}, set: []string{"SF_TOKEN_TTL=1h30m"}, status: 0, want: "set SF_TOKEN_TTL=15m"},
		{name: "instance-away", prepare: func(o *org) { o.SetInstanceURLInGrants("http://" + closedPort(t)) }, status: 1, want: "✗ instance"},
		{name: "version-too-high", set: []string{"SF_MIN_API_VERSION=99.0"}, status: 1, want: "SF_MIN_API_VERSION=99.0 is none of them"},
		{name: "version-retired", set: []string{"SF_MIN_API_VERSION=21.0"}, status: 1, want: "SF_MIN_API_VERSION=21.0 is none of them"},
		{name: "subjects", cfg: devorg.Config{Users: []string{subject, "etl@example.com"}}, set: acting("etl@example.com", "stranger@example.com", subject, "stranger@example.com", "ghost@example.com"), status: 1,
			want: "check PROXY_CLIENT_2_SUBJECT"},
		{name: "limits-low", prepare: func(o *org) {
			o.FailPath("/services/data/v67.0/limits", devorg.Fault{Status: 200, Body: `{"DailyApiRequests":{"Max":15000,"Remaining":1499}}`})
		}, status: 0, want: "1499 left"},

		// The proxy's own port.
		{name: "exposed", set: []string{"PROXY_LISTEN=0.0.0.0:0"}, status: 0, want: "pass in the clear"},
		{name: "port-taken", set: []string{"PROXY_LISTEN=" + strings.TrimPrefix(plain.URL, "http://")}, status: 1, want: "another program has the port"},
		{name: "port-taken-by-tls", set: []string{"PROXY_LISTEN=" + strings.TrimPrefix(staleHost, "https://"), "PROXY_TLS_CERT_FILE=" + file("other.crt", good),
			"PROXY_TLS_KEY_FILE=" + file("good.key", goodKey), "PROXY_TLS_CLIENT_CA_FILE=" + file("ca.crt", other.pem)}, status: 1, want: "another program has the port"},
		{name: "listener-certificate-expired", set: []string{"PROXY_TLS_CERT_FILE=" + file("stale.crt", stale), "PROXY_TLS_KEY_FILE=" + file("stale.key", staleKey)}, status: 1, want: "expired on"},
		{name: "listener-tls", set: []string{"PROXY_TLS_CERT_FILE=" + file("other.crt", other.pem), "PROXY_TLS_KEY_FILE=" + file("stale.key", staleKey)}, status: 1, want: "✗ listener"},
		{name: "address-elsewhere", set: []string{"PROXY_LISTEN=192.0.2.1:8080"}, status: 1, want: "no such address"},
	}
}

func TestDoctorFindsTheFault(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, a := range ailments(t) {
		covered[a.name] = true
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, a.cfg)
			if a.prepare != nil {
				a.prepare(org)
			}
			out := examine(t, with(org.env, a.set...), a.status, a.args...)
			if !strings.Contains(out, a.want) {
				t.Errorf("the doctor says\n%s\nwant %q in it", out, a.want)
			}
			golden(t, a.name, attention(out))
		})
	}
	covered["certificate-for-another-host"] = true // TestDoctorOfATLSInspection
	covered["private-address"] = true              // TestPrivateAddress
	covered["no-answer"] = true                    // the doctor's own tests, since it takes its time
	for _, e := range auth.Failures() {
		if !covered[e.ID] {
			t.Errorf("no set-up has the fault %s", e.ID)
		}
	}
}

// serveTLS answers 404 over TLS with a certificate, both in PEM.
func serveTLS(t *testing.T, certificate, key []byte) string {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestDoctorOfATLSInspection has nginx inspect TLS between the proxy and the
// org, with a certificate authority of the company's.
func TestDoctorOfATLSInspection(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	org := startOrg(t, devorg.Config{})
	company := newAuthority(t, pkix.Name{CommonName: "Acme Web Gateway CA", Organization: []string{"Acme Corp"}})
	port := startInspection(t, company, org.LoginURL())
	ca := "SF_CA_FILE=" + writeFile(t, "ca.crt", company.pem)
	audience := "SF_AUDIENCE=" + org.LoginURL()

	inspected := with(org.env, "SF_LOGIN_URL=https://127.0.0.1:"+port, audience)
	out := examine(t, inspected, 1)
	if want := `issued by "Acme Web Gateway CA" (Acme Corp), which is not trusted here: that is how a company proxy looks which inspects TLS`; !strings.Contains(out, want) || !strings.Contains(out, "set SF_CA_FILE") {
		t.Errorf("the doctor says\n%s\nwant %q in it", out, want)
	}
	golden(t, "tls-inspection", attention(out))
	if out := examine(t, with(inspected, ca), 0); !strings.Contains(out, `issued by "Acme Web Gateway CA" (Acme Corp), until`) {
		t.Errorf("with the company's CA the doctor says\n%s", out)
	}
	golden(t, "certificate-for-another-host", attention(examine(t, with(inspected, ca, "SF_LOGIN_URL=https://127.0.0.2:"+port), 1)))
}

// startInspection runs nginx in front of upstream until the test ends, with a
// certificate for 127.0.0.1, and returns its port.
func startInspection(t *testing.T, ca *authority, upstream string) string {
	t.Helper()
	certificate, key := ca.issue(t, "127.0.0.1", time.Now().AddDate(0, 1, 0))
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := writeFile(t, "nginx.conf", fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen 0.0.0.0:%[2]s ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s;
    location / { proxy_pass %[5]s; proxy_pass_header Date; }
  }
}`, dir, port, writeFile(t, "gateway.crt", certificate), writeFile(t, "gateway.key", key), upstream))
	var output bytes.Buffer
	cmd := exec.Command("nginx", "-c", config, "-e", "stderr")
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("nginx: %s", &output)
		}
	})
	eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return port
}

// TestDoctorOfAMyDomain goes through a company proxy, by Salesforce's own names,
// to a sandbox whose set-up has production's audience.
func TestDoctorOfAMyDomain(t *testing.T) {
	t.Parallel()
	const host = "acme--dev.sandbox.my.salesforce.com"
	login, instance := freeAddress(t), freeAddress(t)
	var strict atomic.Bool
	company := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == host+":443":
			tunnel(w, login)
		case r.Host == host+":8443" && !strict.Load():
			tunnel(w, instance)
		default:
			http.Error(w, "not through here", http.StatusForbidden)
		}
	}))
	t.Cleanup(company.Close)
	org := startOrg(t, devorg.Config{TLS: true, LoginListen: login, InstanceListen: instance, Audience: "https://test.salesforce.com",
		PublicLoginURL: "https://" + host, PublicInstanceURL: "https://" + host + ":8443"})
	env := with(org.env, "HTTPS_PROXY="+company.URL)
	golden(t, "my-domain", examine(t, env, 0))
	out := examine(t, with(env, "SF_AUDIENCE=https://login.salesforce.com"), 1)
	if want := "set SF_AUDIENCE=https://test.salesforce.com, which the org accepts"; !strings.Contains(out, want) {
		t.Errorf("the doctor says\n%s\nwant %q in it", out, want)
	}
	golden(t, "sandbox-with-productions-audience", attention(out))
	strict.Store(true)
	out = examine(t, env, 1)
	if want := "cannot be reached, since the company proxy in HTTPS_PROXY cannot be reached or refuses"; !strings.Contains(out, want) {
		t.Errorf("the doctor says\n%s\nwant %q in it", out, want)
	}
	golden(t, "company-proxy-refuses-instance", attention(out))
}

// acting returns the variables of clients, from number 1 on, that act for the
// users.
func acting(users ...string) []string {
	var set []string
	for i, user := range users {
		client := fmt.Sprintf("PROXY_CLIENT_%d_", i+1)
		set = append(set, fmt.Sprintf("%sNAME=app-%d", client, i+1), client+"API_KEY="+newAPIKey(), client+"SUBJECT="+user)
	}
	return set
}

// TestDoctorTriesSomeSubjects: a grant is a login, so not all of a crowd are
// tried, and those who are, once.
func TestDoctorTriesSomeSubjects(t *testing.T) {
	t.Parallel()
	var users []string
	for i := range 22 {
		users = append(users, fmt.Sprintf("user-%d@example.com", i))
	}
	org := startOrg(t, devorg.Config{Users: append([]string{subject}, users...)})
	out := examine(t, with(org.env, acting(append(users, users...)...)...), 0)
	if want := "✓ subjects        tokens for the first 20 of 22 other users of clients\n"; !strings.Contains(out, want) {
		t.Errorf("the doctor says\n%s\nwant %q in it", out, want)
	}
	if got := org.Stats().Grants; got != 2*21 {
		t.Errorf("two runs took %d grants, want 42", got)
	}
}

// TestDoctorBesideTheProxy finds the port taken by the proxy itself, which is
// well, and tells how that one is.
func TestDoctorBesideTheProxy(t *testing.T) {
	t.Parallel()
	beside := func(o *org, p *process) []string {
		return with(o.env, "PROXY_LISTEN="+strings.TrimPrefix(p.URL, "http://"), "PROXY_ADMIN_LISTEN="+strings.TrimPrefix(p.Admin, "http://"))
	}
	well := startOrg(t, devorg.Config{})
	p := startProxy(t, well.env)
	p.waitReady(t)
	if out := examine(t, beside(well, p), 0); strings.Count(out, "sfproxy runs there: it is ready\n") != 2 {
		t.Errorf("beside a proxy that is ready the doctor says\n%s", out)
	}
	well.RevokeTokens()
	well.FailGrants(-1, devorg.OAuthFault("inactive_user", "user is inactive"))
	if a := get(t, p.URL+"/services/data/v60.0/"); a.status != http.StatusBadGateway {
		t.Errorf("without a token the proxy answers %d, want 502", a.status)
	}
	golden(t, "beside-a-proxy-without-a-token", attention(examine(t, beside(well, p), 1)))
	p.stop(t)
	if warned := strings.Count(p.Log.String(), `"msg":"request refused"`); warned != 0 {
		t.Errorf("the doctor's questions left %d warnings in the log of the proxy:\n%s", warned, p.Log)
	}
	ill := startOrg(t, devorg.Config{})
	ill.FailGrants(-1, devorg.OAuthFault("inactive_user", "user is inactive"))
	p = startProxy(t, ill.env)
	p.Log.waitFor(t, `"msg":"no token granted"`)
	golden(t, "beside-the-proxy", examine(t, beside(ill, p), 1))
}

// TestDoctorBesideAProxyForCertificates has no certificate of a client's to
// show, and knows the proxy all the same.
func TestDoctorBesideAProxyForCertificates(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, pkix.Name{CommonName: "clients"})
	certificate, key := ca.issue(t, "127.0.0.1", time.Now().AddDate(0, 0, 3))
	env := with(startOrg(t, devorg.Config{}).env, "PROXY_TLS_CERT_FILE="+writeFile(t, "tls.crt", certificate), "PROXY_TLS_KEY_FILE="+writeFile(t, "tls.key", key),
		"PROXY_TLS_CLIENT_CA_FILE="+writeFile(t, "clients.crt", ca.pem))
	p := startProxy(t, env)
	p.waitReady(t)
	env = with(env, "PROXY_LISTEN="+strings.TrimPrefix(p.URL, "https://"))
	if out := examine(t, env, 0); !strings.Contains(out, "sfproxy runs there: it answers") {
		t.Errorf("without the admin port the doctor says\n%s", out)
	}
	env = with(env, "PROXY_ADMIN_LISTEN="+strings.TrimPrefix(p.Admin, "http://"))
	if out := examine(t, env, 0); strings.Count(out, "sfproxy runs there: it is ready") != 2 {
		t.Errorf("with the admin port the doctor says\n%s", out)
	}
}

// TestDoctorHasNoOrphans: each golden file is that of a set-up.
func TestDoctorHasNoOrphans(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/doctor/*.txt")
	source, unread := os.ReadFile("doctor_test.go")
	if err != nil || unread != nil || len(files) == 0 {
		t.Fatal(err, unread, len(files))
	}
	used := string(source)
	for _, e := range slices.Concat(auth.Refusals(), doctor.APIErrors()) {
		used += strconv.Quote(e.ID)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".txt"); !strings.Contains(used, strconv.Quote(name)) {
			t.Errorf("%s belongs to no test", file)
		}
	}
}

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	run(t, nil, "doctor", "--callback", "nothing").check(t, 2, "--callback is not a URL")
	run(t, nil, "doctor", "everything").check(t, 2, `"everything" is not a command`)
}
