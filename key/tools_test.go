package key_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/key"
)

// toolbox is a folder with two keys that openssl made, and what belongs to them:
//
//	server.key, server.crt  self-signed; public.pem is its public key
//	issued.crt              another certificate of server.key, from other.crt
//	other.key, other.crt    an authority
//	ec.key                  a key that Salesforce does not take
//	named.p12, other.p12    the two keys in PKCS#12, named Salesforce and other
type toolbox struct{ dir string }

func newToolbox(t *testing.T) toolbox {
	t.Helper()
	need(t, "openssl", "ssh-keygen")
	b := toolbox{t.TempDir()}
	if err := runScript(b.dir, `
		openssl genrsa -out server.key 2048
		openssl rsa -in server.key -pubout -out public.pem
		openssl req -x509 -new -key server.key -subj /CN=server -out server.crt
		openssl genrsa -out other.key 2048
		openssl req -x509 -new -key other.key -subj /CN=authority -out other.crt
		openssl req -new -key server.key -subj /CN=issued -out server.csr
		openssl x509 -req -in server.csr -CA other.crt -CAkey other.key -CAcreateserial -out issued.crt
		openssl ecparam -name prime256v1 -genkey -noout -out ec.key
		openssl pkcs12 -export -inkey server.key -in server.crt -name Salesforce -passout env:PASS -out named.p12
		openssl pkcs12 -export -inkey other.key -in other.crt -name other -passout env:PASS -out other.p12
	`); err != nil {
		t.Fatal(err)
	}
	return b
}

// need skips the test if a command is not installed, or fails it if
// SFPROXY_TEST_NO_SKIP is set.
func need(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			if os.Getenv("SFPROXY_TEST_NO_SKIP") != "" {
				t.Fatalf("%s is not installed", c)
			}
			t.Skipf("%s is not installed", c)
		}
	}
}

// runScript runs the shell's script in dir. $PASS is the passphrase.
func runScript(dir, script string) error {
	cmd := exec.Command("sh", "-e", "-c", "umask 077; "+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PASS="+passphrase)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return nil
}

// make returns the file "out" that a script makes in a copy of the toolbox.
func (b toolbox) make(t *testing.T, script string) []byte {
	t.Helper()
	if _, err := exec.LookPath("keytool"); err != nil && strings.Contains(script, "keytool") {
		t.Skip("keytool is not installed") // even where no other tool may be missing: it takes a JDK
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	err := runScript(dir, script)
	if err != nil && strings.Contains(script, "legacy") {
		t.Skipf("this openssl has no old ciphers: %v", err)
	}
	content, readErr := os.ReadFile(filepath.Join(dir, "out"))
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	return content
}

// verify checks with openssl that the key signs as server.key does.
func (b toolbox) verify(t *testing.T, k *key.Key) {
	t.Helper()
	text := []byte("header.claims")
	digest := sha256.Sum256(text)
	signature, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "signature")
	if err := os.WriteFile(file, signature, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "dgst", "-sha256", "-verify", filepath.Join(b.dir, "public.pem"), "-signature", file)
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl dgst -verify: %v: %s", err, out)
	}
}

const importInto = "keytool -noprompt -importkeystore -srcstoretype PKCS12 -srcstorepass \"$PASS\" -deststorepass \"$PASS\" -destkeystore out -srckeystore "

// TestToolMadeFiles has the files that people have, from the tools they have
// them from.
func TestToolMadeFiles(t *testing.T) {
	box := newToolbox(t)
	t.Run("read", func(t *testing.T) { testToolMadeKeys(t, box) })
	t.Run("refused", func(t *testing.T) { testToolMadeOthers(t, box) })
}

func testToolMadeKeys(t *testing.T, box toolbox) {
	open := key.Options{Passphrase: []byte(passphrase)}
	named := func(alias string) key.Options {
		return key.Options{Passphrase: []byte(passphrase), Alias: alias}
	}
	for _, tt := range []struct {
		name    string
		script  string
		options key.Options
		format  string
		certs   string // the common names of the certificates, the key's own first
	}{
		{"genrsa", "cp server.key out", key.Options{}, "PEM (PKCS#8)", ""},
		{"rsa -traditional", "openssl rsa -in server.key -traditional -out out", key.Options{}, "PEM (PKCS#1)", ""},
		{"rsa -traditional -des3", "openssl rsa -in server.key -traditional -des3 -passout env:PASS -out out", open, "PEM (encrypted PKCS#1)", ""},
		{"rsa -traditional -aes256", "openssl rsa -in server.key -traditional -aes256 -passout env:PASS -out out", open, "PEM (encrypted PKCS#1)", ""},
		{"rsa -aes256", "openssl rsa -in server.key -aes256 -passout env:PASS -out out", open, "PEM (encrypted PKCS#8)", ""},
		{"pkcs8", "openssl pkcs8 -topk8 -in server.key -passout env:PASS -out out", open, "PEM (encrypted PKCS#8)", ""},
		{"pkcs8 -v2 aes-128-cbc", "openssl pkcs8 -topk8 -v2 aes-128-cbc -in server.key -passout env:PASS -out out", open, "PEM (encrypted PKCS#8)", ""},
		{"pkcs8 -v2 des3 with SHA-1", "openssl pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -in server.key -passout env:PASS -out out", open, "PEM (encrypted PKCS#8)", ""},
		{"pkcs8 -iter 600000", "openssl pkcs8 -topk8 -iter 600000 -in server.key -passout env:PASS -out out", open, "PEM (encrypted PKCS#8)", ""},
		{"pkcs8 -scrypt", "openssl pkcs8 -topk8 -scrypt -in server.key -passout env:PASS -out out", open, "PEM (encrypted PKCS#8)", ""},
		{"ssh-keygen -m PEM", "cp server.key out; ssh-keygen -q -p -m PEM -N '' -f out", key.Options{}, "PEM (PKCS#1)", ""},
		{"ssh-keygen -m PEM, encrypted", `cp server.key out; ssh-keygen -q -p -m PEM -N "$PASS" -f out`, open, "PEM (encrypted PKCS#1)", ""},
		{"ssh-keygen -m PKCS8, encrypted", `cp server.key out; ssh-keygen -q -p -m PKCS8 -N "$PASS" -f out`, open, "PEM (encrypted PKCS#8)", ""},
		{"DER of PKCS#1", "openssl rsa -in server.key -traditional -outform DER -out out", key.Options{}, "DER (PKCS#1)", ""},
		{"DER of PKCS#8", "openssl pkcs8 -topk8 -nocrypt -in server.key -outform DER -out out", key.Options{}, "DER (PKCS#8)", ""},
		{"DER of PKCS#8, encrypted", "openssl pkcs8 -topk8 -in server.key -outform DER -passout env:PASS -out out", open, "DER (encrypted PKCS#8)", ""},
		{"DER in base64", "openssl pkcs8 -topk8 -nocrypt -in server.key -outform DER | base64 >out", key.Options{}, "DER (PKCS#8)", ""},

		{"key, certificate", "cat server.key server.crt >out", key.Options{}, "PEM (PKCS#8)", "server"},
		{"certificate, key", "cat server.crt server.key >out", key.Options{}, "PEM (PKCS#8)", "server"},
		{"authority, certificate, encrypted key", "(cat other.crt issued.crt; openssl pkcs8 -topk8 -in server.key -passout env:PASS) >out", open, "PEM (encrypted PKCS#8)", "issued authority"},
		{"chain without its first link", "openssl x509 -in other.crt -out out; cat other.crt server.key >>out", key.Options{}, "PEM (PKCS#8)", "authority authority"},
		{"certificate as text, key", "(openssl x509 -in server.crt -text; cat server.key) >out", key.Options{}, "PEM (PKCS#8)", "server"},
		{"pkcs12 -nodes", "openssl pkcs12 -in named.p12 -nodes -passin env:PASS -out out", key.Options{}, "PEM (PKCS#8)", "server"},

		{"PKCS#12", "openssl pkcs12 -export -inkey server.key -in server.crt -passout env:PASS -out out", open, "PKCS#12", "server"},
		{"PKCS#12 in base64", "base64 named.p12 >out", open, "PKCS#12", "server"},
		{"PKCS#12 with a name", "cp named.p12 out", open, "PKCS#12", "server"},
		{"PKCS#12 by its name", "cp named.p12 out", named("Salesforce"), "PKCS#12", "server"},
		{"PKCS#12 by its name in another case", "cp named.p12 out", named("SALESFORCE"), "PKCS#12", "server"},
		{"PKCS#12 by the name Java gives", "openssl pkcs12 -export -inkey server.key -in server.crt -passout env:PASS -out out", named("1"), "PKCS#12", "server"},
		{"PKCS#12 with a chain", "openssl pkcs12 -export -inkey server.key -in issued.crt -certfile other.crt -passout env:PASS -out out", open, "PKCS#12", "issued authority"},
		{"PKCS#12 -legacy", "openssl pkcs12 -export -legacy -inkey server.key -in server.crt -passout env:PASS -out out", open, "PKCS#12", "server"},
		{"PKCS#12 of 3DES", "openssl pkcs12 -export -legacy -descert -inkey server.key -in server.crt -passout env:PASS -out out", open, "PKCS#12", "server"},
		{"PKCS#12 of 128-bit RC2", "openssl pkcs12 -export -provider legacy -provider default -certpbe PBE-SHA1-RC2-128 -keypbe PBE-SHA1-3DES -macalg sha1 -inkey server.key -in server.crt -passout env:PASS -out out", open, "PKCS#12", "server"},
		{"PKCS#12 of AES-128 and SHA-1", "openssl pkcs12 -export -certpbe AES-128-CBC -keypbe AES-128-CBC -macalg sha1 -inkey server.key -in server.crt -passout env:PASS -out out", open, "PKCS#12", "server"},
		{"PKCS#12 with an empty passphrase", "openssl pkcs12 -export -inkey server.key -in server.crt -passout pass: -out out", key.Options{}, "PKCS#12", "server"},
		{"PKCS#12 with Microsoft's attributes", "openssl pkcs12 -export -LMK -CSP 'Microsoft Enhanced Cryptographic Provider' -inkey server.key -in server.crt -passout env:PASS -out out", open, "PKCS#12", "server"},
		{"PKCS#12 with a passphrase beyond ASCII", "openssl pkcs12 -export -inkey server.key -in server.crt -passout pass:pässwört -out out", key.Options{Passphrase: []byte("pässwört")}, "PKCS#12", "server"},
		{"PKCS#12 of keytool", importInto + "named.p12 -deststoretype PKCS12", open, "PKCS#12", "server"},
		{"PKCS#12 of keytool, the first of two", importInto + "named.p12 -deststoretype PKCS12; " + importInto + "other.p12 -deststoretype PKCS12", named("salesforce"), "PKCS#12", "server"},
		{"PKCS#12 of keytool, the second of two", importInto + "other.p12 -deststoretype PKCS12; " + importInto + "named.p12 -deststoretype PKCS12", named("salesforce"), "PKCS#12", "server"},

		{"JKS", importInto + "named.p12 -deststoretype JKS", open, "JKS", "server"},
		{"JKS in base64", importInto + "named.p12 -deststoretype JKS; base64 out >text; mv text out", open, "JKS", "server"},
		{"JKS, of two", importInto + "named.p12 -deststoretype JKS; " + importInto + "other.p12 -deststoretype JKS", named("Salesforce"), "JKS", "server"},
		{"JKS beside a certificate", importInto + `named.p12 -deststoretype JKS; keytool -noprompt -importcert -alias root -file other.crt -keystore out -storepass "$PASS"`, open, "JKS", "server"},
		{"JCEKS", importInto + "named.p12 -deststoretype JCEKS", open, "JCEKS", "server"},
		{"JCEKS, of two", importInto + "named.p12 -deststoretype JCEKS; " + importInto + "other.p12 -deststoretype JCEKS", named("SALESFORCE"), "JCEKS", "server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, err := key.Parse(box.make(t, tt.script), tt.options)
			if err != nil {
				t.Fatalf("Parse = %v, want the key", err)
			}
			box.verify(t, k)
			if k.Form != tt.format {
				t.Errorf("Form = %q, want %q", k.Form, tt.format)
			}
			var certs []string
			for _, c := range k.Certificates {
				certs = append(certs, c.Subject.CommonName)
			}
			if got := strings.Join(certs, " "); got != tt.certs {
				t.Errorf("certificates = %q, want %q", got, tt.certs)
			}
		})
	}
}

func testToolMadeOthers(t *testing.T, box toolbox) {
	open := key.Options{Passphrase: []byte(passphrase)}
	for _, tt := range []struct {
		name    string
		script  string
		options key.Options
		want    string // in the error
	}{
		{"certificate", "cp server.crt out", open, "this is a certificate, not a private key"},
		{"certificate in DER", "openssl x509 -in server.crt -outform DER -out out", open, "this is a certificate, not a private key"},
		{"trusted certificate", "openssl x509 -in server.crt -trustout -out out", open, "this is a certificate, not a private key"},
		{"certificate request", "cp server.csr out", open, "this is a certificate request"},
		{"certificate request in DER", "openssl req -in server.csr -outform DER -out out", open, "this is a certificate request"},
		{"public key", "cp public.pem out", open, "this is a public key"},
		{"public key in DER", "openssl rsa -in server.key -pubout -outform DER -out out", open, "this is a public key"},
		{"public key in DER of PKCS#1", "openssl rsa -in server.key -RSAPublicKey_out -outform DER -out out", open, "this is a public key"},
		{"PKCS#7", "openssl crl2pkcs7 -nocrl -certfile server.crt -out out", open, "this is a PKCS#7 file"},
		{"PKCS#7 in DER", "openssl crl2pkcs7 -nocrl -certfile server.crt -outform DER -out out", open, "this is a PKCS#7 file"},
		{"revocation list", "touch index; echo 01 >number; printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ncrlnumber=number\\ndefault_md=sha256\\ndefault_crl_days=1\\n' >conf; openssl ca -gencrl -config conf -keyfile other.key -cert other.crt | openssl crl -outform DER -out out", open, "this is a certificate revocation list"},
		{"another key's certificate", "cat other.crt server.key >out", open, "the certificate in the same file belongs to another key"},
		{"another key's certificates", "openssl genrsa 2048 >out; cat issued.crt other.crt >>out", open, "the certificate in the same file belongs to another key"},
		{"two keys", "cat server.key other.key >out", open, "several private keys"},

		{"EC", "cp ec.key out", open, "this is an EC key; Salesforce takes RSA keys only"},
		{"EC with parameters", "openssl ecparam -name prime256v1 -genkey -out out", open, "this is an EC key"},
		{"EC in PKCS#8", "openssl pkcs8 -topk8 -nocrypt -in ec.key -out out", open, "this is an EC key"},
		{"EC in PKCS#8, encrypted", "openssl pkcs8 -topk8 -in ec.key -passout env:PASS -out out", open, "this is an EC key"},
		{"EC, encrypted", "openssl ec -in ec.key -aes128 -passout env:PASS -out out", open, "this is an EC key"},
		{"EC in DER", "openssl ec -in ec.key -outform DER -out out", open, "this is an EC key"},
		{"EC parameters", "openssl ecparam -name prime256v1 -out out", open, `type "EC PARAMETERS"`},
		{"EC in PKCS#12", "openssl req -x509 -new -key ec.key -subj /CN=x -out ec.crt; openssl pkcs12 -export -inkey ec.key -in ec.crt -passout env:PASS -out out", open, "this is an EC key"},
		{"Ed25519", "openssl genpkey -algorithm ED25519 -out out", open, "this is an Ed25519 key"},
		{"X25519", "openssl genpkey -algorithm X25519 -out out", open, "this is an X25519 key"},
		{"Ed448", "openssl genpkey -algorithm ED448 -out out", open, "this is an Ed448 key"},
		{"X448", "openssl genpkey -algorithm X448 -out out", open, "this is an X448 key"},
		{"RSA-PSS", "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out out", open, "this is an RSA-PSS key"},
		{"DSA", "openssl dsaparam -genkey -noout -out dsa 1024; openssl pkcs8 -topk8 -nocrypt -in dsa -out out", open, "this is a DSA key"},
		{"DSA, traditional", "openssl dsaparam -genkey -noout 1024 | openssl dsa -out out", open, "this is a DSA key"},
		{"RSA of 512 bits", "openssl genrsa -out out 512", open, "RSA key of 512 bits"},
		{"RSA of 2047 bits", "openssl genrsa -out out 2047", open, "RSA key of 2047 bits"},
		{"RSA of 1024 bits in PKCS#12", "openssl req -x509 -newkey rsa:1024 -nodes -keyout k -subj /CN=x -out c; openssl pkcs12 -export -inkey k -in c -passout env:PASS -out out", open, "RSA key of 1024 bits"},

		{"OpenSSH", "cp server.key out; ssh-keygen -q -p -N '' -f out", open, "this is an OpenSSH key: convert it with ssh-keygen"},
		{"OpenSSH, Ed25519", "ssh-keygen -q -t ed25519 -N '' -f out", open, "this is an OpenSSH key"},
		{"OpenSSH, public", "chmod 600 server.key; ssh-keygen -y -f server.key >out", open, "this is an OpenSSH public key"},
		{"SSH2, public", "chmod 600 server.key; ssh-keygen -e -f server.key >out", open, "this is an SSH2 key"},

		{"encrypted without a passphrase", "openssl pkcs8 -topk8 -in server.key -passout env:PASS -out out", key.Options{}, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"encrypted in DER without a passphrase", "openssl pkcs8 -topk8 -in server.key -passout env:PASS -outform DER -out out", key.Options{}, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#12 without a passphrase", "cp named.p12 out", key.Options{}, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#12 -legacy without a passphrase", "openssl pkcs12 -export -legacy -inkey server.key -in server.crt -passout env:PASS -out out", key.Options{}, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#12 with a wrong passphrase", "cp named.p12 out", key.Options{Passphrase: []byte("wrong-one")}, "the passphrase does not open the key"},
		{"PKCS#12 with another alias", "cp named.p12 out", key.Options{Passphrase: []byte(passphrase), Alias: "sf"}, "no key with the alias sf (SF_JWT_KEY_ALIAS); it has Salesforce"},
		{"PKCS#12 without a certificate", "openssl pkcs12 -export -nocerts -inkey server.key -passout env:PASS -out out", open, "certificate missing"},
		{"PKCS#12 without a key", "openssl pkcs12 -export -nokeys -in server.crt -passout env:PASS -out out", open, "this PKCS#12 file holds no private key, only certificates"},
		{"PKCS#12 without a MAC", "openssl pkcs12 -export -nomac -inkey server.key -in server.crt -passout env:PASS -out out", open, "no MAC in data; turn it into PEM"},
		{"PBES1", "openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in server.key -passout env:PASS -out out", open, "encryption is damaged or of a kind that is not supported"},
		{"PBKDF2 with SHA-512", "openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -in server.key -passout env:PASS -out out", open, "not supported"},
		{"Camellia", "openssl pkcs8 -topk8 -v2 camellia-256-cbc -in server.key -passout env:PASS -out out", open, "not supported"},
		{"Camellia, traditional", "openssl rsa -traditional -camellia256 -in server.key -passout env:PASS -out out", open, "cannot be read"},

		{"JKS without a passphrase", importInto + "named.p12 -deststoretype JKS", key.Options{}, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"JKS with a wrong passphrase", importInto + "named.p12 -deststoretype JKS", key.Options{Passphrase: []byte("wrong-one")}, "the passphrase does not open the key"},
		{"JKS whose key has its own", importInto + `named.p12 -deststoretype JKS; keytool -keypasswd -keystore out -storepass "$PASS" -alias salesforce -keypass "$PASS" -new another-one`, open, "the key in it has a passphrase of its own"},
		{"JKS of two", importInto + "named.p12 -deststoretype JKS; " + importInto + "other.p12 -deststoretype JKS", key.Options{}, "several keys: set SF_JWT_KEY_ALIAS to one of other, salesforce"},
		{"JKS with another alias", importInto + "named.p12 -deststoretype JKS", key.Options{Alias: "sf"}, "no key with the alias sf (SF_JWT_KEY_ALIAS); it has salesforce"},
		{"JKS truststore", `keytool -noprompt -importcert -alias root -file other.crt -keystore out -storetype JKS -storepass "$PASS"`, key.Options{}, "holds no private key; its entries are certificates: root"},
		{"JCEKS with a wrong passphrase", importInto + "named.p12 -deststoretype JCEKS", key.Options{Passphrase: []byte("wrong-one")}, "the passphrase does not open the key"},
		{"JCEKS whose key has its own", importInto + `named.p12 -deststoretype JCEKS; keytool -keypasswd -keystore out -storetype JCEKS -storepass "$PASS" -alias salesforce -keypass "$PASS" -new another-one`, open, "the key in it has a passphrase of its own"},
		{"JCEKS of two", importInto + "named.p12 -deststoretype JCEKS; " + importInto + "other.p12 -deststoretype JCEKS", key.Options{}, "several keys: set SF_JWT_KEY_ALIAS to one of other, salesforce"},
		{"JCEKS with a DSA key", `keytool -genkeypair -alias dsa -keyalg DSA -keysize 2048 -dname CN=dsa -keystore out -storetype JCEKS -storepass "$PASS"`, open, "this is no RSA key; Salesforce takes RSA keys only"},
		{"PKCS#12 with a DSA key", `keytool -genkeypair -alias dsa -keyalg DSA -keysize 2048 -dname CN=dsa -keystore out -storepass "$PASS"`, open, "this is no RSA key; Salesforce takes RSA keys only"},
		{"JKS with an EC key", `keytool -genkeypair -alias ec -keyalg EC -dname CN=ec -keystore out -storetype JKS -storepass "$PASS"`, open, "this is an EC key"},
		{"JCEKS with a secret key", importInto + `named.p12 -deststoretype JCEKS; keytool -genseckey -alias aaa -keyalg AES -keysize 128 -keystore out -storetype JCEKS -storepass "$PASS" -keypass "$PASS"`, open, "it holds the secret key aaa"},
		{"PKCS#12 of keytool, of two", importInto + "named.p12 -deststoretype PKCS12; " + importInto + "other.p12 -deststoretype PKCS12", key.Options{}, "several keys: set SF_JWT_KEY_ALIAS to one of "},
		{"PKCS#12 of keytool, of two and a certificate", importInto + "named.p12 -deststoretype PKCS12; " + importInto + `other.p12 -deststoretype PKCS12; keytool -noprompt -importcert -alias root -file other.crt -keystore out -storepass "$PASS"`, key.Options{Passphrase: []byte(passphrase), Alias: "other"}, "turn it into PEM"},
		{"PKCS#12 truststore", `keytool -noprompt -importcert -alias root -file other.crt -keystore out -storetype PKCS12 -storepass "$PASS"`, open, "holds no private key; its entries are certificates: CN=authority"},
		{"PKCS#12 truststore without a passphrase", `keytool -noprompt -importcert -alias root -file other.crt -keystore out -storetype PKCS12 -storepass "$PASS"`, key.Options{}, "SF_JWT_KEY_PASSPHRASE is not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, box.make(t, tt.script), tt.options, tt.want)
		})
	}
}
