package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sfproxy/sfproxy/key"
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
	f.StringVar(&o.dir, "dir", ".", "`directory` for the files made")
	f.IntVar(&o.bits, "bits", 2048, "size of the RSA key: 2048, 3072 or 4096")
	f.IntVar(&o.days, "days", appDays, fmt.Sprintf("days that the certificate is valid (with --tls default and most %d)", serverDays))
	f.BoolVar(&o.force, "force", false, "replace files that are there already (never an authority)")
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
	if err := o.check(cmd, names); err != nil {
		return usageError{err}
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
	if o.isServer {
		return o.makeServer(names, cmd.OutOrStdout())
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
	return errors.Join(o.checkValues(), o.checkKeystores(cmd), checkDirectory("dir", o.dir))
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
	if o.pkcs12 != "" {
		errs = append(errs, checkDirectory("p12", filepath.Dir(o.pkcs12)))
	}
	if o.jks != "" {
		errs = append(errs, checkDirectory("jks", filepath.Dir(o.jks)))
	}
	return errors.Join(errs...)
}

// checkDirectory refuses a directory that the flag names and that is none.
func checkDirectory(flag, dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--%s: there is no directory %s", flag, dir)
	case err != nil:
		return fmt.Errorf("--%s: %w", flag, err)
	case !info.IsDir():
		return fmt.Errorf("--%s: %s is no directory", flag, dir)
	}
	return nil
}

// makeApp makes the key by which sfproxy logs in, and what goes with it.
func (o *keygenOptions) makeApp(stdout io.Writer) error {
	passphrase, err := o.passphrase()
	if err != nil {
		return usageError{err}
	}
	k, err := key.Generate(key.Template{CommonName: o.commonName, Bits: o.bits, Life: days(o.days)})
	if err != nil {
		return err
	}
	files, err := o.appFiles(k, passphrase)
	if err != nil {
		return err
	}
	if err := o.write(files); err != nil {
		return err
	}
	return printApp(stdout, o, k)
}

// Files that keygen makes.
func (o *keygenOptions) keyFile() string         { return filepath.Join(o.dir, "server.key") }
func (o *keygenOptions) certificateFile() string { return filepath.Join(o.dir, "server.crt") }
func (o *keygenOptions) requestFile() string     { return filepath.Join(o.dir, "server.csr") }

// appFiles returns what is made of the key.
func (o *keygenOptions) appFiles(k *key.Key, passphrase []byte) ([]outputFile, error) {
	private, err := k.EncodePrivate(passphrase)
	files := []outputFile{{o.keyFile(), private, 0o600}}
	if o.isRequest {
		request, requestErr := k.EncodeRequest(o.commonName)
		return append(files, outputFile{o.requestFile(), request, 0o644}), errors.Join(err, requestErr)
	}
	files = append(files, outputFile{o.certificateFile(), k.EncodeCertificates(), 0o644})
	if o.pkcs12 != "" && err == nil {
		var store []byte
		store, err = k.EncodePKCS12(o.alias, passphrase)
		files = append(files, outputFile{o.pkcs12, store, 0o600})
	}
	if o.jks != "" && err == nil {
		var store []byte
		store, err = k.EncodeJKS(o.alias, passphrase)
		files = append(files, outputFile{o.jks, store, 0o600})
	}
	return files, err
}

// passphrase reads the passphrase as sfproxy itself does: without one newline
// at the end. It is empty if no file is named.
func (o *keygenOptions) passphrase() ([]byte, error) {
	if o.passphraseFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(o.passphraseFile)
	if err != nil {
		return nil, fmt.Errorf("--passphrase-file: %w", err)
	}
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	switch {
	case len(content) == 0:
		return nil, fmt.Errorf("--passphrase-file: %s is empty", o.passphraseFile)
	case bytes.ContainsAny(content, "\r\n"):
		return nil, fmt.Errorf("--passphrase-file: %s has several lines, and a passphrase is one", o.passphraseFile)
	}
	if o.pkcs12 != "" || o.jks != "" {
		if err := key.CheckKeystorePassphrase(content); err != nil {
			return nil, fmt.Errorf("--passphrase-file: %w", err)
		}
	}
	return content, nil
}

// write writes files as the user wants it: not over others unless forced.
func (o *keygenOptions) write(files []outputFile) error {
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.path] {
			return usageError{fmt.Errorf("%s would be written twice: give each file a name of its own", f.path)}
		}
		seen[f.path] = true
	}
	if o.force {
		return replaceFiles(files)
	}
	return createFiles(files)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
