package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sfproxy/sfproxy/auth"
)

// isSocket reports whether an address to listen on is a Unix socket.
func isSocket(address string) bool { return strings.HasPrefix(address, "unix:") }

// networkOf returns the name that package net has for the network of an address.
func networkOf(address string) string {
	if isSocket(address) {
		return "unix"
	}
	return "tcp"
}

// socket says whether the setting's socket can be listened on. If something
// answers there, neighbour tells how the sfproxy is that does. It leaves all as
// it is.
func socket(setting, address string, neighbour func() condition) Result {
	where, path := fmt.Sprintf("%s=%s", setting, place(address)), reachable(address)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return socketDirectory(where, filepath.Dir(path))
	case err != nil:
		return failed("%s: %s", where, auth.Foreign(err.Error())).fix("let this user into the directory")
	case info.Mode().Type() != fs.ModeSocket:
		return failed("%s: the file that is there is no socket", where).fix("move it away, or set " + setting + " to another path")
	}
	conn, err := net.DialTimeout("unix", path, knockTimeout)
	switch {
	case err == nil:
		conn.Close()
		if c := neighbour(); c.state != "" {
			return c.result(where)
		}
		return failed("%s: another program answers there", where).fix("end that program (ss -lxp shows it), or set " + setting + " to another path")
	case errors.Is(err, syscall.ECONNREFUSED):
		return passed("%s; a socket is there that nothing answers on, which the start replaces", where)
	}
	return failed("%s: %s", where, auth.Foreign(err.Error())).fix("set " + setting + " to a path that is this user's own")
}

// socketDirectory says whether there is a directory for a socket to be made in.
func socketDirectory(where, directory string) Result {
	info, err := os.Stat(directory)
	if err != nil || !info.IsDir() {
		return failed("%s: its directory does not exist", where).fix("make " + directory + " for the user that sfproxy runs as (RuntimeDirectory= in a unit of systemd)")
	}
	return passed("%s; the path is free", where)
}
