//go:build !linux

package proxy

import "syscall"

// bytesAcked is for Linux; elsewhere what was written has to do.
func bytesAcked(syscall.RawConn) (acked int64, ok bool) { return 0, false }

// boundUnsent is for Linux; elsewhere the system's own limits hold.
func boundUnsent(syscall.RawConn, int) {}
