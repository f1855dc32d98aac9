package key_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/key"
	"github.com/youmark/pkcs8" // writes the encrypted keys that tests without openssl read
)

// rsaKey is the key that tests without openssl read.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
})

const passphrase = "correct horse"

func encode(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}

func pkcs1PEM() []byte { return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())) }

func pkcs8PEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PRIVATE KEY", der)
}

// encryptedPEM is rsaKey as OpenSSL 3 encrypts it.
var encryptedPEM = sync.OnceValue(func() []byte {
	der, err := pkcs8.MarshalPrivateKey(rsaKey(), []byte(passphrase), nil)
	if err != nil {
		panic(err)
	}
	return encode("ENCRYPTED PRIVATE KEY", der)
})

// legacyPEM is rsaKey as OpenSSL 1 encrypts it.
var legacyPEM = sync.OnceValue(func() []byte {
	//lint:ignore SA1019 what OpenSSL 1 wrote is what is tested
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey()), []byte(passphrase), x509.PEMCipher3DES)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(block)
})

func newCertificate(t testing.TB, private *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func certificatePEM(t testing.TB) []byte {
	t.Helper()
	return encode("CERTIFICATE", newCertificate(t, rsaKey()).Raw)
}

// wantKey checks that Parse reads text as rsaKey and that the key signs.
func wantKey(t *testing.T, text []byte, passphrase string) *key.Key {
	t.Helper()
	k, err := key.Parse(text, key.Options{Passphrase: []byte(passphrase)})
	if err != nil {
		t.Fatalf("Parse = %v, want the key", err)
	}
	digest := sha256.Sum256([]byte("x"))
	signature, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil {
		err = rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest[:], signature)
	}
	if err != nil {
		t.Errorf("Sign = %v, want a good signature by the same key", err)
	}
	return k
}

func join(texts ...[]byte) []byte { return bytes.Join(texts, nil) }

func replace(text []byte, old, new string) []byte {
	return bytes.ReplaceAll(text, []byte(old), []byte(new))
}

func TestParseReads(t *testing.T) {
	plain, encrypted, legacy, cert := pkcs8PEM(t, rsaKey()), encryptedPEM(), legacyPEM(), certificatePEM(t)
	if !bytes.Contains(legacy, []byte("Proc-Type: 4,ENCRYPTED")) {
		t.Fatalf("the legacy key is %s, want Proc-Type in it", legacy)
	}
	for _, tt := range []struct {
		name, passphrase string
		text             []byte
	}{
		{"PKCS#1", "", pkcs1PEM()},
		{"PKCS#8", "", plain},
		{"PKCS#8 with a passphrase to spare", passphrase, plain},
		{"PKCS#8 encrypted", passphrase, encrypted},
		{"PKCS#1 encrypted", passphrase, legacy},
		{"CRLF", "", replace(plain, "\n", "\r\n")},
		{"CRLF encrypted", passphrase, replace(legacy, "\n", "\r\n")},
		{"written \\n", "", replace(plain, "\n", `\n`)},
		{"written \\n encrypted", passphrase, replace(legacy, "\n", `\n`)},
		{"written \\r\\n", "", replace(plain, "\n", `\r\n`)},
		{"in quotes", "", []byte(`"` + string(replace(plain, "\n", `\n`)) + `"`)},
		{"no line break at the end", "", bytes.TrimSpace(plain)},
		{"white space around", "", []byte(" \n\t" + string(plain) + "\n\n ")},
		{"byte order mark", "", []byte("\ufeff" + string(plain))},
		{"base64", "", []byte(base64.StdEncoding.EncodeToString(plain))},
		{"base64 of PKCS#1 encrypted", passphrase, []byte(base64.StdEncoding.EncodeToString(legacy))},
		{"base64 in lines", "", []byte(lines(base64.StdEncoding.EncodeToString(plain)))},
		{"base64 with spaces", "", []byte(strings.ReplaceAll(lines(base64.StdEncoding.EncodeToString(plain)), "\n", " "))},
		{"certificate first", "", join(cert, plain)},
		{"certificate after", "", join(plain, cert)},
		{"PKCS#8 called PKCS#1", "", replace(plain, "PRIVATE KEY", "RSA PRIVATE KEY")},
		{"text around", "", join([]byte("Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n"), plain, []byte("Bag Attributes\n"), cert)},
	} {
		t.Run(tt.name, func(t *testing.T) { wantKey(t, tt.text, tt.passphrase) })
	}
}

// lines breaks text as base64(1) does.
func lines(text string) string {
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return b.String() + text + "\n"
}

func TestParseRefuses(t *testing.T) {
	plain, encrypted, legacy, cert := pkcs8PEM(t, rsaKey()), encryptedPEM(), legacyPEM(), certificatePEM(t)
	for _, tt := range []struct {
		name, passphrase string
		content          []byte
		want             string // in the error
	}{
		{"PKCS#8 encrypted without a passphrase", "", encrypted, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#1 encrypted without a passphrase", "", legacy, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#8 encrypted, wrong passphrase", "wrong", encrypted, "passphrase does not open"},
		{"PKCS#1 encrypted, wrong passphrase", "wrong", legacy, "passphrase does not open"},
		{"PKCS#1 encrypted, wrong passphrase that goes unnoticed", unnoticed(t), legacy, "passphrase does not open"},
		{"PKCS#1 encrypted, damaged header", passphrase, replace(legacy, "DEK-Info: DES-EDE3-CBC", "DEK-Info: ROT13"), "cannot be read: x509: unknown encryption mode"},
		{"two certificates", "", join(cert, cert), "this is a certificate"},
		{"another block", "", encode("WINE LIST", []byte("x")), `type "WINE LIST"`},
		{"DER of nothing", "", encode("PRIVATE KEY", []byte("nothing")), "the private key is damaged"},
		{"truncated PEM", "", plain[:len(plain)/2], "cut short"},
		{"truncated PEM, encrypted", passphrase, encrypted[:len(encrypted)/2], "cut short"},
		{"certificate and truncated PEM", "", join(cert, plain[:len(plain)/2]), "cut short"},
		{"truncated certificate", "", cert[:len(cert)/2], "cut short"},
		{"one line", "", replace(plain, "\n", " "), "line breaks are lost"},
		{"truncated in PEM", "", truncated(plain), "the private key is damaged"},
		{"truncated in PEM, encrypted", passphrase, truncated(encrypted), "the private key is damaged"},
		{"truncated DER", "", truncatedDER(plain), "damaged or cut short DER"},
		{"PuTTY", "", []byte("PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n"), "this is a PuTTY key"},
		{"PGP", "", []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBG\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n"), "this is a PGP key"},
		{"PGP, binary", "", []byte("\x95\x03\x98\x04\x68\xff"), "this is a PGP key"},
		{"SSH2, private", "", []byte("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56w==\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n"), "this is an SSH2 key"},
		{"JSON Web Key", "", []byte(`{"kty":"RSA","n":"AQAB"}`), "this is a JSON Web Key"},
		{"Bouncy Castle", "", []byte("\x00\x00\x00\x02\x00\x00\x00\x14\xf0\x9f"), "(BKS)"},
		{"UTF-16", "", []byte("\xff\xfe-\x00-\x00-\x00"), "text in UTF-16"},
		{"BER", "", []byte("\x30\x80\x02\x01\x03\x00\x00"), "in BER"},
		{"keystore of nothing", "", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x00" + strings.Repeat("x", 20)), "it is empty"},
		{"keystore without its digest", "", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x00"), "damaged or cut short"},
		{"truncated keystore", "", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01"), "this is a JKS keystore, but it is damaged or cut short"},
		{"keystore of version 1", "", []byte("\xce\xce\xce\xce\x00\x00\x00\x01"), "this is a JCEKS keystore, but of version 1"},
		{"a path", "", []byte("/run/secrets/sf.pem"), "not a private key in PEM form"},
		{"a name that is base64", "", []byte("serverkey123"), "not a private key in PEM form"},
		{"garbage", "", []byte("\x00\x01\x02"), "not a private key in PEM form"},
		{"base64 of garbage", "", []byte("AAAA"), "not a private key in PEM form"},
		{"empty", "", nil, "not a private key in PEM form"},
		{"quote", "", []byte(`"`), "not a private key in PEM form"},
		{"too long", "", bytes.Repeat(plain, 1<<20/len(plain)+1), "larger than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusal(t, tt.content, key.Options{Passphrase: []byte(tt.passphrase)}, tt.want)
		})
	}
}

// unnoticed returns a wrong passphrase for legacyPEM that happens to leave valid
// padding, as one in 256 does.
func unnoticed(t *testing.T) string {
	t.Helper()
	block, _ := pem.Decode(legacyPEM())
	for i := range 10_000 {
		wrong := fmt.Sprintf("wrong-%d", i)
		//lint:ignore SA1019 what OpenSSL 1 wrote is what is tested
		if _, err := x509.DecryptPEMBlock(block, []byte(wrong)); err == nil {
			return wrong
		}
	}
	t.Fatal("no wrong passphrase goes unnoticed")
	return ""
}

// truncated returns PEM of the first half of text's DER.
func truncated(text []byte) []byte {
	block, _ := pem.Decode(text)
	return encode(block.Type, truncatedDER(text))
}

// truncatedDER returns the first half of text's DER.
func truncatedDER(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes[:len(block.Bytes)/2]
}

// wantRefusal checks that Parse refuses content with an error that holds want,
// and nothing of content.
func wantRefusal(t *testing.T, content []byte, options key.Options, want string) {
	t.Helper()
	k, err := key.Parse(content, options)
	if err == nil || k != nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("Parse = %v, %v, want an error with %q", k, err, want)
	}
	if p := string(options.Passphrase); p != "" && strings.Contains(err.Error(), p) {
		t.Errorf("Parse = %v, want no passphrase in it", err)
	}
	for _, line := range strings.Fields(string(content)) {
		if len(line) > 30 && strings.Contains(err.Error(), line) {
			t.Errorf("Parse = %v, want nothing of the content in it", err)
		}
	}
}

// A key must not end in a log, however it is printed.
func TestKeyPrintsNothingSecret(t *testing.T) {
	k := wantKey(t, pkcs1PEM(), "")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "key", k, "value", *k)
	asJSON, err := json.Marshal([]any{k, *k})
	if err != nil {
		t.Fatal(err)
	}
	log.Write(asJSON)
	log.WriteString(printed(k) + printed(*k))
	hidden := printed(struct{ key any }{k}) // whose methods fmt does not call
	if d := rsaKey().D.String(); strings.Contains(log.String()+hidden, d[:20]) {
		t.Errorf("it prints as %s", log.String()+hidden)
	}
	if want := "PEM (PKCS#1) key " + k.Fingerprint(); strings.Count(log.String(), want) != 4+2*len(verbs) {
		t.Errorf("it prints as %s, want %q each time", log.String(), want)
	}
}

// verbs are those of fmt that may reach into a value.
var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%t", "%x", "%X", "%c", "%b", "%e", "%g", "%U"}

// printed returns what fmt makes of a value with any verb.
func printed(value any) string {
	var text strings.Builder
	for _, verb := range verbs {
		fmt.Fprintf(&text, verb+"\n", value)
	}
	return text.String()
}

func TestFingerprintIsOfThePublicKey(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x", sha256.Sum256(der))[:16]
	if got := wantKey(t, pkcs1PEM(), "").Fingerprint(); got != want {
		t.Errorf("Fingerprint = %q, want %q", got, want)
	}
	if got := (&key.Key{Signer: keeper{}}).Fingerprint(); got != "" {
		t.Errorf("Fingerprint of an unknown public key = %q, want none", got)
	}
}

// keeper is a key whose public key is not known.
type keeper struct{ crypto.Signer }

func (keeper) Public() crypto.PublicKey { return nil }

func TestCertificateIsTheKeysOwn(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own, foreign := newCertificate(t, rsaKey()), newCertificate(t, other)
	k := &key.Key{Signer: rsaKey(), Certificates: []*x509.Certificate{foreign, own}}
	if got := k.Certificate(); got != own {
		t.Errorf("Certificate = that of %v, want the key's own", got.Subject)
	}
	for name, k := range map[string]*key.Key{
		"none":               {Signer: rsaKey()},
		"another key's":      {Signer: rsaKey(), Certificates: []*x509.Certificate{foreign}},
		"unknown public key": {Signer: keeper{}, Certificates: []*x509.Certificate{own}},
	} {
		if got := k.Certificate(); got != nil {
			t.Errorf("%s: Certificate = that of %v, want none", name, got.Subject)
		}
	}
}
