package main

import (
	"crypto/x509"
	"fmt"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/key"
)

// loadKey returns the key that signs assertions, wherever it is kept.
func loadKey(sf config.Salesforce) (*key.Key, error) {
	var k *key.Key
	var err error
	switch {
	case sf.SignerCommand != "":
		var certificate *x509.Certificate
		if len(sf.Certificate) > 0 {
			if certificate, err = key.ParseCertificate(sf.Certificate); err != nil {
				return nil, usageError{fmt.Errorf("SF_JWT_CERT_FILE (%s): %w", sf.CertificateFile, err)}
			}
		}
		k, err = key.NewCommand(sf.SignerCommand, certificate)
	case sf.PKCS11URI != "":
		k, err = key.OpenPKCS11(sf.PKCS11URI, sf.KeyPassphrase.Reveal())
	default:
		return parseKey(sf)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", sf.KeySource, err)}
	}
	return k, nil
}
