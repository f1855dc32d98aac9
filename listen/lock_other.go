//go:build !unix || aix || solaris

package listen

// lockDirectory does nothing: two processes that start at the same time may
// both find a socket that nobody listens on.
func lockDirectory(string) (unlock func(), err error) { return func() {}, nil }
