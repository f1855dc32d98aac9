package listen

import (
	"io"
	"net"
	"time"
)

// turnstile tells clients why their connections are closed, as far
// as that costs little.
type turnstile struct {
	answer []byte
	busy   chan struct{} // holds one for each client that is being told
}

const (
	maxTold   = 64              // clients that are told at a time; others are not
	tellTime  = time.Second     // that a client has to be told in
	maxUnread = int64(64 << 10) // bytes of its request that are read away
)

func newTurnstile(answer []byte) *turnstile {
	return &turnstile{answer: answer, busy: make(chan struct{}, maxTold)}
}

// turnAway closes a connection, soon if not at once. t may be nil.
func (t *turnstile) turnAway(conn net.Conn) {
	if t == nil {
		conn.Close()
		return
	}
	select {
	case t.busy <- struct{}{}:
		go func() {
			defer func() { <-t.busy }()
			t.tell(conn)
		}()
	default:
		conn.Close()
	}
}

// tell answers a request, the beginning of which it waits for: clients take an
// answer that comes before for none. It reads on after it, since closing a
// connection with something unread takes the answer from the client.
func (t *turnstile) tell(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(tellTime))
	if _, err := conn.Read(make([]byte, 4<<10)); err != nil {
		return
	}
	if _, err := conn.Write(t.answer); err != nil {
		return
	}
	if closeWrite(conn) == nil {
		io.CopyN(io.Discard, conn, maxUnread)
	}
}
