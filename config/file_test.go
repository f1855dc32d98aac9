package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
)

// writeCertificate returns the path of a PEM certificate.
func writeCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

func TestParseReadsSecretFiles(t *testing.T) {
	passphrase := func(cfg *config.Config) config.Secret { return cfg.Salesforce.KeyPassphrase }
	key := func(cfg *config.Config) config.Secret { return cfg.Salesforce.Key }
	apiKey := func(cfg *config.Config) config.Secret { return cfg.Clients[0].APIKey }
	password := func(cfg *config.Config) config.Secret { return cfg.Clients[0].Password }
	for _, tt := range []struct {
		name, variable, content, want string
		secret                        func(*config.Config) config.Secret
	}{
		{"newline", "SF_JWT_KEY_PASSPHRASE", "a b \n", "a b ", passphrase},
		{"newline of Windows", "SF_JWT_KEY_PASSPHRASE", "a b\r\n", "a b", passphrase},
		{"one newline of two", "SF_JWT_KEY_PASSPHRASE", "a b\n\n", "a b\n", passphrase},
		{"no newline", "SF_JWT_KEY_PASSPHRASE", "a b", "a b", passphrase},
		{"key as it is", "SF_JWT_KEY", keyText, keyText, key},
		{"binary key", "SF_JWT_KEY", "\xfe\xed\xfe\xed\x00\n", "\xfe\xed\xfe\xed\x00\n", key},
		{"API key", "PROXY_CLIENT_0_API_KEY", "0123456789abcdef\n", "0123456789abcdef", apiKey},
		{"password", "PROXY_CLIENT_0_PASSWORD", "p w\n", "p w", password},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := vars{tt.variable: "", tt.variable + "_FILE": write(t, "content", tt.content)}
			if strings.HasPrefix(tt.variable, "PROXY_") {
				v["PROXY_CLIENT_0_NAME"], v["PROXY_CLIENT_0_USERNAME"], v["PROXY_CLIENT_0_PASSWORD"] = "a", "a@example.com", "p"
				if tt.variable == "PROXY_CLIENT_0_PASSWORD" {
					delete(v, "PROXY_CLIENT_0_PASSWORD")
				}
			}
			cfg := parse(t, v)
			if got := string(tt.secret(cfg).Reveal()); got != tt.want || len(cfg.Warnings) > 0 {
				t.Errorf("secret = %q with warnings %q, want %q with none", got, cfg.Warnings, tt.want)
			}
		})
	}
}

func TestParseRefusesFiles(t *testing.T) {
	dir := t.TempDir()
	empty, newline, large := write(t, "empty", ""), write(t, "newline", "\n"), write(t, "large", strings.Repeat("x", 1<<20+1))
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	cert, key := writeCertificate(t), write(t, "tls.key", keyText)
	keyFile := func(path string) vars { return vars{"SF_JWT_KEY": "", "SF_JWT_KEY_FILE": path} }
	runRefusals(t, []refusal{
		{"missing", keyFile(dir + "/no-such"), []string{"SF_JWT_KEY_FILE: ", dir + "/no-such", "does not exist"}},
		{"missing in the working directory", keyFile("no-such.pem"), []string{`SF_JWT_KEY_FILE: "no-such.pem" does not exist`}},
		{"missing here", keyFile("./no-such"), []string{`SF_JWT_KEY_FILE: "./no-such" does not exist`}},
		{"tilde", keyFile("~/no-such"), []string{`SF_JWT_KEY_FILE: "~/no-such" does not exist`, "shell"}},
		{"directory", keyFile(dir), []string{"SF_JWT_KEY_FILE: ", dir, "is a directory (Docker"}},
		{"empty", keyFile(empty), []string{"SF_JWT_KEY_FILE: ", empty, "is empty"}},
		{"too large", keyFile(large), []string{"SF_JWT_KEY_FILE: ", large, "larger than 1048576 bytes"}},
		{"not to be opened", keyFile(loop), []string{"SF_JWT_KEY_FILE: ", loop, "cannot be read"}},
		{"in quotes", keyFile(`"` + key + `"`), []string{"SF_JWT_KEY_FILE: has quotes"}},
		{"newline alone", vars{"SF_JWT_KEY_PASSPHRASE_FILE": newline}, []string{"SF_JWT_KEY_PASSPHRASE_FILE: ", newline, "is empty"}},
		{"of a client", vars{"PROXY_CLIENT_0_NAME": "a", "PROXY_CLIENT_0_API_KEY_FILE": empty}, []string{"PROXY_CLIENT_0_API_KEY_FILE: ", empty, "is empty"}},

		{"key twice", vars{"SF_JWT_KEY_FILE": key}, []string{"SF_JWT_KEY: is set, and so is SF_JWT_KEY_FILE"}},
		{"passphrase twice", vars{"SF_JWT_KEY_PASSPHRASE": "p", "SF_JWT_KEY_PASSPHRASE_FILE": key}, []string{"SF_JWT_KEY_PASSPHRASE: is set, and so is"}},
		{"API key twice", vars{"PROXY_CLIENT_0_NAME": "a", "PROXY_CLIENT_0_API_KEY": "0123456789abcdef", "PROXY_CLIENT_0_API_KEY_FILE": key},
			[]string{"PROXY_CLIENT_0_API_KEY: is set, and so is"}},
		{"no key", vars{"SF_JWT_KEY": ""}, []string{"SF_JWT_KEY_FILE: is required", "SF_JWT_KEY"}},
		{"key in the place of its path", keyFile(keyText), []string{"SF_JWT_KEY_FILE: ", "set SF_JWT_KEY to it instead"}},
		{"path in the place of a key", vars{"SF_JWT_KEY": key}, []string{"SF_JWT_KEY: ", "set SF_JWT_KEY_FILE to it instead"}},
		{"missing path in the place of a key", vars{"SF_JWT_KEY": "server.pem"}, []string{"SF_JWT_KEY: ", "set SF_JWT_KEY_FILE to it instead"}},

		{"CA is missing", vars{"SF_CA_FILE": dir + "/ca"}, []string{"SF_CA_FILE: ", "does not exist"}},
		{"CA holds a key", vars{"SF_CA_FILE": key}, []string{"SF_CA_FILE: ", key, "holds no PEM certificate"}},
		{"CA holds no certificate in its PEM", vars{"SF_CA_FILE": write(t, "ca.crt", "-----BEGIN X-----\nAAAA\n-----END X-----\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
			[]string{"SF_CA_FILE: ", "holds no PEM certificate"}},
		{"text in the place of the certificate's path", vars{"SF_JWT_CERT_FILE": keyText}, []string{"SF_JWT_CERT_FILE: holds a text, not the path"}},
		{"text in the place of a path", vars{"SF_CA_FILE": "-----BEGIN CERTIFICATE-----\nAAAA\n"}, []string{"SF_CA_FILE: holds a text, not the path"}},
		{"certificate alone", vars{"PROXY_TLS_CERT_FILE": cert}, []string{"PROXY_TLS_KEY_FILE: is required with PROXY_TLS_CERT_FILE"}},
		{"key alone", vars{"PROXY_TLS_KEY_FILE": key}, []string{"PROXY_TLS_CERT_FILE: is required with PROXY_TLS_KEY_FILE"}},
		{"client CA alone", vars{"PROXY_TLS_CLIENT_CA_FILE": cert}, []string{"PROXY_TLS_CLIENT_CA_FILE: needs PROXY_TLS_CERT_FILE"}},
		{"certificate is missing", vars{"PROXY_TLS_CERT_FILE": dir + "/x", "PROXY_TLS_KEY_FILE": key}, []string{"PROXY_TLS_CERT_FILE: ", "does not exist"}},
		{"TLS key is missing", vars{"PROXY_TLS_CERT_FILE": cert, "PROXY_TLS_KEY_FILE": dir + "/x"}, []string{"PROXY_TLS_KEY_FILE: ", "does not exist"}},
		{"client CA is missing", vars{"PROXY_TLS_CERT_FILE": cert, "PROXY_TLS_KEY_FILE": key, "PROXY_TLS_CLIENT_CA_FILE": dir + "/x"},
			[]string{"PROXY_TLS_CLIENT_CA_FILE: ", "does not exist"}},
	})
}

func TestParseAwaitsNextKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "next.key")
	cfg := parse(t, vars{"SF_JWT_KEY_FILE_NEXT": path})
	if len(cfg.Warnings) > 0 || !slices.Contains(cfg.Files, path) {
		t.Errorf("warnings %q and files %q, want no warning and %s among the files", cfg.Warnings, cfg.Files, path)
	}
	cfg = parse(t, vars{"SF_JWT_KEY_FILE_NEXT": path + "/next.key"})
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "directory") {
		t.Errorf("warnings %q, want one that the directory does not exist", cfg.Warnings)
	}
}

// The key is good without its companions, whatever is wrong with them.
func TestParseTakesFaultyCompanionsForNone(t *testing.T) {
	empty, missing := write(t, "empty", ""), filepath.Join(t.TempDir(), "x")
	for path, want := range map[string]string{empty: "is empty", missing: "does not exist", filepath.Dir(empty): "it is a directory"} {
		sf := parse(t, vars{"SF_JWT_KEY_FILE_NEXT": path, "SF_JWT_CERT_FILE": path}).Salesforce
		if !sf.NextKey.IsZero() || sf.Certificate != nil {
			t.Errorf("next key and certificate of %s = %v, %q, want none", path, sf.NextKey, sf.Certificate)
		}
		if err := sf.CertificateFault; err == nil || !strings.HasPrefix(err.Error(), "SF_JWT_CERT_FILE: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("fault of the certificate = %v, want one with %q", err, want)
		}
		err := sf.NextKeyFault
		if path == missing {
			if err != nil {
				t.Errorf("fault of a next key that is awaited = %v, want none", err)
			}
		} else if err == nil || !strings.HasPrefix(err.Error(), "SF_JWT_KEY_FILE_NEXT: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("fault of the next key = %v, want one with %q", err, want)
		}
	}
}

func TestParseTakesKeepersOfKey(t *testing.T) {
	for name, value := range map[string]string{"SF_JWT_SIGNER_COMMAND": "/bin/sign --key a", "SF_JWT_PKCS11_URI": "pkcs11:token=a;object=b"} {
		sf := parse(t, vars{"SF_JWT_KEY": "", name: value}).Salesforce
		if sf.KeySource != name || !sf.Key.IsZero() || sf.SignerCommand+sf.PKCS11URI != value {
			t.Errorf("%s: Parse = %+v, want no key, from %s", name, sf, name)
		}
	}
}

func TestParseRefusesUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := write(t, "sf.key", keyText)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if got := faults(t, vars{"SF_JWT_KEY": "", "SF_JWT_KEY_FILE": path}); !strings.Contains(got, path) || !strings.Contains(got, "may not be read by") {
		t.Errorf("faults = %q, want that %s may not be read", got, path)
	}
}

func TestParseTakesLargestFile(t *testing.T) {
	cfg := parse(t, vars{"SF_JWT_KEY": "", "SF_JWT_KEY_FILE": write(t, "k", strings.Repeat("x", 1<<20))})
	if got := len(cfg.Salesforce.Key.Reveal()); got != 1<<20 {
		t.Errorf("key has %d bytes, want %d", got, 1<<20)
	}
}

func TestParseTakesTheTextOfKeystoreForNoPath(t *testing.T) {
	text := "/u3+7Q" + strings.Repeat("AAAA", 200) // base64 of a Java keystore
	if got := parse(t, vars{"SF_JWT_KEY": text}).Salesforce.Key.Reveal(); string(got) != text {
		t.Errorf("key = %q, want %q", got, text)
	}
}

func TestParseWarnsOfWideOpenKeys(t *testing.T) {
	sf, tls, cert := write(t, "sf.key", keyText), write(t, "tls.key", keyText), writeCertificate(t)
	for _, path := range []string{sf, tls, cert} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := parse(t, vars{"SF_JWT_KEY": "", "SF_JWT_KEY_FILE": sf, "PROXY_TLS_KEY_FILE": tls, "PROXY_TLS_CERT_FILE": cert}).Warnings
	if len(got) != 2 || !strings.HasPrefix(got[0], "SF_JWT_KEY_FILE: ") || !strings.Contains(got[0], sf) || !strings.HasPrefix(got[1], "PROXY_TLS_KEY_FILE: ") {
		t.Errorf("Warnings = %q, want one for each key", got)
	}
}
