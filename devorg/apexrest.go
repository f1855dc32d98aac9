package devorg

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// serveApex answers for the org's custom REST classes, made to show what a request looks
// like when it arrives and what a class may answer:
//
//	echo               the request: method, target, some headers, length and SHA-256 of the body
//	deny               a 401 of the class's own
//	policy             the 401 of a session policy, whatever the token
//	status/NNN         a status
//	bytes/N[?length=1] N bytes, of a declared length or not
//	absolute-location  a redirect to an absolute URL of the instance
//	trailers           trailers both ways
//	create             creates an account, whatever the method
func (o *Org) serveApex(w http.ResponseWriter, r *http.Request, h *host) {
	session, live := o.authenticate(r, h)
	if !live {
		o.answer(w, r, nil, errSessionExpired)
		return
	}
	if failure := o.spend(w); failure != nil {
		o.answer(w, r, nil, failure)
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/services/apexrest/"), "/")
	argument := -1
	if len(path) == 2 {
		if n, err := strconv.Atoi(path[1]); err == nil && n >= 0 {
			argument = n
		}
	}
	switch {
	case path[0] == "echo":
		echo(w, r)
	case path[0] == "deny":
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "not for you"})
	case path[0] == "policy":
		o.answer(w, r, nil, restError(http.StatusUnauthorized, "INVALID_SESSION_ID", "This session is not valid for use with the REST API"))
	case path[0] == "status" && argument >= 200 && argument <= 599:
		w.WriteHeader(argument)
	case path[0] == "bytes" && argument >= 0:
		if r.URL.Query().Get("length") != "" {
			w.Header().Set("Content-Length", path[1])
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		io.CopyN(w, new(pattern), int64(argument))
	case path[0] == "absolute-location":
		http.Redirect(w, r, h.url+"/services/apexrest/echo", http.StatusFound)
	case path[0] == "trailers":
		trailers(w, r)
	case path[0] == "create":
		o.answer(w, r, jsonResult(http.StatusOK, object{{"success", true}}), o.runCode(r.Context(), session.user))
	default:
		o.answer(w, r, nil, restError(http.StatusNotFound, "NOT_FOUND", "Could not find a match for URL"))
	}
}

// echoed are the headers that an echo shows. Credentials are not among them.
var echoed = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Type", "Cookie", "Expect", "If-Match",
	"If-Modified-Since", "If-None-Match", "Range", "Sforce-Call-Options", "Sforce-Query-Options", "Soapaction",
	"Te", "User-Agent", "X-Request-Id", "X-Custom", "Traceparent", "Tracestate", "Baggage",
}

func echo(w http.ResponseWriter, r *http.Request) {
	digest := sha256.New()
	size, err := io.Copy(digest, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	headers := make(map[string][]string)
	for _, name := range echoed {
		if values, present := r.Header[name]; present {
			headers[name] = values
		}
	}
	writeJSON(w, http.StatusOK, object{
		{"method", r.Method}, {"uri", r.RequestURI}, {"host", r.Host}, {"proto", r.Proto}, {"headers", headers},
		{"contentLength", r.ContentLength}, {"transferEncoding", r.TransferEncoding},
		{"length", size}, {"sha256", hex.EncodeToString(digest.Sum(nil))}, {"trailers", r.Trailer},
	})
}

func trailers(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Trailer", "X-Apex-Digest")
	writeJSON(w, http.StatusOK, object{{"trailers", r.Trailer}})
	w.Header().Set("X-Apex-Digest", "end")
}

// A pattern reads as the bytes 0 to 250 again and again.
type pattern struct{ next byte }

func (r *pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.next
		if r.next++; r.next == 251 {
			r.next = 0
		}
	}
	return len(p), nil
}
