package main

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
	if err := o.checkCertificate(); err != nil {
		return err
	}
	if err := o.write(files); err != nil {
		return err
	}
	if err := o.removeCertificate(); err != nil {
		return err
	}
	return printApp(stdout, o, k)
}

// checkCertificate refuses to put a new key for a request beside a certificate,
// which would be another key's and be taken for this one's.
func (o *keygenOptions) checkCertificate() error {
	if _, err := os.Lstat(o.certificateFile()); !o.isRequest || o.force || err != nil {
		return nil
	}
	return usageError{fmt.Errorf("%s exists already and would not belong to the new key: move it away, or --force removes it", o.certificateFile())}
}

// removeCertificate removes the certificate of the key that was replaced where
// only a request took its place.
func (o *keygenOptions) removeCertificate() error {
	if !o.isRequest {
		return nil
	}
	err := os.Remove(o.certificateFile())
	o.removed = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the certificate of the earlier key is still there; remove it: %w", err)
	}
	return nil
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
