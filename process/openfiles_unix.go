//go:build unix

package process

import (
	"math"
	"syscall"
)

// OpenFiles returns how many files this process may have open, 0 if it is not
// known (getrlimit(2), RLIMIT_NOFILE). Go has raised
// the soft limit to the hard one by now.
func OpenFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) // #nosec G115 -- nor is it negative
}
