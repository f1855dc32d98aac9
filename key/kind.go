package key

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// kind is what a file is, for people.
type kind struct {
	name   string // with its article
	reason string // what follows the name where a private key is wanted
}

const notPrivate = ", not a private key"

var (
	kindPEM       = kind{name: "PEM"}
	kindPKCS1     = kind{name: "an RSA private key"}
	kindPKCS8     = kind{name: "a private key"}
	kindEncrypted = kind{name: "an encrypted private key"}
	kindPKCS12    = kind{name: "a PKCS#12 file"}
	kindJKS       = kind{name: "a JKS keystore"}
	kindJCEKS     = kind{name: "a JCEKS keystore"}

	kindCertificate = kind{"a certificate", notPrivate + ": the certificate goes to Salesforce, its private key here"}
	kindRequest     = kind{"a certificate request", notPrivate}
	kindRevocations = kind{"a certificate revocation list", notPrivate}
	kindPublicKey   = kind{"a public key", notPrivate}
	kindPKCS7       = kind{"a PKCS#7 file, which holds certificates only", notPrivate + ": the key is in a file of its own, or in a .p12 or .pfx file"}
	kindEC          = kind{"an EC key", rsaOnly}
	kindDSA         = kind{"a DSA key", rsaOnly}
	kindOpenSSH     = kind{"an OpenSSH key", ": convert it with ssh-keygen -p -m PEM -f FILE, or make a new one with openssl genrsa 2048"}
	kindSSHPublic   = kind{"an OpenSSH public key", notPrivate}
	kindSSH2        = kind{"an SSH2 key", ": convert it with ssh-keygen -i -f FILE, or make a new one with openssl genrsa 2048"}
	kindPuTTY       = kind{"a PuTTY key", ": convert it with puttygen FILE -O private-openssh, then ssh-keygen -p -m PEM -f FILE"}
	kindPGP         = kind{"a PGP key or message", ", which Salesforce does not take: make a key with openssl genrsa 2048"}
	kindJWK         = kind{"a JSON Web Key", ": convert it to PEM"}
	kindBKS         = kind{"a keystore of Bouncy Castle (BKS)", ": convert it to PKCS#12 with keytool -importkeystore -deststoretype PKCS12"}
	kindBER         = kind{"a PKCS#12 or PKCS#7 file in BER", ", which is not read here; where it is PKCS#12, write it as DER: openssl pkcs12 -in FILE -out all.pem, then openssl pkcs12 -export -in all.pem -out NEW"}
	kindUTF16       = kind{"text in UTF-16, as PowerShell's > writes it", ": save it as UTF-8"}
	kindCut         = kind{"a damaged or cut short DER file", ""}
)

// labels are the kinds of PEM blocks that are no private key.
var labels = map[string]kind{
	"CERTIFICATE":             kindCertificate,
	"TRUSTED CERTIFICATE":     kindCertificate,
	"X509 CERTIFICATE":        kindCertificate,
	"CERTIFICATE REQUEST":     kindRequest,
	"NEW CERTIFICATE REQUEST": kindRequest,
	"X509 CRL":                kindRevocations,
	"PUBLIC KEY":              kindPublicKey,
	"RSA PUBLIC KEY":          kindPublicKey,
	"PKCS7":                   kindPKCS7,
	"CMS":                     kindPKCS7,
	"OPENSSH PRIVATE KEY":     kindOpenSSH,
	"SSH2 PUBLIC KEY":         kindSSHPublic,
}

// noKey is the error for a file of this kind where a private key is wanted. Some
// kinds hold one that needs no more than another form.
func (k kind) noKey() error {
	text := "this is " + k.name + k.reason
	if strings.HasPrefix(k.reason, notPrivate) || k.reason == rsaOnly {
		return unsuitable(text)
	}
	return errors.New(text)
}

// noCertificate is the error for a file of this kind where a certificate is
// wanted.
func (k kind) noCertificate() error { return errors.New("this is " + k.name + ", not a certificate") }

// starts are what files begin with that are known by it.
var starts = []struct {
	start string
	kind  kind
}{
	{"\xfe\xed\xfe\xed", kindJKS},
	{"\xce\xce\xce\xce", kindJCEKS},
	{"\x00\x00\x00\x01\x00\x00\x00\x14", kindBKS}, // a version, and the length of the salt
	{"\x00\x00\x00\x02\x00\x00\x00\x14", kindBKS},
	{"\x30\x80", kindBER},
	{"\xff\xfe", kindUTF16},
	{"\xfe\xff", kindUTF16},
	{"openssh-key-v1\x00", kindOpenSSH},
	{"PuTTY-User-Key-File-", kindPuTTY},
	{"---- BEGIN SSH2 ", kindSSH2},
	{"ssh-", kindSSHPublic},
	{"ecdsa-sha2-", kindSSHPublic},
	{"-----BEGIN PGP ", kindPGP},
}

// identify returns the kind of a file by its content, or the zero kind.
func identify(content []byte) kind {
	for _, s := range starts {
		if bytes.HasPrefix(content, []byte(s.start)) {
			return s.kind
		}
	}
	switch {
	case bytes.Contains(content, []byte("-----BEGIN ")):
		return kindPEM
	case bytes.HasPrefix(content, []byte("{")) && bytes.Contains(content, []byte(`"kty"`)):
		return kindJWK
	case utf8.Valid(content) || len(content) < 2:
		return kind{}
	case content[0] == 0x30:
		return identifyDER(content)
	case slices.Contains([]byte{0x94, 0x95, 0x98, 0x99, 0xc5, 0xc6}, content[0]):
		return kindPGP // packets of secret and public keys (RFC 9580 section 4.2)
	}
	return kind{}
}

// identifyDER returns the kind of what is in DER, by its outer structure alone.
func identifyDER(der []byte) kind {
	outer := shape(der)
	switch {
	case outer == "":
		return kindCut
	case strings.HasPrefix(outer, "iiiiiiiii"): // RFC 8017 appendix A.1.2
		return kindPKCS1
	case strings.HasPrefix(outer, "iso"): // RFC 5958 section 2
		return kindPKCS8
	case outer == "so": // RFC 5958 section 3
		return kindEncrypted
	case outer == "is", outer == "iss": // RFC 7292 section 4
		return kindPKCS12
	case strings.HasPrefix(outer, "io"): // RFC 5915 section 3
		return kindEC
	case outer == "iiiiii":
		return kindDSA
	case outer == "ii", outer == "sb":
		return kindPublicKey
	case outer == "d0": // RFC 2315 section 7
		return kindPKCS7
	case outer == "ssb":
		return identifySigned(der)
	}
	return kind{}
}

// identifySigned tells the three apart that are signed: RFC 5280 sections 4.1
// and 5.1, RFC 2986 section 4.
func identifySigned(der []byte) kind {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return kind{}
	}
	inner := shape(outer.Bytes)
	switch {
	case strings.HasPrefix(inner, "0"), strings.HasPrefix(inner, "isss"):
		return kindCertificate
	case inner == "iss", inner == "iss0":
		return kindRequest
	case strings.HasPrefix(inner, "iss?"), strings.HasPrefix(inner, "ss?"):
		return kindRevocations
	}
	return kind{}
}

// shape returns a letter for each of the first elements in the sequence that
// der begins with, or "" if it is none.
func shape(der []byte) string {
	var outer, element asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil || outer.Tag != asn1.TagSequence || !outer.IsCompound {
		return ""
	}
	var letters strings.Builder
	for rest := outer.Bytes; len(rest) > 0 && letters.Len() < 12; {
		var err error
		if rest, err = asn1.Unmarshal(rest, &element); err != nil {
			return ""
		}
		letters.WriteByte(letter(element))
	}
	return letters.String()
}

func letter(element asn1.RawValue) byte {
	if element.Class != asn1.ClassUniversal {
		return '0' + byte(min(element.Tag, 9))
	}
	switch element.Tag {
	case asn1.TagInteger:
		return 'i'
	case asn1.TagSequence:
		return 's'
	case asn1.TagOctetString:
		return 'o'
	case asn1.TagBitString:
		return 'b'
	case asn1.TagOID:
		return 'd'
	}
	return '?'
}
