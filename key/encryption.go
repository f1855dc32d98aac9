package key

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"

	"github.com/youmark/pkcs8" // encrypted PKCS#8, which the standard library cannot read
)

var (
	errNoPassphrase    = errors.New("the key is encrypted and SF_JWT_KEY_PASSPHRASE is not set")
	errWrongPassphrase = errors.New("the passphrase does not open the key; is SF_JWT_KEY_PASSPHRASE right?")
	errCipher          = errors.New("the key's encryption is damaged or of a kind that is not supported; encrypt it again with openssl pkcs8 -topk8 -v2 aes-256-cbc (old kinds need -provider legacy -provider default with it)")
	errCost            = errors.New("the key's encryption is too costly to open; encrypt it again with openssl pkcs8 -topk8")
)

// encryptedKey is EncryptedPrivateKeyInfo of RFC 5958 section 3.
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// decrypt opens an encrypted PKCS#8 key. pkcs8 takes any cost for granted, and
// panics where lengths do not fit the cipher.
func decrypt(der, passphrase []byte) (any, error) {
	var info encryptedKey
	if _, err := asn1.Unmarshal(der, &info); err != nil || !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errCipher
	}
	if _, err := cost(info.Algorithm); err != nil {
		return nil, err
	}
	return guard(func() (any, error) {
		private, _, err := pkcs8.ParsePrivateKey(der, passphrase)
		switch {
		case err != nil && strings.HasPrefix(err.Error(), "pkcs8: unsupported"): // it has no error types
			return nil, errCipher
		case err != nil:
			return nil, errWrongPassphrase
		}
		return private, nil
	})
}

// guard turns a panic of a library at a damaged file into an error.
func guard[T any](parse func() (T, error)) (parsed T, err error) {
	defer func() {
		if recover() != nil {
			var none T
			parsed, err = none, errDamaged
		}
	}()
	return parse()
}

// These bound what a passphrase is made to cost: iterations of a hash, of which
// OpenSSL writes 2,048 and Java 200,000 at most, or blocks of 128 bytes that
// scrypt mixes and, but for those mixed in parallel, holds in memory at once;
// OpenSSL writes 131,072.
const (
	maxCost   = 8_000_000
	maxBlocks = 1 << 20
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}    // RFC 8018 appendix A.4
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11} // RFC 7914 section 7
)

// cost returns what encryption with a passphrase costs, or errCost. It knows
// the two shapes that its parameters come in: those of PKCS#12, Java and PBES1,
// and those of PBES2 and PBMAC1 (RFC 7292 appendix C, RFC 8018 appendix A).
func cost(a pkix.AlgorithmIdentifier) (int64, error) {
	var simple struct {
		Salt       []byte
		Iterations int64
	}
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &simple); err == nil {
		return within(maxCost, simple.Iterations)
	}
	var derived struct {
		Function struct {
			ID     asn1.ObjectIdentifier
			Params struct {
				Salt            asn1.RawValue
				Cost            int64
				Block, Parallel int64 `asn1:"optional"` // of scrypt
			}
		}
	}
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &derived); err != nil {
		return 0, errCipher
	}
	p := derived.Function.Params
	if !derived.Function.ID.Equal(oidScrypt) {
		return within(maxCost, p.Cost)
	}
	if _, err := within(maxBlocks, p.Cost, p.Block); err != nil {
		return 0, err
	}
	return within(maxCost, p.Cost, p.Block, p.Parallel)
}

// within returns the product of the factors, or errCost if it is over limit.
// A factor below one counts as one; it is left to the libraries to refuse.
func within(limit int64, factors ...int64) (int64, error) {
	product := int64(1)
	for _, f := range factors {
		f = max(f, 1)
		if f > limit/product {
			return 0, errCost
		}
		product *= f
	}
	return product, nil
}
