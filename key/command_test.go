package key_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/sfproxy/sfproxy/key"
)

// signer returns a signer command: the shell with a script that has $KEY, the
// file of k's private key.
func signer(t *testing.T, k *key.Key, script string) string {
	t.Helper()
	need(t, "sh", "openssl")
	dir := t.TempDir()
	private, err := k.EncodePrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	path, keyFile := filepath.Join(dir, "sign.sh"), filepath.Join(dir, "server.key")
	for name, content := range map[string]string{path: "KEY=" + keyFile + "\n" + script + "\n", keyFile: string(private)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "sh " + path
}

// command returns the key of a signer command.
func command(t *testing.T, line string, certificate *x509.Certificate) *key.Key {
	t.Helper()
	k, err := key.NewCommand(line, certificate)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signText signs a text with k.
func signText(k *key.Key, text string) ([]byte, error) {
	digest := sha256.Sum256([]byte(text))
	return k.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// wantSignature checks that k signs text as public verifies it.
func wantSignature(t *testing.T, k *key.Key, public crypto.PublicKey, text string) {
	t.Helper()
	signature, err := signText(k, text)
	if err != nil {
		t.Errorf("Sign = %v, want a signature", err)
		return
	}
	digest := sha256.Sum256([]byte(text))
	if err := rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("the signature of %q does not verify: %v", text, err)
	}
}

// signOpenSSL is a signer as the openssl command line has it.
const signOpenSSL = `openssl pkeyutl -sign -inkey "$KEY" -pkeyopt digest:sha256`

func TestCommandSigns(t *testing.T) {
	t.Parallel()
	k := generate(t)
	for name, script := range map[string]string{
		"bytes":                 signOpenSSL,
		"base64":                signOpenSSL + " | openssl base64 -A",
		"base64 in lines":       signOpenSSL + " | openssl base64",
		"base64 of URLs":        signOpenSSL + " | openssl base64 -A | tr +/ -_ | tr -d =",
		"Vault's":               `echo "vault:v12:$(` + signOpenSSL + ` | openssl base64 -A)"`,
		"warnings beside it":    "echo careful >&2; " + signOpenSSL,
		"arguments, no shell":   `[ "$1" = '"a' ] && [ "$2" = 'b"' ] && [ "$3" = '$HOME' ] && ` + signOpenSSL,
		"digest of 32 bytes":    `cat >"$KEY.in" && [ $(wc -c <"$KEY.in") = 32 ] && ` + signOpenSSL + ` -in "$KEY.in"`,
		"sfproxy's environment": `[ "$PATH" ] && ` + signOpenSSL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := signer(t, k, script) + `  "a b"   $HOME `
			wantSignature(t, command(t, line, k.Certificate()), k.Public(), name)
			wantSignature(t, command(t, line, nil), k.Public(), name)
		})
	}
}

func TestCommandIsAKey(t *testing.T) {
	k := generate(t)
	line := signer(t, k, signOpenSSL)
	known := command(t, line, k.Certificate())
	if known.Fingerprint() != k.Fingerprint() || known.Certificate() == nil {
		t.Errorf("fingerprint = %q, certificate = %v; want those of the key", known.Fingerprint(), known.Certificate())
	}
	unknown := command(t, line, nil)
	if unknown.Public() != nil || unknown.Fingerprint() != "" || unknown.Certificate() != nil {
		t.Errorf("public key = %v, fingerprint %q; want none without a certificate", unknown.Public(), unknown.Fingerprint())
	}
	if _, err := known.EncodePrivate(nil); err == nil || !strings.Contains(err.Error(), "cannot leave its keeper") {
		t.Errorf("EncodePrivate = %v, want a refusal", err)
	}
}

// The arguments may hold a secret.
func TestCommandPrintsNoArguments(t *testing.T) {
	need(t, "sh")
	k := command(t, "sh -c planted-secret", nil)
	for _, value := range []any{k, *k, k.Signer, []any{k.Signer}, struct{ signer any }{k.Signer}} {
		if text := printed(value); strings.Contains(text, "planted") || strings.Contains(text, hex.EncodeToString([]byte("planted"))) {
			t.Errorf("a %T prints as %s", value, text)
		}
	}
}

// TestCommandLeavesNothingBehind has scripts whose children would live on: the
// end of the last is when the pipe that they inherit is closed.
func TestCommandLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	need(t, "mkfifo")
	for name, script := range map[string]string{
		"hangs":     "sleep 60; true",
		"hands off": signOpenSSL + "; sleep 60 &",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "pipe")
			tool(t, nil, "mkfifo", pipe)
			closed := make(chan error, 1)
			go func() {
				_, err := os.ReadFile(pipe)
				closed <- err
			}()
			c := command(t, signer(t, generate(t), "exec 3>"+pipe+"\n"+script), nil)
			if _, err := signText(c, "text"); err == nil {
				t.Fatal("Sign = nil, want a failure")
			}
			select {
			case err := <-closed:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(10 * time.Second):
				t.Error("a child of the command lives on")
			}
		})
	}
}

func TestCommandSignsConcurrently(t *testing.T) {
	t.Parallel()
	k := generate(t)
	c := command(t, signer(t, k, signOpenSSL), k.Certificate())
	var calls sync.WaitGroup
	for i := range 40 {
		calls.Go(func() { wantSignature(t, c, k.Public(), strings.Repeat("x", i)) })
	}
	calls.Wait()
}

func TestCommandFails(t *testing.T) {
	t.Parallel()
	k, other := generate(t), generate(t)
	for _, tt := range []struct {
		name   string
		keeper *key.Key
		script string
		want   string
	}{
		{"failure", k, "echo 'permission denied: key \t\033[31m7' >&2; echo more >&2; exit 3", "signer command sh: exit status 3: permission denied: key [31m7"},
		{"failure without a word", k, "exit 1", "signer command sh: exit status 1"},
		{"failure with many words", k, "yes complaint | tr -d '\\n' | head -c 100000 >&2; exit 2", "exit status 2: complaintcomplaint"},
		{"signal", k, "kill -9 $$", "signal: killed"},
		{"another key", other, signOpenSSL, "does not fit the certificate: it signs with another key"},
		{"digest hashed again", k, `openssl dgst -sha256 -sign "$KEY"`, "does not fit the certificate"},
		{"PSS", k, signOpenSSL + " -pkeyopt rsa_padding_mode:pss", "does not fit the certificate"},
		{"nothing", k, "cat >/dev/null", "it printed 0 bytes"},
		{"no signature", k, "echo your token has expired, log in again", "bytes, and a signature by the certificate's key has 256"},
		{"too much", k, "yes | head -c 1000000", "it printed more than 16384 bytes"},
		{"child left behind", k, signOpenSSL + "; sleep 12 &", "left a process behind"},
		{"no end", k, "echo waiting for a card >&2; exec sleep 60", "it gave no signature within 10s: waiting for a card"},
		{"no end of a child", k, "sleep 15; true", "it gave no signature within 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := command(t, signer(t, tt.keeper, tt.script)+" --token planted-secret", k.Certificate())
			start := time.Now()
			_, err := signText(c, "text")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Sign = %v, want %q in it", err, tt.want)
			}
			if text := err.Error(); len(text) > 400 || strings.Contains(text, "planted") || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("Sign = %q, want a short line without the arguments", text)
			}
			if took := time.Since(start); took > 14*time.Second {
				t.Errorf("Sign took %v", took)
			}
		})
	}
}

// Without a certificate nothing but the length tells a signature.
func TestCommandFailsWithoutCertificate(t *testing.T) {
	t.Parallel()
	c := command(t, signer(t, generate(t), "echo c2hvcnQ="), nil)
	if _, err := signText(c, "text"); err == nil || !strings.Contains(err.Error(), "it printed 5 bytes, which is no RSA signature of 2048 bits or more") {
		t.Errorf("Sign = %v, want the length of what was printed", err)
	}
}

func TestCommandSignsNothingElse(t *testing.T) {
	k := generate(t)
	c := command(t, signer(t, k, signOpenSSL), k.Certificate())
	for name, opts := range map[string]crypto.SignerOpts{"SHA-1": crypto.SHA1, "SHA-512": crypto.SHA512, "none": crypto.Hash(0), "PSS": &rsa.PSSOptions{Hash: crypto.SHA256}} {
		if _, err := c.Sign(rand.Reader, make([]byte, 32), opts); err == nil || !strings.Contains(err.Error(), "only SHA-256") {
			t.Errorf("Sign with %s = %v, want a refusal", name, err)
		}
	}
	if _, err := c.Sign(rand.Reader, make([]byte, 31), crypto.SHA256); err == nil {
		t.Error("Sign takes a digest of 31 bytes")
	}
}

func TestNewCommandRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                        "is empty",
		"  ":                      "is empty",
		"/nowhere/sign --key x":   "no such file",
		"no-such-program-nowhere": "executable file not found",
		file(t, "sign.sh", nil):   "permission denied",
	} {
		if _, err := key.NewCommand(line, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewCommand(%q) = %v, want %q in it", line, err, want)
		}
	}
	small, err := key.Generate(key.Template{CommonName: "x", Bits: 1024, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.NewCommand("true", small.Certificate()); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("NewCommand with the certificate of a small key = %v, want a refusal", err)
	}
}
