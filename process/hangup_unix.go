//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"
)

// Hangups receives a value for a SIGHUP, by which an operator asks that files
// be read again. Until stop, it does not end the process.
func Hangups() (received <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
