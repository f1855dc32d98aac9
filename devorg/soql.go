package devorg

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A statement is a SOQL query that has been understood in full. The subset: fields, also
// through one reference; COUNT(); WHERE with comparisons, LIKE, IN, AND, OR, NOT and
// parentheses; ORDER BY; LIMIT; OFFSET. Everything else is MALFORMED_QUERY.
type statement struct {
	from   *sobject
	count  bool
	fields []column
	where  condition // nil means all
	order  []ordering
	limit  int // -1 means none
	offset int
}

// A column is a field of the record, or of the one that a reference of it leads to.
type column struct {
	via   *field // nil means the record itself
	field *field
}

type ordering struct {
	column     column
	descending bool
	nullsLast  bool
}

// A word is one token of a query, with where it stands.
type word struct {
	text string // as written; of a string, without the quotes
	kind wordKind
	at   int
}

type wordKind int

const (
	wordEnd wordKind = iota
	wordName
	wordString
	wordNumber
	wordTime
	wordSymbol
)

var wordPatterns = []struct {
	kind    wordKind
	pattern *regexp.Regexp
}{
	{wordTime, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:?\d\d)`)},
	{wordNumber, regexp.MustCompile(`^[+-]?\d+(\.\d+)?`)},
	{wordName, regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*`)},
	{wordString, regexp.MustCompile(`^'(?:[^'\\]|\\(?s:.))*'`)},
	{wordSymbol, regexp.MustCompile(`^(<=|>=|<>|!=|[=<>(),])`)},
}

func splitWords(query string) ([]word, *apiError) {
	var words []word
	for at := 0; ; {
		at += len(query[at:]) - len(strings.TrimLeft(query[at:], " \t\r\n"))
		if at == len(query) {
			return append(words, word{kind: wordEnd, at: at}), nil
		}
		kind, text := matchWord(query[at:])
		if text == "" {
			return nil, malformed(query, at)
		}
		end := at + len(text)
		// 12abc, or a name right after a string, is one broken word and not two.
		if kind != wordSymbol && end < len(query) && !strings.ContainsRune(" \t\r\n=<>!(),", rune(query[end])) {
			return nil, malformed(query, at)
		}
		if kind == wordString {
			text = text[1 : len(text)-1]
		}
		words = append(words, word{text, kind, at})
		at = end
	}
}

func matchWord(rest string) (wordKind, string) {
	for _, p := range wordPatterns {
		if text := p.pattern.FindString(rest); text != "" {
			return p.kind, text
		}
	}
	return wordEnd, ""
}

func malformed(query string, at int) *apiError {
	near := query[at:min(at+20, len(query))]
	for !utf8.ValidString(near) && near != "" {
		near = near[:len(near)-1]
	}
	column := utf8.RuneCountInString(query[:at]) + 1
	return badRequest("MALFORMED_QUERY", "\n%s\n^\nERROR at Row:1:Column:%d\nunexpected token: '%s'", near, column, strings.Fields(near + " <EOF>")[0])
}

// A parser reads the words of one query.
type parser struct {
	query string
	words []word
	from  *sobject
}

func (p *parser) peek() word { return p.words[0] }

func (p *parser) next() word {
	w := p.words[0]
	if w.kind != wordEnd {
		p.words = p.words[1:]
	}
	return w
}

func (p *parser) unexpected(w word) *apiError { return malformed(p.query, w.at) }

// accept takes the next word if it is the keyword or symbol.
func (p *parser) accept(text string) bool {
	w := p.peek()
	if (w.kind == wordName || w.kind == wordSymbol) && strings.EqualFold(w.text, text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(text string) *apiError {
	if !p.accept(text) {
		return p.unexpected(p.peek())
	}
	return nil
}

// parseSOQL understands a query in full or not at all.
func parseSOQL(query string) (*statement, *apiError) {
	words, failure := splitWords(query)
	if failure != nil {
		return nil, failure
	}
	p := &parser{query: query, words: words}
	s := &statement{limit: -1}
	names, failure := p.selection(s)
	if failure != nil {
		return nil, failure
	}
	if failure := p.source(s); failure != nil {
		return nil, failure
	}
	seen := make(map[column]bool)
	for _, name := range names {
		c, failure := p.column(name)
		if failure != nil {
			return nil, failure
		}
		if seen[c] {
			return nil, badRequest("MALFORMED_QUERY", "duplicate field selected: %s", name.text)
		}
		seen[c] = true
		s.fields = append(s.fields, c)
	}
	if p.accept("WHERE") {
		if s.where, failure = p.condition(); failure != nil {
			return nil, failure
		}
	}
	if failure := p.tail(s); failure != nil {
		return nil, failure
	}
	if w := p.peek(); w.kind != wordEnd {
		return nil, p.unexpected(w)
	}
	return s, nil
}

// reserved words end a list of fields and name no field.
var reserved = map[string]bool{
	"select": true, "from": true, "where": true, "and": true, "or": true, "not": true, "in": true, "like": true,
	"order": true, "by": true, "limit": true, "offset": true, "asc": true, "desc": true, "nulls": true, "null": true,
	"true": true, "false": true, "group": true, "having": true, "with": true, "for": true, "using": true, "typeof": true,
}

func (p *parser) name() (word, *apiError) {
	w := p.next()
	if w.kind != wordName || reserved[strings.ToLower(w.text)] {
		return w, p.unexpected(w)
	}
	return w, nil
}

func (p *parser) selection(s *statement) ([]word, *apiError) {
	if failure := p.expect("SELECT"); failure != nil {
		return nil, failure
	}
	var names []word
	for {
		name, failure := p.name()
		if failure != nil {
			return nil, failure
		}
		if p.accept("(") {
			if !strings.EqualFold(name.text, "COUNT") || len(names) > 0 {
				return nil, p.unexpected(name)
			}
			s.count = true
			return nil, p.expect(")")
		}
		names = append(names, name)
		if !p.accept(",") {
			return names, nil
		}
	}
}

func (p *parser) source(s *statement) *apiError {
	if failure := p.expect("FROM"); failure != nil {
		return failure
	}
	name, failure := p.name()
	if failure != nil {
		return failure
	}
	if s.from = sobjectNamed(name.text); s.from == nil {
		return badRequest("INVALID_TYPE", "sObject type '%s' is not supported.", name.text)
	}
	p.from = s.from
	return nil
}

// column finds the field that a name stands for: Name, Account.Name, or Contact.Name where
// Contact is the queried sobject itself.
func (p *parser) column(name word) (column, *apiError) {
	path := strings.Split(name.text, ".")
	if len(path) > 1 && strings.EqualFold(path[0], p.from.name) && p.from.related(path[0]) == nil {
		path = path[1:]
	}
	switch len(path) {
	case 1:
		if f := p.from.field(path[0]); f != nil {
			return column{field: f}, nil
		}
	case 2:
		via := p.from.related(path[0])
		if via == nil {
			return column{}, badRequest("INVALID_FIELD", "Didn't understand relationship '%s' in field path.", path[0])
		}
		target := sobjectNamed(via.refersTo)
		f := target.field(path[1])
		if f == nil {
			return column{}, noSuchColumn(target, path[1])
		}
		if f.kind != kindBlob {
			return column{via, f}, nil
		}
	}
	return column{}, noSuchColumn(p.from, name.text)
}

// comparable is column for a place where values are compared.
func (p *parser) comparable(name word, doing string) (column, *apiError) {
	c, failure := p.column(name)
	if failure == nil && !c.field.filterable() {
		failure = badRequest("INVALID_FIELD", "field '%s' can not be %s in a query call", c.field.name, doing)
	}
	return c, failure
}

// tail reads ORDER BY, LIMIT and OFFSET.
func (p *parser) tail(s *statement) *apiError {
	if p.accept("ORDER") {
		if failure := p.ordering(s); failure != nil {
			return failure
		}
	}
	var failure *apiError
	if p.accept("LIMIT") {
		if s.limit, failure = p.count(); failure != nil {
			return failure
		}
	}
	if p.accept("OFFSET") {
		if s.offset, failure = p.count(); failure != nil {
			return failure
		}
		if s.offset > 2000 {
			return badRequest("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
		}
	}
	return nil
}

func (p *parser) count() (int, *apiError) {
	w := p.next()
	n, err := strconv.Atoi(w.text)
	if w.kind != wordNumber || err != nil || n < 0 {
		return 0, p.unexpected(w)
	}
	return n, nil
}

func (p *parser) ordering(s *statement) *apiError {
	if failure := p.expect("BY"); failure != nil {
		return failure
	}
	if s.count {
		return badRequest("MALFORMED_QUERY", "COUNT() and ORDER BY do not go together")
	}
	for {
		name, failure := p.name()
		if failure != nil {
			return failure
		}
		by := ordering{}
		if by.column, failure = p.comparable(name, "sorted"); failure != nil {
			return failure
		}
		if p.accept("DESC") {
			by.descending = true
		} else {
			p.accept("ASC")
		}
		if p.accept("NULLS") {
			if by.nullsLast = p.accept("LAST"); !by.nullsLast {
				if failure := p.expect("FIRST"); failure != nil {
					return failure
				}
			}
		}
		s.order = append(s.order, by)
		if !p.accept(",") {
			return nil
		}
	}
}

// parseTime reads a SOQL datetime.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
