package proxy

import (
	"syscall"

	"golang.org/x/sys/unix" // TCP_INFO and TCP_NOTSENT_LOWAT, which package syscall lacks
)

// bytesAcked returns how many bytes the far end of a TCP connection has
// acknowledged.
func bytesAcked(raw syscall.RawConn) (acked int64, ok bool) {
	var info *unix.TCPInfo
	err := raw.Control(func(fd uintptr) {
		if i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			info = i
		}
	})
	if err != nil || info == nil {
		return 0, false
	}
	return int64(info.Bytes_acked), true // #nosec G115 -- no connection carries 2^63 bytes
}

// boundUnsent has the kernel take no more of an answer than n bytes beyond those
// that are on their way. Otherwise a client that reads nothing would fill 4 MiB
// of the kernel's memory, and as much would have been got for it from the org.
func boundUnsent(raw syscall.RawConn, n int) {
	raw.Control(func(fd uintptr) {
		// A socket that refuses, such as a Unix one, goes on as before.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n)
	})
}
