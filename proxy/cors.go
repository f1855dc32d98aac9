package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Pages of Config.CORSOrigins may read answers (Cross-Origin Resource Sharing,
// https://fetch.spec.whatwg.org/#http-cors-protocol). No other page gets a CORS
// header, whatever Salesforce sends. Credentials that a browser adds by itself
// (cookies, a certificate) are never allowed: a page sends its API key.

// newCrossOrigin returns the check of what pages send, from which the pages of
// cfg are exempt.
func newCrossOrigin(cfg *Config) (*http.CrossOriginProtection, error) {
	check := http.NewCrossOriginProtection()
	exempt := cfg.CORSOrigins
	if cfg.PublicURL != nil {
		exempt = append(slices.Clone(exempt), (&url.URL{Scheme: cfg.PublicURL.Scheme, Host: cfg.PublicURL.Host}).String())
	}
	for _, origin := range exempt {
		if err := check.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	return check, nil
}

// sharesWith reports whether pages of origin, an Origin header, may read answers.
func (p *Proxy) sharesWith(origin string) bool {
	return slices.Contains(p.cfg.CORSOrigins, origin)
}

// isPreflight reports whether a browser asks if a page may send another request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight lets the request be sent. Whether it is forwarded then is up
// to the rest of the chain: a preflight has no credential to decide by.
func answerPreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(asked, ", "))
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true") // a page of the Internet asks for this machine
	}
	h.Set("Access-Control-Max-Age", "600") // seconds
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set(requestIDHeader, exchangeOf(r.Context()).id)
	w.WriteHeader(http.StatusNoContent)
}

// shareAnswer puts the CORS headers on the answer to r, whoever gives it. Where
// no origin may have any, there is none.
func (p *Proxy) shareAnswer(h http.Header, r *http.Request) {
	if len(p.cfg.CORSOrigins) == 0 {
		return
	}
	h.Add("Vary", "Origin") // for caches, with every answer
	if origins := r.Header["Origin"]; len(origins) == 1 && p.sharesWith(origins[0]) {
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Expose-Headers", "*")
	}
}

// dropCORS drops the headers by which Salesforce lets pages read an answer.
func dropCORS(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
}
