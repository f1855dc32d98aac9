package policy

import (
	"errors"
	"regexp"
	"strings"
)

// soqlEffect returns the effect of a SOQL query: it reads the object of each
// FROM and follows the relationships that its fields name.
func soqlEffect(text string) effect {
	q := &soql{}
	tokens, err := soqlTokens(text)
	if err == nil {
		q.tokens = tokens
		err = q.statement("")
		if err == nil && q.at < len(q.tokens) {
			err = errSOQL
		}
	}
	e := reading("a query", q.reads...)
	e.renames = err != nil || q.renames
	if err != nil {
		e.unknown = "the objects of the query cannot be told: " + err.Error()
	}
	if changes := changesBySOQL(tokens); changes != "" {
		e.changes = changes
	} else if tokens == nil {
		e.changes = "the query cannot be understood"
	}
	return e
}

var (
	errSOQL    = errors.New("it is not a query as sfproxy knows them")
	errTypeof  = errors.New("it has a TYPEOF, whose objects are known only to the org")
	errFrom    = errors.New("its FROM names several objects")
	errTooDeep = errors.New("it is nested too deep")
)

// token is a word (a name, a keyword, or names with dots between them), a
// literal, or a sign.
type token struct {
	kind tokenKind
	text string
}

type tokenKind int

const (
	word tokenKind = iota
	literal
	sign
)

func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.text, keyword) }

// soqlTokens splits the text of a query. What no query has is an error.
func soqlTokens(text string) ([]token, error) {
	tokens := []token{}
	for text != "" {
		n, kind := tokenLength(text)
		if n <= 0 {
			return nil, errSOQL
		}
		if strings.TrimSpace(text[:n]) != "" {
			tokens = append(tokens, token{kind, text[:n]})
		}
		text = text[n:]
	}
	return tokens, nil
}

// numberOrDate is a number, a date, or a date with a time.
var numberOrDate = regexp.MustCompile(`^(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?|[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z)$`)

// tokenLength returns how long the first token of text is, 0 if there is none.
// Spaces are signs.
func tokenLength(text string) (int, tokenKind) {
	switch c := text[0]; {
	case isLetter(c):
		n := prefixLength(text, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' })
		if text[n-1] == '.' || strings.Contains(text[:n], "..") {
			return 0, word
		}
		return n, word
	case isDigit(c), c == '.':
		n := prefixLength(text, func(c byte) bool { return isLetter(c) || isDigit(c) || strings.IndexByte(".:+-", c) >= 0 })
		if !numberOrDate.MatchString(text[:n]) {
			return 0, literal
		}
		return n, literal
	case c == '\'':
		return quotedLength(text), literal
	case strings.IndexByte("()=!<>,:+- \t\r\n", c) >= 0:
		return 1, sign
	}
	return 0, sign
}

func isLetter(c byte) bool { return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func prefixLength(text string, belongs func(byte) bool) int {
	for i := range len(text) {
		if !belongs(text[i]) {
			return i
		}
	}
	return len(text)
}

// quotedLength returns the length of a text between quotes, with a backslash
// before each that belongs to it; 0 if it does not end.
func quotedLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return 0
}

// changesBySOQL says why a query changes something: it may count as a view of
// its records, or lock them.
func changesBySOQL(tokens []token) string {
	for i := 1; i < len(tokens); i++ {
		last := tokens[i]
		switch before := tokens[i-1]; {
		case before.is("FOR") && (last.is("VIEW") || last.is("REFERENCE") || last.is("UPDATE")),
			before.is("UPDATE") && (last.is("TRACKING") || last.is("VIEWSTAT")):
			return strings.ToUpper(before.text+" "+last.text) + " in a query changes what Salesforce keeps about its records"
		}
	}
	return ""
}

// soql reads the FROMs and the relationships of a query.
type soql struct {
	tokens []token
	at     int
	depth  int
	reads  []string
	// renames is whether a result may have a name that the query chooses: there
	// are functions or aliases before a FROM, or groups.
	renames bool
}

func (q *soql) peek() token {
	if q.at < len(q.tokens) {
		return q.tokens[q.at]
	}
	return token{kind: sign}
}

// statement reads from a SELECT to the end or to the bracket that closes it.
// parent is the object that the query belongs to as a list of children, "" if
// its FROM names an object.
func (q *soql) statement(parent string) error {
	if q.depth++; q.depth > maxDepth {
		return errTooDeep
	}
	defer func() { q.depth-- }()
	if !q.peek().is("SELECT") {
		return errSOQL
	}
	q.at++
	s := &soqlScope{parent: parent}
	children, err := q.clauses(s)
	if err != nil {
		return err
	}
	if s.object == "" {
		return errSOQL
	}
	q.reads = append(q.reads, s.object)
	for _, field := range s.fields {
		if path := s.relationship(field); path != "" {
			q.reads = append(q.reads, path)
		}
	}
	// A list of children stands before the FROM that says whose they are.
	end := q.at
	defer func() { q.at = end }()
	for _, start := range children {
		q.at = start
		if err := q.statement(s.object); err != nil {
			return err
		}
	}
	return nil
}

// clauses reads what follows SELECT into s. It returns where lists of children
// begin, and reads other queries within.
func (q *soql) clauses(s *soqlScope) (children []int, err error) {
	brackets := 0
	for ; q.at < len(q.tokens); q.at++ {
		q.renames = q.renames || q.renamesHere(s)
		switch t := q.peek(); {
		case t.text == "(" && q.at+1 < len(q.tokens) && q.tokens[q.at+1].is("SELECT"):
			q.at++
			if s.object == "" {
				children = append(children, q.at)
				err = q.skip()
			} else {
				err = q.statement("")
			}
			if err == nil && q.peek().text != ")" {
				err = errSOQL
			}
		case t.text == "(":
			brackets++
		case t.text == ")" && brackets == 0:
			return children, nil
		case t.text == ")":
			brackets--
		case t.is("TYPEOF"):
			err = errTypeof
		case t.is("FROM") && brackets > 0, t.is("SELECT"):
			err = errSOQL
		case t.is("FROM"):
			err = q.from(s)
		case t.kind == word && strings.Contains(t.text, "."):
			s.fields = append(s.fields, t.text)
		}
		if err != nil {
			return nil, err
		}
	}
	if q.depth > 1 || brackets > 0 {
		return nil, errSOQL
	}
	return children, nil
}

// renamesHere reports whether the next token makes an alias, a function (but
// for FIELDS, which has no alias), or groups.
func (q *soql) renamesHere(s *soqlScope) bool {
	t, before := q.peek(), q.tokens[q.at-1]
	switch {
	case s.object != "":
		return t.is("GROUP")
	case t.text == "(":
		return before.kind == word && !before.is("FIELDS")
	}
	return t.kind == word && !t.is("FROM") && !before.is("SELECT") && (before.kind == word || before.text == ")")
}

// skip goes to the bracket that closes the one before.
func (q *soql) skip() error {
	for brackets := 0; q.at < len(q.tokens); q.at++ {
		switch q.peek().text {
		case "(":
			brackets++
		case ")":
			if brackets--; brackets < 0 {
				return nil
			}
		}
	}
	return errSOQL
}

// clauseWords may follow the object in a FROM, where else an alias stands.
var clauseWords = map[string]bool{"using": true, "where": true, "with": true, "group": true, "having": true,
	"order": true, "limit": true, "offset": true, "for": true, "update": true, "all": true, "from": true, "select": true}

// from reads the object and its alias. It leaves q at the last of them.
func (q *soql) from(s *soqlScope) error {
	q.at++
	name := q.peek()
	if s.object != "" || name.kind != word || strings.Contains(name.text, ".") {
		return errSOQL
	}
	s.name, s.object = name.text, name.text
	if s.parent != "" {
		s.object = s.parent + "." + name.text
	}
	next := func() token { return (&soql{tokens: q.tokens, at: q.at + 1}).peek() }
	if next().is("AS") {
		q.at++
	}
	if alias := next(); alias.kind == word && !clauseWords[strings.ToLower(alias.text)] {
		s.alias = alias.text
		q.at++
	}
	if strings.Contains(s.alias, ".") {
		return errSOQL
	}
	if next().text == "," {
		return errFrom
	}
	return nil
}

// soqlScope is one SELECT with its FROM.
type soqlScope struct {
	parent string // the object whose children it lists
	name   string // in FROM
	object string // the same with the parent's
	alias  string
	fields []string // those with dots
}

// relationship returns the path, from the object on, that a field is behind; ""
// if it is the object's own. A longer alias could be the name of a relationship
// as well, so that it is taken for one.
func (s *soqlScope) relationship(field string) string {
	steps := strings.Split(field, ".")
	steps = steps[:len(steps)-1]
	if strings.EqualFold(steps[0], s.name) || len(s.alias) == 1 && strings.EqualFold(steps[0], s.alias) {
		steps = steps[1:]
	}
	if len(steps) == 0 {
		return ""
	}
	return s.object + "." + strings.Join(steps, ".")
}
