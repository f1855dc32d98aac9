package proxy

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

var (
	errHost      = errors.New("the Host of the request is not a name of this proxy: use localhost, or set PROXY_PUBLIC_URL to the name")
	errCrossSite = errors.New("a web page of another site made this request; the proxy serves programs, not browsers")
)

// guard refuses what a web page in a browser on this machine could send: a
// request whose Host is not ours, and one that the browser made for another
// site, GETs included, since their answers may leak and their URLs carry data.
// Only an HTTP/1.0 program sends no Host.
func (p *Proxy) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case p.clients.Load().open && !p.cfg.AnyHost && r.Host != "" && !p.ownHost(r.Host):
			p.refuse(w, r, http.StatusForbidden, "PROXY_WRONG_HOST", errHost)
		case p.crossSite(r):
			p.refuse(w, r, http.StatusForbidden, "PROXY_CROSS_SITE", errCrossSite)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ownHost reports whether host, a Host header, is a name that only a client on
// this machine would use, or the configured one.
func (p *Proxy) ownHost(host string) bool {
	if p.cfg.PublicURL != nil && strings.EqualFold(host, p.cfg.PublicURL.Host) {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// crossSite reports whether a browser says that another site's page made the
// request. Programs send neither header.
func (p *Proxy) crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return false
	}
	origin, err := url.Parse(origins[0])
	return err != nil || len(origins) > 1 || origin.Host == "" ||
		!strings.EqualFold(origin.Scheme+"://"+origin.Host, exchangeOf(r.Context()).public)
}
