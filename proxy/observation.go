package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Observer counts what requests do. It is called by many goroutines at once and
// must not block.
type Observer interface {
	// Client returns what counts the requests of the client of that name; the
	// empty name is for requests of which the client is not known. It is called
	// when clients are set, not for each request.
	Client(name string) ClientObserver
	// Arrived is called when a request has come in. A Done follows.
	Arrived()
}

// ClientObserver counts what the requests of one client do.
type ClientObserver interface {
	// Done is called at the end of each request. o is not to be kept.
	Done(o *Observation)
}

// Observation is what one request has done. None of it is the client's own text.
type Observation struct {
	Family  Family
	Source  Source
	Status  int    // of the answer; 0 if there was none
	Whole   bool   // the answer did not break off
	Failure string // the code that the proxy answered with where Salesforce gave no answer, one of few; else ""

	Forwarded bool          // a token was asked for; what follows is 0 otherwise
	Duration  time.Duration // from the head of the request to the end of the answer
	SendDelay time.Duration // from the head of the request to its sending; 0 if it was not sent
	TokenWait time.Duration // for tokens
	Upstream  time.Duration // until the head of Salesforce's last answer; 0 if there was none
	Refused   Refused

	Received int64 // bytes of the request's body that were read
	Sent     int64 // bytes of the answer's body

	Counted bool // Salesforce counts it against the API limit of the org, as far as that is known
}

// Source is who a request was answered by, or who broke it off.
type Source uint8

// The sources.
const (
	FromSalesforce Source = iota // its answer, or its failure to finish one
	FromProxy                    // an answer of the proxy's own
	FromClient                   // it left before the end
	sources
)

// Sources is how many there are: each is less than it.
const Sources = int(sources)

func (s Source) String() string { return [...]string{"salesforce", "proxy", "client"}[s] }

// Refused is what came of a request whose token Salesforce refused.
type Refused uint8

// What may come of it.
const (
	NotRefused      Refused = iota
	RefusalCured            // replayed with a renewed token, which was taken
	RefusalRepeated         // replayed, and the renewed token was refused as well
	RefusalFailed           // no new token, or no answer to the replay
	RefusalTooLarge         // the token was dropped, and the body is too large to be replayed
	RefusalPassed           // passed on: a new token was refused before, by a policy of the org or for this path
	refusals
)

// Refusals is how many there are: each is less than it.
const Refusals = int(refusals)

func (r Refused) String() string {
	return [...]string{"none", "cured", "repeated", "failed", "too_large", "passed"}[r]
}

// finish completes the observation of an exchange and hands it to the observer.
func (p *Proxy) finish(ex *exchange) {
	if p.cfg.Observer == nil && ex.trace == nil {
		return
	}
	o := &ex.seen
	o.Status, o.Sent, o.Received = ex.recorder.status, ex.recorder.bytes.Load(), ex.received.bytes.Load()
	o.Duration = time.Since(ex.started)
	switch {
	case !o.Whole && ex.inbound.Context().Err() != nil:
		o.Source = FromClient
	case o.Upstream == 0 || ex.fault != nil:
		o.Source = FromProxy
	}
	o.Counted = o.Counted && o.Source != FromProxy
	name, observer := "", p.nobody
	if ex.client != nil {
		name, observer = ex.client.Name, ex.client.observer
	}
	if observer != nil {
		observer.Done(o)
	}
	if ex.trace != nil {
		ex.trace.End(name, ex.path, ex.recorder.Header().Get(errorHeader), o)
	}
}

// countedBody counts what is read of a request's body, which net/http's
// transport may do for a moment after the request is over.
type countedBody struct {
	io.ReadCloser
	bytes atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// countBody has the exchange count the body of its request.
func (ex *exchange) countBody(r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		ex.received.ReadCloser = r.Body
		r.Body = &ex.received
	}
}
