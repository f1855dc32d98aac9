package key

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
)

// parsePEM returns the private key among the PEM blocks of text, with the
// certificates beside it.
func parsePEM(text []byte, passphrase []byte) (*Key, error) {
	var private, last *pem.Block
	var certificates []*x509.Certificate
	for block := range blocks(text) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			defer clear(block.Bytes)
		}
		switch {
		case isPrivate(block) && private != nil:
			return nil, errors.New("this has several private keys: keep the one whose certificate Salesforce has, and its certificates")
		case isPrivate(block):
			private = block
		case strings.HasSuffix(block.Type, "CERTIFICATE"):
			// One that Go cannot parse serves no purpose here, and hinders none.
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				certificates = append(certificates, c)
			}
		}
		last = block
	}
	if private == nil {
		return nil, noKeyInPEM(text, last)
	}
	signer, form, err := parseBlock(private, passphrase)
	if err != nil {
		return nil, err
	}
	return newKey(signer, certificates, "PEM ("+form+")")
}

// blocks yields the PEM blocks of text.
func blocks(text []byte) iter.Seq[*pem.Block] {
	return func(yield func(*pem.Block) bool) {
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if !yield(block) {
				return
			}
		}
	}
}

// isPrivate reports whether a block is a private key in a form that OpenSSL
// writes, of whatever algorithm.
func isPrivate(block *pem.Block) bool {
	types := []string{"RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
	return slices.Contains(types, block.Type)
}

// unescape returns a copy of text in which PEM is as it was before environment
// variables and env files: a written \r is nothing, a written \n a line break.
func unescape(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch rest := text[i:]; {
		case bytes.HasPrefix(rest, []byte(`\r`)):
			i++
		case bytes.HasPrefix(rest, []byte(`\n`)):
			plain = append(plain, '\n')
			i++
		default:
			plain = append(plain, text[i])
		}
	}
	return plain
}

// noKeyInPEM says what PEM without a private key is; last is its last block or
// nil.
func noKeyInPEM(text []byte, last *pem.Block) error {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) && (last == nil || !strings.HasSuffix(last.Type, "PRIVATE KEY")) {
		return errors.New("the PEM of the private key is cut short, or its line breaks are lost")
	}
	if last == nil {
		return errors.New("the PEM is damaged: cut short, or its line breaks are lost")
	}
	if what, ok := labels[last.Type]; ok {
		return what.noKey()
	}
	return unsuitable(fmt.Sprintf("this is a PEM block of type %q, not a private key", auth.Foreign(last.Type)))
}

// parseBlock parses the one PEM block that is a private key and names its form.
// What the block is called does not matter.
func parseBlock(block *pem.Block, passphrase []byte) (signer any, form string, err error) {
	//lint:ignore SA1019 OpenSSL 1 wrote such keys and people still have them
	if !x509.IsEncryptedPEMBlock(block) {
		return parseDER(block.Bytes, passphrase)
	}
	if len(passphrase) == 0 {
		return nil, "", errNoPassphrase
	}
	//lint:ignore SA1019 as above; an attacker who can change the key file has won already
	der, err := x509.DecryptPEMBlock(block, passphrase)
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, "", errWrongPassphrase
	case err != nil:
		return nil, "", fmt.Errorf("the encrypted %s cannot be read: %v", strings.ToLower(block.Type), err)
	}
	defer clear(der)
	signer, form, err = parseDER(der, nil)
	if errors.Is(err, errDamaged) {
		// This encryption lets a wrong passphrase pass once in 256 times.
		return nil, "", errWrongPassphrase
	}
	return signer, "encrypted " + form, err
}
