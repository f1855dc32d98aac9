package key

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	authorityBits = 3072
	authorityLife = 10 * 365 * 24 * time.Hour
	maxCommonName = 64 // characters (X.520)
)

// NewAuthority makes a private certificate authority, good for ten years: a
// key with the certificate that clients are told to trust. It can sign server
// certificates, and no further authorities. It has no name constraints, which
// old clients do not understand.
func NewAuthority() (*Key, error) {
	// A name of its own, since trust stores confuse authorities of one name.
	name := fmt.Sprintf("sfproxy CA %x", serialNumber().Bytes()[:4])
	return Template{CommonName: name, Bits: authorityBits, Life: authorityLife}.generate(&x509.Certificate{
		KeyUsage:       x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:           true,
		MaxPathLenZero: true,
	}, nil)
}

// Issue makes a key and the certificate of a server that is reached by names,
// DNS names and IP addresses, signed by the authority k. The common name in t
// does not count. The certificate does not outlive the authority.
func (k *Key) Issue(t Template, names []string) (*Key, error) {
	if err := k.checkAuthority(); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("a server certificate needs a name or address")
	}
	if t.CommonName = names[0]; len(t.CommonName) > maxCommonName {
		t.CommonName = "sfproxy" // clients look at the names below
	}
	c := &x509.Certificate{
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return t.generate(c, k)
}

// checkAuthority says why k cannot sign certificates, if it cannot.
func (k *Key) checkAuthority() error {
	certificate := k.Certificate()
	if certificate == nil {
		return errors.New("the authority's certificate and key do not belong together")
	}
	switch now := time.Now(); {
	case !certificate.IsCA || certificate.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("the authority's certificate may not sign others")
	case now.After(certificate.NotAfter):
		return fmt.Errorf("the authority's certificate expired on %s", certificate.NotAfter.Format(time.DateOnly))
	}
	return nil
}
