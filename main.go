// Command sfproxy is an authenticating reverse proxy in front of the Salesforce
// APIs: an app that points at it needs no OAuth code and no certificate.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra" // commands, flags, help and shell completion

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/keygen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// usageError is an error that the user's command line or configuration causes.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run is main without the process: it reads no globals, so that tests call it.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := newRootCommand(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "sfproxy: %v\n", err)
	if isUsage(err) {
		return exitUsage
	}
	return exitFailed
}

func isUsage(err error) bool {
	_, ours := errors.AsType[usageError](err)
	_, fromKeygen := errors.AsType[keygen.UsageError](err)
	return ours || fromKeygen
}

// newRootCommand returns the command tree. environ is what configuration comes from.
func newRootCommand(environ []string) *cobra.Command {
	serve := newServeCommand(environ)
	root := &cobra.Command{
		Use:   "sfproxy",
		Short: "An authenticating reverse proxy to the Salesforce APIs",
		Long: `sfproxy lets an app that knows nothing of OAuth use the Salesforce APIs: point it
at the proxy, and the proxy gets access tokens by the OAuth 2.0 JWT bearer flow
and puts them on the app's requests.

"sfproxy demo" shows it against an embedded org. Without a command, sfproxy serves.`,
		Args:          noArgs,
		Version:       versionLine(),
		RunE:          serve.RunE,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serve, newDemoCommand(environ), newDevorgCommand(), newTokenCommand(environ), newDoctorCommand(environ), newKeygenCommand(), newHealthCommand(environ), newPolicyCommand(environ), newVersionCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	withVariables(root, "SF_", "PROXY_", "LOG_", "OTEL_")
	return root
}

// noArgs refuses arguments as wrong usage, unknown commands among them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q is not a command of %s (see %s --help)", args[0], cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}

// withVariables adds the environment variables that cmd reads to its help.
func withVariables(cmd *cobra.Command, prefixes ...string) {
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(c *cobra.Command, args []string) {
		help(c, args)
		if c == cmd {
			fmt.Fprintln(c.OutOrStdout(), "\nEnvironment variables:")
			config.Usage(c.OutOrStdout(), prefixes...)
		}
	})
}

// withoutVariables returns environ without the variables whose names begin with
// prefix.
func withoutVariables(environ []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, prefix) })
}

// parseConfig reads the configuration; its faults are wrong usage.
func parseConfig(environ []string) (*config.Config, error) {
	cfg, err := config.Parse(environ)
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}
