//go:build unix && !aix && !solaris

package listen

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestListenSocketOnce has several begin to listen in place of a socket that was
// left behind: one of them is answered through it, the others are told.
func TestListenSocketOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 200 {
		leaveSocket(t, path)
		begin := make(chan struct{})
		var starts sync.WaitGroup
		var mu sync.Mutex
		var listening []net.Listener
		for range 4 {
			starts.Go(func() {
				<-begin
				if l, err := listenSocket("PROXY_LISTEN", path); err == nil {
					mu.Lock()
					defer mu.Unlock()
					listening = append(listening, l)
				}
			})
		}
		close(begin)
		starts.Wait()
		if len(listening) != 1 {
			t.Fatalf("%d listen on %s, want 1", len(listening), path)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("the socket is %v, %v, want one of mode 0600", info, err)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		listening[0].Close()
	}
}

// leaveSocket makes a socket that nobody listens on.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}
