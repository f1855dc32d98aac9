package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/key"
	"github.com/sfproxy/sfproxy/telemetry"
)

// Life of a token in the demo: short, so that one sees it being renewed.
const (
	demoTokenTTL = 30 * time.Second // as the proxy counts; due after 20 to 23 s
	demoOrgTTL   = 45 * time.Second // as the org counts
)

const (
	demoConsumerKey = "demo-consumer-key"
	demoUser        = "integration@demo.example"
)

func newDemoCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the proxy against the embedded org and print curl lines that work",
		Long: `Demo makes a key pair, registers its certificate with an embedded
Salesforce-shaped org, starts the org and the proxy on this machine, and prints
curl lines to try. Nothing is written to disk and nothing leaves the machine.
PROXY_* and LOG_* variables apply; SF_* and PROXY_CLIENT_* variables do not.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), environ, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	withVariables(cmd, "PROXY_", "LOG_")
	return cmd
}

func demo(ctx context.Context, environ []string, stdout, stderr io.Writer) error {
	pair, err := key.Generate(key.Template{CommonName: "sfproxy demo", Bits: 2048, Life: 24 * time.Hour})
	if err != nil {
		return err
	}
	org, err := devorg.Start(devorg.Config{
		ConsumerKey: demoConsumerKey,
		Certificate: pair.Certificate(),
		Users:       []string{demoUser},
		TokenTTL:    demoOrgTTL,
	})
	if err != nil {
		return err
	}
	defer org.Close()
	environ, err = demoEnviron(environ, org.LoginURL(), pair)
	if err != nil {
		return err
	}
	cfg, err := parseConfig(environ)
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(stderr, cfg.Log.Level, cfg.Log.Format)
	return serve(ctx, cfg, nil, logger, func(addr net.Addr) {
		scheme := "http"
		if cfg.Proxy.TLSCertFile != "" {
			scheme = "https"
		}
		printDemo(stdout, scheme+"://"+reachable(addr))
	})
}

// demoEnviron returns environ with the demo's SF_* variables in the place of
// the user's, and with free ports where the user named none and the usual ones
// are taken.
func demoEnviron(environ []string, loginURL string, pair *key.Key) ([]string, error) {
	private, err := pair.EncodePrivate(nil)
	if err != nil {
		return nil, err
	}
	environ = append(withoutVariables(withoutVariables(environ, "SF_"), "PROXY_CLIENT_"),
		"SF_LOGIN_URL="+loginURL,
		"SF_CLIENT_ID="+demoConsumerKey,
		"SF_USERNAME="+demoUser,
		"SF_JWT_KEY="+string(private),
		"SF_TOKEN_TTL="+demoTokenTTL.String())
	for name, usual := range map[string]string{"PROXY_LISTEN": "127.0.0.1:8080", "PROXY_ADMIN_LISTEN": "127.0.0.1:8081"} {
		isNamed := slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		if !isNamed && isTaken(usual) {
			environ = append(environ, name+"=127.0.0.1:0")
		}
	}
	return environ, nil
}

// reachable returns an address to connect to: one that listens on every
// interface is reached by loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}

func isTaken(address string) bool {
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

func printDemo(w io.Writer, origin string) {
	note := ""
	if !strings.HasSuffix(origin, ":8080") {
		note = " (another program has port 8080, or PROXY_LISTEN says so)"
	}
	fmt.Fprintf(w, `
The proxy is at %[1]s, in front of an embedded org with a few records%[3]s.
In another terminal, no token needed:

  api=%[1]s/services/data/v60.0

  # create
  id=$(curl -s $api/sobjects/Account -H 'Content-Type: application/json' -d '{"Name":"Acme Rockets"}' | sed 's/.*"id":"\([^"]*\)".*/\1/'); echo $id
  # read
  curl -s $api/sobjects/Account/$id
  # query
  curl -sG $api/query --data-urlencode "q=SELECT Id, Name FROM Account WHERE Name LIKE 'Acme%%'"
  # update
  curl -s -w '%%{http_code}\n' -X PATCH $api/sobjects/Account/$id -H 'Content-Type: application/json' -d '{"Phone":"555-0100"}'
  # delete
  curl -s -w '%%{http_code}\n' -X DELETE $api/sobjects/Account/$id

A token lives %[2]s here: repeat a call after that and see "token granted" below.
Ctrl-C ends it.

`, origin, demoTokenTTL, note)
}
