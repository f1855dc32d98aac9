package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

// Open listens on an address: host:port, or unix: and the path of a socket, which
// only this user can connect to. setting is what the address came from, for
// errors, which say what to do.
func Open(setting, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenSocket(setting, path)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w%s", setting, address, err, Remedy(setting, err))
	}
	return l, nil
}

// Remedy returns what to do about a failure to listen, to be put after it;
// "" if it is not known. setting is what the address came from.
func Remedy(setting string, err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (another program has the port, or another sfproxy: end that, or set " + setting + " to another port)"
	case errors.Is(err, fs.ErrPermission):
		return " (this user may not open the port: set " + setting + " to one from 1024 on)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return " (this machine has no such address: set " + setting + " to one that it has, or to :port for all)"
	}
	return ""
}

// Address returns the address of a listener as [Open] takes it.
func Address(address net.Addr) string {
	if address.Network() == "unix" {
		return "unix:" + address.String()
	}
	return address.String()
}
