package main

import (
	"net/http"
	"net/http/pprof"
)

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
