package main

import (
	"fmt"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/key"
)

// keySource stands for what the first key is made of that may change while the
// proxy runs.
type keySource struct {
	key, passphrase config.Secret
	certificate     []byte
}

func keySourceOf(sf config.Salesforce) keySource {
	switch {
	case sf.SignerCommand != "":
		return keySource{certificate: sf.Certificate}
	case sf.PKCS11URI != "":
		return keySource{passphrase: sf.KeyPassphrase.Digest()}
	}
	return keySource{key: sf.Key.Digest(), passphrase: sf.KeyPassphrase.Digest()}
}

// loadKey returns the key that signs assertions, wherever it is kept.
func loadKey(sf config.Salesforce) (*key.Key, error) {
	var k *key.Key
	var err error
	switch {
	case sf.SignerCommand != "":
		certificate, _ := givenCertificate(sf) // a fault in it is [findCertificate]'s to tell
		k, err = key.NewCommand(sf.SignerCommand, certificate)
	case sf.PKCS11URI != "":
		k, err = key.OpenPKCS11(sf.PKCS11URI, string(sf.KeyPassphrase.Reveal()))
	default:
		return parseKey(sf)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", sf.KeySource, err)}
	}
	return k, nil
}
