package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/youmark/pkcs8" // encrypted PKCS#8, which the standard library cannot read
)

// minKeyBits is the least an RS256 key may have (RFC 7518 section 3.3).
const minKeyBits = 2048

var (
	errNoPassphrase    = errors.New("the key is encrypted and SF_JWT_KEY_PASSPHRASE is not set")
	errWrongPassphrase = errors.New("the passphrase does not open the key")
	errCipher          = errors.New("the key's encryption is damaged or of a kind that is not supported; encrypt it again with openssl pkcs8 -topk8 -v2 aes-256-cbc")
)

const rsaOnly = "; Salesforce takes RSA keys only: make one with openssl genrsa 2048"

// ParseKey returns the RSA private key in text: PEM of PKCS#1 or PKCS#8, plain
// or encrypted (OpenSSL's "Proc-Type: 4,ENCRYPTED" and "ENCRYPTED PRIVATE
// KEY"), alone or among other PEM blocks. The line breaks may be written as
// "\n", and the whole may be base64. passphrase is ignored for a plain key.
// What is no such key is refused by name; the error holds nothing of text.
func ParseKey(text, passphrase []byte) (crypto.Signer, error) {
	var seen string
	text = pemText(text)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if bytes.Contains(text, []byte("PRIVATE KEY-----")) && !strings.HasSuffix(seen, "PRIVATE KEY") {
				return nil, errors.New("the PEM of the private key is cut short, or its line breaks are lost")
			}
			return nil, notAKey(seen)
		}
		switch block.Type {
		case "RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY":
			return parseBlock(block, passphrase)
		default:
			seen = block.Type
		}
	}
}

// pemText undoes what environment variables and secret stores do to PEM.
func pemText(text []byte) []byte {
	const begin = "-----BEGIN "
	text = bytes.Trim(text, "\ufeff\"' \t\r\n") // a byte order mark, and the quotes of an env file
	if !bytes.Contains(text, []byte(begin)) {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			return nil
		}
		text = decoded
	}
	text = bytes.ReplaceAll(text, []byte(`\r`), nil)
	return bytes.ReplaceAll(text, []byte(`\n`), []byte("\n"))
}

// notAKey says what a text without a private key is; seen is the type of its
// last PEM block.
func notAKey(seen string) error {
	switch seen {
	case "":
		return errors.New("this is not a private key in PEM form (it has no \"-----BEGIN … PRIVATE KEY-----\")")
	case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
		return errors.New("this is a certificate, not a private key: the certificate goes to Salesforce, its private key here")
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return errors.New("this is a certificate request, not a private key")
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return errors.New("this is a public key, not a private key")
	case "DSA PRIVATE KEY":
		return errors.New("this is a DSA key" + rsaOnly)
	case "OPENSSH PRIVATE KEY":
		return errors.New("this is an OpenSSH key: convert it with ssh-keygen -p -m PEM -f FILE, or make a new one with openssl genrsa 2048")
	}
	return fmt.Errorf("this is a PEM block of type %q, not a private key", bound(seen))
}

// parseBlock parses the one PEM block that is a private key.
func parseBlock(block *pem.Block, passphrase []byte) (crypto.Signer, error) {
	der := block.Bytes
	//lint:ignore SA1019 OpenSSL 1 wrote such keys and people still have them
	if x509.IsEncryptedPEMBlock(block) {
		if len(passphrase) == 0 {
			return nil, errNoPassphrase
		}
		var err error
		//lint:ignore SA1019 as above; an attacker who can change the key file has won already
		switch der, err = x509.DecryptPEMBlock(block, passphrase); {
		case errors.Is(err, x509.IncorrectPasswordError):
			return nil, errWrongPassphrase
		case err != nil:
			return nil, fmt.Errorf("the encrypted %s cannot be read: %v", strings.ToLower(block.Type), err)
		}
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(der)
		if err != nil {
			return nil, brokenKey(block, err)
		}
		return checkKey(key)
	case "EC PRIVATE KEY":
		return checkKey(&ecdsa.PrivateKey{})
	case "ENCRYPTED PRIVATE KEY":
		if len(passphrase) == 0 {
			return nil, errNoPassphrase
		}
		key, err := decrypt(der, passphrase)
		if err != nil {
			return nil, err
		}
		return checkKey(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if name := algorithm(der); name != "" {
			return nil, fmt.Errorf("this is %s key%s", name, rsaOnly)
		}
		return nil, brokenKey(block, err)
	}
	return checkKey(key)
}

// maxKeyCost bounds what a passphrase is made to cost: iterations of PBKDF2, or
// units of 128 bytes of scrypt. OpenSSL writes 2,048 and 131,072.
const maxKeyCost = 8 << 20

// decrypt opens an encrypted PKCS#8 key (RFC 8018 appendix A). pkcs8 takes any
// cost for granted, and panics where lengths do not fit the cipher.
func decrypt(der, passphrase []byte) (key any, err error) {
	var info struct {
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params struct {
				KDF struct {
					ID     asn1.ObjectIdentifier
					Params struct {
						Salt            []byte
						Cost            int64
						Block, Parallel int64 `asn1:"optional"` // of scrypt
					}
				}
				Cipher pkix.AlgorithmIdentifier
			}
		}
		Data []byte
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, errCipher
	}
	kdf := info.Algorithm.Params.KDF.Params
	cost, block, parallel := kdf.Cost, max(kdf.Block, 1), max(kdf.Parallel, 1)
	if max(cost, block, parallel) > maxKeyCost || cost*block > maxKeyCost || cost*block*parallel > maxKeyCost {
		return nil, errors.New("the key's encryption is too costly to open; encrypt it again with openssl pkcs8 -topk8")
	}
	defer func() {
		if recover() != nil {
			key, err = nil, errors.New("the encrypted private key is damaged")
		}
	}()
	key, _, err = pkcs8.ParsePrivateKey(der, passphrase)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "pkcs8: unsupported"): // it has no error types
		return nil, errCipher
	case err != nil:
		return nil, errWrongPassphrase
	}
	return key, nil
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

// brokenKey explains DER that does not parse. A wrong passphrase goes unnoticed
// by OpenSSL 1's encryption once in 256 times and ends here.
func brokenKey(block *pem.Block, err error) error {
	//lint:ignore SA1019 see parseBlock
	if x509.IsEncryptedPEMBlock(block) {
		return errWrongPassphrase
	}
	return fmt.Errorf("the %s is damaged: %v", strings.ToLower(block.Type), err)
}

// checkKey refuses by name what Salesforce does not take.
func checkKey(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minKeyBits {
			return nil, fmt.Errorf("this is an RSA key of %d bits; RS256 needs %d or more: make one with openssl genrsa 2048", bits, minKeyBits)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		return nil, errors.New("this is an EC key" + rsaOnly)
	case ed25519.PrivateKey:
		return nil, errors.New("this is an Ed25519 key" + rsaOnly)
	case *ecdh.PrivateKey:
		return nil, errors.New("this is an X25519 key" + rsaOnly)
	}
	return nil, fmt.Errorf("this is a key of type %T%s", key, rsaOnly)
}
