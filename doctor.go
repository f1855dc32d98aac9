package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/doctor"
	"github.com/sfproxy/sfproxy/key"
)

// doctorOptions are the flags of sfproxy doctor.
type doctorOptions struct {
	json     bool
	callback string
}

func newDoctorCommand(environ []string) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything, explain each failure and its fix",
		Long: `Doctor goes the whole way that a request takes, from the configuration to the org
and back to the proxy's own port, and prints a line for each check:

  ✓ well   ! works, and may be better   ✗ failed   – not tried, or of no use here

Below a line is what to do, the most likely cause first. It takes one grant (up
to three more where the audience is refused) and a few API calls. Nothing secret
is printed: the output may be pasted into a ticket.

Exit status: 0 if no check failed, 1 if one did, 2 if the configuration has faults.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, environ) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print one JSON document: ok, and the checks with status, detail and remedies")
	f.StringVar(&o.callback, "callback", "https://login.salesforce.com/services/oauth2/success", "`URL` that is one of the app's callback URLs, for the URL at which a user approves the app")
	withVariables(cmd, "SF_", "PROXY_", "LOG_")
	return cmd
}

func (o *doctorOptions) run(cmd *cobra.Command, environ []string) error {
	if u, err := url.Parse(o.callback); err != nil || u.Scheme == "" {
		return usageError{errors.New("--callback is not a URL")}
	}
	cfg, faults := doctorConfig(environ)
	cfg.Callback = o.callback
	report := doctor.Report{Checks: []doctor.Result{}}
	failures := 0
	report.OK = doctor.Run(cmd.Context(), cfg, func(r doctor.Result) {
		report.Checks = append(report.Checks, r)
		if r.Status == doctor.Failed {
			failures++
		}
		if !o.json {
			r.WriteText(cmd.OutOrStdout())
		}
	})
	if o.json {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	}
	switch {
	case faults:
		return usageError{errors.New("the configuration has faults")}
	case failures > 0:
		return fmt.Errorf("%d of %d checks failed", failures, len(report.Checks))
	}
	return nil
}

// doctorConfig turns the environment into a set-up to check, and reports
// whether the configuration has faults. If none is of the org's side, that can be
// checked all the same.
func doctorConfig(environ []string) (set doctor.Config, faults bool) {
	cfg, err := config.Parse(environ)
	if faulty, ok := errors.AsType[*config.Error](err); ok {
		faults = true
		for _, f := range faulty.Faults {
			set.Faults = append(set.Faults, f.String())
		}
		if cfg, err = config.Parse(withoutVariables(withoutVariables(environ, "PROXY_"), "LOG_")); err != nil {
			return set, faults
		}
	} else {
		set.Warnings = cfg.Warnings
		set.Listener = doctorListener(cfg)
	}
	sf := cfg.Salesforce
	transport, err := newTransport(sf)
	if err != nil {
		set.Faults = append(set.Faults, err.Error())
		return set, true
	}
	set.Org = auth.OrgConfig{
		LoginURL:       sf.LoginURL,
		ConsumerKey:    sf.ConsumerKey,
		Audience:       sf.Audience,
		TokenTTL:       sf.TokenTTL,
		InstanceURL:    sf.InstanceURL,
		TrustedDomains: sf.TrustedDomains,
		AllowHTTP:      sf.AllowHTTP,
	}
	set.Subject, set.Transport, set.MinAPIVersion = sf.Username, transport, sf.MinAPIVersion
	set.Key, set.NextKey = doctorKeys(sf)
	return set, faults
}

// doctorKeys loads the private key, with the certificate that is given beside
// it, and the next key.
func doctorKeys(sf config.Salesforce) (first, next doctor.Key) {
	first = doctorKey(loadKey(sf))
	first.Source = sf.KeySource
	if len(sf.Certificate) > 0 {
		given, err := key.ParseCertificate(sf.Certificate)
		if err != nil {
			first.Signer, first.Fault = nil, fmt.Errorf("SF_JWT_CERT_FILE (%s): %w", sf.CertificateFile, err)
		}
		first.Certificates = []*x509.Certificate{given}
	}
	if !sf.NextKey.IsZero() {
		sf.Key, sf.KeySource = sf.NextKey, "SF_JWT_KEY_FILE_NEXT ("+sf.NextKeyFile+")"
		next = doctorKey(parseKey(sf))
		next.Source = sf.KeySource
	}
	return first, next
}

func doctorKey(loaded *key.Key, err error) doctor.Key {
	if err != nil {
		return doctor.Key{Fault: err}
	}
	return doctor.Key{Signer: loaded.Signer, Format: loaded.Format, Fingerprint: loaded.Fingerprint(), Certificates: loaded.Certificates}
}

func doctorListener(cfg *config.Config) *doctor.Listener {
	l := &doctor.Listener{
		Address:      cfg.Proxy.Listen,
		AdminAddress: cfg.Proxy.AdminListen,
		AllowPaths:   cfg.Proxy.AllowPaths,
	}
	l.TLS, l.TLSFault = listenerTLS(cfg.Proxy)
	for _, c := range cfg.Clients {
		l.Clients = append(l.Clients, c.Name)
	}
	return l
}
