package policy

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
)

// element is an element of XML with the text in it.
type element struct {
	name     xml.Name
	attr     []xml.Attr
	text     string
	children []*element
}

// parseXML returns the root of an XML text. Document types, other processing
// instructions than the declaration, and what follows the root are errors.
func parseXML(text []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = asASCII
	top := &element{}
	open := []*element{top}
	for {
		t, err := d.Token()
		if err == io.EOF && len(open) == 1 && len(top.children) == 1 {
			return top.children[0], nil
		}
		if err != nil || len(open) > maxNesting {
			return nil, unreadable("its XML is malformed, or nested too deep")
		}
		last := open[len(open)-1]
		switch t := t.(type) {
		case xml.Directive:
			return nil, unreadable("its XML has a document type")
		case xml.ProcInst:
			if t.Target != "xml" || d.InputOffset() > int64(len(t.Inst)+len("\ufeff<?xml ?>")) {
				return nil, unreadable("its XML has a processing instruction")
			}
		case xml.StartElement:
			e := &element{name: t.Name, attr: t.Copy().Attr}
			last.children = append(last.children, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			last.text += string(t)
		}
	}
}

// asASCII lets encodings pass whose first 128 characters are those of ASCII, if
// the text has no others: the decoder refuses what is not UTF-8.
func asASCII(charset string, r io.Reader) (io.Reader, error) {
	charset = strings.ToLower(charset)
	if charset == "us-ascii" || strings.HasPrefix(charset, "iso-8859-") || strings.HasPrefix(charset, "windows-125") {
		return r, nil
	}
	return nil, unreadable("its XML is not in UTF-8")
}

// all returns the texts of the children that have a local name, in whatever
// case and namespace.
func (e *element) all(local string) []string {
	var found []string
	for _, child := range e.children {
		if strings.EqualFold(child.name.Local, local) {
			found = append(found, strings.TrimSpace(child.text))
		}
	}
	return found
}

// has reports whether an element of a local name, in whatever case, lies within
// e.
func (e *element) has(local string) bool {
	for _, child := range e.children {
		if strings.EqualFold(child.name.Local, local) || child.has(local) {
			return true
		}
	}
	return false
}
