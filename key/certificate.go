package key

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/sfproxy/sfproxy/auth"
)

// ParseCertificate returns the first certificate in content, which is PEM or
// DER, or the base64 text of either. What is no certificate is refused by name.
func ParseCertificate(content []byte) (*x509.Certificate, error) {
	if len(content) > maxContent {
		return nil, fmt.Errorf("this is larger than %d bytes, so it is no certificate", maxContent)
	}
	content = unwrap(content)
	switch k := identify(content); k {
	case kindPEM:
		return certificateInPEM(content)
	case kindCertificate:
		return parseCertificate(content)
	case kind{}:
		return nil, errors.New("this is not a certificate in PEM form (it has no \"-----BEGIN CERTIFICATE-----\"), nor in DER")
	default:
		return nil, k.noCertificate()
	}
}

func certificateInPEM(text []byte) (*x509.Certificate, error) {
	found := errors.New("the PEM is damaged: cut short, or its line breaks are lost")
	for block := range blocks(text) {
		k, known := labels[block.Type]
		switch {
		case k == kindCertificate:
			return parseCertificate(block.Bytes)
		case isPrivate(block):
			found = kindPKCS8.noCertificate()
		case known:
			found = k.noCertificate()
		default:
			found = fmt.Errorf("this is a PEM block of type %q, not a certificate", auth.Foreign(block.Type))
		}
	}
	return nil, found
}

func parseCertificate(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate is damaged: %v", err)
	}
	return c, nil
}

// Belongs reports whether cert is a certificate of the public key.
func Belongs(cert *x509.Certificate, pub crypto.PublicKey) bool {
	certified, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub != nil && certified.Equal(pub)
}

// arrange puts the certificate that belongs to the public key first. That none
// does is an error, unless they are all of authorities: a chain that lacks its
// first link hinders nobody. A lone certificate may well be self-signed, and
// those call themselves an authority.
func arrange(certificates []*x509.Certificate, public crypto.PublicKey) ([]*x509.Certificate, error) {
	own := slices.IndexFunc(certificates, func(c *x509.Certificate) bool { return Belongs(c, public) })
	switch {
	case own > 0:
		first := certificates[own]
		return slices.Insert(slices.Delete(certificates, own, own+1), 0, first), nil
	case own == 0, len(certificates) == 0:
		return certificates, nil
	case len(certificates) == 1 || slices.ContainsFunc(certificates, func(c *x509.Certificate) bool { return !c.IsCA }):
		return nil, errors.New("the certificate in the same file belongs to another key")
	}
	return certificates, nil
}
