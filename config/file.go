package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const maxFileSize = 1 << 20

// readFile returns the content of the file that a variable names, or records
// why there is none and returns nil.
func (p *parser) readFile(variable, path string) []byte {
	content, problem := p.read(variable, path)
	if problem != "" {
		p.fault(variable, "%s", problem)
	}
	return content
}

// readOptional returns the content of the file that a variable names, or why
// there is none.
func (p *parser) readOptional(variable, path string) ([]byte, error) {
	content, problem := p.read(variable, path)
	if problem != "" {
		return nil, errors.New(variable + ": " + problem)
	}
	return content, nil
}

// read returns the content of the file that a variable names, or what the
// problem with the file is. A value that is no path is recorded as a fault.
func (p *parser) read(variable, path string) (content []byte, problem string) {
	if strings.ContainsAny(path, "\r\n") || strings.Contains(path, "-----") {
		p.fault(variable, "holds a text, not the path of a file")
		return nil, ""
	}
	p.files = append(p.files, path)
	content, err := readBounded(path)
	name := shownPath(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, "~"):
		return nil, name + " does not exist: ~ stands for the home directory in a shell only"
	case errors.Is(err, fs.ErrNotExist):
		return nil, name + " does not exist"
	case errors.Is(err, fs.ErrPermission):
		return nil, name + " may not be read by the user that sfproxy runs as"
	case err != nil:
		return nil, fmt.Sprintf("%s cannot be read: %v", name, err)
	case len(content) == 0:
		return nil, name + " is empty"
	}
	return content, ""
}

// readBounded reads the file at path, which may be a pipe. Its error does not
// hold the path.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil, errors.New("it is a directory (Docker makes one where a mounted file is missing)")
	}
	var content []byte
	if err == nil {
		content, err = readAtMost(path, maxFileSize)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, e.Err
	}
	return content, err
}

func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	content, err := readAll(io.LimitReader(f, most+1), info.Size())
	if err == nil && int64(len(content)) > most {
		return nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	return content, err
}

// readAll is [io.ReadAll], but leaves no outgrown buffer behind with a part of
// what may be a secret. size is how much is expected.
func readAll(r io.Reader, size int64) ([]byte, error) {
	content := make([]byte, 0, max(min(size, maxFileSize), 4<<10)+1)
	for {
		if len(content) == cap(content) {
			outgrown := content
			content = append(make([]byte, 0, 2*cap(outgrown)), outgrown...)
			clear(outgrown)
		}
		n, err := r.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if err == io.EOF {
			return content, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// checkMode warns of a private key that others may read. Under /run/secrets the
// modes are those that Docker gives, in a container with one user; under
// /run/credentials systemd's access control list may show as a right of the
// group's.
func (p *parser) checkMode(variable, path string) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() || strings.HasPrefix(path, "/run/secrets/") || strings.HasPrefix(path, "/run/credentials/") {
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		p.warn("%s: other users of this machine may have access to %s (mode %#o): chmod 600 takes it from them", variable, shownPath(path), mode)
	}
}

// isKeyText reports whether text is a key rather than the path of one: PEM,
// as such or in base64.
func isKeyText(text string) bool {
	return strings.Contains(text, "-----BEGIN") || strings.HasPrefix(text, "LS0tLS1CRUdJTi") || strings.ContainsAny(text, "\r\n") || len(text) > 4096
}

var keyExtensions = []string{".pem", ".key", ".p8", ".p12", ".pfx", ".jks", ".der", ".crt", ".cer", ".txt"}

// isPath reports whether text is the path of a file by the looks of it: a file
// that is there, one with a usual extension, or one whose first directory is
// there.
func isPath(text string) bool {
	if len(text) > 255 || strings.ContainsAny(text, "\r\n") || strings.Contains(text, "-----") {
		return false
	}
	if _, err := os.Lstat(text); err == nil || slices.Contains(keyExtensions, strings.ToLower(filepath.Ext(text))) {
		return true
	}
	end := strings.LastIndexByte(text, '/')
	if end <= 0 {
		return false
	}
	if next := strings.IndexByte(text[1:], '/'); next >= 0 {
		end = 1 + next // of the first directory, after the slash of an absolute path
	}
	info, err := os.Stat(text[:end])
	return text[:end] == "~" || err == nil && info.IsDir() && text[:end] != "/"
}

// shownPath returns path as a message may repeat it: withheld unless it looks
// like a path, since a secret itself may have been put in the place of one.
func shownPath(path string) string {
	if !isPath(path) {
		return "the file (its name is not shown, as it does not look like a path)"
	}
	return fmt.Sprintf("%q", path)
}
