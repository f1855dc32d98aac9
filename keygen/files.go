package keygen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// File is a file to be written.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode // permissions
}

// createFiles writes files none of which is there yet. If one cannot be
// written, none is left.
func createFiles(files []File) error {
	var reserved []string
	err := refuseExisting(files)
	for i := 0; err == nil && i < len(files); i++ {
		var f *os.File
		// Whoever makes the file at the same time is seen here.
		if f, err = os.OpenFile(files[i].Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, files[i].Mode); err == nil {
			reserved = append(reserved, files[i].Path)
			err = f.Close()
		} else {
			err = writeError(files[i].Path, err)
		}
	}
	if err == nil {
		err = Replace(files)
	}
	if err != nil {
		for _, path := range reserved {
			os.Remove(path)
		}
	}
	return err
}

// MakeDirectory makes a directory that only its owner may enter, unless it is
// there. The flag is what names it, without its dashes. The error is a
// [UsageError] where there can be none.
func MakeDirectory(flag, dir string) (made bool, err error) {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return false, checkDirectory(flag, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, UsageError{fmt.Errorf("--%s: %s cannot be made: %w", flag, dir, err)}
	}
	return true, nil
}

// checkDirectory refuses a directory that the flag names and that is none.
func checkDirectory(flag, dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return UsageError{fmt.Errorf("--%s: there is no directory %s", flag, dir)}
	case err != nil:
		return UsageError{fmt.Errorf("--%s: %w", flag, err)}
	case !info.IsDir():
		return UsageError{fmt.Errorf("--%s: %s is no directory", flag, dir)}
	}
	return nil
}

// writeError says what to do where a file cannot be written.
func writeError(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("writing %s: this user may not write in %s: give the user the right to, or name another directory: %w", filepath.Base(path), filepath.Dir(path), err)
	}
	return fmt.Errorf("writing %s: %w", path, err)
}

// refuseExisting returns an error that names the files that are there already.
func refuseExisting(files []File) error {
	var existing error
	for _, f := range files {
		switch _, err := os.Lstat(f.Path); {
		case err == nil:
			existing = errors.Join(existing, UsageError{fmt.Errorf("%s exists already: --force replaces it", f.Path)})
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return existing
}

// Replace writes files over those that are there, or over what links there lead
// to. Who could read one before, a service by its user or group, can read the
// new one. Whoever reads one meanwhile sees the old or the new, and if one cannot
// be written, all are as before.
func Replace(files []File) error {
	files = slices.Clone(files)
	for i, f := range files {
		if target, err := filepath.EvalSymlinks(f.Path); err == nil {
			files[i].Path = target
		}
		if earlier, err := os.Stat(f.Path); err == nil {
			files[i].Mode |= earlier.Mode().Perm() & 0o040
		}
	}
	return swapFiles(files)
}

// swapFiles puts files in the place of those that are there. Whoever reads one
// sees the old or the new, and if one cannot be written, all are as before.
func swapFiles(files []File) (err error) {
	var done []func() error
	defer func() {
		for i := len(done) - 1; i >= 0 && err != nil; i-- {
			err = errors.Join(err, done[i]())
		}
	}()
	temporary := make([]string, len(files))
	for i, f := range files {
		if temporary[i], err = f.writeTemporary(); err != nil {
			return err
		}
		defer os.Remove(temporary[i]) // nothing is there by then if all went well
	}
	for i, f := range files {
		restore, err := f.remember()
		if err != nil {
			return err
		}
		if err := os.Rename(temporary[i], f.Path); err != nil {
			return err
		}
		done = append(done, restore)
	}
	return nil
}

// writeTemporary writes the file under another name beside its own, with its
// owner if there is one.
func (f File) writeTemporary() (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(f.Path), ".sfproxy-*")
	if err != nil {
		return "", writeError(f.Path, err)
	}
	mode := f.Mode
	if earlier, err := os.Stat(f.Path); err == nil && keepOwner(file, earlier) != nil && mode&0o004 == 0 {
		mode &^= 0o040 // the group is another now, and the file is not for everybody
	}
	_, err = file.Write(f.Content)
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err != nil {
		os.Remove(file.Name())
		return "", writeError(f.Path, err)
	}
	return file.Name(), nil
}

// remember returns what puts the present state of the file back.
func (f File) remember() (restore func() error, err error) {
	info, err := os.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return os.Remove(f.Path) }, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, err
	}
	earlier := File{f.Path, content, info.Mode().Perm()}
	return func() error { return swapFiles([]File{earlier}) }, nil
}
