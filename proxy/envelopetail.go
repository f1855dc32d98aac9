package proxy

import (
	"bytes"
	"errors"
	"io"
)

var errAfterBody = errors.New("the request has an element after its Body, which sfproxy does not pass on")

// envelopeTail passes a SOAP request on and fails where an element follows the
// Body. SOAP 1.1 (section 4) lets some follow, but one could be a second Header,
// whose session would reach Salesforce. It knows tags from text and nothing more, which costs little; what is no XML is
// Salesforce's to refuse. Its zero value with a source is ready to use.
type envelopeTail struct {
	source io.Reader

	state    tailState
	depth    int    // of elements that are open
	name     []byte // local name of the start tag at depth 2, as far as it matters
	isNaming bool   // within that name
	last     byte   // the byte before, in a start tag
	quote    byte   // what ends an attribute's value
	skip     int    // bytes left of the opening of a comment or a CDATA section
	mark     byte   // what stands before the ">" that ends a section
	marks    int    // how many of them were the last bytes
	isOver   bool   // the Body is
}

type tailState int

const (
	inText      tailState = iota
	inMarkup              // after "<"
	inStartTag            //
	inAttribute           // between quotes
	inEndTag              //
	inSection             // a comment, a CDATA section or a processing instruction
)

func (e *envelopeTail) Read(p []byte) (int, error) {
	n, err := e.source.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if rest = e.advance(rest); e.isOver && e.state == inStartTag {
			return 0, errAfterBody
		}
	}
	return n, err
}

// advance takes in some of text and returns the rest of it.
func (e *envelopeTail) advance(text []byte) []byte {
	c := text[0]
	switch e.state {
	case inText:
		return e.until('<', inMarkup, text)
	case inMarkup:
		return e.begin(text)
	case inAttribute:
		return e.until(e.quote, inStartTag, text)
	case inStartTag:
		e.startTag(c)
	case inEndTag:
		if c == '>' {
			e.close()
		}
	case inSection:
		e.section(c)
	}
	return text[1:]
}

// until goes to another state after the next c.
func (e *envelopeTail) until(c byte, then tailState, text []byte) []byte {
	at := bytes.IndexByte(text, c)
	if at < 0 {
		return nil
	}
	e.state = then
	return text[at+1:]
}

// begin takes in what follows a "<".
func (e *envelopeTail) begin(text []byte) []byte {
	switch text[0] {
	case '/':
		e.state = inEndTag
	case '?':
		e.state, e.skip, e.mark, e.marks = inSection, 0, '?', 0
	case '!':
		e.state, e.skip, e.mark, e.marks = inSection, -1, 0, 0 // of a kind that the next byte tells
	default:
		e.state, e.last = inStartTag, 0
		e.depth++
		if e.isNaming = e.depth == 2; e.isNaming {
			e.name = e.name[:0]
		}
		return text
	}
	return text[1:]
}

func (e *envelopeTail) startTag(c byte) {
	switch {
	case c == '>':
		e.state = inText
		if e.last == '/' {
			e.close()
		}
	case c == '"' || c == '\'':
		e.state, e.quote = inAttribute, c
	case c == '/' || c <= ' ':
		e.isNaming = false
	case e.isNaming && c == ':': // what came was the prefix
		e.name = e.name[:0]
	case e.isNaming && len(e.name) <= len("Body"):
		e.name = append(e.name, c)
	}
	e.last = c
}

// close ends the innermost element.
func (e *envelopeTail) close() {
	e.state = inText
	e.isOver = e.isOver || e.depth == 2 && string(e.name) == "Body"
	e.depth--
}

// section takes in a byte of "<!--…-->", "<![CDATA[…]]>" or "<?…?>".
func (e *envelopeTail) section(c byte) {
	switch {
	case e.skip < 0 && c == '-':
		e.skip, e.mark = len("-"), '-'
	case e.skip < 0 && c == '[':
		e.skip, e.mark = len("CDATA["), ']'
	case e.skip < 0: // a document type, which is refused elsewhere
		e.skip = 0
	case e.skip > 0:
		e.skip--
	case c == e.mark:
		e.marks++
	case c == '>' && (e.marks >= 2 || e.marks == 1 && e.mark == '?' || e.mark == 0):
		e.state = inText
	default:
		e.marks = 0
	}
}
