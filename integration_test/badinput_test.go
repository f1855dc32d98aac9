package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"

	"github.com/youmark/pkcs8"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestUnusableKeys starts with keys that cannot sign for Salesforce: nothing
// that uses the key starts, and the message names the variable and the fault.
func TestUnusableKeys(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	env := without(org.env, "SF_JWT_KEY_FILE")
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := func(content []byte) string { return "SF_JWT_KEY_FILE=" + writeFile(t, "server.key", content) }
	encrypted := file(encryptedKey(t))
	for _, test := range []struct {
		name string
		set  []string
		want string
	}{
		{"none", nil, "SF_JWT_KEY_FILE: is required"},
		{"no such file", []string{"SF_JWT_KEY_FILE=/nowhere/server.key"}, `SF_JWT_KEY_FILE: "/nowhere/server.key" does not exist`},
		{"a path for the text", []string{"SF_JWT_KEY=/nowhere/server.key"}, "SF_JWT_KEY: holds a path, not the text of a key: set SF_JWT_KEY_FILE"},
		{"empty", []string{file(nil)}, "is empty"},
		{"certificate", []string{file(certificatePEM(t))}, "this is a certificate, not a private key"},
		{"EC", []string{file(keyPEM(t, ec))}, "this is an EC key; Salesforce takes RSA keys only"},
		{"1024 bits", []string{file(keyPEM(t, newKey(1024)))}, "this is an RSA key of 1024 bits; RS256 needs 2048 or more"},
		{"missing passphrase", []string{encrypted}, "the key is encrypted and SF_JWT_KEY_PASSPHRASE is not set"},
		{"wrong passphrase", []string{encrypted, "SF_JWT_KEY_PASSPHRASE=" + passphrase + "-not"}, "the passphrase does not open the key"},
	} {
		for _, command := range []string{"serve", "token"} {
			t.Run(test.name+"/"+command, func(t *testing.T) {
				got := run(t, with(env, append(test.set, "PROXY_LISTEN=127.0.0.1:0")...), command)
				got.check(t, 2, "SF_JWT_KEY", test.want)
			})
		}
	}
	if stats := org.Stats(); stats.GrantAttempts != 0 {
		t.Errorf("attempts at grants = %d, want none", stats.GrantAttempts)
	}
}

// check fails the test unless the command ended with status, wrote every part
// to stderr and nothing to stdout.
func (r result) check(t *testing.T, status int, parts ...string) {
	t.Helper()
	if r.status != status || r.stdout != "" {
		t.Errorf("exit status = %d, stdout = %q; want %d and nothing", r.status, r.stdout, status)
	}
	if !strings.HasPrefix(r.stderr, "sfproxy: ") {
		t.Errorf("stderr = %q, want a line of sfproxy", r.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(r.stderr, part) {
			t.Errorf("stderr = %q, want %q in it", r.stderr, part)
		}
	}
}

func encryptedKey(t *testing.T) []byte {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(testKey(), []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
}

func certificatePEM(t *testing.T) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "integration"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &testKey().PublicKey, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestWrongConfiguration has the faults that are found without asking anyone.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	for _, test := range []struct {
		name string
		env  []string
		want []string
	}{
		{"nothing set", nil, []string{"SF_CLIENT_ID: is required", "SF_USERNAME: is required", "SF_JWT_KEY_FILE: is required"}},
		{"misspelt", append(without(org.env, "SF_USERNAME"), "SF_USERNAM=x"), []string{"SF_USERNAME: is required", "is SF_USERNAM a misspelling of it?"}},
		{"open to the network", with(org.env, "PROXY_LISTEN=0.0.0.0:0"), []string{"PROXY_LISTEN: other machines can reach", "PROXY_CLIENT_0_API_KEY", "PROXY_ALLOW_ANONYMOUS"}},
		{"plain HTTP upstream", with(org.env, "SF_LOGIN_URL=http://login.example.com"), []string{"SF_LOGIN_URL:", "is not https", "SF_ALLOW_HTTP"}},
		{"bad values", with(org.env, "SF_TOKEN_TTL=soon", "PROXY_REPLAY_BUFFER=much", "LOG_LEVEL=loud", "PROXY_ALLOW_ANONYMOUS=perhaps"),
			[]string{"SF_TOKEN_TTL:", "PROXY_REPLAY_BUFFER:", "LOG_LEVEL:", "PROXY_ALLOW_ANONYMOUS:"}},
		{"client without a key", with(org.env, "PROXY_CLIENT_0_NAME=billing"), []string{"PROXY_CLIENT_0_API_KEY: is required"}},
		{"client without a number", with(org.env, "PROXY_CLIENT_API_KEY="+newAPIKey()), []string{"PROXY_CLIENT_API_KEY:", "number"}},
		{"no roots", with(org.env, "SF_CA_FILE="+writeFile(t, "ca.crt", []byte("not a certificate"))), []string{"SF_CA_FILE:", "holds no PEM certificate"}},
		{"no certificate of its own", with(org.env, "PROXY_TLS_CERT_FILE="+writeFile(t, "tls.crt", certificatePEM(t))), []string{"PROXY_TLS_KEY_FILE: is required"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, with(test.env, "PROXY_ADMIN_LISTEN=off")).check(t, 2, test.want...)
		})
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "SF_AUDIENZ=x", "PROXY_DRAIN_TIME=1s", "PROXY_UNLIKE_ANYTHING=1", "OTHER=1"))
	for _, want := range []string{
		`"level":"WARN","msg":"SF_AUDIENZ is not a variable of sfproxy: did you mean SF_AUDIENCE\?"`,
		`"level":"WARN","msg":"PROXY_DRAIN_TIME is not a variable of sfproxy: did you mean PROXY_DRAIN_TIMEOUT\?"`,
		`"level":"WARN","msg":"PROXY_UNLIKE_ANYTHING is not a variable of sfproxy"`,
	} {
		p.Log.waitFor(t, want)
	}
	if strings.Contains(p.Log.String(), "OTHER") {
		t.Errorf("the log names a variable that is nobody's business:\n%s", p.Log)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"PROXY_LISTEN", "PROXY_ADMIN_LISTEN"} {
		t.Run(name, func(t *testing.T) {
			env := with(org.env, "PROXY_LISTEN=127.0.0.1:0", "PROXY_ADMIN_LISTEN=127.0.0.1:0", name+"="+taken.Addr().String())
			got := run(t, env)
			got.check(t, 1, "sfproxy: "+name+": cannot listen on "+taken.Addr().String(), "address already in use", "another program has the port", "set "+name+" to another port")
		})
	}
	for _, flag := range []string{"--listen", "--instance-listen", "--control-listen"} {
		t.Run("devorg "+flag, func(t *testing.T) {
			args := []string{"devorg", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--instance-listen", "127.0.0.1:0", flag, taken.Addr().String()}
			run(t, nil, args...).check(t, 1, "sfproxy: "+flag+": listen tcp "+taken.Addr().String(), "set "+flag+" to another port")
		})
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"sevre"}, `"sevre" is not a command of sfproxy`},
		{[]string{"--listen", ":80"}, "unknown flag: --listen"},
		{[]string{"token", "now"}, `"now" is not a command of sfproxy token`},
		{[]string{"demo", "--quick"}, "unknown flag: --quick"},
		{[]string{"devorg", "--token-ttl", "soon"}, `invalid argument "soon" for "--token-ttl" flag`},
		{[]string{"devorg", "--certificate", "/nowhere/server.crt"}, "/nowhere/server.crt"},
		{[]string{"health", "one", "two"}, "health takes one URL"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			run(t, nil, test.args...).check(t, 2, test.want)
		})
	}
}

// TestSecretsFromElsewhere has the same secrets as text, as file, encrypted.
func TestSecretsFromElsewhere(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	env := without(org.env, "SF_JWT_KEY_FILE")
	key := string(keyPEM(t, testKey()))
	encrypted := "SF_JWT_KEY_FILE=" + writeFile(t, "server.key", encryptedKey(t))
	for name, set := range map[string][]string{
		"text":                    {"SF_JWT_KEY=" + key},
		"text in one line":        {"SF_JWT_KEY=" + strings.ReplaceAll(key, "\n", `\n`)},
		"encrypted":               {encrypted, "SF_JWT_KEY_PASSPHRASE=" + passphrase},
		"passphrase from a file":  {encrypted, "SF_JWT_KEY_PASSPHRASE_FILE=" + writeFile(t, "passphrase", []byte(passphrase+"\n"))},
		"spaces around the value": {"SF_JWT_KEY_FILE= " + writeFile(t, "server.key", []byte(key)) + " "},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, with(env, set...), "token")
			if got.status != 0 || !strings.HasPrefix(got.stdout, "00D") {
				t.Errorf("token = %d with %q, want one", got.status, got.stderr)
			}
		})
	}
}
