package key

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const (
	// maxContent is the most bytes that are looked at. No key needs as many.
	maxContent = 1 << 20
	// minBits is the least an RS256 key may have (RFC 7518 section 3.3).
	minBits = 2048
)

const rsaOnly = "; Salesforce takes RSA keys only: make one with openssl genrsa 2048"

// errNotRSA is for a key of an algorithm that has no name here.
var errNotRSA error = unsuitable("this is no RSA key" + rsaOnly)

// Key is a private key that may sign assertions: RSA, of 2,048 bits or more.
// It prints as its form and fingerprint. It is as safe for concurrent use as
// its Signer is.
type Key struct {
	crypto.Signer
	// Certificates came with the key, its own first. There may be none.
	Certificates []*x509.Certificate
	// Form is the form the key was kept in, for people, as "PEM (PKCS#1)".
	Form string
}

// Options are what opens an encrypted key and finds it among others. What does
// not need them ignores them.
type Options struct {
	Passphrase []byte // of the key or the keystore
	Alias      string // of the key in a keystore; case does not matter
}

// Parse returns the private key in content: the bytes of a file, or what a
// variable holds. It takes PEM with or without certificates beside the key,
// PKCS#1 and PKCS#8 in DER, PKCS#12, JKS and JCEKS, encrypted or not, and the
// base64 text of each. In PEM the line breaks may be written as "\n". What is
// no such key is refused by name; the error holds nothing of content. Copies that
// are made of content on the way are zeroed, but for those that the libraries make
// which open encrypted keys and keystores; content itself is the caller's.
func Parse(content []byte, o Options) (*Key, error) {
	if len(content) > maxContent {
		return nil, unsuitable(fmt.Sprintf("this is larger than %d bytes, so it is no private key", maxContent))
	}
	content = unwrap(content)
	defer clear(content)
	switch k := identify(content); k {
	case kindPEM:
		return parsePEM(content, o.Passphrase)
	case kindPKCS1, kindPKCS8, kindEncrypted:
		signer, form, err := parseDER(content, o.Passphrase)
		if err != nil {
			return nil, err
		}
		return newKey(signer, nil, "DER ("+form+")")
	case kindPKCS12:
		return parsePKCS12(content, o)
	case kindJKS, kindJCEKS:
		return parseKeystore(content, k, o)
	case kind{}:
		return nil, unsuitable("this is not a private key in PEM form (it has no \"-----BEGIN … PRIVATE KEY-----\"), nor in DER, PKCS#12, JKS or JCEKS")
	default:
		return nil, k.noKey()
	}
}

// unwrap returns a copy of content without what variables, env files and secret
// stores put around a key: quotes, white space, written line breaks, base64.
func unwrap(content []byte) []byte {
	if k := identify(content); k != (kind{}) && k != kindPEM {
		return bytes.Clone(content)
	}
	text := bytes.Trim(content, "\ufeff\"' \t\r\n") // a byte order mark, and the quotes of an env file
	if identify(text) == (kind{}) {
		if decoded := unbase64(text); decoded != nil {
			defer clear(decoded)
			text = decoded
		}
	}
	if identify(text) != kindPEM {
		return bytes.Clone(text)
	}
	return unescape(text)
}

// unbase64 returns what text is the base64 of, with spaces and line breaks
// anywhere in it; nil if it is not base64.
func unbase64(text []byte) []byte {
	compact := make([]byte, 0, len(text))
	for part := range bytes.FieldsSeq(text) {
		compact = append(compact, part...)
	}
	defer clear(compact)
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(compact)))
	n, err := base64.StdEncoding.Decode(decoded, compact)
	if err != nil {
		clear(decoded)
		return nil
	}
	return decoded[:n]
}

// newKey returns a key that parsed, with the certificates that came with it, or
// refuses by name what Salesforce does not take.
func newKey(parsed any, certificates []*x509.Certificate, form string) (*Key, error) {
	switch parsed := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := parsed.N.BitLen(); bits < minBits {
			return nil, unsuitable(fmt.Sprintf("this is an RSA key of %d bits; RS256 needs %d or more: make one with openssl genrsa 2048", bits, minBits))
		}
		certificates, err := arrange(certificates, parsed.Public())
		if err != nil {
			return nil, err
		}
		return &Key{parsed, certificates, form}, nil
	case *ecdsa.PrivateKey:
		return nil, kindEC.noKey()
	case ed25519.PrivateKey:
		return nil, unsuitable("this is an Ed25519 key" + rsaOnly)
	case *ecdh.PrivateKey:
		return nil, unsuitable("this is an X25519 key" + rsaOnly)
	}
	return nil, errNotRSA
}

// Fingerprint names the key in logs: the first 16 hexadecimal digits of the
// SHA-256 of its public key (as SubjectPublicKeyInfo). It is empty where the
// public key is not known.
func (k *Key) Fingerprint() string {
	if k.Signer == nil {
		return ""
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// Certificate returns the one of Certificates that belongs to the key, or nil.
func (k *Key) Certificate() *x509.Certificate {
	if k.Signer == nil {
		return nil
	}
	for _, c := range k.Certificates {
		if Belongs(c, k.Public()) {
			return c
		}
	}
	return nil
}

// String names the key for people, with nothing secret.
func (k Key) String() string { return fmt.Sprintf("%s key %s", k.Form, k.Fingerprint()) }

// Format implements [fmt.Formatter], so that no verb reaches the private key.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue does for slog what String does for fmt.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText does for JSON what String does for fmt.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
