package proxy

import (
	"context"
	"net/http"
)

// Tracer follows requests on their way through the proxy. It is called by many
// goroutines at once. Without a Tracer nothing of this is paid for.
type Tracer interface {
	// Start begins to follow a request that was called id, as a part of what its
	// traceparent names (W3C Trace Context). nil lets it go unfollowed.
	Start(r *http.Request, id string) Trace
}

// Trace is one request that is followed. Its methods are called one after the
// other, End as the last.
type Trace interface {
	// ID returns what an answer's traceresponse says of the trace.
	ID() string
	// Context returns ctx as that of what is done for the request outside its parts.
	Context(ctx context.Context) context.Context
	// Begin begins a part of the request, which ends before the next one begins.
	Begin(p Part) Span
	// End ends the trace. code is that of the proxy's own error, as in
	// X-SFProxy-Error, or empty; o is not to be kept.
	End(client, path, code string, o *Observation)
}

// Span is a part of a request that is followed.
type Span interface {
	// Context returns ctx as that of what is done in the part.
	Context(ctx context.Context) context.Context
	// Traceparent is what Salesforce would be told of the span.
	Traceparent() string
	// End ends it: with the status of an answer, if there was one, or an error.
	End(status int, err error)
}

// Part is a part of what is done about a request.
type Part uint8

// The parts.
const (
	PartToken    Part = iota // getting a token, which is there already most of the time
	PartUpstream             // from sending the request to the head of Salesforce's answer
	PartReplay               // the same for the second time, with a renewed token
)

func (p Part) String() string { return [...]string{"token", "upstream", "replay"}[p] }

// begin begins a part of the exchange. Its span is nil if nobody follows.
func (ex *exchange) begin(p Part) part {
	if ex.trace == nil {
		return part{}
	}
	return part{ex.trace.Begin(p)}
}

// part is a Span, or none.
type part struct{ span Span }

// context returns ctx as that of what is done in the part.
func (p part) context(ctx context.Context) context.Context {
	if p.span == nil {
		return ctx
	}
	return p.span.Context(ctx)
}

func (p part) end(status int, err error) {
	if p.span != nil {
		p.span.End(status, err)
	}
}

// Headers of W3C Trace Context and of W3C Baggage. They are of the company's own
// network, and stay in it unless Config.TraceUpstream says otherwise.
const (
	traceparent   = "Traceparent"
	tracestate    = "Tracestate"
	traceresponse = "Traceresponse"
)

// traceUpstream tells Salesforce of the part, or of what the client told of.
func (p part) traceUpstream(out http.Header, ex *exchange) {
	own := ""
	if p.span != nil {
		own = p.span.Traceparent()
	}
	if own != "" {
		out[traceparent] = []string{own}
	} else if sent := ex.inbound.Header[traceparent]; sent != nil {
		out[traceparent] = sent
	}
	if sent := ex.inbound.Header[tracestate]; sent != nil {
		out[tracestate] = sent
	}
}
