package keygen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// How long certificates are valid, in days.
const (
	AppDays    = 730 // unless the user says otherwise
	maxAppDays = 3650
	ServerDays = 397 // the most that browsers and Apple's systems accept
)

// Options say what is to be made. Paths are absolute, since they are printed for
// use in any directory.
type Options struct {
	Dir   string // for the files whose names are fixed; made if it is not there
	Bits  int    // size of the RSA key: 2048, 3072 or 4096
	Days  int    // that the certificate is valid: 1 to 3650, for a server to ServerDays
	Force bool   // replaces files that are there, but never an authority

	// What follows is for an app's key alone.

	CommonName     string // in the certificate, for people only: 1 to 64 characters
	PassphraseFile string // has what encrypts the key and opens the keystores; "" for none
	Request        bool   // makes a signing request instead of the certificate
	PKCS12, JKS    string // keystores to write as well; "" for none
	Alias          string // of the key in those
}

// UsageError is a fault in what was asked for, rather than in making it: in the
// options, or in what they name.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// App makes the key by which sfproxy logs in, with its certificate or a request
// for one, and says on stdout what to do with them. The error is a [UsageError]
// where o cannot be met; no file has changed then.
func App(o Options, stdout io.Writer) error {
	m := &maker{Options: o}
	if err := errors.Join(m.checkSize(maxAppDays), m.checkName(), m.checkKeystores()); err != nil {
		return UsageError{err}
	}
	return m.makeApp(stdout)
}

// Server makes a certificate for serving HTTPS under names, and the authority
// that signs it if there is none in the directory. It says on stdout what to do
// with them, and warns on stderr of names that some clients cannot use. Without
// names it takes those of the certificate that is replaced, or else this
// machine's for itself. The error is as with [App].
func Server(o Options, names []string, stdout, stderr io.Writer) error {
	m := &maker{Options: o}
	if err := m.checkSize(ServerDays); err != nil {
		return UsageError{err}
	}
	return m.makeServer(names, stdout, stderr)
}

// maker makes what the options say.
type maker struct {
	Options
	madeDir bool // the directory is new
	removed bool // a certificate was taken away, see removeCertificate
}

// checkSize refuses keys and lives that cannot be meant; most is that of the days.
func (m *maker) checkSize(most int) error {
	switch {
	case m.Bits != 2048 && m.Bits != 3072 && m.Bits != 4096:
		return fmt.Errorf("--bits: %d is not 2048, 3072 or 4096", m.Bits)
	case m.Days < 1 || m.Days > most:
		return fmt.Errorf("--days: %d is not between 1 and %d", m.Days, most)
	}
	return nil
}

func (m *maker) checkName() error {
	switch {
	case strings.TrimSpace(m.CommonName) == "" || len([]rune(m.CommonName)) > 64: // the bound of X.520
		return errors.New("--cn: has to have 1 to 64 characters")
	case strings.ContainsFunc(m.CommonName, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("--cn: has a character that cannot be printed")
	}
	return nil
}

// aliasForm is what Salesforce asks of the unique name that an imported
// certificate gets from its alias.
var aliasForm = regexp.MustCompile(`^[A-Za-z](_?[A-Za-z0-9])*$`)

func (m *maker) checkKeystores() error {
	switch {
	case !aliasForm.MatchString(m.Alias):
		return fmt.Errorf("--alias: %q is not of letters, digits and single underscores, with a letter first, as Salesforce's import wants it", m.Alias)
	case m.PassphraseFile == "" && m.JKS != "":
		return errors.New("--jks: needs a passphrase for the keystore: --passphrase-file")
	case m.PassphraseFile == "" && m.PKCS12 != "":
		return errors.New("--p12: needs a passphrase for the file: --passphrase-file")
	}
	var errs []error
	for _, store := range [][2]string{{"p12", m.PKCS12}, {"jks", m.JKS}} {
		flag, path := store[0], store[1]
		if dir := filepath.Dir(path); path != "" && dir != m.Dir { // which is made
			errs = append(errs, checkDirectory(flag, dir))
		}
	}
	return errors.Join(errs...)
}

// write writes files as the user wants it: not over others unless forced. The
// directory is made if need be, and taken back if nothing comes into it.
func (m *maker) write(files []File) (err error) {
	seen := map[string]bool{}
	for _, f := range files {
		if f.Path == m.PassphraseFile {
			return UsageError{fmt.Errorf("%s holds the passphrase, which would be lost: give the new file another name", f.Path)}
		}
		if seen[f.Path] {
			return UsageError{fmt.Errorf("%s would be written twice: give each file a name of its own", f.Path)}
		}
		seen[f.Path] = true
	}
	if m.madeDir, err = MakeDirectory("dir", m.Dir); err != nil {
		return err
	}
	defer func() {
		if err != nil && m.madeDir {
			os.Remove(m.Dir)
		}
	}()
	if m.Force {
		return Replace(files)
	}
	return createFiles(files)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
