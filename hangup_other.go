//go:build !unix

package main

import "os"

// hangups never receives anything: there is no SIGHUP.
func hangups() (received <-chan os.Signal, stop func()) { return nil, func() {} }
