package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/quota"
)

// Tokens is where the proxy's tokens come from: an [auth.Manager].
type Tokens interface {
	Token(ctx context.Context, subject string) (*auth.Token, error)
	Reject(token *auth.Token) bool
}

// Logins answers the logins that legacy apps make and knows the sessions that
// came of them: a login.Logins. The requests have their paths in canonical form.
type Logins interface {
	// Client returns the name of the client that a session belongs to.
	Client(session string) (name string, err error)
	// ServeSOAP answers a login() or logout(); public is the proxy's origin as
	// the client knows it.
	ServeSOAP(w http.ResponseWriter, r *http.Request, public string, envelope []byte)
	// ServeOAuth answers the token and the revocation endpoint.
	ServeOAuth(w http.ResponseWriter, r *http.Request, public string)
}

// Config is what a proxy is made of.
type Config struct {
	// Tokens is required.
	Tokens Tokens
	// Transport reaches the instances, see [NewTransport]. Required.
	Transport http.RoundTripper
	// Subject is the Salesforce user whom requests act as when there are no
	// Clients. Required then.
	Subject string
	// Clients may use the proxy, and nobody else. Without any, whoever reaches
	// it may. See [Proxy.SetClients].
	Clients []Client
	// Logins is for clients that log in. Default: none can.
	Logins Logins
	// AnyHost lets requests name the proxy by any Host. Otherwise, without
	// Clients, it must be a loopback name, PublicURL's or one of AllowHosts: a
	// web page can give its own name the proxy's address (DNS rebinding).
	AnyHost bool
	// NetworkHosts lets the Host be any IP address, and any name without a dot,
	// too: names of a local network, which are nobody's outside it.
	NetworkHosts bool
	// AllowHosts are further names, without a port, in lower case; IP addresses
	// as [netip.Addr] writes them.
	AllowHosts []string
	// CORSOrigins are the origins whose pages may send requests and read the
	// answers, as browsers write them. Default: none.
	CORSOrigins []string
	// PublicURL is the origin that clients know the proxy by. Default: scheme
	// and Host of the request.
	PublicURL *url.URL
	// AllowPaths are the path prefixes that are forwarded. Default:
	// DefaultAllowPaths.
	AllowPaths []string
	// MinAPIVersion, such as "60.0", is the lowest API version that the org is
	// asked for: requests for a lower one go to it. Default: any version is
	// asked for.
	MinAPIVersion string
	// OnRaised is called for each request that MinAPIVersion changed, with the
	// client's name. Default: not.
	OnRaised func(client string)
	// OnDenied is called for each request that is refused. Default: not.
	OnDenied func(Denial)
	// OnLimited is called for each request that goes over a limit, with the
	// limit's name, of which there are few. Default: not.
	OnLimited func(limit string)
	// Observer counts what requests do. Default: nobody does.
	Observer Observer
	// Tracer follows requests. Default: nobody does.
	Tracer Tracer
	// TraceUpstream tells Salesforce which trace a request is part of.
	TraceUpstream bool
	// MaxRequests is how many requests run at a time; 0 for no limit. Those over
	// it get 429.
	MaxRequests int
	// MaxRequestsPerClient is Client.MaxRequests of the nameless client that
	// there is without Clients, and how many requests are read at a time to find
	// out whose they are: logins, and SOAP requests.
	MaxRequestsPerClient int
	// MinBodyRate is how many bytes a second a client moves at least, of a
	// request's body or of an answer, while the proxy waits for it: it may fall
	// behind by StallTimeout, and is cut then. 0, of either, for none. See
	// [Proxy.Listener].
	MinBodyRate  int64
	StallTimeout time.Duration
	// ReplayBuffer is how many bytes of a request body are kept for a replay.
	ReplayBuffer int64
	// Reserve is that of whoever uses the proxy when there are no Clients.
	Reserve quota.Reserve
	// Usage is told how the org's API requests stand, and asked what the clients'
	// reserves allow. Default: one of the proxy's own.
	Usage *quota.Usage
	// Queue shares the requests that run at a time in the org; a request waits in
	// it for QueueTimeout at most. Default: any number runs.
	Queue        *quota.Queue
	QueueTimeout time.Duration
	// Logger gets a line a request at debug, failures at warn. Default: none.
	Logger *slog.Logger
}

// Proxy is the main flow as an [http.Handler]. Safe for concurrent use.
type Proxy struct {
	cfg         Config
	minVersion  int      // the number of MinAPIVersion; 0 for none
	raised      sync.Map // raisedAPI → nothing: what the log has told of
	logger      *slog.Logger
	handler     http.HandlerFunc
	crossOrigin *http.CrossOriginProtection
	clients     atomic.Pointer[clients] // of now; a request asks for them once
	looksWithin bool                    // a request within a request could leave Config.AllowPaths
	nobody      ClientObserver          // of requests whose client is not known; nil without an Observer
	running     running                 // requests, of all clients
	unknown     running                 // requests that are read to find out whose they are
	runningOf   sync.Map                // a client's name → *running, for as long as the process lives
}

// ErrAllowPath says that one of Config.AllowPaths can never be forwarded.
var ErrAllowPath = errors.New("a path that is never forwarded, or that is not in its plain form, cannot be allowed")

// New returns a Proxy.
func New(cfg Config) (*Proxy, error) {
	switch {
	case cfg.Tokens == nil:
		return nil, errors.New("proxy: no Tokens")
	case cfg.Transport == nil:
		return nil, errors.New("proxy: no Transport")
	case cfg.Subject == "" && len(cfg.Clients) == 0:
		return nil, errors.New("proxy: neither Subject nor Clients")
	}
	if cfg.AllowPaths == nil {
		cfg.AllowPaths = DefaultAllowPaths
	}
	for _, allowed := range cfg.AllowPaths {
		if canonical, err := canonicalPath(allowed); err != nil || forbidden(canonical) {
			return nil, fmt.Errorf("%w: %q", ErrAllowPath, allowed)
		}
	}
	minVersion, err := parseVersion(cfg.MinAPIVersion)
	if err != nil {
		return nil, err
	}
	if cfg.Usage == nil {
		cfg.Usage = new(quota.Usage)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	crossOrigin, err := newCrossOrigin(&cfg)
	if err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, minVersion: minVersion, logger: cfg.Logger, crossOrigin: crossOrigin}
	if cfg.Observer != nil {
		p.nobody = cfg.Observer.Client("")
	}
	p.looksWithin = !p.allows("/services/data")
	p.clients.Store(&clients{list: p.counted(cfg.Clients), open: len(cfg.Clients) == 0})
	reverse := &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      &transport{base: cfg.Transport, tokens: cfg.Tokens, logger: cfg.Logger, traceUpstream: cfg.TraceUpstream},
		ModifyResponse: p.respond,
		ErrorHandler:   p.fail,
		BufferPool:     new(bufferPool),
		ErrorLog:       slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	p.handler = p.observe(p.paced(p.bound(p.guard(p.answerOAuth(p.readEnvelope(p.identify(p.boundClient(p.admit(p.raise(p.keep(p.ration(reverse.ServeHTTP))))))))))))
	return p, nil
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler(w, r) }

// bufferPool lends out the buffers that answers are copied through.
type bufferPool struct{ pool sync.Pool }

const copyBufferSize = 32 << 10

func (b *bufferPool) Get() []byte {
	if buf, ok := b.pool.Get().(*[copyBufferSize]byte); ok {
		return buf[:]
	}
	return make([]byte, copyBufferSize)
}

func (b *bufferPool) Put(buf []byte) { b.pool.Put((*[copyBufferSize]byte)(buf)) }
