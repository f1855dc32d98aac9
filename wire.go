package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/login"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/quota"
	"github.com/sfproxy/sfproxy/telemetry"
	"github.com/sfproxy/sfproxy/upstream"
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
	return proxy.NewTransport(proxy.TransportConfig{Roots: roots, AllowPrivate: sf.AllowPrivate, HTTP2: sf.HTTP2}), nil
}

// signals are what tells people of the program's work.
type signals struct {
	metrics *telemetry.Metrics
	audit   audit
	traces  *telemetry.Traces // nil for none
	logger  *slog.Logger
}

// newSignals returns what the configuration asks for. A demo's log, which a person
// reads, has no audit lines.
func newSignals(cfg *config.Config, demo bool, logger *slog.Logger) (signals, error) {
	metrics := telemetry.NewMetrics(version())
	audit, err := newAudit(cfg.Log, metrics, logger)
	if err != nil {
		return signals{}, err
	}
	if demo && cfg.Log.AuditFile == "" {
		audit.Audit = nil
	}
	traces, err := newTraces(cfg.Traces, logger)
	return signals{metrics, audit, traces, logger}, err
}

// newTraces returns nil where no traces are wanted.
func newTraces(cfg config.Traces, logger *slog.Logger) (*telemetry.Traces, error) {
	if cfg.Endpoint == nil {
		return nil, nil
	}
	traces, err := telemetry.NewTraces(context.Background(), cfg.Endpoint.String(), version(), logger)
	if err != nil {
		return nil, usageError{err}
	}
	return traces, nil
}

// tokenFlow is what gets tokens from the org.
type tokenFlow struct {
	rotation  *rotation
	org       *auth.Org
	manager   *auth.Manager
	transport *upstream.Transport // to the org, for requests as well
}

// newTokenFlow returns the token flow over connections. The manager is to be closed.
func newTokenFlow(cfg *config.Config, k keys, connections *http.Transport, to signals) (tokenFlow, error) {
	connections.DialContext = to.metrics.CountDials(connections.DialContext)
	connections.TLSClientConfig.VerifyConnection = to.metrics.CountHandshake
	transport := upstream.New(connections)
	to.metrics.FollowIdle(transport.Idle)
	rotation := newRotation(k, to.metrics, to.audit, to.logger)
	org, err := newOrg(cfg.Salesforce, k, rotation.note, transport, to.logger)
	if err != nil {
		return tokenFlow{}, err
	}
	subjects := subjectsOf(cfg)
	manager := auth.NewManager(to.traces.Grants(to.metrics.CountGrants(subjects, to.audit.grants(org.Grant))), to.logger)
	to.metrics.FollowTokens(subjects, manager.Outcome, manager.Live)
	return tokenFlow{rotation, org, manager, transport}, nil
}

// newOrg returns the org that the configuration names. onKey may be nil.
func newOrg(sf config.Salesforce, k keys, onKey func(auth.KeyEvent), transport http.RoundTripper, logger *slog.Logger) (*auth.Org, error) {
	return auth.NewOrg(auth.OrgConfig{
		LoginURL:       sf.LoginURL,
		ConsumerKey:    sf.ConsumerKey,
		Key:            k.first,
		NextKey:        k.nextSigner(),
		OnKey:          onKey,
		Audience:       sf.Audience,
		TokenTTL:       sf.TokenTTL,
		InstanceURL:    sf.InstanceURL,
		TrustedDomains: sf.TrustedDomains,
		AllowHTTP:      sf.AllowHTTP,
		Transport:      transport,
		Logger:         logger,
	})
}

// mainFlow is what answers clients.
type mainFlow struct {
	logins *login.Logins // nil if no client can log in
	proxy  *proxy.Proxy
}

// newMainFlow returns the main flow with the tokens of tokens.
func newMainFlow(cfg *config.Config, k keys, tokens tokenFlow, to signals) (mainFlow, error) {
	logins, err := newLogins(cfg, k.first, tokens.manager, tokens.transport, to)
	if err != nil {
		return mainFlow{}, err
	}
	p, err := newProxy(cfg, tokens.manager, logins, tokens.transport, to)
	return mainFlow{logins, p}, err
}

// newProxy returns what answers requests. logins may be nil.
func newProxy(cfg *config.Config, tokens proxy.Tokens, logins *login.Logins, transport http.RoundTripper, to signals) (*proxy.Proxy, error) {
	clients, err := newClients(cfg.Clients)
	if err != nil {
		return nil, err
	}
	reserve, err := quota.ParseReserve(cfg.Proxy.APIReserve)
	if err != nil {
		return nil, usageError{fmt.Errorf("PROXY_API_RESERVE %w", err)}
	}
	c := proxy.Config{
		Tokens:        tokens,
		Transport:     transport,
		Subject:       cfg.Salesforce.Username,
		Clients:       clients,
		AnyHost:       cfg.Proxy.TLSClientCAFile != "",
		NetworkHosts:  cfg.Proxy.AllowAnonymous,
		AllowHosts:    cfg.Proxy.AllowHosts,
		CORSOrigins:   cfg.Proxy.CORSOrigins,
		PublicURL:     cfg.Proxy.PublicURL,
		AllowPaths:    cfg.Proxy.AllowPaths,
		MinBodyRate:   cfg.Proxy.MinBodyRate,
		StallTimeout:  cfg.Proxy.StallTimeout,
		ReplayBuffer:  cfg.Proxy.ReplayBuffer,
		MinAPIVersion: cfg.Salesforce.MinAPIVersion,
		OnRaised:      to.metrics.APIVersionRaised,
		OnDenied: func(d proxy.Denial) {
			to.metrics.Denied(d.Client, d.Rule)
			to.audit.denied(d)
		},
		Observer:      to.metrics,
		TraceUpstream: cfg.Traces.Upstream,
		OnLimited:     to.metrics.Limited,
		Reserve:       reserve,
		Usage:         new(quota.Usage),
		QueueTimeout:  cfg.Salesforce.QueueTimeout,
		Logger:        to.logger,

		MaxRequests: cfg.Proxy.MaxRequests, MaxRequestsPerClient: cfg.Proxy.MaxRequestsPerClient,
	}
	to.metrics.FollowUsage(c.Usage, reservesOf(clients, reserve))
	if n := cfg.Salesforce.MaxConcurrent; n > 0 {
		c.Queue = quota.NewQueue(n)
		to.metrics.FollowQueue(c.Queue)
	}
	if logins != nil { // or there would be Logins that are nil
		c.Logins = logins
	}
	if to.traces != nil {
		c.Tracer = to.traces
	}
	p, err := proxy.New(c)
	if errors.Is(err, proxy.ErrAllowPath) {
		return nil, usageError{fmt.Errorf("PROXY_ALLOW_PATHS: %w", err)}
	}
	return p, err
}

// newLogins returns what answers logins, nil if no client has a password.
func newLogins(cfg *config.Config, key crypto.Signer, tokens login.Tokens, transport http.RoundTripper, to signals) (*login.Logins, error) {
	if !slices.ContainsFunc(cfg.Clients, func(c config.Client) bool { return c.Username != "" }) {
		return nil, nil
	}
	accounts, err := newAccounts(cfg.Clients)
	if err != nil {
		return nil, err
	}
	secret, err := sessionSecret(cfg.Proxy.SessionSecret, key)
	if err != nil {
		return nil, err
	}
	return login.New(login.Config{
		Accounts:      accounts,
		Secret:        secret,
		TTL:           cfg.Proxy.SessionTTL,
		Tokens:        tokens,
		Transport:     transport,
		MinAPIVersion: cfg.Salesforce.MinAPIVersion,
		AllowPlain:    cfg.Proxy.AllowPlainLogin,
		OnAttempt: func(a login.Attempt) {
			if a.Outcome == login.Refused {
				to.metrics.Denied("", "login")
			}
			to.audit.attempted(a)
		},
		Logger: to.logger,
	})
}

// sessionSecret returns what sessions are signed with: the configured secret,
// or a signature that only the holder of the private key can make. An RSA
// signature (PKCS #1 v1.5) of the same text is always the same, so replicas
// agree and a restart forgets nobody. What is signed is no assertion.
func sessionSecret(configured config.Secret, key crypto.Signer) ([]byte, error) {
	if !configured.IsZero() {
		return bytes.Clone(configured.Reveal()), nil
	}
	digest := sha256.Sum256([]byte("sfproxy session secret"))
	secret, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("deriving the session secret from the private key: %w", err)
	}
	return secret, nil
}
