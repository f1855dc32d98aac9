package telemetry

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// Health answers the admin port. The zero value is alive and not ready; set
// Outcome before serving. Safe for concurrent use.
type Health struct {
	// Outcome tells how the default subject's token stands.
	Outcome func() auth.Outcome

	granted  atomic.Bool
	stopping atomic.Bool
}

// Granted says that a first grant has succeeded: the set-up works. From now on
// the proxy is ready, whatever befalls Salesforce: a replica that is taken out
// for that would help nobody.
func (h *Health) Granted() { h.granted.Store(true) }

// Stopping says that the stop has begun.
func (h *Health) Stopping() { h.stopping.Store(true) }

// Handler serves /healthz (the process works) and /readyz (it can serve
// clients; the body says how the token stands and what failed last).
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		report := h.report()
		status := http.StatusOK
		if !report.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, report)
	})
	return mux
}

// readiness is the body of /readyz.
type readiness struct {
	Ready       bool           `json:"ready"`
	Reason      string         `json:"reason,omitempty"` // why not
	Token       *tokenReport   `json:"token,omitempty"`
	Grants      int            `json:"grants"`
	LastFailure *failureReport `json:"last_failure,omitempty"`
}

type tokenReport struct {
	Subject   string    `json:"subject"`
	Instance  string    `json:"instance"`
	Format    string    `json:"format"` // "opaque", or "jwt", which SOAP does not take
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type failureReport struct {
	Error string    `json:"error"`
	Hint  string    `json:"hint,omitempty"`
	At    time.Time `json:"at"`
}

func (h *Health) report() readiness {
	o := h.Outcome()
	r := readiness{Ready: h.granted.Load() && !h.stopping.Load(), Grants: o.Grants}
	if o.Failure != nil {
		r.LastFailure = &failureReport{Error: o.Failure.Error(), Hint: auth.Hint(o.Failure), At: o.FailureAt.UTC()}
	}
	if t := o.Token; t != nil {
		format := "opaque"
		if t.JWT() {
			format = "jwt"
		}
		r.Token = &tokenReport{Subject: t.Subject, Instance: t.InstanceURL.Host, Format: format, IssuedAt: t.IssuedAt.UTC(), ExpiresAt: t.ExpiresAt.UTC()}
	}
	switch {
	case r.Ready:
	case h.stopping.Load():
		r.Reason = "stopping"
	case o.Failure != nil:
		r.Reason = "no token has been granted yet: " + o.Failure.Error()
	default:
		r.Reason = "no token has been granted yet"
	}
	return r
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
