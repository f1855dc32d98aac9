package main

import (
	"crypto"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/key"
	"github.com/sfproxy/sfproxy/process"
)

// keys are the private keys that the configuration names.
type keys struct {
	first     *key.Key
	source    keySource // of first
	next      *key.Key  // tried when the org refuses the first; nil for none
	nextFault error     // why the next key that there is counts as none; nil if it can be used
}

// loadKeys returns the keys, wherever they are kept.
func loadKeys(sf config.Salesforce) (keys, error) { return keys{}.reload(sf) }

// reload returns the keys that the configuration names now. The first stays the
// same value if it is made of the same, since the key of a signer command may
// have nothing else to be told by. A token stays open whatever becomes of its
// PIN: as long as it is, it takes any other for right.
func (k keys) reload(sf config.Salesforce) (keys, error) {
	source := keySourceOf(sf)
	if k.first == nil || sf.PKCS11URI == "" && !reflect.DeepEqual(source, k.source) {
		first, err := loadKey(sf)
		if err != nil {
			return keys{}, err
		}
		k.first, k.source = first, source
	}
	k.next, k.nextFault = loadNextKey(sf)
	return k, nil
}

// loadNextKey returns the next key, nil for none. A fault in it is no reason to
// do without the first.
func loadNextKey(sf config.Salesforce) (*key.Key, error) {
	if sf.NextKey.IsZero() {
		return nil, sf.NextKeyFault
	}
	sf.Key, sf.KeySource = sf.NextKey, "SF_JWT_KEY_FILE_NEXT ("+sf.NextKeyFile+")"
	return parseKey(sf)
}

// hasOldPIN reports whether the token of the first key was opened with another
// PIN than the one that is configured now.
func (k keys) hasOldPIN(sf config.Salesforce) bool {
	return sf.PKCS11URI != "" && !reflect.DeepEqual(keySourceOf(sf), k.source)
}

// warn says why the next key counts as none, if it does.
func (k keys) warn(logger *slog.Logger) {
	if k.nextFault != nil {
		logger.Warn("the next private key cannot be used and counts as none", "error", k.nextFault,
			"hint", "put a private key there, or remove the file; passphrase and alias are those of the first key, and a key without encryption needs neither")
	}
}

// nextSigner returns the next key, a nil that is equal to nil for none.
func (k keys) nextSigner() crypto.Signer {
	if k.next == nil {
		return nil
	}
	return k.next
}

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

// parseKey returns the private key.
func parseKey(sf config.Salesforce) (*key.Key, error) {
	var parsed *key.Key
	var err error
	process.Erasing(func() {
		parsed, err = key.Parse(sf.Key.Reveal(), key.Options{Passphrase: sf.KeyPassphrase.Reveal(), Alias: sf.KeyAlias})
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", sf.KeySource, err)}
	}
	return parsed, nil
}

// fingerprintOf names a key in logs; "" for none.
func fingerprintOf(signer crypto.Signer) string {
	if signer == nil {
		return ""
	}
	k := &key.Key{Signer: signer}
	if k.Public() == nil {
		return ""
	}
	return k.Fingerprint()
}
