package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr" // which the SDK logs by
	// OpenTelemetry's own SDK and exporter: batches, retries, sampling and the
	// OTEL_* variables behave as operators know them.
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/proxy"
)

// Traces sends what the proxy does, request by request, to an OpenTelemetry
// receiver. It is a [proxy.Tracer], safe for concurrent use.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// NewTraces returns the Traces that go to endpoint, the origin (and perhaps a
// path) of an OTLP/HTTP receiver. How they are sampled and sent is read from the
// process's other OTEL_* variables (OpenTelemetry Environment Variable
// Specification). It does not wait for the receiver; what cannot be sent is told
// to logger, once a minute at most.
func NewTraces(ctx context.Context, endpoint, version string, logger *slog.Logger) (*Traces, error) {
	faults := &traceErrors{logger: logger}
	otel.SetErrorHandler(faults)
	otel.SetLogger(logr.New(sdkLog{faults}))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("sfproxy"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // the last one wins
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(described))
	return &Traces{provider, provider.Tracer("github.com/sfproxy/sfproxy")}, nil
}

// Close sends what is left to be sent, within ctx and a few seconds. On nil it
// does nothing.
func (t *Traces) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// traceErrors logs what the exporter could not do, once a minute at most.
type traceErrors struct {
	logger *slog.Logger
	last   atomic.Int64 // seconds since 1970
}

func (e *traceErrors) Handle(err error) {
	now, last := time.Now().Unix(), e.last.Load()
	if now-last >= 60 && e.last.CompareAndSwap(last, now) {
		e.logger.Warn("traces have a fault", "error", clip(err.Error()), "hint", "see the OTEL_* variables that are set, and the receiver")
	}
}

// sdkLog takes what the SDK logs by itself, and passes on what is wrong without
// the values: headers that cannot be read are among them, which hold keys.
type sdkLog struct{ faults *traceErrors }

func (l sdkLog) Error(err error, what string, _ ...any) {
	l.faults.Handle(fmt.Errorf("%s: %w", what, err))
}
func (sdkLog) Enabled(int) bool                 { return false }
func (sdkLog) Info(int, string, ...any)         {}
func (sdkLog) Init(logr.RuntimeInfo)            {}
func (l sdkLog) WithName(string) logr.LogSink   { return l }
func (l sdkLog) WithValues(...any) logr.LogSink { return l }

// Start implements [proxy.Tracer].
func (t *Traces) Start(r *http.Request, id string) proxy.Trace {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header))
	method := methodOf(r)
	ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return nil
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), attribute.String("sfproxy.request_id", id))
	return &tracedRequest{t.tracer, ctx, span, method}
}

// otherMethod stands for methods that a client made up (OpenTelemetry, Semantic
// Conventions for HTTP Spans).
const otherMethod = "_OTHER"

func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return r.Method
	}
	return otherMethod
}

// tracedRequest is a request's span.
type tracedRequest struct {
	tracer trace.Tracer
	ctx    context.Context // with the span; one trace's life is one request's
	span   trace.Span
	method string // see methodOf
}

// ID implements [proxy.Trace].
func (r *tracedRequest) ID() string { return traceparent(r.span) }

// traceparent writes a span as W3C Trace Context has it.
func traceparent(s trace.Span) string {
	c := s.SpanContext()
	return fmt.Sprintf("00-%s-%s-%s", c.TraceID(), c.SpanID(), c.TraceFlags())
}

// Context implements [proxy.Trace].
func (r *tracedRequest) Context(ctx context.Context) context.Context { return waiting(ctx, r.span) }

// Begin implements [proxy.Trace].
func (r *tracedRequest) Begin(p proxy.Part) proxy.Span {
	kind := trace.SpanKindClient
	if p == proxy.PartToken {
		kind = trace.SpanKindInternal
	}
	_, span := r.tracer.Start(r.ctx, p.String(), trace.WithSpanKind(kind))
	return tracedPart{span, p}
}

// End implements [proxy.Trace].
func (r *tracedRequest) End(client, path, code string, o *proxy.Observation) {
	family, verb := o.Family.String(), r.method
	if verb == otherMethod {
		verb = "HTTP"
	}
	r.span.SetName(verb + " " + family)
	if o.Status != 0 {
		r.span.SetAttributes(semconv.HTTPResponseStatusCode(o.Status))
	}
	// Clipped, since one attribute that is no UTF-8 has the exporter drop all spans
	// that it would send together, and thousands of them may wait.
	r.span.SetAttributes(semconv.URLPath(clip(path)), attribute.String("sfproxy.client", client), attribute.String("sfproxy.family", family),
		attribute.String("sfproxy.source", o.Source.String()))
	switch {
	case !o.Whole:
		r.span.SetStatus(codes.Error, "the answer broke off")
	case o.Status >= 500:
		r.span.SetStatus(codes.Error, code)
	}
	if code != "" {
		r.span.SetAttributes(semconv.ErrorTypeKey.String(code))
	}
	r.span.End()
}

// tracedPart is the span of a part.
type tracedPart struct {
	span trace.Span
	part proxy.Part
}

// Context implements [proxy.Span].
func (p tracedPart) Context(ctx context.Context) context.Context { return waiting(ctx, p.span) }

// Traceparent implements [proxy.Span].
func (p tracedPart) Traceparent() string { return traceparent(p.span) }

// End implements [proxy.Span].
func (p tracedPart) End(status int, err error) {
	if status != 0 {
		p.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	switch {
	case err == nil:
	case p.part == proxy.PartToken:
		p.span.SetStatus(codes.Error, whyNoToken(err))
	default:
		p.span.SetStatus(codes.Error, clip(err.Error()))
	}
	p.span.End()
}

// whyNoToken says it without the user, whom the errors name and no span does.
func whyNoToken(err error) string {
	if refused, ok := errors.AsType[*auth.GrantError](err); ok {
		return cmp.Or(refused.Code, "the login host gave no answer that counts")
	}
	if _, ok := errors.AsType[*auth.BudgetError](err); ok {
		return "the budget of grants is used up"
	}
	return "there was no token in time"
}
