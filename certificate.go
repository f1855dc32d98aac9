package main

import (
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
// auditors do not, and whoever renews it must not be in a hurry.
func checkCertificate(sf config.Salesforce, k keys, metrics *telemetry.Metrics, logger *slog.Logger) {
	certificate, err := certificateOf(sf, k)
	if err != nil {
		logger.Warn("the certificate of the private key is of no use", "error", err)
	}
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
		"hint", "make a new key and certificate (sfproxy keygen) and replace the old ones; nothing has to be restarted")
}

// certificateOf returns the certificate in SF_JWT_CERT_FILE or in the key's
// file, nil if there is none that belongs to the key. In the middle of a
// rotation it may be the next key's.
func certificateOf(sf config.Salesforce, k keys) (*x509.Certificate, error) {
	if len(sf.Certificate) == 0 {
		return k.first.Certificate(), nil
	}
	certificate, err := key.ParseCertificate(sf.Certificate)
	switch {
	case err != nil:
		return nil, fmt.Errorf("SF_JWT_CERT_FILE (%s): %w", sf.CertificateFile, err)
	case k.first.Public() == nil || key.Belongs(certificate, k.first.Public()):
		return certificate, nil
	case k.next != nil && key.Belongs(certificate, k.next.Public()):
		return certificate, nil
	}
	return nil, fmt.Errorf("SF_JWT_CERT_FILE (%s): this is the certificate of another key than that of %s", sf.CertificateFile, sf.KeySource)
}
