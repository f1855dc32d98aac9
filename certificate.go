package main

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/key"
	"github.com/sfproxy/sfproxy/telemetry"
)

// expiryNotice is how long before its end a certificate is warned of.
const expiryNotice = 30 * 24 * time.Hour

// checkCertificate says what is wrong with the certificate of the private key,
// and when it expires. Salesforce may take an expired one, but companies'
// auditors do not, and whoever renews it must not be in a hurry. inUse is the
// key that the org takes now.
func checkCertificate(sf config.Salesforce, k keys, inUse crypto.Signer, metrics *telemetry.Metrics, logger *slog.Logger) {
	certificate := findCertificate(sf, k, inUse, logger)
	if certificate == nil {
		metrics.CertificateExpires(time.Time{})
		return
	}
	metrics.CertificateExpires(certificate.NotAfter)
	left := time.Until(certificate.NotAfter)
	if left > expiryNotice {
		return
	}
	text := "the certificate of the private key expires soon"
	if left <= 0 {
		text = "the certificate of the private key has expired"
	}
	logger.Warn(text, "expires", certificate.NotAfter.UTC().Format(time.RFC3339), "days_left", max(0, int(left.Hours()/24)),
		"hint", "put a new key beside the old one (sfproxy keygen --dir next) as SF_JWT_KEY_FILE_NEXT, then upload its certificate, "+
			"and replace the old files only once the org takes the new key: docs/salesforce-setup.md has the steps; nothing has to be restarted")
}

// findCertificate is certificateOf, which says why the one in SF_JWT_CERT_FILE
// is not taken.
func findCertificate(sf config.Salesforce, k keys, inUse crypto.Signer, logger *slog.Logger) *x509.Certificate {
	certificate, err := certificateOf(sf, k, inUse)
	if err != nil {
		logger.Warn("the certificate of the private key is of no use", "error", err)
	}
	return certificate
}

// certificateOf returns the certificate in SF_JWT_CERT_FILE, or else the one in
// the key's file, nil if there is none. In the middle of a rotation it may be
// that of any of the keys.
func certificateOf(sf config.Salesforce, k keys, inUse crypto.Signer) (*x509.Certificate, error) {
	given, err := givenCertificate(sf)
	if given == nil {
		if own, ok := inUse.(*key.Key); ok && own.Certificate() != nil {
			return own.Certificate(), err
		}
		return k.first.Certificate(), err
	}
	if k.first.Public() == nil {
		return given, nil // there is nothing to compare it with
	}
	for _, signer := range []crypto.Signer{k.first, k.nextSigner(), inUse} {
		if signer != nil && key.Belongs(given, signer.Public()) {
			return given, nil
		}
	}
	return nil, fmt.Errorf("SF_JWT_CERT_FILE (%s): this is the certificate of another key than that of %s", sf.CertificateFile, sf.KeySource)
}

// givenCertificate returns the certificate in SF_JWT_CERT_FILE, nil if there is
// none that can be read.
func givenCertificate(sf config.Salesforce) (*x509.Certificate, error) {
	if len(sf.Certificate) == 0 {
		return nil, sf.CertificateFault
	}
	certificate, err := key.ParseCertificate(sf.Certificate)
	if err != nil {
		return nil, fmt.Errorf("SF_JWT_CERT_FILE (%s): %w", sf.CertificateFile, err)
	}
	return certificate, nil
}
