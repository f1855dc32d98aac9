package integration_test

import (
	"net/http"
	"os"
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
