//go:build unix

package keygen

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives file the user and the group of an earlier one.
func keepOwner(file *os.File, earlier fs.FileInfo) error {
	owner, ok := earlier.Sys().(*syscall.Stat_t)
	if !ok {
		return syscall.ENOTSUP
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}
