package key_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"runtime"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/key"
	"software.sslmate.com/src/go-pkcs12"
)

// FuzzParse has any file in the place of a key: no panic, no hang, no memory
// without bound, and an error that a person can read.
func FuzzParse(f *testing.F) {
	plain, certificate := pkcs8PEM(f, rsaKey()), certificatePEM(f)
	block, _ := pem.Decode(plain)
	encrypted, _ := pem.Decode(encryptedPEM())
	for _, content := range [][]byte{
		pkcs1PEM(), plain, encryptedPEM(), legacyPEM(), certificate, join(certificate, plain), nil,
		block.Bytes, encrypted.Bytes, newCertificate(f, rsaKey()).Raw, jksFile(f, passphrase), jceksFile(f),
		pkcs12File(f, pkcs12.LegacyRC2.WithIterations(1), passphrase),
		pkcs12File(f, pkcs12.LegacyDES.WithIterations(1), passphrase),
		pkcs12File(f, pkcs12.Modern2023.WithIterations(1), passphrase),
		pkcs12File(f, pkcs12.Modern2026.WithIterations(1), passphrase),
		pkcs12File(f, pkcs12.Modern2023.WithIterations(1), ""),
		pkcs12File(f, pkcs12.Passwordless, ""),
		replace(pkcs1PEM(), "\n", `\n`), []byte(base64.StdEncoding.EncodeToString(jceksFile(f))),
		encryptedWith(f, oidScrypt, scryptParams{[]byte("salt"), 4, 8, 0}, make([]byte, 16), make([]byte, 32)),
		encryptedWith(f, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, make([]byte, 8), make([]byte, 7)),
	} {
		f.Add(content, passphrase, "")
		f.Add(content, passphrase, "one")
		f.Add(content, "", "")
	}
	f.Fuzz(func(t *testing.T, content []byte, passphrase, alias string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		k, err := key.Parse(content, key.Options{Passphrase: []byte(passphrase), Alias: alias})
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<20 {
			t.Errorf("Parse(%q) took %d bytes of memory", content, allocated)
		}
		if err != nil && (k != nil || err.Error() == "" || len(err.Error()) > 10_000) {
			t.Errorf("Parse(%q) = %v, %v, want no key and a short error", content, k, err)
		}
		if err != nil && len(passphrase) > 8 && strings.Contains(err.Error(), passphrase) && !strings.Contains(string(content)+alias, passphrase) {
			t.Errorf("Parse(%q) = %v, want no passphrase in it", content, err)
		}
		if err == nil {
			if public, ok := k.Public().(*rsa.PublicKey); !ok || public.N.BitLen() < 2048 {
				t.Errorf("Parse(%q) = a %T, want RSA of 2048 bits or more", content, k.Signer)
			}
		}
		if c, err := key.ParseCertificate(content); (c == nil) == (err == nil) {
			t.Errorf("ParseCertificate(%q) = %v, %v, want one of the two", content, c, err)
		}
	})
}
