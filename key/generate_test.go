package key_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/key"
)

const storePassphrase = "correct horse"

// generate makes a key of 2,048 bits.
func generate(t *testing.T) *key.Key {
	t.Helper()
	k, err := key.Generate(key.Template{CommonName: "sfproxy", Bits: 2048, Life: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// tool runs a program with input and returns all that it prints.
func tool(t *testing.T, input []byte, name string, args ...string) string {
	t.Helper()
	need(t, name)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}

// file writes a file of the test's own and returns its path.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

// wantSame checks that key.Parse reads content as k.
func wantSame(t *testing.T, k *key.Key, content []byte, o key.Options) {
	t.Helper()
	parsed, err := key.Parse(content, o)
	if err != nil {
		t.Fatalf("Parse = %v, want the key", err)
	}
	if got, want := parsed.Fingerprint(), k.Fingerprint(); got != want {
		t.Errorf("fingerprint = %s, want %s", got, want)
	}
}

// An org takes certificates of 4 KB at most.
func TestGenerateMostIsSmallEnough(t *testing.T) {
	name := strings.Repeat("€", 64)
	k, err := key.Generate(key.Template{CommonName: name, Bits: 4096, Life: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if n := k.Public().(*rsa.PublicKey).N.BitLen(); n != 4096 {
		t.Errorf("key of %d bits, want 4096", n)
	}
	text := k.EncodeCertificates()
	if len(text) > 4096 {
		t.Errorf("certificate of %d bytes, want 4096 at most", len(text))
	}
	c, err := key.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(c.NotAfter); c.Subject.CommonName != name || left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("certificate of %q for %v, want %q for a day", c.Subject.CommonName, left, name)
	}
}

func TestEncodePrivate(t *testing.T) {
	k := generate(t)
	for _, passphrase := range []string{"", storePassphrase, "pässphrase €"} {
		text, err := k.EncodePrivate([]byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, k, text, key.Options{Passphrase: []byte(passphrase)})
		wantParts(t, tool(t, text, "openssl", "rsa", "-check", "-noout", "-passin", "pass:"+passphrase), "RSA key ok")
		if _, err := key.Parse(text, key.Options{Passphrase: []byte("wrong")}); passphrase != "" && err == nil {
			t.Error("a wrong passphrase opens the key")
		}
	}
	text, err := k.EncodePrivate([]byte(storePassphrase))
	if err != nil {
		t.Fatal(err)
	}
	wantParts(t, tool(t, text, "openssl", "asn1parse"), "PBES2", "PBKDF2", ":0927C0", "hmacWithSHA256", "aes-256-cbc") // 600,000
}

func TestEncodeRequest(t *testing.T) {
	text, err := generate(t).EncodeRequest("Jörg's app")
	if err != nil {
		t.Fatal(err)
	}
	wantParts(t, tool(t, text, "openssl", "req", "-verify", "-noout", "-subject", "-nameopt", "utf8"), "verify OK", "CN=Jörg's app")
}

func TestEncodePKCS12(t *testing.T) {
	k := generate(t)
	content, err := k.EncodePKCS12("my_key", []byte(storePassphrase))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, k, content, key.Options{Passphrase: []byte(storePassphrase), Alias: "my_key"})
	long := strings.Repeat("long ", 20)
	other, err := k.EncodePKCS12("my_key", []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, k, other, key.Options{Passphrase: []byte(long)})
	path := file(t, "server.p12", content)
	wantParts(t, tool(t, nil, "openssl", "pkcs12", "-in", path, "-passin", "pass:"+storePassphrase, "-nodes", "-info"),
		"MAC: sha256", "AES-256-CBC, Iteration 600000", "PRIVATE KEY", "subject=CN = sfproxy", "friendlyName: my_key")
	wantOpens(t, k, path, "PKCS12")
}

func TestEncodeJKS(t *testing.T) {
	k := generate(t)
	content, err := k.EncodeJKS("My_key", []byte(storePassphrase))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, k, content, key.Options{Passphrase: []byte(storePassphrase), Alias: "my_key"})
	wantOpens(t, k, file(t, "server.jks", content), "JKS")
}

// wantOpens has keytool list a keystore and open the key in it, which it does to
// make a certificate request by it.
func wantOpens(t *testing.T, k *key.Key, path, kind string) {
	t.Helper()
	wantParts(t, tool(t, nil, "keytool", "-list", "-keystore", path, "-storepass", storePassphrase), "type: "+kind, "my_key", "PrivateKeyEntry")
	request := tool(t, nil, "keytool", "-certreq", "-keystore", path, "-storepass", storePassphrase, "-alias", "my_key")
	wantParts(t, tool(t, []byte(request), "openssl", "req", "-verify", "-noout", "-pubkey"), "verify OK", publicPEM(t, k))
}

// publicPEM returns the public key as openssl prints it.
func publicPEM(t *testing.T, k *key.Key) string {
	t.Helper()
	return tool(t, k.EncodeCertificates(), "openssl", "x509", "-noout", "-pubkey")
}

func TestKeystorePassphrase(t *testing.T) {
	k := generate(t)
	for passphrase, want := range map[string]string{"": "6 characters", "short": "6 characters", "pässphrase": "ASCII", "two\nlines": "ASCII"} {
		_, errPKCS12 := k.EncodePKCS12("sfproxy", []byte(passphrase))
		_, errJKS := k.EncodeJKS("sfproxy", []byte(passphrase))
		for _, err := range []error{errPKCS12, errJKS} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("with the passphrase %q: %v, want %q in it", passphrase, err, want)
			}
		}
	}
}

func TestIssue(t *testing.T) {
	authority, err := key.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{strings.Repeat("long.", 20) + "example", "10.1.2.3", "::1"}
	server, err := authority.Issue(key.Template{Bits: 2048, Life: 365 * 24 * time.Hour}, names)
	if err != nil {
		t.Fatal(err)
	}
	root, leaf := file(t, "ca.crt", authority.EncodeCertificates()), file(t, "tls.crt", server.EncodeCertificates())
	verify := []string{"verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", root}
	for _, name := range []string{"-verify_hostname=" + names[0], "-verify_ip=10.1.2.3", "-verify_ip=::1"} {
		flag, value, _ := strings.Cut(name, "=")
		wantParts(t, tool(t, nil, "openssl", append(verify, flag, value, leaf)...), ": OK")
	}
	wantParts(t, tool(t, authority.EncodeCertificates(), "openssl", "x509", "-noout", "-text"), "CA:TRUE, pathlen:0", "Public-Key: (3072 bit)")
	if _, err := server.Issue(key.Template{Bits: 2048, Life: time.Hour}, names); err == nil || !strings.Contains(err.Error(), "may not sign others") {
		t.Errorf("Issue by a server's key = %v, want a refusal", err)
	}
	other := &key.Key{Signer: server.Signer, Certificates: authority.Certificates}
	if _, err := other.Issue(key.Template{Bits: 2048, Life: time.Hour}, names); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("Issue by another's key = %v, want a refusal", err)
	}
}

func TestIssueDoesNotOutliveAuthority(t *testing.T) {
	authority, err := key.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Issue(key.Template{Bits: 2048, Life: 20 * 365 * 24 * time.Hour}, []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := server.Certificate().NotAfter, authority.Certificate().NotAfter; !got.Equal(want) {
		t.Errorf("server's certificate ends %v, want %v", got, want)
	}
	if _, err := server.Certificate().Verify(x509.VerifyOptions{Roots: pool(authority), DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
}

func pool(authority *key.Key) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(authority.Certificate())
	return p
}
