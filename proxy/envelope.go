package proxy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// maxEnvelopeHead is how much of a SOAP request is looked at, in bytes: the
// envelope up to the name of the operation has to be within it.
const maxEnvelopeHead = 64 << 10

// envelope is what the head of a SOAP request says and where its session
// stands, so that the session can be replaced without touching another byte.
type envelope struct {
	operation xml.Name // the element in Body
	session   string   // content of SessionHeader/sessionId; "" for none

	// What stands between start and end gives way to before + session + after.
	start, end    int
	before, after string
}

const soapEnvelope = "http://schemas.xmlsoap.org/soap/envelope/"

var (
	errEnvelopeHead   = errors.New("the request is not a SOAP 1.1 envelope in UTF-8 whose header fits into 64 KiB")
	errDoctype        = errors.New("the request has a document type declaration, which SOAP forbids")
	errForeignSession = errors.New("the sessionId is not in the namespace of its SessionHeader, so that Salesforce would not see it")
	errTwoSessions    = errors.New("the request has more than one SessionHeader or sessionId")
)

// with returns what replaces the bytes from start to end for a session, whose
// letters XML does not escape.
func (e *envelope) with(session string) string { return e.before + session + e.after }

// scanEnvelope reads the head of a SOAP request. It goes by namespaces and not
// by prefixes, and stops at the operation: what the body holds is not ours.
func scanEnvelope(head []byte) (*envelope, error) {
	s := &envelopeScanner{head: head, decoder: xml.NewDecoder(bytes.NewReader(head))}
	s.decoder.CharsetReader = singleByte
	for {
		from := int(s.decoder.InputOffset())
		token, err := s.decoder.Token()
		if err != nil {
			return nil, errEnvelopeHead
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errDoctype
		case xml.StartElement:
			err = s.open(t.Name, from, int(s.decoder.InputOffset()))
		case xml.EndElement:
			err = s.close(from, int(s.decoder.InputOffset()))
		case xml.CharData:
			if s.inSession {
				s.found.session += string(t)
			}
		}
		if err != nil || s.done {
			return &s.found, err
		}
	}
}

// envelopeScanner follows the elements that lead to the session and to the
// operation. Offsets are those of head.
type envelopeScanner struct {
	head    []byte
	decoder *xml.Decoder
	path    []xml.Name
	found   envelope
	done    bool

	header, body     tag    // the start tags; the zero value is none
	sessionHeaderTag tag    // of SessionHeader
	sessionNamespace string // of SessionHeader
	sessionTag       tag    // of sessionId
	sessionEnd       int    // after its end tag
	inSession        bool   // between the tags of sessionId
}

// tag is the place of a start tag.
type tag struct{ from, to int }

// open takes in a start tag between two offsets.
func (s *envelopeScanner) open(name xml.Name, from, to int) error {
	s.path = append(s.path, name)
	here := tag{from, to}
	switch depth := len(s.path); {
	case depth == 1 && name != xml.Name{Space: soapEnvelope, Local: "Envelope"}:
		return errEnvelopeHead
	case depth == 2 && name == xml.Name{Space: soapEnvelope, Local: "Header"}:
		s.header = here
	case depth == 2 && name == xml.Name{Space: soapEnvelope, Local: "Body"}:
		s.body = here
	case depth == 3 && s.path[1].Local == "Body" && s.body != (tag{}):
		s.found.operation = name
		s.done = true
		s.place()
	case depth == 3 && s.path[1] == xml.Name{Space: soapEnvelope, Local: "Header"} && name.Local == "SessionHeader":
		if s.sessionHeaderTag != (tag{}) {
			return errTwoSessions
		}
		s.sessionHeaderTag, s.sessionNamespace = here, name.Space
	case depth == 4 && s.sessionHeaderTag != (tag{}) && s.path[2].Local == "SessionHeader" && name.Local == "sessionId":
		if s.sessionTag != (tag{}) {
			return errTwoSessions
		}
		if name.Space != s.sessionNamespace {
			return errForeignSession
		}
		s.sessionTag, s.inSession = here, true
		s.found.start = to
	case s.inSession:
		return errEnvelopeHead // an element within sessionId
	}
	return nil
}

// close takes in an end tag between two offsets.
func (s *envelopeScanner) close(from, to int) error {
	if s.inSession && len(s.path) == 4 {
		s.inSession = false
		s.found.end, s.sessionEnd = from, to
		s.found.session = strings.TrimSpace(s.found.session)
	}
	if len(s.path) == 2 && s.path[1].Local == "Body" {
		return errEnvelopeHead // without an operation
	}
	s.path = s.path[:len(s.path)-1]
	return nil
}

// place decides what is to be replaced, once all is known.
func (s *envelopeScanner) place() {
	namespace := escape(s.found.operation.Space)
	switch {
	case s.sessionTag != (tag{}) && s.isNil(s.sessionTag):
		name := s.rawName(s.sessionTag)
		s.found.start, s.found.end = s.sessionTag.from, s.sessionEnd
		s.found.before, s.found.after = "<"+name+">", "</"+name+">"
	case s.sessionTag != (tag{}):
		s.openEmpty(s.sessionTag)
	case s.sessionHeaderTag != (tag{}):
		s.insertAfter(s.sessionHeaderTag, `<sessionId xmlns="`+escape(s.sessionNamespace)+`">`, `</sessionId>`)
	case s.header != (tag{}):
		s.insertAfter(s.header, `<SessionHeader xmlns="`+namespace+`"><sessionId>`, `</sessionId></SessionHeader>`)
	default:
		// With a prefix of our own: Body's may be declared on Body itself.
		s.found.start, s.found.end = s.body.from, s.body.from
		s.found.before = `<sfproxy:Header xmlns:sfproxy="` + soapEnvelope + `"><SessionHeader xmlns="` + namespace + `"><sessionId>`
		s.found.after = `</sessionId></SessionHeader></sfproxy:Header>`
	}
}

// insertAfter puts text right after a start tag.
func (s *envelopeScanner) insertAfter(t tag, before, after string) {
	s.found.start, s.found.end = t.to, t.to
	s.found.before, s.found.after = before, after
	s.openEmpty(t)
}

// openEmpty opens an element that is closed in its own tag, <x/>, so that
// something can stand in it.
func (s *envelopeScanner) openEmpty(t tag) {
	if !bytes.HasSuffix(s.head[t.from:t.to], []byte("/>")) {
		return
	}
	s.found.start, s.found.end = t.to-len("/>"), t.to
	s.found.before = ">" + s.found.before
	s.found.after += "</" + s.rawName(t) + ">"
}

// isNil reports whether a start tag says that its element has no content
// (xsi:nil), as some toolkits write an empty session.
func (s *envelopeScanner) isNil(t tag) bool {
	return bytes.Contains(s.head[t.from:t.to], []byte(":nil"))
}

// rawName is the name in a start tag as it is written.
func (s *envelopeScanner) rawName(t tag) string {
	text := s.head[t.from+1 : t.to]
	if end := bytes.IndexAny(text, " \t\r\n/>"); end >= 0 {
		text = text[:end]
	}
	return string(text)
}

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

// singleByte lets the decoder read the encodings of which each byte below 128
// is the ASCII character and each other byte one character: their structure is
// all that is looked at, and offsets stay those of the bytes.
func singleByte(charset string, r io.Reader) (io.Reader, error) {
	charset = strings.ToLower(charset)
	if charset == "us-ascii" || strings.HasPrefix(charset, "iso-8859-") || strings.HasPrefix(charset, "windows-125") {
		return asciiReader{r}, nil
	}
	return nil, errEnvelopeHead
}

// asciiReader reads "?" for every byte that is not ASCII.
type asciiReader struct{ io.Reader }

func (a asciiReader) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	for i, b := range p[:n] {
		if b >= 0x80 {
			p[i] = '?'
		}
	}
	return n, err
}
