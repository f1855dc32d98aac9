package main

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/proxy"
)

// newTransport returns the connections to the org.
func newTransport(sf config.Salesforce) (*http.Transport, error) {
	var roots *x509.CertPool
	if len(sf.CACerts) > 0 {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(sf.CACerts) {
			return nil, usageError{fmt.Errorf("SF_CA_FILE: %s holds no certificate that can be read", sf.CAFile)}
		}
	}
	return proxy.NewTransport(roots), nil
}

// newOrg returns the org that the configuration names.
func newOrg(sf config.Salesforce, transport http.RoundTripper, logger *slog.Logger) (*auth.Org, error) {
	key, err := auth.ParseKey([]byte(sf.Key.Reveal()), []byte(sf.KeyPassphrase.Reveal()))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", sf.KeySource, err)}
	}
	return auth.NewOrg(auth.OrgConfig{
		LoginURL:       sf.LoginURL,
		ConsumerKey:    sf.ConsumerKey,
		Key:            key,
		Audience:       sf.Audience,
		TokenTTL:       sf.TokenTTL,
		InstanceURL:    sf.InstanceURL,
		TrustedDomains: sf.TrustedDomains,
		AllowHTTP:      sf.AllowHTTP,
		Transport:      transport,
		Logger:         logger,
	})
}

// newProxy returns the main flow.
func newProxy(cfg *config.Config, tokens proxy.Tokens, transport http.RoundTripper, logger *slog.Logger) (*proxy.Proxy, error) {
	clients := make([]proxy.Client, 0, len(cfg.Clients))
	for _, c := range cfg.Clients {
		client := proxy.Client{Name: c.Name, Subject: c.Subject, ReadOnly: c.ReadOnly}
		if !c.APIKey.IsZero() {
			var err error
			if client.APIKey, err = proxy.HashAPIKey(c.APIKey.Reveal()); err != nil {
				return nil, usageError{fmt.Errorf("client %s: %w", c.Name, err)}
			}
		}
		clients = append(clients, client)
	}
	return proxy.New(proxy.Config{
		Tokens:       tokens,
		Transport:    transport,
		Subject:      cfg.Salesforce.Username,
		Clients:      clients,
		AnyHost:      cfg.Proxy.AllowAnonymous,
		PublicURL:    cfg.Proxy.PublicURL,
		AllowPaths:   cfg.Proxy.AllowPaths,
		ReplayBuffer: cfg.Proxy.ReplayBuffer,
		Logger:       logger,
	})
}

// listen opens the listener of the setting that is named in its error.
func listen(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", setting, address, err)
	}
	return l, nil
}
