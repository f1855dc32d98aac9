//go:build unix

package upstream

import "syscall"

const canReadNow = true

func readNow(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// look returns what a read would fail with, and reads nothing: [syscall.EAGAIN] is
// that nothing has come.
func look(fd uintptr) error {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err
		}
	}
}
