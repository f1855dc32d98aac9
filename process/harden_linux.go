package process

import (
	"errors"
	"syscall"
)

// hideMemory keeps the memory of this process to itself. One that is not
// dumpable writes no core, not even to a handler that a core_pattern names, and
// to a debugger of the same user, /proc/PID/mem and /proc/PID/environ are
// closed (prctl(2), PR_SET_DUMPABLE). What the process starts is dumpable
// again, so that the limit, which is inherited, counts there.
func hideMemory() error {
	var refused error
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		refused = errno
	}
	return errors.Join(refused, syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}))
}
