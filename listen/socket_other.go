//go:build !unix

package listen

import (
	"errors"
	"net"
)

// listenPrivate has no way to keep other users from a socket.
func listenPrivate(string) (net.Listener, error) {
	return nil, errors.New("this system has no modes of files to keep other users from a socket: give host:port")
}
