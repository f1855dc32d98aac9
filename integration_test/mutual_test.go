package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// shows returns what makes curl show a client certificate of an authority, whose
// names are those in template.
func (a *authority) shows(t *testing.T, template x509.Certificate) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(3)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return []string{"--cert", writeFile(t, "client.crt", a.sign(t, &template, &key.PublicKey)), "--key", writeFile(t, "client.key", keyPEM(t, key))}
}

// startMutual runs a proxy with a certificate of keygen's that asks for those of
// clients, and returns what makes curl trust it.
func startMutual(t *testing.T, env []string, clients *authority) (p *process, trust []string) {
	t.Helper()
	dir := t.TempDir()
	env = with(env, settings(keygen(t, dir, "--tls"))...)
	env = with(env, "PROXY_LISTEN=127.0.0.1:0", "PROXY_TLS_CLIENT_CA_FILE="+writeFile(t, "clients.crt", clients.pem), "LOG_LEVEL=debug")
	return startProxy(t, env), []string{"--cacert", filepath.Join(dir, "ca.crt")}
}

// curlStatus returns the status of a request and its answer.
func curlStatus(t *testing.T, url string, args ...string) (status, body string) {
	t.Helper()
	out := string(curl(t, url, append(slices.Clone(args), "-w", "%{http_code}")...))
	return out[len(out)-3:], out[:len(out)-3]
}

// TestClientCertificates has certificates name clients, beside API keys and
// without.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	ca := newAuthority(t, pkix.Name{CommonName: "clients"})
	spiffe, err := url.Parse("spiffe://example.com/reports")
	if err != nil {
		t.Fatal(err)
	}
	const billingKey, reportsKey = "key-of-the-billing-app", "key-of-the-reports-app"
	p, trust := startMutual(t, with(startOrg(t, devorg.Config{}).env,
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_CERT_NAME=billing.example.com",
		"PROXY_CLIENT_1_NAME=reports", "PROXY_CLIENT_1_CERT_NAME=spiffe://example.com/reports", "PROXY_CLIENT_1_API_KEY="+reportsKey,
		"PROXY_CLIENT_2_NAME=mail", "PROXY_CLIENT_2_CERT_NAME=mail@example.com",
		"PROXY_CLIENT_3_NAME=batch", "PROXY_CLIENT_3_CERT_NAME=night batch",
		"PROXY_CLIENT_4_NAME=keyed", "PROXY_CLIENT_4_API_KEY="+billingKey), ca)

	common := func(name string) x509.Certificate { return x509.Certificate{Subject: pkix.Name{CommonName: name}} }
	stranger := common("stranger")
	for _, tt := range []struct {
		name        string
		certificate x509.Certificate
		key         string
		client      string // "" if refused
		says        string
	}{
		{"DNS name in another case", x509.Certificate{DNSNames: []string{"other.example.com", "Billing.Example.com"}}, "", "billing", ""},
		{"URI", x509.Certificate{URIs: []*url.URL{spiffe}}, "", "reports", ""},
		{"e-mail address", x509.Certificate{EmailAddresses: []string{"mail@example.com"}}, "", "mail", ""},
		{"common name", common("night batch"), "", "batch", ""},
		{"common name in another case", common("Night Batch"), "", "", "no client's name"},
		{"a key that is none", common("night batch"), "whatever-an-app-has-to-send", "batch", ""},
		{"nobody", stranger, "", "", "no client's name"},
		{"nobody with a key", stranger, billingKey, "keyed", ""},
		{"a parent domain", x509.Certificate{DNSNames: []string{"example.com", "*.example.com"}}, "", "", "no client's name"},
		{"its own key", x509.Certificate{URIs: []*url.URL{spiffe}}, reportsKey, "reports", ""},
		{"the key of another", common("night batch"), reportsKey, "", "names another client than the API key"},
		{"the key of one without a certificate", common("night batch"), billingKey, "", "names another client than the API key"},
		{"two clients", x509.Certificate{Subject: pkix.Name{CommonName: "night batch"}, URIs: []*url.URL{spiffe}}, "", "", "more than one client"},
		{"two clients and the key of one", x509.Certificate{Subject: pkix.Name{CommonName: "night batch"}, URIs: []*url.URL{spiffe}}, reportsKey, "reports", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := strings.ReplaceAll(tt.name, " ", "-")
			args := append(ca.shows(t, tt.certificate), append(trust, "-H", "X-Request-Id: "+id)...)
			if tt.key != "" {
				args = append(args, "-H", "Authorization: Bearer "+tt.key)
			}
			status, body := curlStatus(t, p.URL+echoPath, args...)
			if tt.client == "" {
				if status != "401" || !strings.Contains(body, "PROXY_UNAUTHORIZED") || !strings.Contains(body, tt.says) {
					t.Errorf("answer = %s %s, want 401 that says %q", status, body, tt.says)
				}
				return
			}
			if status != "200" {
				t.Fatalf("answer = %s %s, want 200", status, body)
			}
			p.Log.waitFor(t, `"request_id":"`+id+`".*"client":"`+tt.client+`"`)
		})
	}
	if out, err := command(t, nil, "curl", append(trust, "-sS", p.URL+echoPath)...); err == nil { // curl may see the alert or the closed connection
		t.Errorf("without a certificate = %s, want no answer", out)
	}
	p.Log.waitFor(t, `"level":"INFO","msg":"connections without a good client certificate are refused","refused":1,"error":"[^"]*didn't provide a certificate`)
}

// TestClientCertificatesWithoutClients lets in whom the authority knows.
func TestClientCertificatesWithoutClients(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	ca, other := newAuthority(t, pkix.Name{CommonName: "clients"}), newAuthority(t, pkix.Name{CommonName: "others"})
	p, trust := startMutual(t, startOrg(t, devorg.Config{}).env, ca)
	anybody := x509.Certificate{Subject: pkix.Name{CommonName: "anybody"}}
	if status, body := curlStatus(t, p.URL+echoPath, append(trust, ca.shows(t, anybody)...)...); status != "200" {
		t.Errorf("answer = %s %s, want 200", status, body)
	}
	if out, err := command(t, nil, "curl", append(append(trust, other.shows(t, anybody)...), "-sS", p.URL+echoPath)...); err == nil {
		t.Errorf("a certificate of another authority = %s, want no answer", out)
	}
	p.Log.waitFor(t, `"level":"INFO","msg":"connections without a good client certificate are refused","refused":1,"error":"[^}]*unknown authority`)
}
