package devorg

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"time"
)

// An authority is the certificate authority of an org, with the one certificate that both
// hosts use.
type authority struct {
	pem  []byte
	leaf tls.Certificate
}

// NewAuthority returns a new certificate authority for Config.Authority: its certificate
// and its private key, in PEM.
func NewAuthority() (certificate, key []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := certificateTemplate("devorg authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(caKey)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// newAuthority makes the certificate of both hosts, signed by the configured authority or
// by a new one.
func newAuthority(cfg Config) (*authority, error) {
	certificate, key := cfg.AuthorityCertificate, cfg.AuthorityKey
	if certificate == nil {
		var err error
		if certificate, key, err = NewAuthority(); err != nil {
			return nil, err
		}
	}
	ca, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateTemplate("devorg")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range certificateNames(cfg) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, &leafKey.PublicKey, ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &authority{
		pem:  certificate,
		leaf: tls.Certificate{Certificate: [][]byte{leafDER, ca.Certificate[0]}, PrivateKey: leafKey},
	}, nil
}

func certificateTemplate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(2, 0, 0),
	}
}

// certificateNames lists the names the certificate is for: loopback, the configured ones
// and those of whatever address or URL the hosts are reached by.
func certificateNames(cfg Config) []string {
	names := append([]string{"127.0.0.1", "::1", "localhost"}, cfg.Hosts...)
	for _, address := range []string{cfg.LoginListen, cfg.InstanceListen} {
		if name, _, err := net.SplitHostPort(address); err == nil && name != "" {
			names = append(names, name)
		}
	}
	for _, raw := range []string{cfg.PublicLoginURL, cfg.PublicInstanceURL} {
		if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
			names = append(names, u.Hostname())
		}
	}
	return names
}
