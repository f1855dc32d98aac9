//go:build unix

package telemetry

import (
	"io/fs"
	"syscall"
)

// isRemoved reports whether an open file has no name any more, so that nobody
// will find what is written to it.
func isRemoved(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}
