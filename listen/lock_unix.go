//go:build unix && !aix && !solaris

package listen

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lockDirectory keeps other processes that ask for it out of a directory until
// unlock is called. Where that is not possible there is no lock; the error is
// that another process has it and does not give it up.
func lockDirectory(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}, nil // listening tells
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // #nosec G115 -- a descriptor is small
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return func() {}, nil // a file system without locks
		}
		if time.Now().After(end) {
			f.Close()
			return nil, errors.New("another program has locked its directory: choose another directory, for this user alone")
		}
	}
}
