package main

import (
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
)

// withProfiles adds the pages of net/http/pprof to those of the admin port, but
// for the command line. They tell where the program spends time and memory, and
// hold none of its data. One takes a while to make, which is no web page's to
// ask for.
func withProfiles(admin http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", admin)
	for path, handler := range map[string]http.HandlerFunc{
		"":        pprof.Index, // and the profiles that it lists
		"profile": pprof.Profile,
		"trace":   pprof.Trace,
		"symbol":  pprof.Symbol,
	} {
		mux.HandleFunc("GET /debug/pprof/"+path, func(w http.ResponseWriter, r *http.Request) {
			if fromWebPage(r) {
				http.Error(w, "profiles are for programs and for who types the address: localhost or an IP address", http.StatusForbidden)
				return
			}
			handler(w, r)
		})
	}
	return mux
}

// fromWebPage reports whether a browser may have made the request for a web
// page: it says so, or the host is a name, which a page can have point here.
func fromWebPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	isAddress := net.ParseIP(strings.Trim(host, "[]")) != nil
	return site != "" && site != "none" && site != "same-origin" || !isAddress && !strings.EqualFold(host, "localhost")
}
