package key

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4" // opens JKS
	"github.com/square/certigo/jceks"            // opens JCEKS, which the other does not know

	"github.com/sfproxy/sfproxy/auth"
)

// errOwnPassphrase is that of a keystore whose passphrase is right.
var errOwnPassphrase = errors.New("SF_JWT_KEY_PASSPHRASE opens the keystore, but the key in it has a passphrase of its own; give both the same with keytool -keypasswd, or convert the keystore to PKCS#12")

// entry is what a keystore holds under an alias.
type entry struct {
	alias        string
	key          []byte // EncryptedPrivateKeyInfo, or nil
	certificates []*x509.Certificate
}

// parseKeystore returns a key of a JKS or JCEKS keystore.
func parseKeystore(content []byte, k kind, o Options) (*Key, error) {
	entries, err := readEntries(content)
	if err != nil {
		return nil, fmt.Errorf("this is %s, but %w", k.name, err)
	}
	index, err := choose(entries, o.Alias)
	if err != nil {
		return nil, err
	}
	chosen := entries[index]
	if len(o.Passphrase) == 0 {
		return nil, errNoPassphrase
	}
	passphrase, ok := latin1(o.Passphrase)
	if !ok {
		return nil, fmt.Errorf("this is %s, and SF_JWT_KEY_PASSPHRASE has characters that are not read in one; convert it to PKCS#12 with keytool -importkeystore -deststoretype PKCS12", k.name)
	}
	defer clear(passphrase)
	open, format := openJKS, "JKS"
	if k == kindJCEKS {
		open, format = openJCEKS, "JCEKS"
	}
	private, err := guard(func() (crypto.PrivateKey, error) { return open(content, chosen, passphrase) })
	if err != nil {
		return nil, err
	}
	return newKey(private, chosen.certificates, format)
}

// choose returns the index of the key with that alias, or of the only key if
// alias is empty. keytool does not mind the case of an alias.
func choose(entries []entry, alias string) (int, error) {
	only, keys, others := 0, []string(nil), []string(nil)
	for i, e := range entries {
		switch {
		case e.key == nil:
			others = append(others, e.alias)
			continue
		case alias != "" && strings.EqualFold(e.alias, alias):
			return i, nil
		}
		only, keys = i, append(keys, e.alias)
	}
	switch {
	case len(keys) == 0:
		return 0, noKeys(others)
	case alias != "":
		return 0, fmt.Errorf("this keystore has no key with the alias %s (SF_JWT_KEY_ALIAS); it has %s", auth.Foreign(alias), list(keys))
	case len(keys) > 1:
		return 0, fmt.Errorf("this keystore has several keys: set SF_JWT_KEY_ALIAS to one of %s", list(keys))
	}
	return only, nil
}

// noKeys is the error for a keystore that has nothing but certificates.
func noKeys(names []string) error {
	if len(names) == 0 {
		return unsuitable("this keystore holds no private key; it is empty")
	}
	return unsuitable("this keystore holds no private key; its entries are certificates: " + list(names))
}

// list joins the first names.
func list(names []string) string {
	const shown = 20
	names = slices.Sorted(slices.Values(names))
	if len(names) > shown {
		names = append(names[:shown], "…")
	}
	for i, name := range names {
		names[i] = auth.Foreign(name)
	}
	return strings.Join(names, ", ")
}

// latin1 returns text with each character in a byte: what the libraries for
// Java's keystores take, which spread bytes over Java's characters.
func latin1(text []byte) (encoded []byte, ok bool) {
	encoded = make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			return nil, false
		}
		encoded = append(encoded, byte(r))
	}
	return encoded, true
}

func openJKS(content []byte, e entry, passphrase []byte) (crypto.PrivateKey, error) {
	store := keystore.New(keystore.WithCaseExactAliases())
	if err := store.Load(bytes.NewReader(content), passphrase); err != nil {
		return nil, errWrongPassphrase // the structure is sound, so it is the digest
	}
	opened, err := store.GetPrivateKeyEntry(e.alias, passphrase)
	if err != nil {
		return nil, errOwnPassphrase
	}
	defer clear(opened.PrivateKey)
	private, _, err := parseDER(opened.PrivateKey, nil)
	return private, err
}

func openJCEKS(content []byte, e entry, passphrase []byte) (crypto.PrivateKey, error) {
	var info encryptedKey
	if _, err := asn1.Unmarshal(e.key, &info); err != nil {
		return nil, errDamaged
	}
	if _, err := cost(info.Algorithm); err != nil {
		return nil, err
	}
	store, err := jceks.LoadFromReader(bytes.NewReader(content), passphrase)
	if err != nil {
		return nil, errWrongPassphrase // as in openJKS
	}
	private, _, err := store.GetPrivateKeyAndCerts(e.alias, passphrase)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "unsupported private-key algorithm"): // it has no error types
		return nil, errNotRSA
	case err != nil:
		return nil, errOwnPassphrase
	}
	return private, nil
}

// readEntries reads the structure of a JKS or JCEKS keystore, which their
// libraries read too, but without a bound on what a damaged length makes them
// allocate. That structure is not encrypted, so aliases can be named without
// the passphrase.
func readEntries(content []byte) ([]entry, error) {
	r := &reader{rest: content[4:]} // after the magic number
	if version := r.uint32(); version != 2 {
		return nil, fmt.Errorf("of version %d, which no Java since 1.2 writes", version)
	}
	var entries []entry
	for range r.uint32() {
		e, err := r.entry()
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	const digestSize = 20             // bytes of SHA-1
	if r.take(digestSize); r.failed { // the digest that the passphrase is checked with
		return nil, errors.New("it is damaged or cut short")
	}
	return entries, nil
}

// reader reads the big-endian fields of a keystore. Once one is missing, it
// returns nothing more.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n uint32) []byte {
	if r.failed || uint64(n) > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) text() string {
	if b := r.take(2); b != nil {
		return string(r.take(uint32(binary.BigEndian.Uint16(b))))
	}
	return ""
}

func (r *reader) entry() (entry, error) {
	tag := r.uint32()
	e := entry{alias: r.text()}
	r.take(8) // its date
	certificates := uint32(1)
	switch tag {
	case 1:
		e.key = r.take(r.uint32())
		certificates = r.uint32()
		if len(e.key) > maxDER {
			return e, errSize
		}
	case 2: // a certificate
	case 3:
		return e, fmt.Errorf("it holds the secret key %s, past which it is not read; move the private key into a keystore of its own with keytool -importkeystore -srcalias", auth.Foreign(e.alias))
	default:
		r.failed = true
	}
	for i := uint32(0); i < certificates && !r.failed; i++ {
		r.text()                                                                          // its type, always X.509
		if c, err := x509.ParseCertificate(bytes.Clone(r.take(r.uint32()))); err == nil { // it keeps what it is given
			e.certificates = append(e.certificates, c)
		}
	}
	if r.failed {
		return e, errors.New("it is damaged or cut short")
	}
	return e, nil
}
