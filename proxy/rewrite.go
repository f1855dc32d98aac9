package proxy

import (
	"cmp"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// droppedHeaders are a client's that Salesforce has no business with, besides
// the hop-by-hop ones and the forwarding headers that ReverseProxy drops:
// credentials, and what the way to the proxy has added.
var droppedHeaders = []string{
	"Authorization", "X-Sfdc-Session", "X-Api-Key", "Cookie",
	"Via", "X-Real-Ip",
	"Connection", "Upgrade", // ReverseProxy puts these back for a WebSocket; Salesforce's APIs have none
	traceparent, tracestate, "Baggage",
	"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User", "Origin", "Referer",
}

// stripHeaders drops from headers or trailers what is not for Salesforce.
func stripHeaders(h http.Header) {
	for _, name := range droppedHeaders {
		delete(h, name)
	}
	for name := range h {
		if strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "X-Forwarded-") {
			delete(h, name)
		}
	}
}

// rewrite makes the request for Salesforce out of the client's. Scheme, host
// and credential are the transport's to put on, since they belong to a token.
func rewrite(pr *httputil.ProxyRequest) {
	ex := exchangeOf(pr.In.Context())
	h := pr.Out.Header
	keepCookies(h, ex.path)
	cookies := h["Cookie"]
	stripHeaders(h)
	if cookies != nil {
		h["Cookie"] = cookies
	}
	nameClient(h, ex.client)
	if ex.body == nil || ex.bodyWhole {
		delete(h, "Expect") // the body is here already
	}
	if hasLinks(ex.path) {
		delete(h, "Accept-Encoding") // its URLs are rewritten, see moveLinks
	}
	hideIdempotencyKey(h)
	setTarget(pr.Out.URL, ex)
}

// setTarget makes Salesforce see the path and the query that the client sent,
// byte for byte but for credentials and an API version that is too low.
// ReverseProxy has dropped the parts of the query that it could not parse, for
// the sake of proxies that decide by the query; ours does not.
func setTarget(out *url.URL, ex *exchange) {
	rawPath := cmp.Or(ex.raisedPath, ex.rawPath)
	out.RawQuery = ex.rawQuery
	if takesCredentials(ex.path) {
		out.RawQuery = dropParameters(ex.rawQuery, isCredential)
	}
	// An opaque URL is written as it is. One that begins with two slashes would
	// be taken for a host; such a path goes the ordinary way.
	if !strings.HasPrefix(rawPath, "//") {
		out.Opaque = rawPath
	}
}

// takesCredentials reports whether a parameter of path's query may be a
// credential. The parameters of a class in Apex are its own affair.
func takesCredentials(path string) bool { return !within(path, "/services/apexrest") }

// isCredential reports whether a query parameter may hold a session.
func isCredential(name string) bool {
	return name == "oauth_token" || name == "access_token" || name == "sid"
}

// hasParameter reports whether a raw query has a parameter that matches.
func hasParameter(rawQuery string, match func(name string) bool) bool {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if match(parameterName(pair)) {
			return true
		}
	}
	return false
}

// dropParameters returns rawQuery without the parameters that match, and the
// rest of it byte for byte.
func dropParameters(rawQuery string, match func(name string) bool) string {
	if !hasParameter(rawQuery, match) {
		return rawQuery
	}
	var kept []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if !match(parameterName(pair)) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

func parameterName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		return decoded
	}
	return name
}

// keepCookies drops a request's cookies, but for CometD's: Salesforce keeps the
// state of a subscription by them. A session cookie never passes.
func keepCookies(h http.Header, path string) {
	if len(h["Cookie"]) == 0 {
		return
	}
	var kept []string
	if within(path, "/cometd") {
		for _, line := range h["Cookie"] {
			for cookie := range strings.SplitSeq(line, ";") {
				cookie = strings.TrimSpace(cookie)
				if cookie != "" && cookieName(cookie) != "sid" {
					kept = append(kept, cookie)
				}
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

const callOptions = "Sforce-Call-Options"

// nameClient tells Salesforce's usage logs which client a call is for, unless
// the app names itself.
func nameClient(h http.Header, c *Client) {
	switch {
	case c.Name == "":
		return
	case len(h[callOptions]) == 0:
		h[callOptions] = c.callOptions
		return
	}
	own := strings.Join(h[callOptions], ", ")
	for option := range strings.SplitSeq(own, ",") {
		if key, _, _ := strings.Cut(option, "="); strings.EqualFold(strings.TrimSpace(key), "client") {
			return
		}
	}
	h.Set(callOptions, "client="+c.Name+", "+own)
}

// hideIdempotencyKey spells a client's Idempotency-Key so that net/http does
// not know it: its transport would take the key as leave to send a POST again
// after the connection broke, and Salesforce knows no such key.
func hideIdempotencyKey(h http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}
