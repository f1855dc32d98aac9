//go:build !unix

package telemetry

import "io/fs"

// isRemoved is for systems that let an open file be removed.
func isRemoved(fs.FileInfo) bool { return false }
