package devorg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"
	xmlNamespace   = "http://www.w3.org/XML/1998/namespace"
	maxXMLElements = 500_000
	maxXMLDepth    = 50
	maxXMLAttrs    = 50
)

// A node is one element of an XML document that has been read to its end.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	text     string // of an element without children
	children []*node
	parent   *node
}

// readXML reads a document of one root element. A document type, a processing instruction,
// a prefix that nobody declared and text between elements are errors.
func readXML(data []byte) (*node, error) {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	var root, at *node
	var text strings.Builder
	elements := 0
	for first := true; ; first = false {
		token, err := decoder.Token()
		if err == io.EOF {
			if root == nil {
				return nil, errors.New("there is no element")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("a DTD is not allowed")
		case xml.ProcInst:
			if !first || t.Target != "xml" {
				return nil, errors.New("a processing instruction is not allowed")
			}
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			if at == nil && root != nil {
				return nil, errors.New("there is more than one root element")
			}
			if elements++; elements > maxXMLElements {
				return nil, errors.New("there are too many elements")
			}
			if at, err = at.open(t, &text); err != nil {
				return nil, err
			}
			if root == nil {
				root = at
			}
		case xml.EndElement:
			if at, err = at.close(&text); err != nil {
				return nil, err
			}
		}
		if at == nil && strings.TrimSpace(text.String()) != "" {
			return nil, errors.New("there is text outside the root element")
		}
	}
}

var errMixed = errors.New("there is text between elements")

// open begins a child of n, which is nil before the root.
func (n *node) open(start xml.StartElement, text *strings.Builder) (*node, error) {
	child := &node{name: start.Name, attrs: start.Copy().Attr, parent: n}
	depth := 0
	for up := n; up != nil; up = up.parent {
		depth++
	}
	if depth >= maxXMLDepth || len(child.attrs) > maxXMLAttrs {
		return nil, errors.New("the elements are too deep, or have too many attributes")
	}
	if err := child.checkNames(); err != nil {
		return nil, err
	}
	if n != nil {
		if strings.TrimSpace(text.String()) != "" {
			return nil, errMixed
		}
		n.children = append(n.children, child)
	}
	text.Reset()
	return child, nil
}

// close ends n and returns the element around it.
func (n *node) close(text *strings.Builder) (*node, error) {
	if len(n.children) == 0 {
		n.text = text.String()
	} else if strings.TrimSpace(text.String()) != "" {
		return nil, errMixed
	}
	text.Reset()
	return n.parent, nil
}

// checkNames looks for prefixes without a declaration, which the decoder takes for
// namespaces, and for attributes given twice.
func (n *node) checkNames() error {
	names := []xml.Name{n.name}
	seen := make(map[xml.Name]bool)
	for _, a := range n.attrs {
		if seen[a.Name] {
			return fmt.Errorf("attribute %s is given twice", a.Name.Local)
		}
		seen[a.Name] = true
		if a.Name.Space != "xmlns" {
			names = append(names, a.Name)
		}
	}
	for _, name := range names {
		if name.Space != "" && name.Space != xmlNamespace && !n.declared(name.Space) {
			return fmt.Errorf("prefix %s is not declared", name.Space)
		}
	}
	return nil
}

// declared reports whether a namespace is declared for n, under whatever prefix.
func (n *node) declared(namespace string) bool {
	for up := n; up != nil; up = up.parent {
		for _, a := range up.attrs {
			if a.Value == namespace && (a.Name.Space == "xmlns" || a.Name == xml.Name{Local: "xmlns"}) {
				return true
			}
		}
	}
	return false
}

// qualified is the name that a value such as ens:Account stands for.
func (n *node) qualified(value string) (xml.Name, bool) {
	prefix, local, prefixed := strings.Cut(value, ":")
	declaration := xml.Name{Space: "xmlns", Local: prefix}
	if !prefixed {
		declaration, local = xml.Name{Local: "xmlns"}, value
	}
	for up := n; up != nil; up = up.parent {
		for _, a := range up.attrs {
			if a.Name == declaration {
				return xml.Name{Space: a.Value, Local: local}, true
			}
		}
	}
	return xml.Name{Local: local}, !prefixed
}

func (n *node) attr(namespace, local string) string {
	for _, a := range n.attrs {
		if a.Name == (xml.Name{Space: namespace, Local: local}) {
			return a.Value
		}
	}
	return ""
}

// null reports whether the element has xsi:nil.
func (n *node) null() bool {
	value := n.attr(schemaInstance, "nil")
	return value == "true" || value == "1"
}

// named returns the children of a name.
func (n *node) named(name xml.Name) []*node {
	var found []*node
	for _, child := range n.children {
		if child.name == name {
			found = append(found, child)
		}
	}
	return found
}

// An xmlText is XML that is being written.
type xmlText struct{ strings.Builder }

// rawXML is a value that is XML already.
type rawXML string

func (b *xmlText) leaf(name, text string) {
	b.WriteString("<" + name + ">" + escapeXML(text) + "</" + name + ">")
}

// needless are the escapes that text can do without.
var needless = strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&#xA;", "\n", "&#x9;", "\t")

func escapeXML(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return needless.Replace(b.String())
}

func (b *xmlText) nothing(name string) { b.WriteString("<" + name + ` xsi:nil="true"/>`) }

// members writes what JSON would have as the members of an object: a list as one element
// for each entry, nil as xsi:nil.
func (b *xmlText) members(o object) {
	for _, m := range o {
		switch v := m.value.(type) {
		case nil:
			b.nothing(m.name)
		case object:
			b.WriteString("<" + m.name + ">")
			b.members(v)
			b.WriteString("</" + m.name + ">")
		case []object:
			for _, entry := range v {
				b.members(object{{m.name, entry}})
			}
		case []string:
			for _, entry := range v {
				b.leaf(m.name, entry)
			}
		case rawXML:
			b.WriteString(string(v))
		default:
			b.leaf(m.name, fmt.Sprint(v))
		}
	}
}
