package key

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// startTolerance is how far in the past a new certificate begins, for a
// verifier whose clock is behind.
const startTolerance = time.Hour

// A Template says what Generate makes.
type Template struct {
	// CommonName names the certificate's subject.
	CommonName string
	// Bits is the size of the RSA key: 2048, 3072 or 4096.
	Bits int
	// Life is how long the certificate is valid from now on.
	Life time.Duration
}

// Generate makes an RSA key with a self-signed certificate, as an app in an org
// needs them. What the certificate says is for people: Salesforce takes the
// public key from it.
func Generate(t Template) (*Key, error) {
	return t.generate(&x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature}, nil)
}

// generate makes a key whose certificate is what c has and t says, signed by
// the authority, or by itself if that is nil.
func (t Template) generate(c *x509.Certificate, authority *Key) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, t.Bits)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	now := time.Now()
	c.SerialNumber = serialNumber()
	c.Subject = pkix.Name{CommonName: t.CommonName}
	c.NotBefore, c.NotAfter = now.Add(-startTolerance), now.Add(t.Life)
	c.BasicConstraintsValid = true
	issuer, signer := c, crypto.Signer(private)
	if authority != nil {
		issuer, signer = authority.Certificate(), authority.Signer
		if c.NotAfter.After(issuer.NotAfter) {
			c.NotAfter = issuer.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, private.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &Key{Signer: private, Certificates: []*x509.Certificate{certificate}, Form: "new"}, nil
}

// serialNumber returns a random positive number of at most 127 bits.
func serialNumber() *big.Int {
	var bytes [16]byte
	rand.Read(bytes[:])
	bytes[0] &= 0x7f
	bytes[15] |= 1 // never 0
	return new(big.Int).SetBytes(bytes[:])
}
