//go:build !unix

package keygen

import (
	"errors"
	"io/fs"
	"os"
)

// keepOwner is for systems with users and groups in the manner of Unix.
func keepOwner(*os.File, fs.FileInfo) error { return errors.ErrUnsupported }
