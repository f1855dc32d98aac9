package key

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4" // JKS, the only format that an org imports
	"github.com/youmark/pkcs8"                   // encrypted PKCS#8, which the standard library cannot write
	pkcs12 "software.sslmate.com/src/go-pkcs12"  // PKCS#12
)

// iterations is how often PBKDF2 hashes a passphrase with SHA-256, as the OWASP
// Password Storage Cheat Sheet has it.
const iterations = 600_000

// EncodePrivate returns the private key as PEM of PKCS#8, encrypted unless
// passphrase is empty: PBES2 with PBKDF2, HMAC-SHA-256 and AES-256 (RFC 8018).
func (k *Key) EncodePrivate(passphrase []byte) ([]byte, error) {
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	blockType := "PRIVATE KEY"
	if len(passphrase) > 0 {
		blockType = "ENCRYPTED PRIVATE KEY"
	}
	der, err := pkcs8.MarshalPrivateKey(private, passphrase, &pkcs8.Opts{
		Cipher:  pkcs8.AES256CBC,
		KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: iterations, HMACHash: crypto.SHA256},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), nil
}

// EncodeCertificates returns the certificates as PEM.
func (k *Key) EncodeCertificates() []byte {
	var text []byte
	for _, c := range k.Certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// EncodeRequest returns a certificate signing request (RFC 2986) for the key as
// PEM.
func (k *Key) EncodeRequest(commonName string) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, k.Signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// EncodePKCS12 returns the key and its certificate as a PKCS#12 file (RFC 7292)
// with one entry of that alias, in the encryption that OpenSSL 1.1.1, Java
// 8u301 and Windows Server 2019, and all later ones, read.
func (k *Key) EncodePKCS12(alias string, passphrase []byte) ([]byte, error) {
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	if err := k.checkKeystore(alias, passphrase); err != nil {
		return nil, err
	}
	file, err := pkcs12.Modern2023.WithIterations(iterations).Encode(private, k.Certificate(), nil, string(passphrase))
	if err == nil {
		file, err = nameKey(file, alias, passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the PKCS#12 file: %w", err)
	}
	return file, nil
}

// EncodeJKS returns the key and its certificate as a Java keystore with one
// entry of that alias, in lower case as Java has them. The encryption of the
// format is weak; a random passphrase makes up for it.
func (k *Key) EncodeJKS(alias string, passphrase []byte) ([]byte, error) {
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	if err := k.checkKeystore(alias, passphrase); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	store := keystore.New()
	err = store.SetPrivateKeyEntry(alias, keystore.PrivateKeyEntry{
		CreationTime:     time.Now(),
		PrivateKey:       der,
		CertificateChain: []keystore.Certificate{{Type: "X509", Content: k.Certificate().Raw}},
	}, passphrase)
	var file bytes.Buffer
	if err == nil {
		err = store.Store(&file, passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the Java keystore: %w", err)
	}
	return file.Bytes(), nil
}

// private returns the private key itself, unless it lives elsewhere.
func (k *Key) private() (*rsa.PrivateKey, error) {
	private, ok := k.Signer.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key cannot leave its keeper")
	}
	return private, nil
}

// minKeystorePassphrase is the least that keytool accepts, in characters.
const minKeystorePassphrase = 6

// checkKeystore says what is missing for a keystore.
func (k *Key) checkKeystore(alias string, passphrase []byte) error {
	switch {
	case k.Certificate() == nil:
		return errors.New("a keystore needs the certificate")
	case alias == "" || !isPrintableASCII([]byte(alias)):
		return errors.New("the alias in a keystore has to be of printable ASCII characters")
	}
	return CheckKeystorePassphrase(passphrase)
}

// CheckKeystorePassphrase returns an error if keytool or Java would not take
// the passphrase for a keystore: short ones, and what is not ASCII.
func CheckKeystorePassphrase(passphrase []byte) error {
	if len(passphrase) < minKeystorePassphrase {
		return fmt.Errorf("a keystore needs a passphrase of %d characters or more", minKeystorePassphrase)
	}
	if !isPrintableASCII(passphrase) {
		return errors.New("the passphrase of a keystore may have printable ASCII characters only; Java opens no other")
	}
	return nil
}

func isPrintableASCII(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c > '~' })
}
