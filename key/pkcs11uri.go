//go:build pkcs11

package key

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
)

// pkcs11URI names a key in a token (RFC 7512).
type pkcs11URI struct {
	token, serial string // of the token: at least one
	object, id    string // of the key: at least one
	module        string // path of the PKCS#11 library
}

// parsePKCS11URI reads the attributes that find a key. Those that narrow a
// search further and name no more than a vendor or a slot are ignored.
func parsePKCS11URI(text string) (u pkcs11URI, err error) {
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok {
		return u, errors.New(`a PKCS #11 URI begins with "pkcs11:"`)
	}
	path, query, _ := strings.Cut(rest, "?")
	attributes := append(strings.Split(path, ";"), strings.Split(query, "&")...)
	for _, attribute := range attributes {
		if err := u.set(attribute); err != nil {
			return u, err
		}
	}
	switch {
	case u.module == "":
		return u, errors.New("the PKCS #11 URI lacks its module-path, as ?module-path=/usr/lib/softhsm/libsofthsm2.so")
	case u.token == "" && u.serial == "":
		return u, errors.New("the PKCS #11 URI names no token: token=LABEL or serial=NUMBER")
	case u.object == "" && u.id == "":
		return u, errors.New("the PKCS #11 URI names no key: object=LABEL or id=%01")
	}
	return u, nil
}

// set takes in one attribute. Its errors do not show the value, which may be a
// PIN.
func (u *pkcs11URI) set(attribute string) error {
	if attribute == "" {
		return nil
	}
	name, escaped, ok := strings.Cut(attribute, "=")
	value, err := url.PathUnescape(escaped)
	if !ok || err != nil {
		return fmt.Errorf("the attribute %q of the PKCS #11 URI is not NAME=VALUE in percent-encoding", name)
	}
	field := map[string]*string{"token": &u.token, "serial": &u.serial, "object": &u.object, "id": &u.id, "module-path": &u.module}[name]
	ignored := []string{"manufacturer", "model", "library-manufacturer", "library-description", "library-version", "slot-manufacturer", "slot-description", "slot-id", "module-name"}
	switch {
	case field != nil:
		*field = value
	case name == "type" && value != "private":
		return fmt.Errorf("the PKCS #11 URI has type=%s; a private key is wanted", auth.Foreign(value))
	case name == "pin-value" || name == "pin-source":
		return errors.New("the PIN does not belong in the PKCS #11 URI, which is no secret: SF_JWT_KEY_PASSPHRASE or SF_JWT_KEY_PASSPHRASE_FILE has it")
	case name != "type" && !slices.Contains(ignored, name):
		return fmt.Errorf("the PKCS #11 URI has an attribute %q, which is not known", auth.Foreign(name))
	}
	return nil
}
