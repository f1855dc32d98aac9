package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sfproxy/sfproxy/auth"
)

// grantSpan is what a flight has noted of the span of its last grant.
type grantSpan struct{ own, parent trace.SpanContext }

// Grants returns grant followed. The span of a grant is a part of that of the
// request that began the flight and waits for it; a renewal for which nobody
// waits is a trace of its own, with a link to what set it off (OpenTelemetry
// Specification, Links between spans). On nil it returns grant.
func (t *Traces) Grants(grant auth.GrantFunc) auth.GrantFunc {
	if t == nil {
		return grant
	}
	return func(ctx context.Context, subject string) (*auth.Token, error) {
		began := trace.SpanContextFromContext(ctx)
		options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
		flight := auth.FlightOf(ctx)
		if flight != nil && flight.Unattended() {
			options = append(options, trace.WithNewRoot())
			if began.IsValid() {
				options = append(options, trace.WithLinks(trace.Link{SpanContext: began}))
			}
		}
		ctx, span := t.tracer.Start(ctx, "grant", options...)
		defer span.End()
		if flight != nil && span.IsRecording() {
			flight.Note(grantSpan{own: span.SpanContext(), parent: began})
		}
		token, err := grant(ctx, subject)
		if err != nil {
			span.SetStatus(codes.Error, whyNoToken(err))
		}
		return token, err
	}
}

// waiting returns ctx as that of what span is about. If a token is waited for in
// it, span gets a link to the grant, unless the grant is a part of it.
func waiting(ctx context.Context, span trace.Span) context.Context {
	return auth.OnWait(trace.ContextWithSpan(ctx, span), func(f *auth.Flight) {
		grant, ok := f.Noted().(grantSpan)
		if ok && !(grant.parent.Equal(span.SpanContext()) && !f.Unattended()) {
			span.AddLink(trace.Link{SpanContext: grant.own})
		}
	})
}
