//go:build !unix

package process

import "os"

// Hangups never receives anything: there is no SIGHUP.
func Hangups() (received <-chan os.Signal, stop func()) { return nil, func() {} }
