package proxy

import (
	"syscall"
	"time"
)

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT of <netinet/tcp.h>, which package syscall lacks

// boundSilence has the kernel give up a connection whose far end has neither
// acknowledged data nor made room for more in d (RFC 5482): a network that
// swallows packets shows in no other way, and Salesforce may take 10 minutes to
// answer. d is long enough for a receiver that stops reading for a while.
func boundSilence(d time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// A kernel that refuses is one that goes on as before.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
		})
	}
}
