package main

import (
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
to three more where the audience is refused), one for each of the first 20 other
users of clients, and a few API calls. Nothing secret is printed: the output may be
pasted into a ticket.

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
// whether the configuration has faults. A side that has none, the org's or the
// clients', can be checked all the same.
func doctorConfig(environ []string) (set doctor.Config, faults bool) {
	whole, err := config.Parse(environ)
	org, clients := whole, whole
	if faulty, ok := errors.AsType[*config.Error](err); ok {
		faults = true
		for _, f := range faulty.Faults {
			set.Faults = append(set.Faults, f.String())
		}
		org, clients = orgSide(environ), clientsSide(environ)
	} else if err := checkAuditFile(whole.Log); err != nil {
		faults = true
		set.Faults = append(set.Faults, err.Error())
	}
	if clients != nil {
		set.Listener = doctorListener(clients)
	}
	if org == nil {
		return set, faults
	}
	set.Warnings, set.Notes = warningsOf(org), notesOf(org)
	sf := org.Salesforce
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

// orgSide returns the configuration without what is about clients and logs, nil
// if the rest has faults.
func orgSide(environ []string) *config.Config {
	cfg, _ := config.Parse(withoutVariables(withoutVariables(environ, "PROXY_"), "LOG_"))
	return cfg
}

// clientsSide returns the configuration with an org that is none in the place of
// the org's side, nil if the rest has faults.
func clientsSide(environ []string) *config.Config {
	environ = withoutVariables(withoutVariables(environ, "SF_"), "LOG_")
	cfg, _ := config.Parse(append(environ, "SF_CLIENT_ID=none", "SF_USERNAME=none@example.com", "SF_JWT_KEY=none"))
	return cfg
}

// doctorKeys loads the private key, with the certificate that is given beside
// it, and the next key.
func doctorKeys(sf config.Salesforce) (first, next doctor.Key) {
	firstKey, err := loadKey(sf)
	first = doctorKey(firstKey, err, sf.KeySource)
	nextKey, err := loadNextKey(sf)
	if nextKey != nil || err != nil {
		next = doctorKey(nextKey, err, "SF_JWT_KEY_FILE_NEXT ("+sf.NextKeyFile+")")
	}
	if firstKey != nil {
		first.Certificate, first.CertificateFault = certificateOf(sf, keys{first: firstKey, next: nextKey}, nil)
	}
	return first, next
}

func doctorKey(k *key.Key, err error, source string) doctor.Key {
	if err != nil {
		return doctor.Key{Fault: err, Unsuitable: errors.Is(err, key.ErrUnsuitable), Source: source}
	}
	return doctor.Key{Signer: k.Signer, Source: source, Format: k.Form, Fingerprint: k.Fingerprint(), Certificate: k.Certificate()}
}

func doctorListener(cfg *config.Config) *doctor.Listener {
	l := &doctor.Listener{
		Address:      cfg.Proxy.Listen,
		AdminAddress: cfg.Proxy.AdminListen,
		AllowPaths:   cfg.Proxy.AllowPaths,
	}
	l.TLS, l.TLSFault = listenerTLS(cfg.Proxy)
	for n, c := range cfg.Clients {
		l.Clients = append(l.Clients, doctor.Client{Name: c.Name, Subject: c.Subject, Setting: fmt.Sprintf("PROXY_CLIENT_%d_SUBJECT", n)})
	}
	return l
}
