package key_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/sfproxy/sfproxy/key"
	"software.sslmate.com/src/go-pkcs12"
)

// jceksFile returns a keystore that keytool wrote; no library here writes them.
// Its key is used for nothing else.
func jceksFile(t testing.TB) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/test.jceks")
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// jksFile returns a keystore with rsaKey under the aliases one and two.
func jksFile(t testing.TB, passphrase string) []byte {
	t.Helper()
	block, _ := pem.Decode(pkcs8PEM(t, rsaKey()))
	store := keystore.New()
	for _, alias := range []string{"one", "two"} {
		err := store.SetPrivateKeyEntry(alias, keystore.PrivateKeyEntry{
			CreationTime:     time.Now(),
			PrivateKey:       block.Bytes,
			CertificateChain: []keystore.Certificate{{Type: "X.509", Content: newCertificate(t, rsaKey()).Raw}},
		}, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if err := store.Store(&file, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// pkcs12File returns rsaKey with its certificate in PKCS#12.
func pkcs12File(t testing.TB, encoder *pkcs12.Encoder, passphrase string) []byte {
	t.Helper()
	file, err := encoder.Encode(rsaKey(), newCertificate(t, rsaKey()), nil, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// The same with the files of openssl and keytool is in TestToolMadeFiles.
func TestParseReadsKeystores(t *testing.T) {
	for _, tt := range []struct {
		name              string
		content           []byte
		passphrase, alias string
		format            string
	}{
		{"JKS", jksFile(t, passphrase), passphrase, "TWO", "JKS"},
		// Java has a character in two bytes, the library each byte in two.
		{"JKS with a passphrase beyond ASCII", jksFile(t, "p\xe4ss"), "päss", "one", "JKS"},
		{"JCEKS", jceksFile(t), passphrase, "", "JCEKS"},
		{"PKCS#12 with RC2", pkcs12File(t, pkcs12.LegacyRC2, passphrase), passphrase, "", "PKCS#12"},
		{"PKCS#12 with 3DES", pkcs12File(t, pkcs12.LegacyDES, passphrase), passphrase, "", "PKCS#12"},
		{"PKCS#12 with AES", pkcs12File(t, pkcs12.Modern2023, passphrase), passphrase, "", "PKCS#12"},
		{"PKCS#12 with PBMAC1", pkcs12File(t, pkcs12.Modern2026, passphrase), passphrase, "", "PKCS#12"},
		{"PKCS#12 without encryption", pkcs12File(t, pkcs12.Passwordless, ""), "", "", "PKCS#12"},
	} {
		k, err := key.Parse(tt.content, key.Options{Passphrase: []byte(tt.passphrase), Alias: tt.alias})
		if err != nil {
			t.Errorf("%s: Parse = %v, want the key", tt.name, err)
			continue
		}
		if k.Form != tt.format || k.Certificate() == nil || len(k.Certificates) != 1 {
			t.Errorf("%s: Parse = a %s key with %d certificates, want %s and its own", tt.name, k.Form, len(k.Certificates), tt.format)
		}
	}
}
