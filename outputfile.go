package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// outputFile is a file that a command makes.
type outputFile struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// createFiles writes files none of which is there yet. If one cannot be
// written, none is left.
func createFiles(files []outputFile) error {
	var reserved []string
	err := refuseExisting(files)
	for i := 0; err == nil && i < len(files); i++ {
		var f *os.File
		// Whoever makes the file at the same time is seen here.
		if f, err = os.OpenFile(files[i].path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, files[i].mode); err == nil {
			reserved = append(reserved, files[i].path)
			err = f.Close()
		}
	}
	if err == nil {
		err = replaceFiles(files)
	}
	if err != nil {
		for _, path := range reserved {
			os.Remove(path)
		}
	}
	return err
}

// refuseExisting returns an error that names the files that are there already.
func refuseExisting(files []outputFile) error {
	var existing error
	for _, f := range files {
		switch _, err := os.Lstat(f.path); {
		case err == nil:
			existing = errors.Join(existing, usageError{fmt.Errorf("%s exists already: --force replaces it", f.path)})
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return existing
}

// replaceFiles writes files over those that are there. Whoever reads one sees
// the old or the new, and if one cannot be written, all are as before.
func replaceFiles(files []outputFile) (err error) {
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
		if err := os.Rename(temporary[i], f.path); err != nil {
			return err
		}
		done = append(done, restore)
	}
	return nil
}

// writeTemporary writes the file under another name beside its own.
func (f outputFile) writeTemporary() (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(f.path), ".sfproxy-*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(f.content)
	if err = errors.Join(err, file.Chmod(f.mode), file.Close()); err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// remember returns what puts the present state of the file back.
func (f outputFile) remember() (restore func() error, err error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return os.Remove(f.path) }, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	earlier := outputFile{f.path, content, info.Mode().Perm()}
	return func() error { return replaceFiles([]outputFile{earlier}) }, nil
}
