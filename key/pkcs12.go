package key

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12" // PKCS#12

	"github.com/sfproxy/sfproxy/auth"
)

// parsePKCS12 returns a key of a PKCS#12 file. No passphrase and an empty one
// are the same to it: some key services export with an empty one.
func parsePKCS12(der []byte, o Options) (*Key, error) {
	keys, err := readBags(der)
	if err != nil {
		return nil, err
	}
	index := 0
	if len(keys) > 0 { // otherwise they are within the encryption, if there are any
		if index, err = choose(keys, o.Alias); err != nil {
			return nil, err
		}
	}
	passphrase := string(o.Passphrase)
	return guard(func() (*Key, error) {
		if len(keys) > 1 {
			return openOneOf(len(keys), index, der, passphrase)
		}
		return openOnly(der, passphrase)
	})
}

// openOnly opens a file with one key.
func openOnly(der []byte, passphrase string) (*Key, error) {
	private, own, others, err := pkcs12.DecodeChain(der, passphrase)
	if err != nil {
		return nil, explain(err, der, passphrase)
	}
	return newKey(private, append([]*x509.Certificate{own}, others...), "PKCS#12")
}

// openOneOf opens a file with several keys, and returns the key of that index
// with no certificates but its own.
func openOneOf(count, index int, der []byte, passphrase string) (*Key, error) {
	//lint:ignore SA1019 the library's only way to several keys; that they come as PKCS#1 is no harm here
	blocks, err := pkcs12.ToPEM(der, passphrase)
	if err != nil {
		return nil, explain(err, der, passphrase)
	}
	var keys []*pem.Block
	var certificates []*x509.Certificate
	for _, block := range blocks {
		if block.Type == "PRIVATE KEY" {
			defer clear(block.Bytes)
			keys = append(keys, block)
		} else if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			certificates = append(certificates, c)
		}
	}
	if len(keys) != count {
		return nil, unreadable("it has keys within the encryption of its certificates")
	}
	private, _, err := parseDER(keys[index].Bytes, nil)
	if err != nil {
		return nil, err
	}
	k, err := newKey(private, nil, "PKCS#12")
	if err != nil {
		return nil, err
	}
	k.Certificates = slices.DeleteFunc(certificates, func(c *x509.Certificate) bool { return !Belongs(c, k.Public()) })
	return k, nil
}

// explain says what an error of the library means. Most of its errors have no
// type.
func explain(err error, der []byte, passphrase string) error {
	text := strings.TrimPrefix(err.Error(), "pkcs12: ")
	wrong := errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) || strings.Contains(text, "UCS-2")
	switch {
	case wrong && passphrase == "":
		return errNoPassphrase
	case wrong:
		return errWrongPassphrase
	case strings.Contains(text, pkcs12.ErrDecryption.Error()): // of a key, after the file's own check
		return errOwnPassphrase
	case strings.Contains(text, "unknown algorithm"):
		return errNotRSA
	case text == "private key missing":
		if names := subjects(der, passphrase); len(names) > 0 {
			return noKeys(names)
		}
		return unsuitable("this PKCS#12 file holds no private key, only certificates")
	}
	return unreadable(text)
}

// unreadable is the error for what the library does not do.
func unreadable(reason string) error {
	return fmt.Errorf("this PKCS#12 file cannot be read: %s; turn it into PEM with openssl pkcs12 -in FILE -nodes -out key.pem", auth.Foreign(reason))
}

// subjects names the certificates of a file that Java made to trust them.
func subjects(der []byte, passphrase string) (names []string) {
	certificates, _ := pkcs12.DecodeTrustStore(der, passphrase)
	for _, c := range certificates {
		names = append(names, c.Subject.String())
	}
	return names
}
