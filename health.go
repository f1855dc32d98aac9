package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// newHealthCommand is for images that hold nothing but this binary.
func newHealthCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health [URL]",
		Short: "Exit 0 if the running proxy is alive (for container health checks)",
		Long: `Health asks the admin port of the proxy that runs beside it (PROXY_ADMIN_LISTEN)
for /healthz, or URL for any answer below 500. A certificate is not checked: the
question goes to a process of the same container.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("health takes one URL at most")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return askHealth(cmd.Context(), args[0])
			}
			address, err := adminAddress(environ)
			if err != nil {
				return err
			}
			return askHealth(cmd.Context(), "http://"+address+"/healthz")
		},
	}
	withVariables(cmd, "PROXY_ADMIN_LISTEN")
	return cmd
}

// adminAddress returns where the admin port of the same environment is reached.
func adminAddress(environ []string) (string, error) {
	cfg, err := parseConfig(environ)
	if err != nil {
		return "", err
	}
	if cfg.Proxy.AdminListen == "" {
		return "", usageError{errors.New("PROXY_ADMIN_LISTEN is off, so there is nothing to ask")}
	}
	host, port, err := net.SplitHostPort(cfg.Proxy.AdminListen)
	if err != nil {
		return "", usageError{err}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func askHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{err}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // #nosec G402 -- it asks whether this machine's own listener answers, and tells it nothing
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
