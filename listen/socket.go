package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// listenSocket opens a Unix socket that only this user can connect to. A socket
// that a process left behind is replaced; one that is answered on is not. It is
// removed when the listener is closed.
func listenSocket(setting, path string) (net.Listener, error) {
	// Of two that find the same dead socket, the second would remove the first's.
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", setting, path, err)
	}
	defer unlock()
	if err := clearSocket(path); err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", setting, path, err)
	}
	l, err := listenPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w%s", setting, path, err, socketRemedy(err))
	}
	return l, nil
}

// clearSocket removes the socket at path if nothing listens on it.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // there is none; anything else listening tells
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file that is there is no socket: move it away, or choose another path")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		conn.Close()
		return errors.New("another program answers there, or another sfproxy: end that, or choose another path")
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("whether another program listens there is not known: %w", err)
}

// socketRemedy returns what to do about a failure to listen on a socket, to be put
// after it; "" if it is not known.
func socketRemedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return " (its directory does not exist: make it, for this user alone)"
	case errors.Is(err, fs.ErrPermission):
		return " (this user may not write in its directory)"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return " (the service manager forbids Unix sockets: in a unit of systemd, add RestrictAddressFamilies=AF_UNIX)"
	}
	return ""
}
