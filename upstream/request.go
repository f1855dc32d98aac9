package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// maxBody bounds a request body that is sent in one piece with its head, in
// bytes: as much as the two ends of a connection buffer, so that an answer that
// comes early is not waited for in vain.
const maxBody = 64 << 10

// message is a request as it is sent.
type message []byte

var messages = sync.Pool{New: func() any { return new(message) }}

// free gives m back for the next request.
func (m *message) free() {
	if cap(*m) <= 2*maxBody {
		messages.Put(m)
	}
}

var errOdd = errors.New("the request is none that is sent here")

// newMessage returns req as it is sent, with body, which it closes. The error is
// errOdd, with body still open, if net/http has to send it.
func newMessage(req *http.Request, body io.ReadCloser) (*message, error) {
	m := messages.Get().(*message)
	err := errOdd
	if m.appendHead(req) {
		err = m.appendBody(req, body)
	}
	if err != nil {
		m.free()
		return nil, err
	}
	return m, nil
}

// repeated returns req as it is sent again, see mayRepeat.
func repeated(req *http.Request) (*message, error) {
	if !hasBody(req) {
		return newMessage(req, nil)
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	return newMessage(req, body)
}

// takes reports whether a request is an ordinary one, apart from its headers,
// and the company proxy that it goes through, nil for none.
func (t *Transport) takes(req *http.Request) (bool, *url.URL) {
	if !t.isOrdinary(req) {
		return false, nil
	}
	if t.base.Proxy == nil {
		return true, nil
	}
	proxy, err := t.base.Proxy(req)
	return err == nil && (proxy == nil || t.tunnels(req, proxy)), proxy
}

// isOrdinary reports whether a request is one that net/http need not send, as
// far as its fields tell.
func (t *Transport) isOrdinary(req *http.Request) bool {
	switch {
	case !t.knowsBase():
		return false
	case req.URL == nil || req.Header == nil || req.URL.Scheme != "https" && req.URL.Scheme != "http" || !plainHost(req.URL.Host):
		return false
	case req.Close || len(req.TransferEncoding) > 0 || len(req.Trailer) > 0:
		return false
	case !hasBody(req) && req.ContentLength != 0, hasBody(req) && (req.ContentLength <= 0 || req.ContentLength > maxBody):
		return false
	case httptrace.ContextClientTrace(req.Context()) != nil:
		return false
	}
	return true
}

// knowsBase reports whether the base has no settings that this transport does not
// know.
func (t *Transport) knowsBase() bool {
	b := t.base
	switch {
	case !canReadNow: // what came on an idle connection would be the next request's answer
		return false
	case !b.DisableCompression || b.DisableKeepAlives || b.MaxConnsPerHost > 0 || b.DialTLSContext != nil || b.DialContext == nil:
		return false
	}
	return !b.ForceAttemptHTTP2 && (b.Protocols == nil || !b.Protocols.HTTP2())
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// appendHead appends the head of a request and reports whether it could: what it
// does not know to be right, it leaves to net/http, which sends or refuses it.
func (m *message) appendHead(req *http.Request) bool {
	method, host, target := req.Method, req.Host, req.URL.RequestURI()
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = req.URL.Host
	}
	if !isToken(method) || method == http.MethodConnect || !plainHost(host) || !isTarget(target) {
		return false
	}
	b := append((*m)[:0], method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	if _, named := req.Header["User-Agent"]; !named {
		b = append(b, "User-Agent: Go-http-client/1.1\r\n"...)
	}
	if length := req.ContentLength; length > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, "\r\n"...)
	}
	for name, values := range req.Header {
		if !isToken(name) || !areValues(values) {
			return false
		}
		switch name {
		case "Host", "Content-Length", "Trailer": // they are the request's own fields
			continue
		case "User-Agent":
			if values = values[:min(len(values), 1)]; len(values) > 0 && values[0] == "" {
				continue // which is how a request says that it has none
			}
		}
		if isSpecial(name) {
			return false
		}
		for _, value := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, textproto.TrimString(value)...)
			b = append(b, "\r\n"...)
		}
	}
	*m = append(b, "\r\n"...)
	return true
}

// isSpecial reports whether a header is about where a message ends or what
// becomes of the connection, in whatever spelling.
func isSpecial(name string) bool {
	switch len(name) { // which leaves little to compare
	case 4, 6, 7, 10, 14, 17:
		for _, special := range specialHeaders {
			if strings.EqualFold(name, special) {
				return true
			}
		}
	}
	return false
}

var specialHeaders = []string{"Host", "Expect", "Trailer", "Upgrade", "Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding"}

// appendBody appends the body, which must have the length that was announced.
func (m *message) appendBody(req *http.Request, body io.ReadCloser) error {
	if !hasBody(req) {
		return nil
	}
	head := len(*m)
	size := int(req.ContentLength)
	b := append(*m, make([]byte, size+1)...) // one more, to see that it ends
	n, err := io.ReadFull(body, b[head:])
	*m = b[:head+min(n, size)]
	closeErr := body.Close()
	switch {
	case err == nil:
		return fmt.Errorf("the request body is longer than the %d bytes announced", size)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case n < size:
		return fmt.Errorf("the request body has %d bytes, not the %d announced: %w", n, size, io.ErrUnexpectedEOF)
	}
	return closeErr
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenBytes = byteSet("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

// plainHost reports whether s is a host, with or without a port, that is sent as
// it is: no internationalized name, no zone of an IPv6 address.
func plainHost(s string) bool {
	for i := range len(s) {
		if !hostBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var hostBytes = byteSet("-._:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// isTarget reports whether s can stand in a request line.
func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// areValues reports whether each of values can be a header's.
func areValues(values []string) bool {
	for _, s := range values {
		for i := range len(s) {
			if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
				return false
			}
		}
	}
	return true
}
