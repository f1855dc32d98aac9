package watch_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/watch"
)

// TestWatcherPolls changes a file in a way that Linux gives no notification of:
// through mapped memory.
func TestWatcherPolls(t *testing.T) {
	path := t.TempDir() + "/f"
	write(t, path, "1")
	w := start(t, watch.Config{Files: []string{path}, PollInterval: 50 * time.Millisecond})
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	memory, err := syscall.Mmap(int(f.Fd()), 0, 1, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(t, err)
	defer syscall.Munmap(memory)
	memory[0] = '2'
	wait(t, w, "a change without a notification")
}

// TestWatcherLeavesPipesAlone watches one that nobody writes to: reading it
// would never end.
func TestWatcherLeavesPipesAlone(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(dir+"/pipe", 0o600))
	write(t, dir+"/f", "1")
	w := start(t, watch.Config{Files: []string{dir + "/pipe", dir + "/f"}})
	write(t, dir+"/f", "2")
	wait(t, w, "a change beside a pipe")
}
