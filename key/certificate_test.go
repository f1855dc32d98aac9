package key_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/key"
)

func TestParseCertificateReads(t *testing.T) {
	want := newCertificate(t, rsaKey())
	text := encode("CERTIFICATE", want.Raw)
	for _, tt := range []struct {
		name    string
		content []byte
	}{
		{"PEM", text},
		{"DER", want.Raw},
		{"base64 of PEM", []byte(base64.StdEncoding.EncodeToString(text))},
		{"base64 of DER", []byte(lines(base64.StdEncoding.EncodeToString(want.Raw)))},
		{"written \\n", replace(text, "\n", `\n`)},
		{"after its key", join(pkcs1PEM(), text)},
		{"before its key", join(text, pkcs1PEM())},
	} {
		got, err := key.ParseCertificate(tt.content)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: ParseCertificate = %v, want the certificate", tt.name, err)
		}
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	block, _ := pem.Decode(pkcs1PEM())
	certificate := newCertificate(t, rsaKey())
	damaged := bytes.Replace(certificate.Raw, []byte("Z"), []byte("?"), 1) // in a date
	for _, tt := range []struct {
		name    string
		content []byte
		want    string // in the error
	}{
		{"key", pkcs1PEM(), "this is a private key, not a certificate"},
		{"key in DER", block.Bytes, "this is an RSA private key, not a certificate"},
		{"public key", encode("PUBLIC KEY", nil), "this is a public key, not a certificate"},
		{"another block", encode("WINE LIST", nil), `this is a PEM block of type "WINE LIST", not a certificate`},
		{"keystore", jceksFile(t), "this is a JCEKS keystore, not a certificate"},
		{"truncated", certificatePEM(t)[:200], "cut short"},
		{"truncated DER", certificate.Raw[:200], "damaged or cut short DER"},
		{"damaged DER", damaged, "the certificate is damaged: "},
		{"garbage", []byte("garbage"), "not a certificate in PEM form"},
		{"empty", nil, "not a certificate in PEM form"},
		{"too long", make([]byte, 1<<20+1), "larger than 1048576 bytes"},
	} {
		got, err := key.ParseCertificate(tt.content)
		if err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: ParseCertificate = %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}
