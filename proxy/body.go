package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// body is a request's body that can be sent again as long as all that was read
// of it is kept: up to limit bytes. What is unread still comes from the client,
// so a replay gives the kept part and then the rest.
//
// net/http's transport may go on reading after RoundTrip has returned, so each
// attempt to send has its own reader, and a newer attempt cuts off the older.
type body struct {
	attempt atomic.Int64 // the current one; readers of others fail
	broken  atomic.Bool  // the client did not send it to its end
	over    atomic.Bool  // the client did

	turn sync.Mutex // taken to wait for mu, so that claim comes right after a read under way

	mu      sync.Mutex
	source  io.Reader // guarded by mu
	trailer trailer   // of the request
	limit   int64
	kept    []byte // the beginning, as far as it was read; guarded by mu
	spilled bool   // more was read than is kept; guarded by mu
	ended   error  // what source ended with; guarded by mu
}

var (
	errStaleAttempt = errors.New("the request body is being sent anew")
	errBrokenBody   = errors.New("the request body broke off or is malformed")
)

// newBody takes over the body of a request that has one. source is what to read
// it from.
func newBody(r *http.Request, source io.Reader, limit int64) *body {
	b := &body{source: source, limit: limit, trailer: trailer{r.Trailer, connectionOptions(r.Header)}}
	b.trailer.strip() // what is announced
	return b
}

// fill reads on until the body ends or upTo bytes of it are kept, and reports
// whether it ended. A client's failure to send it is the error.
func (b *body) fill(sizeHint, upTo int64) (whole bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == nil {
		// A client may announce more than it sends: no large buffer on its word.
		b.kept = make([]byte, 0, min(max(sizeHint, 512), 64<<10))
	}
	for b.ended == nil && int64(len(b.kept)) < upTo {
		b.room(1)
		free := b.kept[len(b.kept):cap(b.kept)]
		free = free[:min(int64(len(free)), upTo-int64(len(b.kept)))]
		n, err := b.source.Read(free)
		b.kept = b.kept[:len(b.kept)+n]
		b.end(err)
	}
	if b.ended == nil && int64(len(b.kept)) == upTo {
		return b.endsHere()
	}
	if b.ended == io.EOF {
		return true, nil
	}
	return false, b.ended
}

// keep adds what was read to what is kept. b.mu is held.
func (b *body) keep(p []byte) {
	b.room(len(p))
	b.kept = append(b.kept, p...)
}

// room makes room for n more bytes. It grows in large steps, since append's would
// copy a megabyte five times over, but never far beyond what has come.
func (b *body) room(n int) {
	if need := len(b.kept) + n; need > cap(b.kept) {
		larger := max(need, int(min(4*int64(cap(b.kept)), b.limit+1)))
		b.kept = append(make([]byte, 0, larger), b.kept...)
	}
}

// endsHere reports whether the body ends where it was filled to. The byte that
// says no is kept.
func (b *body) endsHere() (bool, error) {
	var one [1]byte
	for b.ended == nil {
		n, err := b.source.Read(one[:])
		b.end(err)
		if n > 0 {
			b.kept = append(b.kept, one[0])
			return false, nil
		}
	}
	if b.ended == io.EOF {
		return true, nil
	}
	return false, b.ended
}

// reader starts a new attempt and returns its reader, from offset on. The error
// is that the beginning is gone. It waits for a read that is under way.
func (b *body) reader(offset int) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spilled {
		return nil, errStaleAttempt
	}
	return &attempt{body: b, number: b.attempt.Add(1), offset: offset}, nil
}

// claim reports whether the body can be sent anew. If so, no attempt so far
// gets more of it: one that read on would make the answer untrue.
func (b *body) claim() bool {
	b.lock()
	defer b.mu.Unlock()
	if !b.spilled {
		b.attempt.Add(1)
	}
	return !b.spilled
}

// lock locks mu after those who have asked for it before.
func (b *body) lock() {
	b.turn.Lock()
	b.mu.Lock()
	b.turn.Unlock()
}

// end notes what source returned. b.mu is held.
func (b *body) end(err error) {
	b.ended = err
	switch {
	case err == io.EOF:
		b.trailer.strip()
		b.over.Store(true)
	case err != nil:
		b.broken.Store(true)
	}
}

// beginning returns what is kept of the body. It must not be changed.
func (b *body) beginning() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept
}

// size returns the length of a whole body.
func (b *body) size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.kept))
}

// fault returns what source failed with, nil if it has not.
func (b *body) fault() error {
	b.lock()
	defer b.mu.Unlock()
	if b.ended == io.EOF {
		return nil
	}
	return b.ended
}

// release cuts off all attempts: the handler is about to return, after which
// the client's body must not be read.
func (b *body) release() { b.attempt.Add(1) }

// attempt reads a body from its beginning.
type attempt struct {
	body   *body
	number int64
	offset int
}

func (a *attempt) Read(p []byte) (int, error) {
	b := a.body
	b.lock()
	defer b.mu.Unlock()
	switch {
	case a.number != b.attempt.Load():
		return 0, errStaleAttempt
	case a.offset < len(b.kept):
		n := copy(p, b.kept[a.offset:])
		a.offset += n
		return n, nil
	case b.ended != nil:
		return 0, b.ended
	}
	// The limit is reached before it is passed: up to there a replay is possible.
	if room := b.limit - int64(len(b.kept)); !b.spilled && room > 0 {
		p = p[:min(int64(len(p)), room)]
	}
	n, err := b.source.Read(p)
	b.end(err)
	if !b.spilled && int64(len(b.kept)+n) <= b.limit {
		b.keep(p[:n])
		a.offset += n
		return n, err
	}
	b.spilled, b.kept = true, nil
	return n, err
}

// Close does nothing: the client's body is the server's to close.
func (a *attempt) Close() error { return nil }

// keep takes over the request's body. One that fits the replay buffer is read
// whole before Salesforce is asked: it can be replayed, and a slow client does
// not hold one of the org's slots for long requests, which Salesforce counts
// from the first byte of the head. A larger one streams.
func (p *Proxy) keep(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		if r.ContentLength == 0 || r.Body == nil {
			next(w, r)
			return
		}
		if ex.body == nil {
			ex.body = newBody(r, r.Body, p.cfg.ReplayBuffer)
		}
		defer ex.body.release()
		if !ex.bodyWhole && r.ContentLength <= p.cfg.ReplayBuffer {
			whole, err := ex.body.fill(r.ContentLength, p.cfg.ReplayBuffer)
			if err != nil {
				p.refuseBody(w, r, ex.body)
				return
			}
			ex.bodyWhole = whole
		}
		if !ex.bodyWhole {
			// Without it net/http's server reads the rest of an HTTP/1 body away
			// when an answer comes early, and Salesforce would get a body that ends
			// well and lacks that rest.
			http.NewResponseController(w).EnableFullDuplex()
		}
		next(w, r)
	}
}

// refuseBody answers a request whose body could not be read to its end.
func (p *Proxy) refuseBody(w http.ResponseWriter, r *http.Request, b *body) {
	if errors.Is(b.fault(), errAfterBody) {
		p.refuse(w, r, denial(http.StatusBadRequest, "PROXY_BAD_ENVELOPE", errAfterBody))
		return
	}
	p.refuse(w, r, denial(http.StatusBadRequest, "PROXY_BAD_BODY", errBrokenBody))
}
