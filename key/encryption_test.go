package key_test

import (
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/key"
	"software.sslmate.com/src/go-pkcs12"
)

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

// unencryptedPKCS12 returns a PKCS#12 file with a key and nothing else (RFC 7292
// section 4).
func unencryptedPKCS12(t *testing.T, key []byte) []byte {
	t.Helper()
	type typed struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	marshal := func(value any) []byte {
		der, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	content := func(id asn1.ObjectIdentifier, der []byte) typed {
		return typed{id, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der}}
	}
	data := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	bags := marshal([]typed{content(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}, key)})
	safes := marshal([]typed{content(data, marshal(bags))})
	return marshal(struct {
		Version int
		Safes   typed
	}{3, content(data, marshal(safes))})
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
func TestParseRefusesHostileEncryption(t *testing.T) {
	iv, data := make([]byte, 16), make([]byte, 32)
	large := new(big.Int).Lsh(big.NewInt(1), 200_000)
	oversized, err := asn1.Marshal(struct {
		Version                   int
		N, E, D, P, Q, DP, DQ, QI *big.Int
	}{0, large, big.NewInt(65537), large, large, large, large, large, large})
	if err != nil {
		t.Fatal(err)
	}
	// INTEGERs of 3 bytes: the largest, 3,000,000 and 65,537.
	const most, many, few = "\x02\x03\x7f\xff\xff", "\x02\x03\x2d\xc6\xc0", "\x02\x03\x01\x00\x01"
	costlyMAC := pkcs12File(t, pkcs12.LegacyDES.WithIterations(65537), passphrase)
	copy(costlyMAC[len(costlyMAC)-len(most):], most)
	for _, tt := range []struct {
		name string
		text []byte
		want string
	}{
		{"PBKDF2 with 2^31 iterations", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1<<31 - 1}, iv, data), "too costly"},
		{"PBKDF2 with 2^62 iterations", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1 << 62}, iv, data), "too costly"},
		{"PBKDF2 with no iterations", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 0}, iv, data), "passphrase does not open"},
		{"PBKDF2 with iterations below 0", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), -1 << 62}, iv, data), "passphrase does not open"},
		{"scrypt of 256 MiB", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 18, 8, 1}, iv, data), "too costly"},
		{"scrypt of 1 TiB", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 30, 8, 1}, iv, data), "too costly"},
		{"scrypt with large blocks", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 2, 1 << 29, 1}, iv, data), "too costly"},
		{"scrypt with many lanes", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 14, 8, 1 << 20}, iv, data), "too costly"},
		{"scrypt whose product overflows", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 32, 1 << 32, 1}, iv, data), "too costly"},
		{"scrypt with no lanes", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 1 << 4, 8, 0}, iv, data), "passphrase does not open"},
		{"scrypt with odd cost", encryptedWith(t, oidScrypt, scryptParams{[]byte("salt"), 3, 8, 1}, iv, data), "passphrase does not open"},
		{"IV of the wrong length", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, iv[:8], data), "damaged"},
		{"data cut within a block", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, iv, data[:17]), "damaged"},
		{"no data", encryptedWith(t, oidPBKDF2, pbkdf2Params{[]byte("salt"), 1}, iv, nil), "passphrase does not open"},
		{"PKCS#12 with 2^23 iterations", replace(pkcs12File(t, pkcs12.Modern2023.WithIterations(65537), passphrase), few+"\x30", most+"\x30"), "too costly"},
		{"PKCS#12 with a MAC of 2^23 iterations", costlyMAC, "too costly"},
		{"PKCS#12 with three times 3,000,000 iterations", replace(pkcs12File(t, pkcs12.LegacyDES.WithIterations(65537), passphrase), few, many), "too costly"},
		{"JCEKS with 2^23 iterations", replace(jceksFile(t), "\x02\x03\x03\x0d\x40", most), "too costly"},
		{"RSA of 200,000 bits", oversized, "too costly"},
		{"RSA of 200,000 bits in PKCS#12", unencryptedPKCS12(t, oversized), "too costly"},
		{"key of 16 KiB in JCEKS", []byte("\xce\xce\xce\xce" + "\x00\x00\x00\x02" + "\x00\x00\x00\x01" + // version, entries
			"\x00\x00\x00\x01" + "\x00\x01a" + "12345678" + "\x00\x00\x40\x01" + strings.Repeat("x", 16<<10+1)), "too costly"},
		{"RSA of 200,000 bits in PEM", encode("RSA PRIVATE KEY", oversized), "too costly"},
		{"unknown derivation", encryptedWith(t, asn1.ObjectIdentifier{1, 2, 3}, pbkdf2Params{[]byte("salt"), 1}, iv, data), "not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			wantRefusal(t, tt.text, key.Options{Passphrase: []byte(passphrase)}, tt.want)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("Parse took %v, want an answer at once", took)
			}
		})
	}
}
