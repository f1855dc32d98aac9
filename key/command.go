package key

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"
)

const (
	commandTimeout   = 10 * time.Second
	maxCommandOutput = 16 << 10 // bytes; the signature of a key of 16,384 bits in base64 has 2,732
	maxCommandError  = 200      // characters of stderr that an error shows
)

// command is a key that a program outside keeps.
type command struct {
	program string
	line    *string        // may hold a secret; fmt never follows a pointer to a string
	public  *rsa.PublicKey // nil if not known
	timeout time.Duration
}

// NewCommand returns the key that an external signer command keeps: the command
// line of a cloud key service, a vault or a smart card.
//
// Each signature runs it once. It finds a SHA-256 digest, 32 bytes, on its
// standard input, writes the RSA signature (PKCS #1 v1.5, RFC 8017 section 8.2)
// to its standard output, and exits with 0 within ten seconds. The signature is
// taken as bytes, as base64, or as "vault:v1:" and base64, as Vault prints it.
//
// line is the program and its arguments with spaces between them. No shell
// reads it: quotes, variables and pipes mean nothing, and what needs them goes
// into a script. The program has sfproxy's own environment, but not its
// terminal. If it takes too long, it is killed with all that it has started (on
// Windows, alone).
//
// With a certificate each signature is verified, so that a wrong key is named
// where it is met; without one Public returns nil. Sign may be called
// concurrently; the program then runs more than once at a time.
func NewCommand(line string, certificate *x509.Certificate) (*Key, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return nil, errors.New("the signer command is empty")
	}
	program, err := exec.LookPath(fields[0])
	if err != nil {
		return nil, fmt.Errorf("the signer command cannot be run: %w", err)
	}
	c := &command{program: program, line: &line, timeout: commandTimeout}
	k := &Key{Signer: c, Form: "signer command " + c.name()}
	if certificate != nil {
		if c.public, err = rsaPublic(certificate.PublicKey); err != nil {
			return nil, fmt.Errorf("the certificate is not one for a signer command: %w", err)
		}
		k.Certificates = []*x509.Certificate{certificate}
	}
	return k, nil
}

// rsaPublic returns the public key if it is good for RS256.
func rsaPublic(public crypto.PublicKey) (*rsa.PublicKey, error) {
	rsaKey, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("its key is no RSA key, and Salesforce takes RSA keys only")
	}
	if bits := rsaKey.N.BitLen(); bits < minBits {
		return nil, fmt.Errorf("its RSA key has %d bits, and RS256 needs %d or more", bits, minBits)
	}
	return rsaKey, nil
}

// name is what errors call the command: without its arguments, which may hold a
// secret.
func (c *command) name() string { return filepath.Base(c.program) }

// Public returns the public key of the certificate, or nil.
func (c *command) Public() crypto.PublicKey {
	if c.public == nil {
		return nil // and not a nil pointer in an interface
	}
	return c.public
}

// Sign runs the command. The only digest is SHA-256, the only padding that of
// PKCS #1 v1.5.
func (c *command) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := checkDigest(digest, opts); err != nil {
		return nil, err
	}
	output, err := c.run(digest)
	if err == nil {
		output, err = c.check(digest, decodeSignature(output))
	}
	if err != nil {
		return nil, fmt.Errorf("signer command %s: %w", c.name(), err)
	}
	return output, nil
}

// checkDigest says whether a key that lives elsewhere can sign digest.
func checkDigest(digest []byte, opts crypto.SignerOpts) error {
	if _, isPSS := opts.(*rsa.PSSOptions); isPSS || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return errors.New("only SHA-256 digests can be signed, and only with PKCS #1 v1.5")
	}
	return nil
}

// run returns what the command prints.
func (c *command) run(digest []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	var stdout, stderr limitedBuffer
	cmd := exec.CommandContext(ctx, c.program, strings.Fields(*c.line)[1:]...) // #nosec G204 -- the operator's own command line, which no shell reads
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(digest), &stdout, &stderr
	cmd.WaitDelay = time.Second // what is not killed with it must not keep us waiting
	setApart(cmd)
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it gave no signature within %v%s", c.timeout, firstLine(stderr.text))
	case errors.Is(err, exec.ErrWaitDelay):
		killAll(cmd)
		return nil, errors.New("it ended and left a process behind that keeps its output open")
	case err != nil:
		return nil, fmt.Errorf("%w%s", err, firstLine(stderr.text)) // "exit status 3: …"
	case stdout.isFull:
		return nil, fmt.Errorf("it printed more than %d bytes, which is no signature", maxCommandOutput)
	}
	return stdout.text, nil
}

// check returns signature if it is one of digest, as far as that can be told.
func (c *command) check(digest, signature []byte) ([]byte, error) {
	if c.public == nil {
		if len(signature) < minBits/8 {
			return nil, fmt.Errorf("it printed %d bytes, which is no RSA signature of %d bits or more", len(signature), minBits)
		}
		return signature, nil
	}
	switch {
	case len(signature) != c.public.Size():
		return nil, fmt.Errorf("it printed %d bytes, and a signature by the certificate's key has %d", len(signature), c.public.Size())
	case rsa.VerifyPKCS1v15(c.public, crypto.SHA256, digest, signature) != nil:
		return nil, errors.New("its signature does not fit the certificate: it signs with another key, not with PKCS #1 v1.5, or hashes the digest once more")
	}
	return signature, nil
}

var vaultPrefix = regexp.MustCompile(`^vault:v\d+:`)

// decodeSignature undoes the encodings in which signers print. The bytes of a
// signature are not taken for base64: 256 random ones are hardly ever all of
// its alphabet.
func decodeSignature(output []byte) []byte {
	text := vaultPrefix.ReplaceAllString(strings.Join(strings.Fields(string(output)), ""), "")
	text = strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if signature, err := encoding.DecodeString(text); err == nil {
			return signature
		}
	}
	return output
}

// firstLine returns the first line of what a program complains about, made fit
// for an error, with a colon before it.
func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, line)
	if runes := []rune(line); len(runes) > maxCommandError {
		line = string(runes[:maxCommandError]) + "…"
	}
	if line == "" {
		return ""
	}
	return ": " + line
}

// limitedBuffer keeps the first maxCommandOutput bytes and swallows the rest, so
// that the program does not hang at a full pipe.
type limitedBuffer struct {
	text   []byte
	isFull bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	room := maxCommandOutput - len(b.text)
	b.isFull = b.isFull || len(p) > room
	b.text = append(b.text, p[:min(room, len(p))]...)
	return len(p), nil
}
