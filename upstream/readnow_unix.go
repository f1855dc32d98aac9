//go:build unix

package upstream

import "syscall"

const canReadNow = true

func readNow(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// hasCome reports whether a read would have something to tell.
func hasCome(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}
