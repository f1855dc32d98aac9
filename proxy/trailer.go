package proxy

import (
	"maps"
	"net/http"
	"net/textproto"
	"strings"
)

// trailer are the fields behind a request's body. The server adds to them when
// the body has ended, those that no Trailer has announced included.
type trailer struct {
	http.Header
	options []string // of the request's Connection
}

// betweenNeighbours are fields for the next hop, or about how a message is to be
// read. ReverseProxy and net/http see to them in heads.
var betweenNeighbours = []string{"Te", "Trailer", "Keep-Alive", "Forwarded", "Host", "Expect", "Content-Length", "Transfer-Encoding"}

// strip drops what is not for Salesforce.
func (t trailer) strip() {
	stripHeaders(t.Header)
	for _, name := range betweenNeighbours {
		delete(t.Header, name)
	}
	for _, name := range t.options {
		delete(t.Header, name)
	}
}

// endToEnd returns h without the fields that Connection names, as Salesforce will
// get it. It may be h itself.
func endToEnd(h http.Header) http.Header {
	options := connectionOptions(h)
	if len(options) == 0 {
		return h
	}
	h = maps.Clone(h)
	for _, name := range options {
		delete(h, name)
	}
	return h
}

// connectionOptions returns the names in Connection: fields with such a name are
// for the next hop alone, wherever they stand (RFC 9110 section 7.6.1).
func connectionOptions(h http.Header) []string {
	var names []string
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(textproto.TrimString(option)))
		}
	}
	return names
}
