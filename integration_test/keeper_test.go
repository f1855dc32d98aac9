package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// signerCommand returns a signer command that signs by key.
func signerCommand(t *testing.T, key any) string {
	t.Helper()
	need(t, "sh", "openssl")
	script := "openssl pkeyutl -sign -inkey " + writeFile(t, "kept.key", keyPEM(t, key)) + " -pkeyopt digest:sha256 | openssl base64\n"
	return "sh " + writeFile(t, "sign.sh", []byte(script))
}

// TestSignerCommand serves by a key that a command keeps.
func TestSignerCommand(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	env := with(without(org.env, "SF_JWT_KEY_FILE"), "PATH="+os.Getenv("PATH"),
		"SF_JWT_CERT_FILE="+writeFile(t, "server.crt", certificatePEM(t)))
	p := startProxy(t, with(env, "SF_JWT_SIGNER_COMMAND="+signerCommand(t, testKey())))
	if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
		t.Errorf("answer = %d %s, want 200", a.status, a.body)
	}
	got := run(t, with(env, "SF_JWT_SIGNER_COMMAND="+signerCommand(t, newKey(2048))), "token")
	got.check(t, 1, "signer command sh: its signature does not fit the certificate: it signs with another key")
}

// TestSignerCommandAndNextKey has a next key come and go beside a signer command
// without a certificate, whose key cannot be told from another's.
func TestSignerCommandAndNextKey(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.start(t, "PATH="+os.Getenv("PATH"), "SF_JWT_SIGNER_COMMAND="+signerCommand(t, testKey()), "SF_JWT_KEY_FILE_NEXT=DIR/next.key")
	r.replace(t, "next.key", keyPEM(t, newKey(2048)))
	r.waitMetric(t, reloadsApplied, "1")
	if err := os.Remove(filepath.Join(r.dir, "next.key")); err != nil {
		t.Fatal(err)
	}
	r.waitMetric(t, reloadsApplied, "2")
	r.checkGrant(t)
	for _, text := range []string{"there is a new private key", "the new key is in use"} {
		if strings.Contains(r.Log.String(), text) {
			t.Errorf("the log has %q, but the key is the same", text)
		}
	}
}

// TestTokenPIN has a wrong PIN come while the token is open: it is not put in
// the place of the right one, which is needed when the token comes back.
func TestTokenPIN(t *testing.T) {
	t.Parallel()
	need(t, "softhsm2-util", "gcc")
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir(), program: filepath.Join(t.TempDir(), "sfproxy")}
	mustCommand(t, "env", append(append([]string{"CGO_ENABLED=1", "go"}, buildArgs...), "-tags", "pkcs11", "-o", r.program, "..")...)
	tokens := filepath.Join(r.dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := "SOFTHSM2_CONF=" + writeFile(t, "softhsm2.conf", []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"))
	mustCommand(t, "env", settings, "softhsm2-util", "--init-token", "--free", "--label", "sfproxy", "--pin", "123456", "--so-pin", "87654321")
	mustCommand(t, "env", settings, "softhsm2-util", "--import", writeFile(t, "kept.key", keyPEM(t, testKey())), "--token", "sfproxy", "--label", "key", "--id", "01", "--pin", "123456")
	r.replace(t, "pin", []byte("123456\n"))
	r.start(t, settings, "SF_JWT_KEY_PASSPHRASE_FILE=DIR/pin", "SF_JWT_PKCS11_URI=pkcs11:token=sfproxy;object=key?module-path=/usr/lib/softhsm/libsofthsm2.so")

	r.replace(t, "pin", []byte("654321\n"))
	r.waitMetric(t, reloadsRefused, "1")
	r.Log.waitFor(t, `"level":"WARN","msg":"the PIN is another now, which is used from the next start of sfproxy on`)
	r.checkGrant(t)
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(tokens, tokens+"-away")
	r.org.RevokeTokens()
	if a := get(t, r.URL+echoPath); a.status == http.StatusOK {
		t.Error("answer = 200 without a token, want a failure")
	}
	move(tokens+"-away", tokens)
	eventually(t, "the token is open again", func() bool { return get(t, r.URL+echoPath).status == http.StatusOK })

	r.replace(t, "pin", []byte("123456\n"))
	r.waitMetric(t, reloadsApplied, "1")
}

// TestKeeperMistakes has what is wrong with a keeper of the key before it is
// asked.
func TestKeeperMistakes(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	env := without(org.env, "SF_JWT_KEY_FILE")
	for _, test := range []struct{ variable, want string }{
		{"SF_JWT_SIGNER_COMMAND=/nowhere/sign", "SF_JWT_SIGNER_COMMAND: the signer command cannot be run"},
		{"SF_JWT_PKCS11_URI=pkcs11:token=sfproxy;object=key?module-path=/usr/lib/softhsm/libsofthsm2.so", "SF_JWT_PKCS11_URI: this sfproxy is built without support for PKCS #11"},
	} {
		run(t, with(env, test.variable), "token").check(t, 2, test.want)
	}
}
