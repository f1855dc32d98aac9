package telemetry

import "net/http"

// NewAdmin returns the handler of the admin port: the pages of h, and m under
// /metrics.
func NewAdmin(h *Health, m *Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler())
	mux.Handle("GET /metrics", m.Handler())
	return mux
}
