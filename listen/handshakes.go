package listen

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
)

// TLS returns the settings of a listener that shows certificate. clients, if not
// nil, are the authorities of which every client has to have a certificate.
func TLS(certificate tls.Certificate, clients *x509.CertPool) *tls.Config {
	settings := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"}, // net/http adds them to its own settings only
	}
	if clients != nil {
		// That holds for a resumed session, too: crypto/tls looks for its authority.
		settings.ClientCAs, settings.ClientAuth = clients, tls.RequireAndVerifyClientCert
	}
	return settings
}

// Handshakes are the TLS settings of a listener, which others replace from one
// handshake to the next. Connections that are open stay. Safe for concurrent use.
type Handshakes struct{ current atomic.Pointer[tls.Config] }

// NewHandshakes returns those that begin with settings, which are those of [TLS].
func NewHandshakes(settings *tls.Config) *Handshakes {
	h := new(Handshakes)
	h.Use(settings)
	return h
}

// Use has the handshakes from now on be made with settings, which are those of
// [TLS].
func (h *Handshakes) Use(settings *tls.Config) { h.current.Store(settings) }

// Config returns what a server is given, which asks for the settings at each
// handshake.
func (h *Handshakes) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return h.current.Load(), nil },
	}
}

// Certificate returns the one that is shown now.
func (h *Handshakes) Certificate() *x509.Certificate { return h.current.Load().Certificates[0].Leaf }
