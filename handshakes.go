package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/process"
	"github.com/sfproxy/sfproxy/telemetry"
)

// handshakes are the TLS settings of the proxy's listener, which a renewed
// certificate or authority replaces from one handshake to the next. Connections
// that are open stay.
type handshakes struct {
	current atomic.Pointer[tls.Config]
	tried   tlsText // used by the reloader alone
}

// tlsText stands for all that TLS settings are made of, to tell whether it has changed.
type tlsText struct {
	certificate, clientCA []byte
	key                   config.Secret
}

func tlsTextOf(cfg config.Proxy) tlsText {
	return tlsText{cfg.TLSCert, cfg.TLSClientCA, cfg.TLSKey.Digest()}
}

// newHandshakes returns the settings to begin with, nil for none.
func newHandshakes(cfg config.Proxy) (*handshakes, error) {
	settings, err := listenerTLS(cfg)
	if settings == nil || err != nil {
		return nil, err
	}
	h := &handshakes{tried: tlsTextOf(cfg)}
	h.current.Store(settings)
	return h, nil
}

// serverSettings returns what the server is given, which asks for the current
// settings at each handshake; nil for none.
func (h *handshakes) serverSettings() *tls.Config {
	if h == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return h.current.Load(), nil },
	}
}

// expiry returns when the current certificate expires.
func (h *handshakes) expiry() time.Time { return h.current.Load().Certificates[0].Leaf.NotAfter }

// take takes over what has changed in the files. What cannot be used, such as a
// certificate whose key is still to come, leaves the settings as they were.
func (h *handshakes) take(cfg config.Proxy, audit audit, logger *slog.Logger) telemetry.ReloadResult {
	if h == nil {
		return telemetry.ReloadUnchanged
	}
	text := tlsTextOf(cfg)
	if reflect.DeepEqual(text, h.tried) {
		return telemetry.ReloadUnchanged
	}
	h.tried = text
	settings, err := listenerTLS(cfg)
	if err != nil {
		logger.Warn("the listener's certificate as it is now is not used; the old one stays", "error", err)
		audit.certificateChanged("", err)
		return telemetry.ReloadRefused
	}
	h.current.Store(settings)
	leaf := settings.Certificates[0].Leaf
	audit.certificateChanged(leaf.SerialNumber.Text(16), nil)
	logger.Info("the listener's certificate was read again and is in use", "serial", leaf.SerialNumber.Text(16), "expires", leaf.NotAfter.UTC().Format(time.RFC3339))
	return telemetry.ReloadApplied
}

// listenerTLS returns the TLS settings of the proxy's listener, nil for none.
func listenerTLS(cfg config.Proxy) (*tls.Config, error) {
	if cfg.TLSCertFile == "" {
		return nil, nil
	}
	var certificate tls.Certificate
	var err error
	process.Erasing(func() { certificate, err = tls.X509KeyPair(cfg.TLSCert, cfg.TLSKey.Reveal()) })
	if err != nil {
		return nil, usageError{fmt.Errorf("PROXY_TLS_CERT_FILE and PROXY_TLS_KEY_FILE: %w", err)}
	}
	settings := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"}, // net/http adds them to its own settings only
	}
	if cfg.TLSClientCAFile != "" {
		settings.ClientCAs = x509.NewCertPool()
		if !settings.ClientCAs.AppendCertsFromPEM(cfg.TLSClientCA) {
			return nil, usageError{fmt.Errorf("PROXY_TLS_CLIENT_CA_FILE: %s holds no certificate", cfg.TLSClientCAFile)}
		}
		// That holds for a resumed session, too: crypto/tls looks for its authority.
		settings.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return settings, nil
}
