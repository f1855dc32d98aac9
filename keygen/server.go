package keygen

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/key"
)

// localNames are what a server certificate is for unless names are given.
var localNames = []string{"localhost", "127.0.0.1", "::1"}

// Files that keygen --tls makes.
func (m *maker) authorityFile() string         { return filepath.Join(m.Dir, "ca.crt") }
func (m *maker) authorityKeyFile() string      { return filepath.Join(m.Dir, "ca.key") }
func (m *maker) serverCertificateFile() string { return filepath.Join(m.Dir, "tls.crt") }
func (m *maker) serverKeyFile() string         { return filepath.Join(m.Dir, "tls.key") }

// makeServer makes a server certificate, and the authority that signs it if
// there is none.
func (m *maker) makeServer(names []string, stdout, stderr io.Writer) error {
	names, err := checkNames(names)
	if err == nil && len(names) == 0 {
		names, err = m.namesUnlessGiven()
	}
	if err != nil {
		return UsageError{err}
	}
	authority, isNew, err := m.authority()
	if err != nil {
		return err
	}
	server, err := authority.Issue(key.Template{Bits: m.Bits, Life: days(m.Days)}, names)
	if err != nil {
		return fmt.Errorf("%s: %w", m.authorityFile(), err)
	}
	files, err := keyPairFiles(server, m.serverKeyFile(), m.serverCertificateFile())
	if err != nil {
		return err
	}
	if isNew {
		made, err := keyPairFiles(authority, m.authorityKeyFile(), m.authorityFile())
		if err != nil {
			return err
		}
		files = append(files, made...)
	}
	if err := m.write(files); err != nil {
		return err
	}
	warnOfNames(stderr, names)
	return printServer(stdout, m, authority, server, isNew)
}

// namesUnlessGiven returns the names of the certificate that is replaced, or
// else those of this machine for itself.
func (m *maker) namesUnlessGiven() ([]string, error) {
	content, err := os.ReadFile(m.serverCertificateFile())
	if !m.Force || errors.Is(err, fs.ErrNotExist) {
		return localNames, nil
	}
	if err != nil {
		return nil, err
	}
	earlier, err := key.ParseCertificate(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; say for which names the new certificate is to be", m.serverCertificateFile(), err)
	}
	if names := namesOf(earlier); len(names) > 0 {
		return names, nil
	}
	return localNames, nil
}

// warnOfNames says which names some clients cannot use.
func warnOfNames(stderr io.Writer, names []string) {
	for _, name := range names {
		if strings.Contains(name, "-api") {
			fmt.Fprintf(stderr, "sfproxy: warning: %s: simple-salesforce cuts -api out of host names, and would call %s instead\n", name, strings.ReplaceAll(name, "-api", ""))
		}
	}
}

// keyPairFiles returns a key and its certificates as files; the key last, since
// its presence says that both are there.
func keyPairFiles(k *key.Key, keyFile, certificateFile string) ([]File, error) {
	private, err := k.EncodePrivate(nil)
	return []File{{certificateFile, k.EncodeCertificates(), 0o644}, {keyFile, private, 0o600}}, err
}

// authority returns the authority that is in the directory, or a new one.
func (m *maker) authority() (authority *key.Key, isNew bool, err error) {
	certificate, certificateErr := os.ReadFile(m.authorityFile())
	private, keyErr := os.ReadFile(m.authorityKeyFile())
	noCertificate, noKey := errors.Is(certificateErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case noCertificate && noKey:
		authority, err = key.NewAuthority()
		return authority, true, err
	case noKey:
		return nil, false, UsageError{fmt.Errorf("%s is there, and its key %s is not: bring it back, or move ca.crt away for a new authority", m.authorityFile(), m.authorityKeyFile())}
	case noCertificate:
		return nil, false, UsageError{fmt.Errorf("%s is there, and its certificate %s is not: bring it back, or move ca.key away for a new authority", m.authorityKeyFile(), m.authorityFile())}
	case certificateErr != nil || keyErr != nil:
		return nil, false, errors.Join(certificateErr, keyErr)
	}
	if authority, err = key.Parse(append(append(private, '\n'), certificate...), key.Options{}); err != nil {
		return nil, false, UsageError{fmt.Errorf("%s and %s: %w", m.authorityKeyFile(), m.authorityFile(), err)}
	}
	return authority, false, nil
}

// nameForm is a DNS name, with an asterisk for its first label perhaps.
// Underscores are not for hosts, and people have them.
var nameForm = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// checkNames returns the names and addresses for a certificate, without those
// that come twice.
func checkNames(names []string) ([]string, error) {
	var checked []string
	for _, given := range names {
		name := strings.ToLower(given)
		ip := net.ParseIP(name)
		switch {
		case ip != nil:
			name = ip.String()
		case strings.Contains(name, "/"):
			return nil, fmt.Errorf("%q: give the host alone, without scheme and path", given)
		case strings.Contains(name, ":"):
			return nil, fmt.Errorf("%q: give the host alone; a certificate is for any port", given)
		case len(name) > 253 || !nameForm.MatchString(name):
			return nil, fmt.Errorf("%q is no host name and no IP address", given)
		}
		if !slices.Contains(checked, name) {
			checked = append(checked, name)
		}
	}
	return checked, nil
}

// namesOf returns the names and addresses that a server's certificate is for.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
