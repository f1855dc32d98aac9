//go:build unix && !linux

package process

import "syscall"

// hideMemory lets neither this process nor what it starts write a core.
func hideMemory() error {
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
