package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// How long certificates are valid, in days.
const (
	appDays    = 730
	maxAppDays = 3650
	serverDays = 397 // the most that browsers and Apple's systems accept
)

// keygenOptions are the flags of sfproxy keygen.
type keygenOptions struct {
	dir            string
	bits           int
	days           int
	force          bool
	commonName     string
	passphraseFile string
	isRequest      bool
	pkcs12         string
	jks            string
	alias          string
	isServer       bool

	madeDir bool // the directory is new
	removed bool // a certificate was taken away, see removeCertificate
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
	f.StringVar(&o.dir, "dir", ".", "`directory` for the files made; it is made if it is not there")
	f.IntVar(&o.bits, "bits", 2048, "size of the RSA key: 2048, 3072 or 4096")
	f.IntVar(&o.days, "days", appDays, fmt.Sprintf("days that the certificate is valid (with --tls default and most %d)", serverDays))
	f.BoolVar(&o.force, "force", false, "replace files that are there already (never an authority); with --tls and no names, for those of tls.crt")
	f.StringVar(&o.commonName, "cn", "sfproxy", "common `name` in the certificate; for people only")
	f.StringVar(&o.passphraseFile, "passphrase-file", "", "`file` with the passphrase that encrypts the key, and opens the keystores")
	f.BoolVar(&o.isRequest, "csr", false, "make a certificate signing request, server.csr, instead of the certificate")
	f.StringVar(&o.pkcs12, "p12", "", "also write a PKCS#12 `file` with key and certificate")
	f.StringVar(&o.jks, "jks", "", "also write a Java keystore `file` with key and certificate")
	f.StringVar(&o.alias, "alias", "sfproxy", "`name` of the key in those; Java has it in lower case")
	f.BoolVar(&o.isServer, "tls", false, "make a certificate authority and a server certificate instead")
	return cmd
}

func (o *keygenOptions) run(cmd *cobra.Command, names []string) error {
	if o.isServer && !cmd.Flags().Changed("days") {
		o.days = serverDays
	}
	for _, path := range []*string{&o.dir, &o.passphraseFile, &o.pkcs12, &o.jks} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path) // what is printed is good in any directory
		if err != nil {
			return usageError{err}
		}
		*path = absolute
	}
	if err := o.check(cmd, names); err != nil {
		return usageError{err}
	}
	if o.isServer {
		return o.makeServer(names, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return o.makeApp(cmd.OutOrStdout())
}

// check refuses what cannot be meant.
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
	if o.dir == "" {
		return errors.New("--dir: names no directory")
	}
	return errors.Join(o.checkValues(), o.checkKeystores(cmd))
}

func (o *keygenOptions) checkValues() error {
	most := maxAppDays
	if o.isServer {
		most = serverDays
	}
	switch {
	case o.bits != 2048 && o.bits != 3072 && o.bits != 4096:
		return fmt.Errorf("--bits: %d is not 2048, 3072 or 4096", o.bits)
	case o.days < 1 || o.days > most:
		return fmt.Errorf("--days: %d is not between 1 and %d", o.days, most)
	case strings.TrimSpace(o.commonName) == "" || len([]rune(o.commonName)) > 64: // the bound of X.520
		return errors.New("--cn: has to have 1 to 64 characters")
	case strings.ContainsFunc(o.commonName, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("--cn: has a character that cannot be printed")
	}
	return nil
}

// aliasForm is what Salesforce asks of the unique name that an imported
// certificate gets from its alias.
var aliasForm = regexp.MustCompile(`^[A-Za-z](_?[A-Za-z0-9])*$`)

func (o *keygenOptions) checkKeystores(cmd *cobra.Command) error {
	switch {
	case o.pkcs12 == "" && o.jks == "" && cmd.Flags().Changed("alias"):
		return errors.New("--alias: names the key in a keystore, for which --p12 or --jks asks")
	case !aliasForm.MatchString(o.alias):
		return fmt.Errorf("--alias: %q is not of letters, digits and single underscores, with a letter first, as Salesforce's import wants it", o.alias)
	case o.passphraseFile == "" && o.jks != "":
		return errors.New("--jks: needs a passphrase for the keystore: --passphrase-file")
	case o.passphraseFile == "" && o.pkcs12 != "":
		return errors.New("--p12: needs a passphrase for the file: --passphrase-file")
	}
	var errs []error
	for _, store := range [][2]string{{"p12", o.pkcs12}, {"jks", o.jks}} {
		flag, path := store[0], store[1]
		if dir := filepath.Dir(path); path != "" && dir != o.dir { // which is made
			errs = append(errs, checkDirectory(flag, dir))
		}
	}
	return errors.Join(errs...)
}

// write writes files as the user wants it: not over others unless forced. The
// directory is made if need be, and taken back if nothing comes into it.
func (o *keygenOptions) write(files []outputFile) (err error) {
	seen := map[string]bool{}
	for _, f := range files {
		if f.path == o.passphraseFile {
			return usageError{fmt.Errorf("%s holds the passphrase, which would be lost: give the new file another name", f.path)}
		}
		if seen[f.path] {
			return usageError{fmt.Errorf("%s would be written twice: give each file a name of its own", f.path)}
		}
		seen[f.path] = true
	}
	if o.madeDir, err = makeDirectory("dir", o.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil && o.madeDir {
			os.Remove(o.dir)
		}
	}()
	if o.force {
		return replaceFiles(files)
	}
	return createFiles(files)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
