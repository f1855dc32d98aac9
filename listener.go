package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/listen"
	"github.com/sfproxy/sfproxy/process"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// limitConnections bounds and shows what l accepts.
func limitConnections(l net.Listener, cfg config.Proxy, to signals) net.Listener {
	limit := func(name, setting string, most int) listen.Limit {
		logger, notice := to.logger.With("setting", setting, "limit", most), new(proxy.Notice)
		return listen.Limit{Most: most, OnRefused: func(address string) {
			to.metrics.Limited(name)
			if refused, due := notice.Due(); due {
				logger.Warn("connections are refused: there are as many as may be at a time", "address", address, "refused", refused)
			}
		}}
	}
	limits := listen.Limits{
		InAll:     limit("connections", "PROXY_MAX_CONNECTIONS", cfg.MaxConnections),
		OfAddress: limit("connections_per_address", "PROXY_MAX_CONNECTIONS_PER_ADDRESS", cfg.MaxConnectionsPerAddress),
	}
	if cfg.TLSCertFile == "" {
		limits.Answer = proxy.ConnectionRefusal()
	}
	connections := listen.NewConnections(l, limits)
	to.metrics.FollowClients(connections.Open)
	return connections
}

// newHandshakes returns those of the proxy's listener, nil for none.
func newHandshakes(cfg config.Proxy) (*listen.Handshakes, error) {
	settings, err := listenerTLS(cfg)
	if settings == nil || err != nil {
		return nil, err
	}
	return listen.NewHandshakes(settings), nil
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
	var clients *x509.CertPool // nil for whoever comes
	if cfg.TLSClientCAFile != "" {
		clients = x509.NewCertPool()
		if !clients.AppendCertsFromPEM(cfg.TLSClientCA) {
			return nil, usageError{fmt.Errorf("PROXY_TLS_CLIENT_CA_FILE: %s holds no certificate", cfg.TLSClientCAFile)}
		}
	}
	return listen.TLS(certificate, clients), nil
}

// newProxyServer returns the server for clients. handshakes is nil for no TLS.
func newProxyServer(handler *proxy.Proxy, handshakes *listen.Handshakes, to signals) *http.Server {
	server := newHTTPServer(handler, to.logger)
	server.ConnContext = handler.ConnContext
	if handshakes != nil {
		server.TLSConfig = handshakes.Config()
		to.metrics.FollowListenerCertificate(func() time.Time { return handshakes.Certificate().NotAfter })
	}
	return server
}

// newHTTPServer returns a server without timeouts on bodies, which stream.
func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    proxy.MaxHeadBytes,
		ErrorLog:          telemetry.NewServerLog(logger),
	}
}
