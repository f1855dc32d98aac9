package devorg

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Org is a running org. Its methods are safe for concurrent use.
type Org struct {
	cfg      Config
	id       string // 18 characters
	users    map[string]*user
	sessions *sessionTable
	store    *store
	cursors  *cursorTable
	jobs     *jobTable
	bayeux   *bayeux
	stats    counters

	login, control *host
	authority      *authority // nil without TLS

	ctx  context.Context // ends when the org is closed
	stop context.CancelFunc

	mu       sync.Mutex // guards what follows
	key      *rsa.PublicKey
	instance *host
	retired  []*host // hosts the org has moved away from
	controls controls
}

// A user is one of the org's approved users.
type user struct {
	id, name string
}

// A host is one listener with its server, and the origin announced for it.
type host struct {
	url    string
	server *http.Server
}

// ListenError says that one of the org's addresses cannot be listened on.
type ListenError struct {
	Setting string // the field of Config, such as "LoginListen"
	Err     error
}

func (e *ListenError) Error() string { return fmt.Sprintf("devorg: %s: %v", e.Setting, e.Err) }
func (e *ListenError) Unwrap() error { return e.Err }

// Start listens and serves until Close. The error is a [*ListenError] where an address is
// taken.
func Start(cfg Config) (*Org, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	o := &Org{
		cfg:      cfg,
		id:       longID(cfg.OrgID),
		users:    make(map[string]*user),
		sessions: newSessionTable(),
		cursors:  newCursorTable(),
		jobs:     newJobTable(),
		bayeux:   newBayeux(),
		key:      cfg.PublicKey,
	}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.store = newStore(o.now)
	o.addUsers()
	if !cfg.Empty {
		o.addSamples()
	}
	if cfg.TLS {
		if o.authority, err = newAuthority(cfg); err != nil {
			return nil, fmt.Errorf("devorg: making the certificate authority: %w", err)
		}
	}
	if err := o.listenAll(); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *Org) listenAll() (err error) {
	o.login, err = o.listen("LoginListen", o.cfg.LoginListen, o.cfg.PublicLoginURL, http.HandlerFunc(o.serveLogin))
	if err != nil {
		return err
	}
	if o.instance, err = o.listenInstance(o.cfg.InstanceListen, o.cfg.PublicInstanceURL); err != nil {
		return err
	}
	if o.cfg.ControlListen != "" {
		o.control, err = o.listenPlain("ControlListen", o.cfg.ControlListen, "", o.controlHandler())
	}
	return err
}

// listenInstance opens a host whose handler knows which host it answers for.
func (o *Org) listenInstance(address, public string) (*host, error) {
	var h *host
	known := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-known
		o.serveInstance(w, r, h)
	})
	h, err := o.listen("InstanceListen", address, public, handler)
	close(known)
	return h, err
}

func (o *Org) listen(setting, address, public string, handler http.Handler) (*host, error) {
	if o.authority == nil {
		return o.listenPlain(setting, address, public, handler)
	}
	return o.serve(setting, address, public, handler, &tls.Config{
		Certificates: []tls.Certificate{o.authority.leaf},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12,
	})
}

func (o *Org) listenPlain(setting, address, public string, handler http.Handler) (*host, error) {
	return o.serve(setting, address, public, handler, nil)
}

func (o *Org) serve(setting, address, public string, handler http.Handler, secure *tls.Config) (*host, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &ListenError{setting, err}
	}
	h := &host{url: public, server: &http.Server{
		Handler:           handler,
		TLSConfig:         secure,
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		BaseContext:       func(net.Listener) context.Context { return o.ctx },
		ErrorLog:          errorLog(o.cfg.Logger),
	}}
	if secure == nil {
		if h.url == "" {
			h.url = "http://" + listener.Addr().String()
		}
		go h.server.Serve(listener)
		return h, nil
	}
	if h.url == "" {
		h.url = "https://" + listener.Addr().String()
	}
	go h.server.ServeTLS(listener, "", "")
	return h, nil
}

// now is the org's clock: the configured one plus the offset that a test has set.
func (o *Org) now() time.Time {
	o.mu.Lock()
	offset := o.controls.clockOffset
	o.mu.Unlock()
	return o.cfg.Clock().Add(offset)
}

// stamp puts the org's time on an answer in place of the server's.
func (o *Org) stamp(w http.ResponseWriter) {
	w.Header().Set("Date", o.now().UTC().Format(http.TimeFormat))
}

// LoginURL is the origin of the login host.
func (o *Org) LoginURL() string { return o.login.url }

// InstanceURL is the origin of the instance host that new tokens are for.
func (o *Org) InstanceURL() string { return o.currentInstance().url }

func (o *Org) currentInstance() *host {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.instance
}

// ControlURL is the origin of the test controls, or empty if they are off.
func (o *Org) ControlURL() string {
	if o.control == nil {
		return ""
	}
	return o.control.url
}

// CAPEM is the certificate, in PEM, of the authority that clients have to trust. It is nil
// without TLS.
func (o *Org) CAPEM() []byte {
	if o.authority == nil {
		return nil
	}
	return o.authority.pem
}

// OrgID is the org's id in its 18-character form.
func (o *Org) OrgID() string { return o.id }

// Audience is the claim aud that the org accepts.
func (o *Org) Audience() string {
	if o.cfg.Audience != "" {
		return o.cfg.Audience
	}
	return o.LoginURL()
}

// Close stops the listeners and breaks the requests that are running.
func (o *Org) Close() error {
	o.stop()
	o.mu.Lock()
	hosts := append([]*host{o.login, o.instance, o.control}, o.retired...)
	o.mu.Unlock()
	var errs []error
	for _, h := range hosts {
		if h != nil {
			errs = append(errs, h.server.Close())
		}
	}
	return errors.Join(errs...)
}
