package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/youmark/pkcs8" // writes the encrypted keys that tests without openssl read
)

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

func certificatePEM(t testing.TB) []byte {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der)
}

// openssl runs the real openssl with input and returns what it writes.
func openssl(t testing.TB, input []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("this openssl cannot do %v: %v: %s", args, err, stderr.String())
	}
	return out
}

// wantKey checks that ParseKey reads text as rsaKey and that the key signs.
func wantKey(t *testing.T, text []byte, passphrase string) {
	t.Helper()
	key, err := auth.ParseKey(text, []byte(passphrase))
	if err != nil {
		t.Fatalf("ParseKey = %v, want the key", err)
	}
	if !rsaKey().PublicKey.Equal(key.Public()) {
		t.Error("ParseKey gave another key")
	}
	digest := sha256.Sum256([]byte("x"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil {
		err = rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest[:], signature)
	}
	if err != nil {
		t.Errorf("Sign = %v, want a good signature", err)
	}
}

func join(texts ...[]byte) []byte { return bytes.Join(texts, nil) }

func replace(text []byte, old, new string) []byte {
	return bytes.ReplaceAll(text, []byte(old), []byte(new))
}

func TestParseKeyReads(t *testing.T) {
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

func TestParseKeyReadsWhatOpenSSLWrites(t *testing.T) {
	pass := "pass:" + passphrase
	for _, tt := range []struct {
		name string
		args []string
		kind string // the PEM type
	}{
		{"rsa -traditional", []string{"rsa", "-traditional"}, "RSA PRIVATE KEY"},
		{"rsa -traditional -des3", []string{"rsa", "-traditional", "-des3", "-passout", pass}, "RSA PRIVATE KEY"},
		{"rsa -traditional -aes256", []string{"rsa", "-traditional", "-aes256", "-passout", pass}, "RSA PRIVATE KEY"},
		{"rsa -aes256", []string{"rsa", "-aes256", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"rsa -des3", []string{"rsa", "-des3", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"pkcs8 -nocrypt", []string{"pkcs8", "-topk8", "-nocrypt"}, "PRIVATE KEY"},
		{"pkcs8", []string{"pkcs8", "-topk8", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"pkcs8 -v2 aes-256-cbc", []string{"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"pkcs8 -v2 aes-128-cbc", []string{"pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"pkcs8 -v2 des3 with SHA-1", []string{"pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"pkcs8 -iter 600000", []string{"pkcs8", "-topk8", "-iter", "600000", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
		{"pkcs8 -scrypt", []string{"pkcs8", "-topk8", "-scrypt", "-passout", pass}, "ENCRYPTED PRIVATE KEY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := openssl(t, pkcs1PEM(), tt.args...)
			if block, _ := pem.Decode(text); block == nil || block.Type != tt.kind {
				t.Fatalf("openssl wrote %s, want a %s", text, tt.kind)
			}
			wantKey(t, text, passphrase)
		})
	}
}

func TestParseKeyReadsWhatGenrsaWrites(t *testing.T) {
	for _, args := range [][]string{
		{"genrsa", "2048"},
		{"genrsa", "-des3", "-passout", "pass:" + passphrase, "2048"},
		{"genrsa", "-traditional", "-des3", "-passout", "pass:" + passphrase, "2048"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			text := openssl(t, nil, args...)
			key, err := auth.ParseKey(text, []byte(passphrase))
			if err != nil {
				t.Fatalf("ParseKey = %v, want the key", err)
			}
			public, _ := pem.Decode(openssl(t, text, "rsa", "-pubout", "-passin", "pass:"+passphrase))
			want, err := x509.ParsePKIXPublicKey(public.Bytes)
			if err != nil || !want.(*rsa.PublicKey).Equal(key.Public()) {
				t.Errorf("ParseKey gave another key than openssl wrote (%v)", err)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	encryptedEC, err := pkcs8.MarshalPrivateKey(ecKey, []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	xKey, _ := ecdh.X25519().GenerateKey(rand.Reader)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := x509.MarshalPKIXPublicKey(rsaKey().Public())
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	dsa, _ := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}}, []byte{2, 1, 1}})
	plain, encrypted, legacy, cert := pkcs8PEM(t, rsaKey()), encryptedPEM(), legacyPEM(), certificatePEM(t)

	for _, tt := range []struct {
		name, passphrase string
		text             []byte
		want             string // in the error
	}{
		{"PKCS#8 encrypted without a passphrase", "", encrypted, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#1 encrypted without a passphrase", "", legacy, "SF_JWT_KEY_PASSPHRASE is not set"},
		{"PKCS#8 encrypted, wrong passphrase", "wrong", encrypted, "passphrase does not open"},
		{"PKCS#1 encrypted, wrong passphrase", "wrong", legacy, "passphrase does not open"},
		{"PKCS#1 encrypted, damaged header", passphrase, replace(legacy, "DEK-Info: DES-EDE3-CBC", "DEK-Info: ROT13"), "cannot be read: x509: unknown encryption mode"},
		{"certificate", "", cert, "this is a certificate"},
		{"two certificates", "", join(cert, cert), "this is a certificate"},
		{"certificate request", "", encode("CERTIFICATE REQUEST", request), "a certificate request"},
		{"public key", "", encode("PUBLIC KEY", public), "a public key"},
		{"PKCS#1 public key", "", encode("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), "a public key"},
		{"OpenSSH", "", encode("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00")), "OpenSSH key: convert it"},
		{"EC in SEC 1", "", encode("EC PRIVATE KEY", sec1), "an EC key"},
		{"EC with parameters", "", join(encode("EC PARAMETERS", []byte{6, 0}), encode("EC PRIVATE KEY", sec1)), "an EC key"},
		{"EC parameters alone", "", encode("EC PARAMETERS", []byte{6, 0}), `type "EC PARAMETERS"`},
		{"EC in PKCS#8", "", pkcs8PEM(t, ecKey), "an EC key"},
		{"EC encrypted", passphrase, encode("ENCRYPTED PRIVATE KEY", encryptedEC), "an EC key"},
		{"Ed25519", "", pkcs8PEM(t, edKey), "an Ed25519 key"},
		{"X25519", "", pkcs8PEM(t, xKey), "an X25519 key"},
		{"1024 bits in PKCS#1", "", encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "RSA key of 1024 bits"},
		{"1024 bits in PKCS#8", "", pkcs8PEM(t, small), "RSA key of 1024 bits"},
		{"DSA in PKCS#8", "", encode("PRIVATE KEY", dsa), "a DSA key"},
		{"DSA", "", encode("DSA PRIVATE KEY", []byte{48, 0}), "a DSA key"},
		{"another block", "", encode("PGP MESSAGE", []byte("x")), `type "PGP MESSAGE"`},
		{"PKCS#8 called PKCS#1", "", replace(plain, "PRIVATE KEY", "RSA PRIVATE KEY"), "the rsa private key is damaged"},
		{"DER of nothing", "", encode("PRIVATE KEY", []byte("nothing")), "the private key is damaged"},
		{"truncated PEM", "", plain[:len(plain)/2], "cut short"},
		{"truncated PEM, encrypted", passphrase, encrypted[:len(encrypted)/2], "cut short"},
		{"certificate and truncated PEM", "", join(cert, plain[:len(plain)/2]), "cut short"},
		{"one line", "", replace(plain, "\n", " "), "line breaks are lost"},
		{"truncated DER", "", truncated(plain), "the private key is damaged"},
		{"truncated DER, encrypted", passphrase, truncated(encrypted), "encryption is damaged"},
		{"a path", "", []byte("/run/secrets/sf.pem"), "not a private key in PEM form"},
		{"garbage", "", []byte("\x00\x01\x02"), "not a private key in PEM form"},
		{"base64 of garbage", "", []byte("AAAA"), "not a private key in PEM form"},
		{"empty", "", nil, "not a private key in PEM form"},
		{"quote", "", []byte(`"`), "not a private key in PEM form"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantRefusal(t, tt.text, tt.passphrase, tt.want) })
	}
}

// truncated returns PEM of the first half of text's DER.
func truncated(text []byte) []byte {
	block, _ := pem.Decode(text)
	return encode(block.Type, block.Bytes[:len(block.Bytes)/2])
}

func wantRefusal(t *testing.T, text []byte, passphrase, want string) {
	t.Helper()
	key, err := auth.ParseKey(text, []byte(passphrase))
	if err == nil || key != nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("ParseKey = %v, %v, want an error with %q", key, err, want)
	}
	if passphrase != "" && strings.Contains(err.Error(), passphrase) {
		t.Errorf("ParseKey = %v, want no passphrase in it", err)
	}
	for _, line := range strings.Fields(string(text)) {
		if len(line) > 30 && strings.Contains(err.Error(), line) {
			t.Errorf("ParseKey = %v, want nothing of the text in it", err)
		}
	}
}

func TestParseKeyRefusesWhatOpenSSLWrites(t *testing.T) {
	pass := "pass:" + passphrase
	for _, tt := range []struct {
		name  string
		input []byte
		args  []string
		want  string
	}{
		{"PBES1", pkcs1PEM(), []string{"pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", pass}, "encryption is damaged or of a kind that is not supported"},
		{"SHA-512", pkcs1PEM(), []string{"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-passout", pass}, "not supported"},
		{"Camellia", pkcs1PEM(), []string{"pkcs8", "-topk8", "-v2", "camellia-256-cbc", "-passout", pass}, "not supported"},
		{"Camellia, traditional", pkcs1PEM(), []string{"rsa", "-traditional", "-camellia256", "-passout", pass}, "cannot be read"},
		{"certificate request", pkcs8PEM(t, rsaKey()), []string{"req", "-new", "-key", "/dev/stdin", "-subj", "/CN=x"}, "a certificate request"},
		{"RSA-PSS", nil, []string{"genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"}, "an RSA-PSS key"},
		{"Ed448", nil, []string{"genpkey", "-algorithm", "ED448"}, "an Ed448 key"},
		{"X448", nil, []string{"genpkey", "-algorithm", "X448"}, "an X448 key"},
		{"EC", nil, []string{"ecparam", "-name", "prime256v1", "-genkey"}, "an EC key"},
		{"RSA of 512 bits", nil, []string{"genrsa", "512"}, "RSA key of 512 bits"},
		{"RSA of 2047 bits", nil, []string{"genrsa", "2047"}, "RSA key of 2047 bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusal(t, openssl(t, tt.input, tt.args...), passphrase, tt.want)
		})
	}
}

// encryptedWith returns an encrypted PKCS#8 key with the given parts.
func encryptedWith(t testing.TB, kdf asn1.ObjectIdentifier, params any, iv, data []byte) []byte {
	t.Helper()
	type algorithm struct {
		ID     asn1.ObjectIdentifier
		Params any
	}
	der, err := asn1.Marshal(struct {
		Algorithm any
		Data      []byte
	}{
		struct {
			ID     asn1.ObjectIdentifier
			Params any
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}, struct{ KDF, Cipher algorithm }{
			algorithm{kdf, params},
			algorithm{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, iv}, // AES-256-CBC
		}}, data,
	})
	if err != nil {
		t.Fatal(err)
	}
	return encode("ENCRYPTED PRIVATE KEY", der)
}

var (
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

type pbkdf2Params struct {
	Salt []byte
	Iter int64
}

type scryptParams struct {
	Salt    []byte
	N, R, P int64
}

// A key that would keep the start waiting for hours, or take all memory, is
// refused without trying; one that does not fit together does not panic.
func TestParseKeyRefusesHostileEncryption(t *testing.T) {
	iv, data := make([]byte, 16), make([]byte, 32)
	for _, tt := range []struct {
		name string
		text []byte
		want string
	}{
		{"PBKDF2 with 2^31 iterations", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1<<31 - 1}, iv, data), "too costly"},
		{"PBKDF2 with 2^62 iterations", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1 << 62}, iv, data), "too costly"},
		{"PBKDF2 with no iterations", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 0}, iv, data), "passphrase does not open"},
		{"PBKDF2 with iterations below 0", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), -1 << 62}, iv, data), "passphrase does not open"},
		{"scrypt of 1 TiB", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 30, 8, 1}, iv, data), "too costly"},
		{"scrypt with large blocks", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 2, 1 << 29, 1}, iv, data), "too costly"},
		{"scrypt with many lanes", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 14, 8, 1 << 20}, iv, data), "too costly"},
		{"scrypt whose product overflows", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 32, 1 << 32, 1}, iv, data), "too costly"},
		{"scrypt with no lanes", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 4, 8, 0}, iv, data), "passphrase does not open"},
		{"scrypt with odd cost", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 3, 8, 1}, iv, data), "passphrase does not open"},
		{"IV of the wrong length", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, iv[:8], data), "damaged"},
		{"data cut within a block", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, iv, data[:17]), "damaged"},
		{"no data", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, iv, nil), "passphrase does not open"},
		{"unknown derivation", encryptedWith(t, asn1.ObjectIdentifier{1, 2, 3}, pbkdf2Params{[]byte("salt"), 1}, iv, data), "not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			wantRefusal(t, tt.text, passphrase, tt.want)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("ParseKey took %v, want an answer at once", took)
			}
		})
	}
}

func FuzzParseKey(f *testing.F) {
	for _, text := range [][]byte{
		pkcs1PEM(), pkcs8PEM(f, rsaKey()), encryptedPEM(), legacyPEM(), certificatePEM(f), nil,
		replace(pkcs1PEM(), "\n", `\n`), []byte(base64.StdEncoding.EncodeToString(pkcs1PEM())),
		encryptedWith(f, oidScrypt, scryptParams{[]byte("salt"), 4, 8, 0}, make([]byte, 16), make([]byte, 32)),
		encryptedWith(f, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, make([]byte, 8), make([]byte, 7)),
	} {
		f.Add(text, passphrase)
		f.Add(text, "")
	}
	f.Fuzz(func(t *testing.T, text []byte, passphrase string) {
		key, err := auth.ParseKey(text, []byte(passphrase))
		if err != nil {
			if key != nil || err.Error() == "" || len(err.Error()) > 1000 {
				t.Errorf("ParseKey(%q) = %v, %v, want no key and a short error", text, key, err)
			}
			return
		}
		if public, ok := key.Public().(*rsa.PublicKey); !ok || public.N.BitLen() < 2048 {
			t.Errorf("ParseKey(%q) = a %T, want RSA of 2048 bits or more", text, key)
		}
	})
}
