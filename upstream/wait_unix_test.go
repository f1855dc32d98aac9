//go:build unix

package upstream

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// A connection that was reset before it is waited for is told to be that, and not
// to have ended.
func TestWaitTellsOfAReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far.(*net.TCPConn).SetLinger(0)
	far.Close()
	w := newWire(c)
	if err = w.wait(); err == nil {
		_, err = w.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("waiting and reading gave %v, want %v", err, syscall.ECONNRESET)
	}
}
