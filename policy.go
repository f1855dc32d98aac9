package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// explainOptions are the flags of sfproxy policy explain.
type explainOptions struct {
	body, contentType string
}

func newPolicyCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Tell what clients may do",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("policy needs a command: sfproxy policy explain CLIENT METHOD PATH")}
		},
	}
	cmd.AddCommand(newExplainCommand(environ))
	return cmd
}

func newExplainCommand(environ []string) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain CLIENT METHOD PATH",
		Short: "Say whether a client may send a request, and which rule decides",
		Long: `Explain judges a request by the configuration in the environment, as the running
proxy would, and sends nothing. PATH is the request target as the client sends it,
with its query.

Exit status: 0 if the request is allowed, 1 if it is denied, 2 for wrong usage or
configuration.`,
		Example: `  sfproxy policy explain billing GET '/services/data/v60.0/query?q=SELECT+Id+FROM+Account'
  sfproxy policy explain billing POST /services/data/v60.0/composite --body request.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 3 {
				return usageError{fmt.Errorf("explain takes a client, a method and a path (see %s --help)", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, environ, args[0], args[1], args[2]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.body, "body", "", "`file` with the body of the request; - for stdin")
	f.StringVar(&o.contentType, "content-type", "", "its Content-Type (default: text/xml for SOAP, application/xml for Bulk API 1.0, else application/json)")
	withVariables(cmd, "SF_", "PROXY_")
	return cmd
}

func (o *explainOptions) run(cmd *cobra.Command, environ []string, client, method, target string) error {
	cfg, err := parseConfig(environ)
	if err != nil {
		return err
	}
	request, err := o.request(cmd.InOrStdin(), method, target)
	if err != nil {
		return usageError{err}
	}
	var noTokens *auth.Manager // nothing is sent
	p, err := newProxy(cfg, noTokens, nil, http.DefaultTransport, signals{metrics: telemetry.NewMetrics(version()), logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	verdict, err := p.Explain(client, request)
	if err != nil {
		return usageError{err}
	}
	writeVerdict(cmd.OutOrStdout(), verdict)
	if !verdict.Allowed {
		return fmt.Errorf("client %s may not send this request", client)
	}
	return nil
}

// request returns the request that the command line describes.
func (o *explainOptions) request(stdin io.Reader, method, target string) (*http.Request, error) {
	if !strings.HasPrefix(target, "/") {
		return nil, fmt.Errorf("%q is no path: it has to begin with a slash", target)
	}
	var text []byte
	var err error
	switch o.body {
	case "":
	case "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(o.body)
	}
	if err != nil {
		return nil, fmt.Errorf("--body: %w", err)
	}
	request, err := http.NewRequest(strings.ToUpper(method), "http://localhost", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(target, "?")
	if path, err = url.PathUnescape(path); err != nil {
		return nil, fmt.Errorf("%q is no path: %w", target, err)
	}
	request.RequestURI, request.URL.Path = target, path
	if o.body != "" {
		request.Header.Set("Content-Type", cmp.Or(o.contentType, contentTypeOf(path)))
	}
	return request, nil
}

// contentTypeOf returns what bodies mostly are at a path.
func contentTypeOf(path string) string {
	switch {
	case strings.HasPrefix(path, "/services/Soap/"):
		return "text/xml"
	case strings.HasPrefix(path, "/services/async/"):
		return "application/xml"
	}
	return "application/json"
}

func writeVerdict(w io.Writer, v proxy.Verdict) {
	if v.Allowed {
		fmt.Fprintln(w, "allowed: no rule denies it")
	} else {
		fmt.Fprintf(w, "denied by the rule %s (%s)\n%s\n", v.Rule, v.Code, v.Reason)
	}
	if v.Effect != "" {
		fmt.Fprintln(w, "the request is "+v.Effect)
	}
}
