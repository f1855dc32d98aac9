package policy

import (
	"net/http"
	"strings"
)

// graphQL returns the effect of a GraphQL request. One that has a mutation
// anywhere in its document is a write, whichever operation it names.
func (in *inspector) graphQL(c *call) (effect, error) {
	if c.method != http.MethodPost {
		return writingUnknown("a " + c.method + " of GraphQL"), nil
	}
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	query := textMember(document, "query")
	if query == "" {
		return writingUnknown("GraphQL without a query"), nil
	}
	operations, ok := graphQLOperations(query)
	if !ok {
		return writingUnknown("GraphQL that cannot be read"), nil
	}
	for _, kind := range operations {
		if kind != "query" {
			return writingUnknown("a GraphQL " + kind), nil
		}
	}
	e := readingUnknown("a GraphQL query")
	e.renames = true // by its aliases
	return e, nil
}

// graphQLOperations returns the kinds of the operations in a document (GraphQL,
// October 2021, section 2.3); ok is false for what is none.
func graphQLOperations(document string) (kinds []string, ok bool) {
	var open []byte // the brackets that are
	kind := ""      // of the definition that goes on, "" between two
	for document != "" {
		n := graphQLTokenLength(document)
		if n <= 0 {
			return nil, false
		}
		t := document[:n]
		document = document[n:]
		switch {
		case strings.IndexByte("#, \t\r\n", t[0]) >= 0:
			continue
		case kind != "":
		case t == "{":
			kind = "query"
			kinds = append(kinds, kind)
		case t == "query" || t == "mutation" || t == "subscription":
			kind = t
			kinds = append(kinds, kind)
		case t == "fragment":
			kind = t
		default:
			return nil, false
		}
		if open, ok = balance(open, t); !ok {
			return nil, false
		}
		if t == "}" && len(open) == 0 {
			kind = ""
		}
	}
	return kinds, kind == "" && len(kinds) > 0
}

// balance takes a token into the brackets that are open; ok is false for one
// that closes another kind.
func balance(open []byte, t string) (now []byte, ok bool) {
	switch t {
	case "{", "(", "[":
		return append(open, t[0]), true
	case "}", ")", "]":
		if len(open) == 0 || !strings.Contains("{} () []", string(open[len(open)-1])+t) {
			return nil, false
		}
		return open[:len(open)-1], true
	}
	return open, true
}

// graphQLTokenLength returns how long the first token of a text is, 0 if there
// is none. Spaces, commas and comments are tokens as well.
func graphQLTokenLength(text string) int {
	switch c := text[0]; {
	case c == '#':
		return commentLength(text)
	case strings.HasPrefix(text, `"""`):
		return blockStringLength(text)
	case c == '"':
		n := quotedLength(text)
		if n > 0 && strings.ContainsAny(text[:n], "\r\n") {
			return 0
		}
		return n
	case isLetter(c):
		return prefixLength(text, func(c byte) bool { return isLetter(c) || isDigit(c) })
	case isDigit(c), strings.IndexByte("{}()[]!$&.:=@|-+, \t\r\n", c) >= 0:
		return 1
	}
	return 0
}

func commentLength(text string) int {
	if end := strings.IndexAny(text, "\r\n"); end >= 0 {
		return end
	}
	return len(text)
}

func blockStringLength(text string) int {
	for i := 3; i+3 <= len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], `\"""`):
			i += 3
		case strings.HasPrefix(text[i:], `"""`):
			return i + 3
		}
	}
	return 0
}
