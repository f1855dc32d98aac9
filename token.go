package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/telemetry"
)

func newTokenCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make one grant and print the access token, and nothing else, on stdout",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// It starts no proxy, so what is wrong with the proxy's settings does not matter.
			cfg, err := parseConfig(withoutVariables(environ, "PROXY_"))
			if err != nil {
				return err
			}
			logger := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.Log.Level, cfg.Log.Format)
			logWarnings(logger, cfg)
			transport, err := newTransport(cfg.Salesforce)
			if err != nil {
				return err
			}
			keys, err := loadKeys(cfg.Salesforce)
			if err != nil {
				return err
			}
			keys.warn(logger)
			findCertificate(cfg.Salesforce, keys, keys.first, logger) // a signer command is checked by it
			org, err := newOrg(cfg.Salesforce, keys, nil, transport, logger)
			if err != nil {
				return err
			}
			token, err := org.Grant(cmd.Context(), cfg.Salesforce.Username)
			if err != nil {
				return withHint(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), token.AccessToken.Reveal())
			return nil
		},
	}
	withVariables(cmd, "SF_", "LOG_")
	return cmd
}

// withHint adds what to do about err on a line of its own.
func withHint(err error) error {
	if hint := auth.Hint(err); hint != "" {
		return errors.Join(err, errors.New("hint: "+hint))
	}
	return err
}
