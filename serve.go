package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/listen"
	"github.com/sfproxy/sfproxy/process"
	"github.com/sfproxy/sfproxy/telemetry"
	"github.com/sfproxy/sfproxy/upstream"
)

func newServeCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the proxy (the default)",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := parseConfig(environ)
			if err != nil {
				return err
			}
			logger := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.Log.Level, cfg.Log.Format)
			process.Harden(environ, logger)
			return serve(cmd.Context(), cfg, environ, logger, nil)
		},
	}
	withVariables(cmd, "SF_", "PROXY_", "LOG_", "OTEL_")
	return cmd
}

// server is the process while it serves.
type server struct {
	cfg     *config.Config
	keys    keys // at start
	logger  *slog.Logger
	audit   audit
	manager *auth.Manager
	traces  *telemetry.Traces // nil for none
	health  *telemetry.Health
	proxy   *http.Server
	admin   *http.Server // nil for none
	reload  *reloader    // nil for none
	limited func(limit string)
	paced   func(net.Listener) net.Listener // for the proxy
}

// serve runs the proxy until ctx ends, then lets the requests in flight finish.
// environ is what cfg was made of, nil if the files that it names are not to be
// followed. listening, if not nil, is called with the proxy's address once it
// accepts.
func serve(ctx context.Context, cfg *config.Config, environ []string, logger *slog.Logger, listening func(net.Addr)) error {
	var hangup <-chan os.Signal // stays silent if no files are followed: a SIGHUP ends the process
	if environ != nil {
		var stop func()
		hangup, stop = process.Hangups() // before what may take time, and until nothing runs
		defer stop()
	}
	logWarnings(logger, cfg)
	s, err := newServer(cfg, environ, logger)
	if err != nil {
		return err
	}
	defer s.audit.Close()
	defer s.manager.Close()
	return s.run(ctx, hangup, listening)
}

// newServer returns the process that serves. The secrets in cfg are wiped: what is
// needed of them has been made of them.
func newServer(cfg *config.Config, environ []string, logger *slog.Logger) (*server, error) {
	defer cfg.Wipe()
	cfg = fitOpenFiles(cfg, logger)
	connections, err := newTransport(cfg.Salesforce)
	if err != nil {
		return nil, err
	}
	keys, err := loadKeys(cfg.Salesforce)
	if err != nil {
		return nil, err
	}
	handshakes, err := newHandshakes(cfg.Proxy)
	if err != nil {
		return nil, err
	}
	signals, err := newSignals(cfg, environ == nil, logger)
	if err != nil {
		return nil, err
	}
	metrics, audit, traces := signals.metrics, signals.audit, signals.traces
	rotation := newRotation(keys, metrics, audit, logger)
	connections.DialContext = metrics.CountDials(connections.DialContext)
	connections.TLSClientConfig.VerifyConnection = metrics.CountHandshake
	transport := upstream.New(connections)
	metrics.FollowIdle(transport.Idle)
	org, err := newOrg(cfg.Salesforce, keys, rotation.note, transport, logger)
	if err != nil {
		return nil, err
	}
	manager := auth.NewManager(traces.Grants(metrics.CountGrants(audit.grants(org.Grant))), logger)
	logins, err := newLogins(cfg, keys.first, manager, transport, signals)
	if err != nil {
		manager.Close()
		return nil, err
	}
	handler, err := newProxy(cfg, manager, logins, transport, signals)
	if err != nil {
		manager.Close()
		return nil, err
	}
	s := &server{cfg: cfg, keys: keys, logger: logger, audit: audit, manager: manager, traces: traces, limited: metrics.Limited,
		proxy: newHTTPServer(handler, logger), paced: handler.Listener}
	s.proxy.ConnContext = handler.ConnContext
	s.health = &telemetry.Health{Outcome: func() auth.Outcome { return manager.Outcome(cfg.Salesforce.Username) }}
	metrics.FollowTokens(s.health.Outcome, manager.Live)
	if handshakes != nil {
		s.proxy.TLSConfig = handshakes.Config()
		metrics.FollowListenerCertificate(func() time.Time { return handshakes.Certificate().NotAfter })
	}
	s.admin = newAdminServer(cfg.Proxy, s.health, metrics, logger)
	if environ != nil {
		s.reload = &reloader{environ: environ, cfg: cfg, logger: logger, metrics: metrics, audit: audit, org: org, manager: manager,
			proxy: handler, logins: logins, rotation: rotation, handshakes: handshakes}
	}
	return s, nil
}

// run listens, serves and, once ctx ends, drains. Drains come before the
// manager closes, since requests in flight may need a token yet. hangup is the
// reloader's.
func (s *server) run(ctx context.Context, hangup <-chan os.Signal, listening func(net.Addr)) error {
	listener, err := listen.Open("PROXY_LISTEN", s.cfg.Proxy.Listen)
	if err != nil {
		return err
	}
	listener = limitConnections(listener, s.cfg.Proxy, s.limited, s.logger)
	secure := s.proxy.TLSConfig != nil // read here, since Serve sets one of its own
	failed := make(chan error, 2)
	var serving sync.WaitGroup
	if s.admin != nil {
		adminListener, err := listen.Open("PROXY_ADMIN_LISTEN", s.cfg.Proxy.AdminListen)
		if err != nil {
			listener.Close()
			return err
		}
		s.logger.Info("admin port listening", "address", adminListener.Addr().String())
		serving.Go(func() { failed <- s.admin.Serve(adminListener) })
		defer s.admin.Close()
	}
	paced := s.paced(listener)
	serving.Go(func() {
		if secure {
			failed <- s.proxy.ServeTLS(paced, "", "")
			return
		}
		failed <- s.proxy.Serve(paced)
	})
	s.logger.Info("listening", "address", listen.Address(listener.Addr()), "tls", secure,
		"login_url", s.cfg.Salesforce.LoginURL.String(), "subject", s.cfg.Salesforce.Username,
		"clients", len(s.cfg.Clients), "version", version())
	s.audit.started(s.cfg, s.keys, listen.Address(listener.Addr()))
	if listening != nil {
		listening(listener.Addr())
	}
	serving.Go(func() { s.firstGrant(ctx) })
	reloading, stopReloading := context.WithCancel(ctx)
	if s.reload != nil {
		serving.Go(func() { s.reload.run(reloading, hangup) })
	}

	select {
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		err = s.drain(ctx)
	}
	s.proxy.Close()
	if s.admin != nil {
		s.admin.Close()
	}
	stopReloading()
	s.manager.Close()
	serving.Wait()
	s.audit.stopped(err)
	s.traces.Close(context.WithoutCancel(ctx))
	return err
}

// firstGrant asks for tokens until one is granted, so that the proxy is ready
// before the first request, and the log says early what is wrong.
func (s *server) firstGrant(ctx context.Context) {
	for {
		_, err := s.manager.Token(ctx, s.cfg.Salesforce.Username)
		switch {
		case err == nil:
			s.health.Granted()
			return
		case errors.Is(err, auth.ErrClosed):
			return
		}
		select {
		case <-time.After(10 * time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// drain refuses new requests and waits for those in flight, up to the drain
// time.
func (s *server) drain(ctx context.Context) error {
	s.health.Stopping()
	s.logger.Info("stopping", "cause", context.Cause(ctx).Error(), "drain_timeout", s.cfg.Proxy.DrainTimeout.String())
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Proxy.DrainTimeout)
	defer cancel()
	if err := s.proxy.Shutdown(limit); err != nil {
		s.logger.Warn("requests were still running at the end of the drain time; they are cut")
		return nil
	}
	s.logger.Info("stopped")
	return nil
}
