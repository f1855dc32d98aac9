//go:build unix

package upstream

import "syscall"

const canReadNow = true

func readNow(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }
