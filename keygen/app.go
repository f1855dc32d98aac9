package keygen

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sfproxy/sfproxy/key"
)

// makeApp makes the key by which sfproxy logs in, and what goes with it.
func (m *maker) makeApp(stdout io.Writer) error {
	passphrase, err := m.passphrase()
	if err != nil {
		return UsageError{err}
	}
	k, err := key.Generate(key.Template{CommonName: m.CommonName, Bits: m.Bits, Life: days(m.Days)})
	if err != nil {
		return err
	}
	files, err := m.appFiles(k, passphrase)
	if err != nil {
		return err
	}
	if err := m.checkCertificate(); err != nil {
		return err
	}
	if err := m.write(files); err != nil {
		return err
	}
	if err := m.removeCertificate(); err != nil {
		return err
	}
	return printApp(stdout, m, k)
}

// checkCertificate refuses to put a new key for a request beside a certificate,
// which would be another key's and be taken for this one's.
func (m *maker) checkCertificate() error {
	if _, err := os.Lstat(m.certificateFile()); !m.Request || m.Force || err != nil {
		return nil
	}
	return UsageError{fmt.Errorf("%s exists already and would not belong to the new key: move it away, or --force removes it", m.certificateFile())}
}

// removeCertificate removes the certificate of the key that was replaced where
// only a request took its place.
func (m *maker) removeCertificate() error {
	if !m.Request {
		return nil
	}
	err := os.Remove(m.certificateFile())
	m.removed = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the certificate of the earlier key is still there; remove it: %w", err)
	}
	return nil
}

// Files that keygen makes.
func (m *maker) keyFile() string         { return filepath.Join(m.Dir, "server.key") }
func (m *maker) certificateFile() string { return filepath.Join(m.Dir, "server.crt") }
func (m *maker) requestFile() string     { return filepath.Join(m.Dir, "server.csr") }

// appFiles returns what is made of the key.
func (m *maker) appFiles(k *key.Key, passphrase []byte) ([]File, error) {
	private, err := k.EncodePrivate(passphrase)
	files := []File{{m.keyFile(), private, 0o600}}
	if m.Request {
		request, requestErr := k.EncodeRequest(m.CommonName)
		return append(files, File{m.requestFile(), request, 0o644}), errors.Join(err, requestErr)
	}
	files = append(files, File{m.certificateFile(), k.EncodeCertificates(), 0o644})
	if m.PKCS12 != "" && err == nil {
		var store []byte
		store, err = k.EncodePKCS12(m.Alias, passphrase)
		files = append(files, File{m.PKCS12, store, 0o600})
	}
	if m.JKS != "" && err == nil {
		var store []byte
		store, err = k.EncodeJKS(m.Alias, passphrase)
		files = append(files, File{m.JKS, store, 0o600})
	}
	return files, err
}

// passphrase reads the passphrase as sfproxy itself does: without one newline
// at the end. It is empty if no file is named.
func (m *maker) passphrase() ([]byte, error) {
	if m.PassphraseFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(m.PassphraseFile)
	if err != nil {
		return nil, fmt.Errorf("--passphrase-file: %w", err)
	}
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	switch {
	case len(content) == 0:
		return nil, fmt.Errorf("--passphrase-file: %s is empty", m.PassphraseFile)
	case bytes.ContainsAny(content, "\r\n"):
		return nil, fmt.Errorf("--passphrase-file: %s has several lines, and a passphrase is one", m.PassphraseFile)
	}
	if m.PKCS12 != "" || m.JKS != "" {
		if err := key.CheckKeystorePassphrase(content); err != nil {
			return nil, fmt.Errorf("--passphrase-file: %w", err)
		}
	}
	return content, nil
}
