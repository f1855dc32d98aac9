//go:build !linux

package proxy

import (
	"syscall"
	"time"
)

// boundSilence is for Linux; elsewhere the system's own limits hold.
func boundSilence(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
