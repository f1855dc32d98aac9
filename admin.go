package main

import (
	"log/slog"
	"net/http"
	"net/http/pprof"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// newAdminServer returns the server of the admin port, nil for none.
func newAdminServer(cfg config.Proxy, health *telemetry.Health, metrics *telemetry.Metrics, logger *slog.Logger) *http.Server {
	if cfg.AdminListen == "" {
		return nil
	}
	admin := telemetry.NewAdmin(health, metrics)
	if cfg.Profiles {
		admin = withProfiles(admin)
	}
	return newHTTPServer(guardAdmin(admin, cfg.AllowHosts), logger)
}

// guardAdmin closes the admin port to web pages of other sites: to requests that
// a browser makes for one, and to a Host that a page can have lead here (DNS
// rebinding). Programs by address or by a name of the network come in, and so
// does an HTTP/1.0 probe, which sends no Host. allowed is PROXY_ALLOW_HOSTS.
func guardAdmin(admin http.Handler, allowed []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case r.Host != "" && !proxy.IsNetworkHost(r.Host, allowed):
			http.Error(w, "the Host of the request is neither an IP address nor a name without a dot, such as localhost: to come by this name, add it to PROXY_ALLOW_HOSTS", http.StatusForbidden)
		case site != "" && site != "none" && site != "same-origin":
			http.Error(w, "the admin port is for programs and for who types its address, not for web pages of other sites", http.StatusForbidden)
		default:
			admin.ServeHTTP(w, r)
		}
	})
}

// withProfiles adds the pages of net/http/pprof to those of the admin port, but
// for the command line. They tell where the program spends time and memory, and
// hold none of its data.
func withProfiles(admin http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", admin)
	for path, handler := range map[string]http.HandlerFunc{
		"":        pprof.Index, // and the profiles that it lists
		"profile": pprof.Profile,
		"trace":   pprof.Trace,
		"symbol":  pprof.Symbol,
	} {
		mux.HandleFunc("GET /debug/pprof/"+path, handler)
	}
	return mux
}
