package proxy

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// exchange is what one request carries through the chain. Each stage fills its
// own fields; only the goroutine that serves the request touches them, but for
// what says otherwise.
type exchange struct {
	// What came in: observe's.
	id                string
	started           time.Time
	rawPath, rawQuery string        // as they were sent; "" if the target is no path
	path              string        // canonical, for decisions and logs
	ambiguous         bool          // the path has no canonical form
	inbound           *http.Request // with the exchange in its context
	received          countedBody   // the request's body, if there is one; here to be made with the rest

	// How its client keeps up: paced's.
	upload *pacedBody // nil if the request has no body, or clients are not paced
	writer pacedWriter

	// What may be done about it: readEnvelope's, identify's, admit's, raise's and keep's.
	envelope               *envelope // of a SOAP request, else nil
	client                 *Client   // nil before identify
	raisedFrom, raisedPath string    // the API version in the path if it was too low, and the raw path with a higher one; else ""
	body                   *body     // nil if the request has none, or nobody has taken it over
	bodyWhole              bool      // all of it is kept

	// What Salesforce made of it: the transport's and respond's.
	token    *auth.Token // the one that the answer was got with
	replayed bool
	streams  bool        // the answer is of unknown length, so that each piece of it is passed on at once
	answered atomic.Bool // it has been read to its end, and has no trailers; any goroutine's

	// What is told of it.
	fault    *fault // what the proxy itself answered; nil if it did not
	recorder recorder
	seen     Observation
	trace    Trace // nil if nobody follows
}

type exchangeKey struct{}

// exchangeOf returns the exchange that observe put into the request's context.
func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// newExchange returns the exchange of a request.
func newExchange(r *http.Request) *exchange {
	ex := &exchange{id: requestID(r), started: time.Now(), path: r.URL.Path}
	ex.rawPath, ex.rawQuery = rawTarget(r)
	if ex.rawPath == "" {
		return ex
	}
	if canonical, err := canonicalPath(ex.rawPath); err == nil {
		ex.path = canonical
		ex.seen.Family = familyOf(canonical)
	} else {
		ex.ambiguous = true
	}
	return ex
}
