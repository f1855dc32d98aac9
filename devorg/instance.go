package devorg

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxHead is Salesforce's limit for the URI, and for the URI and the headers together.
const maxHead = 16384 // bytes

// serveInstance answers for an instance host.
func (o *Org) serveInstance(w http.ResponseWriter, r *http.Request, h *host) {
	defer o.stats.requestStarted()()
	o.cfg.Logger.Debug("request", "method", r.Method, "path", r.URL.Path)
	o.stamp(w)
	w.Header().Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	w.Header().Add("Set-Cookie", "BrowserId=devorg-browser; domain=.salesforce.com; path=/; secure")
	if o.refusesHead(w, r, h) {
		return
	}
	latency, fault, faulty := o.requestControls()
	if !o.pause(r, latency) {
		panic(http.ErrAbortHandler)
	}
	if !faulty {
		fault, faulty = o.pathFault(r.URL.Path)
	}
	if faulty {
		fault.serve(w, r)
		return
	}
	o.route(w, r, h)
}

func (o *Org) route(w http.ResponseWriter, r *http.Request, h *host) {
	path := r.URL.EscapedPath()
	switch {
	case path == "/services/data" || strings.HasPrefix(path, "/services/data/"):
		o.serveData(w, r, h)
	case strings.HasPrefix(path, "/services/apexrest/"):
		o.serveApex(w, r, h)
	case path == "/services/oauth2/userinfo" || strings.HasPrefix(path, "/id/"):
		o.serveIdentity(w, r, h)
	case strings.HasPrefix(path, "/services/Soap/"):
		o.serveSOAP(w, r, h)
	case strings.HasPrefix(path, "/services/async/"):
		o.serveBulk(w, r, h)
	case strings.HasPrefix(path, "/cometd/"):
		o.serveCometD(w, r, h)
	case path == "/services/oauth2/revoke":
		o.serveRevoke(w, r)
	case path == "/services/oauth2/token":
		o.stats.forbidden.Add(1)
		writeJSON(w, http.StatusBadRequest, refusal("invalid_request", "the token endpoint is on the login host"))
	case path == "/secur/frontdoor.jsp":
		o.stats.forbidden.Add(1)
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		io.WriteString(w, "<!DOCTYPE html><title>Home</title><p>browser session")
	default:
		http.Error(w, "URL No Longer Exists", http.StatusNotFound)
	}
}

// refusesHead answers what is wrong with a request before its path or token matter.
func (o *Org) refusesHead(w http.ResponseWriter, r *http.Request, h *host) bool {
	size := len(r.RequestURI)
	if size > maxHead {
		o.answer(w, r, nil, restError(http.StatusRequestURITooLong, "URI_TOO_LONG", "The URI exceeds 16384 bytes."))
		return true
	}
	size += len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxHead {
		o.answer(w, r, nil, restError(http.StatusRequestHeaderFieldsTooLarge, "REQUEST_HEADER_TOO_LARGE", "The URI and the headers exceed 16384 bytes."))
		return true
	}
	if h != o.currentInstance() || !sameHost(r.Host, h.url) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.Header().Set("X-Sfdc-Edge-Err", "true")
		w.WriteHeader(420)
		io.WriteString(w, "Salesforce Edge doesn't have routing information available for this request host.")
		return true
	}
	if name := leakedHeader(r); name != "" {
		o.leak(w, r, name)
		return true
	}
	return false
}

func sameHost(host, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	standard := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return strings.EqualFold(strings.TrimSuffix(host, standard), strings.TrimSuffix(u.Host, standard))
}

// leakedHeader names what a proxy should have kept to itself: traces of its own clients
// and credentials that are not Salesforce's.
func leakedHeader(r *http.Request) string {
	for _, name := range []string{
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via", "Proxy-Authorization",
	} {
		if _, present := r.Header[name]; present {
			return name
		}
	}
	if _, err := r.Cookie("sid"); err == nil {
		return "Cookie sid"
	}
	if len(r.Header["Authorization"]) > 1 {
		return "second Authorization"
	}
	session, authorization := r.Header["X-Sfdc-Session"], r.Header.Get("Authorization")
	if len(session) > 1 {
		return "second X-SFDC-Session"
	}
	if len(session) == 1 && authorization != "" && session[0] != bearerToken(authorization) {
		return "X-SFDC-Session unlike Authorization"
	}
	if !strings.HasPrefix(r.RequestURI, "/") {
		return "absolute request target"
	}
	return ""
}

func (o *Org) leak(w http.ResponseWriter, r *http.Request, what string) {
	o.stats.leaks.Add(1)
	o.cfg.Logger.Warn("leak", "what", what, "path", r.URL.Path)
	o.answer(w, r, nil, restError(http.StatusBadRequest, "DEVORG_LEAK", what+" must not reach Salesforce"))
}

func bearerToken(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if scheme == "Bearer" || scheme == "OAuth" {
		return token
	}
	return ""
}

// authenticate returns the session of a request that carries one live token of this host.
func (o *Org) authenticate(r *http.Request, h *host) (session, bool) {
	return o.authenticateToken(bearerToken(r.Header.Get("Authorization")), h)
}

func (o *Org) authenticateToken(token string, h *host) (session, bool) {
	s, ok := o.sessions.find(token, o.now())
	if !ok || s.instance != h {
		o.stats.unauthorized.Add(1)
		return session{}, false
	}
	return s, true
}

var errSessionExpired = restError(http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")

// An errorItem is one entry of a REST error.
type errorItem struct {
	Message string   `json:"message" xml:"message"`
	Code    string   `json:"errorCode" xml:"errorCode"`
	Fields  []string `json:"fields,omitempty" xml:"fields,omitempty"`
}

// An apiError is an error in the REST API's terms.
type apiError struct {
	status int
	errorItem
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func restError(status int, code, message string, fields ...string) *apiError {
	return &apiError{status, errorItem{message, code, fields}}
}

func badRequest(code, format string, arguments ...any) *apiError {
	return restError(http.StatusBadRequest, code, fmt.Sprintf(format, arguments...))
}

func notFound() *apiError {
	return restError(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}

func methodNotAllowed(method, allowed string) *apiError {
	return restError(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED",
		"HTTP Method '"+method+"' not allowed. Allowed are "+allowed)
}

type xmlErrors struct {
	XMLName xml.Name    `xml:"Errors"`
	Items   []errorItem `xml:"Error"`
}

// answer writes a result or an error as the REST API does: errors in XML where that is
// asked for, anything over a kilobyte compressed where that is understood.
func (o *Org) answer(w http.ResponseWriter, r *http.Request, result *result, failure *apiError) {
	if failure != nil {
		items := []errorItem{failure.errorItem}
		if strings.Contains(r.Header.Get("Accept"), "application/xml") {
			body, _ := xml.Marshal(xmlErrors{Items: items})
			w.Header().Set("Content-Type", "application/xml;charset=UTF-8")
			w.WriteHeader(failure.status)
			io.WriteString(w, xml.Header+string(body))
			return
		}
		result = jsonResult(failure.status, items)
	}
	for name, values := range result.header {
		w.Header()[name] = values
	}
	if result.blob != nil {
		http.ServeContent(w, r, "", result.modified, result.blob)
		return
	}
	if result.body == nil {
		w.WriteHeader(result.status)
		return
	}
	var body bytes.Buffer
	if err := encodeJSON(&body, result.body); err != nil {
		panic(err) // a value of ours that JSON cannot hold
	}
	w.Header().Set("Content-Type", jsonType)
	if body.Len() > 1024 && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Add("Vary", "Accept-Encoding")
		if tag := w.Header().Get("Etag"); tag != "" {
			w.Header().Set("Etag", strings.TrimSuffix(tag, `"`)+`-gzip"`)
		}
		w.WriteHeader(result.status)
		compressed := gzip.NewWriter(w)
		compressed.Write(body.Bytes())
		compressed.Close()
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(body.Len()))
	w.WriteHeader(result.status)
	w.Write(body.Bytes())
}

func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header["Accept-Encoding"], ","), ",") {
		name, quality, _ := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";")
		if strings.EqualFold(name, "gzip") && quality != "q=0" {
			return true
		}
	}
	return false
}

// requestBody undoes the request's content coding.
func requestBody(r *http.Request) (io.Reader, *apiError) {
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, badRequest("INVALID_CONTENT_ENCODING", "The body is not gzip.")
		}
		return body, nil
	}
	return nil, restError(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "The content encoding is not supported.")
}
