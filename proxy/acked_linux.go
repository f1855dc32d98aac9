package proxy

import (
	"syscall"

	"golang.org/x/sys/unix" // TCP_INFO, which package syscall lacks
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
	return int64(info.Bytes_acked), true
}
