package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/key"
	"github.com/sfproxy/sfproxy/keygen"
	"github.com/sfproxy/sfproxy/listen"
	"github.com/sfproxy/sfproxy/telemetry"
)

// devorgOptions are the flags of sfproxy devorg.
type devorgOptions struct {
	org         devorg.Config
	certificate string
	dir         string
	verbose     bool
}

func newDevorgCommand() *cobra.Command {
	var o devorgOptions
	cmd := &cobra.Command{
		Use:   "devorg",
		Short: "Run the embedded Salesforce org alone, for the tests of an app",
		Long: `Devorg runs a small Salesforce-shaped org on this machine: a login host with a
strict token endpoint, and an instance host with sObjects, SOQL and the like, all
in memory. It makes a key pair for an app that may log in, unless --certificate
names one, and prints the settings that sfproxy needs.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.org.LoginListen, "listen", "127.0.0.1:8090", "address of the login host")
	f.StringVar(&o.org.InstanceListen, "instance-listen", "127.0.0.1:8091", "address of the instance host")
	f.StringVar(&o.org.ControlListen, "control-listen", "", "address of the test controls (default off)")
	f.StringVar(&o.org.PublicLoginURL, "login-url", "", "origin by which others reach the login host (default: its address)")
	f.StringVar(&o.org.PublicInstanceURL, "instance-url", "", "origin by which others reach the instance host (default: its address)")
	f.BoolVar(&o.org.TLS, "tls", false, "serve HTTPS, with a certificate authority of its own (ca.crt and ca.key in --dir)")
	f.StringVar(&o.org.ConsumerKey, "consumer-key", "devorg-consumer-key", "consumer key of the app")
	f.StringSliceVar(&o.org.Users, "user", []string{"integration@example.com"}, "username that is approved for the app; may be repeated")
	f.DurationVar(&o.org.TokenTTL, "token-ttl", 2*time.Hour, "life of a token")
	f.StringVar(&o.certificate, "certificate", "", "PEM `file` with the app's certificate (default: a new key pair in --dir)")
	f.StringVar(&o.dir, "dir", ".", "`directory` for the files made: server.key, server.crt, ca.crt; it is made if it is not there")
	f.BoolVar(&o.verbose, "verbose", false, "log each request")
	return cmd
}

func (o *devorgOptions) run(cmd *cobra.Command) error {
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	o.org.Logger = telemetry.NewLogger(cmd.ErrOrStderr(), level, "auto")
	dir, err := filepath.Abs(o.dir) // what is printed is good in any directory
	if err != nil {
		return usageError{err}
	}
	o.dir = dir
	if _, err := keygen.MakeDirectory("dir", o.dir); err != nil {
		return err
	}
	keyFile, err := o.register()
	if err != nil {
		return err
	}
	authorityFile := filepath.Join(o.dir, "ca.crt")
	if o.org.TLS {
		// Before the org listens, so that who sees it listen finds the file.
		if err := o.authority(authorityFile); err != nil {
			return err
		}
	}
	org, err := devorg.Start(o.org)
	if err != nil {
		return startError(err)
	}
	defer org.Close()
	settings := []string{
		"SF_LOGIN_URL=" + org.LoginURL(),
		"SF_CLIENT_ID=" + o.org.ConsumerKey,
		"SF_USERNAME=" + o.org.Users[0],
	}
	if keyFile != "" {
		settings = append(settings, "SF_JWT_KEY_FILE="+keyFile)
	}
	if o.org.TLS {
		settings = append(settings, "SF_CA_FILE="+authorityFile)
	}
	for _, s := range settings {
		fmt.Fprintln(cmd.OutOrStdout(), s)
	}
	o.org.Logger.Info("embedded org listening", "login_url", org.LoginURL(), "instance_url", org.InstanceURL())
	if o.org.ControlListen != "" {
		o.org.Logger.Info("test controls listening; GET / lists them", "control_url", org.ControlURL())
	}
	<-cmd.Context().Done()
	return nil
}

// startError names the flag whose address could not be listened on.
func startError(err error) error {
	failed, ok := errors.AsType[*devorg.ListenError](err)
	if !ok {
		return err
	}
	flag := map[string]string{"LoginListen": "--listen", "InstanceListen": "--instance-listen", "ControlListen": "--control-listen"}[failed.Setting]
	return fmt.Errorf("%s: %w%s", flag, failed.Err, listen.Remedy(flag, failed.Err))
}

// authority sets the certificate authority: that of an earlier run in the
// directory, or a new one.
func (o *devorgOptions) authority(certificateFile string) error {
	keyFile := filepath.Join(o.dir, "ca.key")
	if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
		certificate, private, err := devorg.NewAuthority()
		if err != nil {
			return err
		}
		if err := replacePair(certificateFile, certificate, keyFile, private); err != nil {
			return err
		}
	}
	var err error
	if o.org.AuthorityCertificate, err = os.ReadFile(certificateFile); err != nil {
		return usageError{err}
	}
	if o.org.AuthorityKey, err = os.ReadFile(keyFile); err != nil {
		return usageError{err}
	}
	return nil
}

// register sets the app's certificate and returns the file of its key, "" if that
// is not known: the one given, those of an earlier run in the directory, or new ones.
func (o *devorgOptions) register() (keyFile string, err error) {
	keyFile = filepath.Join(o.dir, "server.key")
	file := o.certificate
	switch {
	case file != "":
		keyFile = ""
	default:
		file = filepath.Join(o.dir, "server.crt")
		if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
			if err := makeKeyFiles(keyFile, file); err != nil {
				return "", err
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usageError{err}
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", usageError{fmt.Errorf("%s is not a certificate in PEM form", file)}
	}
	if o.org.Certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return "", usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return keyFile, nil
}

// makeKeyFiles writes a new key pair.
func makeKeyFiles(keyFile, certificateFile string) error {
	pair, err := key.Generate(key.Template{CommonName: "sfproxy devorg", Bits: 2048, Life: keygen.AppDays * 24 * time.Hour})
	if err != nil {
		return err
	}
	private, err := pair.EncodePrivate(nil)
	if err != nil {
		return err
	}
	return replacePair(certificateFile, pair.EncodeCertificates(), keyFile, private)
}

// replacePair writes a certificate and its key; the key last, since its presence
// says that both are there.
func replacePair(certificateFile string, certificate []byte, keyFile string, private []byte) error {
	return keygen.Replace([]keygen.File{
		{Path: certificateFile, Content: certificate, Mode: 0o644},
		{Path: keyFile, Content: private, Mode: 0o600},
	})
}
