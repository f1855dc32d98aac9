//go:build unix

package listen

import (
	"net"
	"syscall"
)

// listenPrivate opens a Unix socket of mode 0600. The mode is right from the
// first moment on: a change after the socket is there would come too late.
// Nothing else makes files while the process starts.
func listenPrivate(path string) (net.Listener, error) {
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	return net.Listen("unix", path)
}
