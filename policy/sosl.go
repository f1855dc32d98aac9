package policy

import (
	"errors"
	"strings"
)

var (
	errSOSL        = errors.New("it is not a search as sfproxy knows them")
	errNoReturning = errors.New("it has no RETURNING, so that it finds records of any object")
)

// soslEffect returns the effect of a SOSL search: it reads the objects after
// RETURNING.
func soslEffect(text string) effect {
	rest, ok := afterFind(text)
	var tokens []token
	err := errSOSL
	if ok {
		tokens, err = soqlTokens(rest)
	}
	e := reading("a search")
	if err == nil {
		q := &soql{tokens: tokens}
		err = q.returning()
		e.reads, e.renames = q.reads, q.renames
	}
	if err != nil {
		e.renames = true
		e.unknown = "the objects of the search cannot be told: " + err.Error()
	}
	if changes := changesBySOQL(tokens); changes != "" {
		e.changes = changes
	} else if tokens == nil {
		e.changes = "the search cannot be understood"
	}
	return e
}

// afterFind returns what follows the text that is searched for.
func afterFind(text string) (string, bool) {
	text = strings.TrimLeft(text, " \t\r\n")
	if len(text) < len("FIND") || !strings.EqualFold(text[:len("FIND")], "FIND") {
		return "", false
	}
	text = strings.TrimLeft(text[len("FIND"):], " \t\r\n")
	if text == "" {
		return "", false
	}
	end := 0
	switch text[0] {
	case '{':
		end = quotedLength("}" + text[1:])
	case '\'':
		end = quotedLength(text)
	}
	return text[end:], end > 0
}

// returning reads the list of objects after RETURNING.
func (q *soql) returning() error {
	for ; !q.peek().is("RETURNING"); q.at++ {
		if q.at >= len(q.tokens) {
			return errNoReturning
		}
	}
	for {
		q.at++
		name := q.peek()
		if name.kind != word || strings.Contains(name.text, ".") {
			return errSOSL
		}
		q.reads = append(q.reads, name.text)
		q.at++
		if q.peek().text == "(" {
			if err := q.returned(&soqlScope{name: name.text, object: name.text}); err != nil {
				return err
			}
		}
		if q.peek().text != "," {
			return nil
		}
	}
}

// searchClauses begin what follows the fields of an object.
var searchClauses = names("using", "where", "order", "limit", "offset")

// returned reads what an object of RETURNING has in brackets.
func (q *soql) returned(s *soqlScope) error {
	start := q.at + 1
	q.at = start
	if err := q.skip(); err != nil {
		return err
	}
	fields := true
	for i, t := range q.tokens[start:q.at] {
		before := q.tokens[start+i-1] // a bracket at least
		fields = fields && !searchClauses[strings.ToLower(t.text)]
		q.renames = q.renames || fields && (t.text == "(" || t.kind == word && (before.kind == word || before.text == ")"))
		switch {
		case t.is("SELECT"), t.is("TYPEOF"):
			return errSOSL
		case t.kind == word && strings.Contains(t.text, "."):
			if path := s.relationship(t.text); path != "" {
				q.reads = append(q.reads, path)
			}
		}
	}
	q.at++
	return nil
}
