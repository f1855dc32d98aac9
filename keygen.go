package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/keygen"
)

// keygenOptions are the flags of sfproxy keygen.
type keygenOptions struct {
	keygen.Options
	isServer bool
}

func newKeygenCommand() *cobra.Command {
	var o keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen [--tls NAME|ADDRESS ...]",
		Short: "Make a key pair and certificate, and say what to upload where",
		Long: `Keygen makes the RSA key by which sfproxy logs in, server.key, and the certificate
that goes to Salesforce, server.crt, and says where in Setup it goes and what
sfproxy is to be told.

With --tls it makes what serves HTTPS to apps that refuse HTTP: a private
certificate authority, ca.crt and ca.key, and a server certificate for the names
and addresses given (default localhost, 127.0.0.1, ::1), tls.crt and tls.key. An
authority that is in the directory already is used again, so that apps that trust
it need not be told anew.`,
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd, names) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", ".", "`directory` for the files made; it is made if it is not there")
	f.IntVar(&o.Bits, "bits", 2048, "size of the RSA key: 2048, 3072 or 4096")
	f.IntVar(&o.Days, "days", keygen.AppDays, fmt.Sprintf("days that the certificate is valid (with --tls default and most %d)", keygen.ServerDays))
	f.BoolVar(&o.Force, "force", false, "replace files that are there already (never an authority); with --tls and no names, for those of tls.crt")
	f.StringVar(&o.CommonName, "cn", "sfproxy", "common `name` in the certificate; for people only")
	f.StringVar(&o.PassphraseFile, "passphrase-file", "", "`file` with the passphrase that encrypts the key, and opens the keystores")
	f.BoolVar(&o.Request, "csr", false, "make a certificate signing request, server.csr, instead of the certificate")
	f.StringVar(&o.PKCS12, "p12", "", "also write a PKCS#12 `file` with key and certificate")
	f.StringVar(&o.JKS, "jks", "", "also write a Java keystore `file` with key and certificate")
	f.StringVar(&o.Alias, "alias", "sfproxy", "`name` of the key in those; Java has it in lower case")
	f.BoolVar(&o.isServer, "tls", false, "make a certificate authority and a server certificate instead")
	return cmd
}

func (o *keygenOptions) run(cmd *cobra.Command, names []string) error {
	if o.isServer && !cmd.Flags().Changed("days") {
		o.Days = keygen.ServerDays
	}
	if err := o.check(cmd, names); err != nil {
		return usageError{err}
	}
	for _, path := range []*string{&o.Dir, &o.PassphraseFile, &o.PKCS12, &o.JKS} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path) // what is printed is good in any directory
		if err != nil {
			return usageError{err}
		}
		*path = absolute
	}
	if o.isServer {
		return keygen.Server(o.Options, names, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return keygen.App(o.Options, cmd.OutOrStdout())
}

// check refuses flags and arguments that do not go together.
func (o *keygenOptions) check(cmd *cobra.Command, names []string) error {
	if len(names) > 0 && !o.isServer {
		return fmt.Errorf("%q: keygen takes names and addresses only with --tls", names[0])
	}
	// Each flag in front makes no sense with the one behind it.
	for _, pair := range [][2]string{
		{"cn", "tls"}, {"passphrase-file", "tls"}, {"csr", "tls"}, {"p12", "tls"}, {"jks", "tls"}, {"alias", "tls"},
		{"days", "csr"}, {"p12", "csr"}, {"jks", "csr"},
	} {
		if cmd.Flags().Changed(pair[0]) && cmd.Flags().Changed(pair[1]) {
			return fmt.Errorf("--%s and --%s do not go together", pair[0], pair[1])
		}
	}
	for _, name := range []string{"p12", "jks", "passphrase-file"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return fmt.Errorf("--%s: names no file", name)
		}
	}
	if o.Dir == "" {
		return errors.New("--dir: names no directory")
	}
	if cmd.Flags().Changed("alias") && o.PKCS12 == "" && o.JKS == "" {
		return errors.New("--alias: names the key in a keystore, for which --p12 or --jks asks")
	}
	return nil
}
