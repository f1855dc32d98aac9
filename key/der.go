package key

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// maxDER is the most bytes that a private key may have, in PKCS#8 and encrypted
// too. One of 16,384 bits has 9,300, and what checking it costs grows with the
// cube.
const maxDER = 16 << 10

var (
	errDamaged = errors.New("the private key is damaged")
	errSize    = errors.New("the private key is larger than one of 16,384 bits, and too costly to use")
)

// parseDER parses a private key in PKCS#1 or PKCS#8, plain or encrypted, and
// names its form. The passphrase is ignored for a plain key.
func parseDER(der, passphrase []byte) (key any, form string, err error) {
	if len(der) > maxDER {
		return nil, "", errSize
	}
	switch k := identifyDER(der); k {
	case kindPKCS1:
		key, err = x509.ParsePKCS1PrivateKey(der)
		return key, "PKCS#1", damaged(err)
	case kindPKCS8:
		if rsaKey := withinPKCS8(der); rsaKey != nil {
			key, err = x509.ParsePKCS1PrivateKey(rsaKey)
			return key, "PKCS#8", damaged(err)
		}
		key, err = x509.ParsePKCS8PrivateKey(der)
		if name := algorithm(der); err != nil && name != "" {
			return nil, "", unsuitable("this is " + name + " key" + rsaOnly)
		}
		return key, "PKCS#8", damaged(err)
	case kindEncrypted:
		if len(passphrase) == 0 {
			return nil, "", errNoPassphrase
		}
		key, err = decrypt(der, passphrase)
		return key, "encrypted PKCS#8", err
	case kindEC, kindDSA:
		return nil, "", k.noKey()
	}
	return nil, "", errDamaged
}

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1} // RFC 8017 appendix C

// withinPKCS8 returns the part of a PKCS#8 key (RFC 5958 section 2) that is an RSA
// key in PKCS#1, nil if it is none. Package x509 would leave a copy of it behind.
func withinPKCS8(der []byte) []byte {
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.RawValue
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil || info.Key.Tag != asn1.TagOctetString || !info.Algorithm.Algorithm.Equal(oidRSA) {
		return nil
	}
	return info.Key.Bytes
}

// damaged explains DER that has the outer structure of a private key and does
// not parse.
func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %v", errDamaged, err)
}

// algorithm names the algorithm of a PKCS#8 key that the standard library does
// not know, with its article, or returns "".
func algorithm(der []byte) string {
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return ""
	}
	return map[string]string{
		"1.2.840.10040.4.1":     "a DSA",
		"1.2.840.113549.1.1.10": "an RSA-PSS",
		"1.3.101.111":           "an X448",
		"1.3.101.113":           "an Ed448",
	}[info.Algorithm.Algorithm.String()]
}
