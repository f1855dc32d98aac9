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
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
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
	cfg  *config.Config
	keys keys // at start
	signals
	tokenFlow
	handler    *proxy.Proxy       // the main flow
	handshakes *listen.Handshakes // nil for no TLS
	health     *telemetry.Health
	proxy      *http.Server
	admin      *http.Server // nil for none
	reload     *reloader    // nil for none
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
	telemetry.TakeLibraryLog(logger)
	logWarnings(logger, cfg)
	s, err := newServer(cfg, environ, logger)
	if err != nil {
		return err
	}
	defer s.audit.Close()
	defer s.manager.Close()
	return s.run(ctx, hangup, listening)
}

// newServer returns the process that serves: first what the configuration may be
// wrong about, then the two flows, then the servers in front of them. The secrets
// in cfg are wiped: what is needed of them has been made of them.
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
	to, err := newSignals(cfg, environ == nil, logger)
	if err != nil {
		return nil, err
	}
	tokens, err := newTokenFlow(cfg, keys, connections, to)
	if err != nil {
		return nil, err
	}
	requests, err := newMainFlow(cfg, keys, tokens, to)
	if err != nil {
		tokens.manager.Close()
		return nil, err
	}
	s := &server{cfg: cfg, keys: keys, signals: to, tokenFlow: tokens, handler: requests.proxy, handshakes: handshakes}
	s.health = &telemetry.Health{Outcome: func() auth.Outcome { return tokens.manager.Outcome(cfg.Salesforce.Username) }}
	s.proxy = newProxyServer(requests.proxy, handshakes, to)
	s.admin = newAdminServer(cfg.Proxy, s.health, to.metrics, logger)
	if environ != nil {
		s.reload = &reloader{environ: environ, cfg: cfg, signals: to, tokenFlow: tokens, mainFlow: requests, handshakes: handshakes}
	}
	return s, nil
}

// run listens, serves and, once ctx ends, drains and stops. hangup is the
// reloader's.
func (s *server) run(ctx context.Context, hangup <-chan os.Signal, listening func(net.Addr)) error {
	clients, admin, err := s.listen()
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	failed := make(chan error, 2)
	if admin != nil {
		running.Go(func() { failed <- s.admin.Serve(admin) })
	}
	running.Go(func() { failed <- s.serveClients(clients) })
	s.tellStarted(clients.Addr())
	if listening != nil {
		listening(clients.Addr())
	}
	background, stopBackground := context.WithCancel(ctx)
	running.Go(func() { s.firstGrant(background) })
	if s.reload != nil {
		running.Go(func() { s.reload.run(background, hangup) })
	}

	select {
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		s.drain(ctx)
	}
	s.proxy.Close()
	if s.admin != nil {
		s.admin.Close()
	}
	stopBackground()
	s.manager.Close() // after the drain: requests in flight may have needed a token yet
	running.Wait()
	s.audit.stopped(err)
	s.traces.Close(context.WithoutCancel(ctx))
	return err
}

// listen opens the listeners for clients and for the admin port, the latter nil
// for none.
func (s *server) listen() (clients, admin net.Listener, err error) {
	clients, err = listen.Open("PROXY_LISTEN", s.cfg.Proxy.Listen)
	if err != nil {
		return nil, nil, err
	}
	if s.admin != nil {
		if admin, err = listen.Open("PROXY_ADMIN_LISTEN", s.cfg.Proxy.AdminListen); err != nil {
			clients.Close()
			return nil, nil, err
		}
		s.logger.Info("admin port listening", "address", admin.Addr().String())
	}
	return limitConnections(clients, s.cfg.Proxy, s.signals), admin, nil
}

// serveClients serves until the server is closed or fails, and returns why.
func (s *server) serveClients(l net.Listener) error {
	l = s.handler.Listener(l)
	if s.handshakes != nil {
		return s.proxy.ServeTLS(l, "", "")
	}
	return s.proxy.Serve(l)
}

// tellStarted says that the proxy listens on address, and what is in force.
func (s *server) tellStarted(address net.Addr) {
	shown := listen.Address(address)
	s.logger.Info("listening", "address", shown, "tls", s.handshakes != nil,
		"login_url", s.cfg.Salesforce.LoginURL.String(), "subject", s.cfg.Salesforce.Username,
		"clients", len(s.cfg.Clients), "version", version())
	s.audit.started(s.cfg, s.keys, shown)
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
func (s *server) drain(ctx context.Context) {
	s.health.Stopping()
	s.logger.Info("stopping", "cause", context.Cause(ctx).Error(), "drain_timeout", s.cfg.Proxy.DrainTimeout.String())
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Proxy.DrainTimeout)
	defer cancel()
	if err := s.proxy.Shutdown(limit); err != nil {
		s.logger.Warn("requests were still running at the end of the drain time; they are cut", "setting", "PROXY_DRAIN_TIMEOUT")
		return
	}
	s.logger.Info("stopped")
}
