package quota

import (
	"context"
	"slices"
	"sync"
)

// Queue lets a number of requests run at a time. Others wait, and the clients
// that have some waiting take turns: one that sends a thousand at once delays
// itself, and another one by a request at most. Safe for concurrent use.
type Queue struct {
	limit   int
	mu      sync.Mutex
	free    int
	lines   map[string]*line // by client; those with somebody in them
	turns   []*line          // the same; the first is next
	waiting int
}

// line is the requests of one client that wait, the oldest first.
type line struct {
	client  string
	waiters []chan struct{} // closed when the request may run
}

// NewQueue returns a Queue that lets limit requests run at a time.
func NewQueue(limit int) *Queue { return &Queue{limit: limit, free: limit, lines: map[string]*line{}} }

// Acquire waits until a request of the client may run, or until ctx ends, whose
// error it then returns. After a nil error the caller calls [Queue.Release] once.
func (q *Queue) Acquire(ctx context.Context, client string) error {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	turn := q.join(client)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		if !q.leave(client, turn) {
			q.next() // the turn had come already
		}
		return ctx.Err()
	}
}

// Release says that a request has ended.
func (q *Queue) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

// Waiting returns how many requests wait.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// Running returns how many requests run.
func (q *Queue) Running() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit - q.free
}

// join puts a request at the end of its client's line. q.mu is held.
func (q *Queue) join(client string) chan struct{} {
	l := q.lines[client]
	if l == nil {
		l = &line{client: client}
		q.lines[client] = l
		q.turns = append(q.turns, l)
	}
	turn := make(chan struct{})
	l.waiters = append(l.waiters, turn)
	q.waiting++
	return turn
}

// next gives what one request has freed to the client whose turn it is. q.mu is
// held.
func (q *Queue) next() {
	if len(q.turns) == 0 {
		q.free++
		return
	}
	l := q.turns[0]
	q.turns = append(q.turns[1:], l)
	close(l.waiters[0])
	q.remove(l, 0)
}

// leave takes a request out of its line and reports whether it was still in it.
// q.mu is held.
func (q *Queue) leave(client string, turn chan struct{}) bool {
	l := q.lines[client]
	if l == nil {
		return false
	}
	at := slices.Index(l.waiters, turn)
	if at < 0 {
		return false
	}
	q.remove(l, at)
	return true
}

// remove takes one request out of a line. q.mu is held.
func (q *Queue) remove(l *line, at int) {
	q.waiting--
	if l.waiters = slices.Delete(l.waiters, at, at+1); len(l.waiters) == 0 {
		delete(q.lines, l.client)
		q.turns = slices.DeleteFunc(q.turns, func(other *line) bool { return other == l })
	}
}
