//go:build pkcs11

package key_test

import (
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/pkcs11" // logs out behind the back of a key

	"github.com/sfproxy/sfproxy/key"
)

const (
	softHSM  = "/usr/lib/softhsm/libsofthsm2.so"
	tokenPIN = "123456"
)

// newToken makes a SoftHSM token "sfproxy" for the test and returns the folder
// of its objects. The tests that use one cannot run in parallel: the library
// takes its settings from the process.
func newToken(t *testing.T) string {
	t.Helper()
	need(t, "softhsm2-util", "pkcs11-tool", "openssl")
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", file(t, "softhsm2.conf", []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n")))
	tool(t, nil, "softhsm2-util", "--init-token", "--free", "--label", "sfproxy", "--pin", tokenPIN, "--so-pin", "87654321")
	return tokens
}

// importKey puts k into the token, with its public key, and its certificate if
// it has one.
func importKey(t *testing.T, k *key.Key, label, id string) {
	t.Helper()
	private, err := k.EncodePrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	tool(t, nil, "softhsm2-util", "--import", file(t, "server.key", private), "--token", "sfproxy", "--label", label, "--id", id, "--pin", tokenPIN)
	if len(k.Certificates) > 0 {
		pkcs11Tool(t, "--write-object", file(t, "server.der", k.Certificate().Raw), "--type", "cert", "--label", label, "--id", id)
	}
}

func pkcs11Tool(t *testing.T, args ...string) string {
	t.Helper()
	return tool(t, nil, "pkcs11-tool", append([]string{"--module", softHSM, "--token-label", "sfproxy", "--login", "--pin", tokenPIN}, args...)...)
}

// open opens a key of the token until the test ends.
func open(t *testing.T, attributes string) *key.Key {
	t.Helper()
	k, err := key.OpenPKCS11("pkcs11:"+attributes+"?module-path="+softHSM, tokenPIN)
	if err != nil {
		t.Fatalf("OpenPKCS11(%q) = %v", attributes, err)
	}
	t.Cleanup(func() {
		if err := k.Signer.(io.Closer).Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return k
}

func TestPKCS11Signs(t *testing.T) {
	newToken(t)
	kept, bare := generate(t), generate(t)
	bare.Certificates = nil
	importKey(t, kept, "the key", "01")
	importKey(t, bare, "bare", "a2ff")
	serial := regexp.MustCompile(`serial num\s*: (\S+)`).FindStringSubmatch(tool(t, nil, "pkcs11-tool", "--module", softHSM, "-L"))[1]
	for _, tt := range []struct {
		attributes     string
		key            *key.Key
		hasCertificate bool
	}{
		{"token=sfproxy;object=the%20key", kept, true},
		{"token=sfproxy;id=%01", kept, true},
		{"token=sfproxy;object=the%20key;id=%01;type=private", kept, true},
		{"serial=" + serial + ";model=SoftHSM%20v2;object=the%20key", kept, true},
		{"token=sfproxy;object=bare", bare, false},
		{"token=sfproxy;id=%a2%FF", bare, false},
	} {
		t.Run(tt.attributes, func(t *testing.T) {
			k := open(t, tt.attributes)
			wantSignature(t, k, tt.key.Public(), "text")
			if got := k.Certificate() != nil; got != tt.hasCertificate || k.Fingerprint() != tt.key.Fingerprint() {
				t.Errorf("certificate: %v, key %s; want %v, %s", got, k.Fingerprint(), tt.hasCertificate, tt.key.Fingerprint())
			}
		})
	}
}

func TestPKCS11PrintsNoPIN(t *testing.T) {
	newToken(t)
	importKey(t, generate(t), "key", "01")
	k := open(t, "token=sfproxy;object=key")
	for _, value := range []any{k, *k, k.Signer, struct{ signer any }{k.Signer}} {
		if text := printed(value); strings.Contains(text, tokenPIN) || strings.Contains(text, hex.EncodeToString([]byte(tokenPIN))) {
			t.Errorf("a %T prints as %s", value, text)
		}
	}
}

func TestPKCS11SignsConcurrently(t *testing.T) {
	newToken(t)
	kept := generate(t)
	importKey(t, kept, "key", "01")
	k := open(t, "token=sfproxy;object=key")
	signAtOnce(t, k, kept, 200)
}

func signAtOnce(t *testing.T, k, kept *key.Key, n int) {
	t.Helper()
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { wantSignature(t, k, kept.Public(), fmt.Sprint(i)) })
	}
	calls.Wait()
}

// logout ends all logins of the process at the token, as a restart of a
// hardware module does.
func logout(t *testing.T) {
	t.Helper()
	module := pkcs11.New(softHSM)
	defer module.Destroy()
	slots, err := module.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if err := module.CloseAllSessions(slot); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPKCS11LogsInAgain(t *testing.T) {
	newToken(t)
	kept := generate(t)
	importKey(t, kept, "key", "01")
	k := open(t, "token=sfproxy;object=key")
	for range 3 {
		logout(t)
		signAtOnce(t, k, kept, 20)
	}
}

func TestPKCS11TokenComesBack(t *testing.T) {
	tokens := newToken(t)
	kept := generate(t)
	importKey(t, kept, "key", "01")
	k := open(t, "token=sfproxy;object=key")

	if err := os.Rename(tokens, tokens+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	logout(t)
	for range 2 {
		if _, err := signText(k, "text"); err == nil || !strings.Contains(err.Error(), `has no token "sfproxy"`) {
			t.Errorf("Sign without a token = %v, want its name", err)
		}
	}
	if err := os.Remove(tokens); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tokens+"-away", tokens); err != nil {
		t.Fatal(err)
	}
	wantSignature(t, k, kept.Public(), "text")
}

func TestPKCS11AnotherKeyComesBack(t *testing.T) {
	newToken(t)
	importKey(t, generate(t), "key", "01")
	k := open(t, "token=sfproxy;object=key")
	pkcs11Tool(t, "--delete-object", "--type", "privkey", "--label", "key")
	pkcs11Tool(t, "--delete-object", "--type", "pubkey", "--label", "key")
	importKey(t, generate(t), "key", "02")
	logout(t)
	for range 2 {
		if _, err := signText(k, "text"); err == nil || !strings.Contains(err.Error(), "another key") {
			t.Errorf("Sign = %v, want a refusal of the new key", err)
		}
	}
}

// A token may lock itself after a few wrong PINs, so that a changed one is tried
// once and no more.
func TestPKCS11PINChanges(t *testing.T) {
	newToken(t)
	importKey(t, generate(t), "key", "01")
	k := open(t, "token=sfproxy;object=key")
	pkcs11Tool(t, "--change-pin", "--new-pin", "654321")
	logout(t)
	if _, err := signText(k, "text"); err == nil || !strings.Contains(err.Error(), "the PIN (SF_JWT_KEY_PASSPHRASE) is not that of") {
		t.Fatalf("Sign with a PIN of the past = %v, want its refusal", err)
	}
	tool(t, nil, "pkcs11-tool", "--module", softHSM, "--token-label", "sfproxy", "--login", "--pin", "654321", "--change-pin", "--new-pin", tokenPIN)
	if _, err := signText(k, "text"); err == nil || !strings.Contains(err.Error(), "restart sfproxy with the right one") {
		t.Errorf("Sign after the refusal = %v, want the same without another try", err)
	}
}

func TestPKCS11Refuses(t *testing.T) {
	newToken(t)
	for i, label := range []string{"key", "twin", "twin"} {
		k := generate(t)
		k.Certificates = nil
		importKey(t, k, label, fmt.Sprintf("0%d", i))
	}
	pkcs11Tool(t, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "elliptic", "--id", "0a")
	lone, err := generate(t).EncodePrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(lone)
	pkcs11Tool(t, "--write-object", file(t, "lone.der", block.Bytes), "--type", "privkey", "--label", "lone", "--id", "0b")
	text := file(t, "library.so", []byte("no library"))
	const module = "?module-path=" + softHSM
	for _, tt := range []struct {
		uri, pin, want string
	}{
		{"pkcs11:token=sfproxy;object=key" + module, "654321", `the PIN (SF_JWT_KEY_PASSPHRASE) is not that of token "sfproxy"`},
		{"pkcs11:token=sfproxy;object=key" + module, "1", `is not that of token "sfproxy"`},
		{"pkcs11:token=sfproxy;object=key" + module, "", "before they have the PIN (SF_JWT_KEY_PASSPHRASE)"},
		{"pkcs11:token=other;object=key" + module, tokenPIN, `has no token "other"`},
		{"pkcs11:serial=12;object=key" + module, tokenPIN, `has no token with the serial number "12"`},
		{"pkcs11:token=sfproxy;object=none" + module, tokenPIN, `token "sfproxy" has no private key with object "none"`},
		{"pkcs11:token=sfproxy;object=key;id=%09" + module, tokenPIN, `no private key with object "key" and id 09`},
		{"pkcs11:token=sfproxy;object=twin" + module, tokenPIN, `has 2 private keys with object "twin"; add the id`},
		{"pkcs11:token=sfproxy;object=lone" + module, tokenPIN, "public key or certificate beside it"},
		{"pkcs11:token=sfproxy;object=elliptic" + module, tokenPIN, `object "elliptic": its key is no RSA key`},
		{"pkcs11:token=sfproxy;object=key?module-path=/nowhere/lib.so", tokenPIN, "module-path: stat /nowhere/lib.so: no such file"},
		{"pkcs11:token=sfproxy;object=key?module-path=" + text, tokenPIN, "is no PKCS #11 library for this machine"},
		{"pkcs11:token=sfproxy;object=key", tokenPIN, "lacks its module-path"},
		{"pkcs11:object=key" + module, tokenPIN, "names no token"},
		{"pkcs11:token=sfproxy" + module, tokenPIN, "names no key"},
		{"token=sfproxy;object=key" + module, tokenPIN, `begins with "pkcs11:"`},
		{"pkcs11:token=sfproxy;object=key;type=cert" + module, tokenPIN, "a private key is wanted"},
		{"pkcs11:token=sfproxy;object=key;colour=red" + module, tokenPIN, `attribute "colour"`},
		{"pkcs11:token=sf%proxy;object=key" + module, tokenPIN, `attribute "token"`},
		{"pkcs11:token=sfproxy;object=key" + module + "&pin-value=" + tokenPIN, "", "the PIN does not belong in the PKCS #11 URI"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			_, err := key.OpenPKCS11(tt.uri, tt.pin)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("OpenPKCS11(%q) = %v, want %q in it", tt.uri, err, tt.want)
			}
			if strings.Contains(err.Error(), tokenPIN) {
				t.Errorf("OpenPKCS11(%q) = %v, which holds the PIN", tt.uri, err)
			}
		})
	}
}
