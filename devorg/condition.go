package devorg

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A condition is a WHERE clause or a part of one. Its logic has two values: a comparison
// with a field that is null is false, but for = null, != and NOT IN.
type condition func(t *tx, r *record) bool

// maxNesting bounds the parentheses and NOTs of a query.
const maxNesting = 50

// condition reads terms joined by AND or by OR. As in Salesforce the two do not mix
// without parentheses.
func (p *parser) condition() (condition, *apiError) { return p.nested(0) }

func (p *parser) nested(depth int) (condition, *apiError) {
	first, failure := p.term(depth)
	if failure != nil {
		return nil, failure
	}
	terms := []condition{first}
	joint := ""
	for {
		word := p.peek()
		found := strings.ToUpper(word.text)
		if word.kind != wordName || (found != "AND" && found != "OR") {
			return joined(terms, joint == "OR"), nil
		}
		if joint != "" && joint != found {
			return nil, p.unexpected(word)
		}
		joint = found
		p.next()
		term, failure := p.term(depth)
		if failure != nil {
			return nil, failure
		}
		terms = append(terms, term)
	}
}

// joined holds if one term has the wanted outcome, or else none has.
func joined(terms []condition, any bool) condition {
	return func(t *tx, r *record) bool {
		for _, term := range terms {
			if term(t, r) == any {
				return any
			}
		}
		return !any
	}
}

func negated(c condition) condition {
	return func(t *tx, r *record) bool { return !c(t, r) }
}

func (p *parser) term(depth int) (condition, *apiError) {
	if depth > maxNesting {
		return nil, p.unexpected(p.peek())
	}
	if p.accept("NOT") {
		c, failure := p.term(depth + 1)
		if failure != nil {
			return nil, failure
		}
		return negated(c), nil
	}
	if p.accept("(") {
		c, failure := p.nested(depth + 1)
		if failure != nil {
			return nil, failure
		}
		return c, p.expect(")")
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, *apiError) {
	name, failure := p.name()
	if failure != nil {
		return nil, failure
	}
	c, failure := p.comparable(name, "filtered")
	if failure != nil {
		return nil, failure
	}
	if p.accept("NOT") {
		if failure := p.expect("IN"); failure != nil {
			return nil, failure
		}
		among, failure := p.list(c)
		if failure != nil {
			return nil, failure
		}
		return negated(among), nil
	}
	if p.accept("IN") {
		return p.list(c)
	}
	if p.accept("LIKE") {
		return p.like(c)
	}
	operator := p.next()
	if operator.kind != wordSymbol || !slices.Contains([]string{"=", "!=", "<>", "<", "<=", ">", ">="}, operator.text) {
		return nil, p.unexpected(operator)
	}
	value, failure := p.literal(c.field)
	if failure != nil {
		return nil, failure
	}
	return compare(c, operator.text, value, p, operator)
}

func compare(c column, operator string, value any, p *parser, at word) (condition, *apiError) {
	if operator == "=" || operator == "!=" || operator == "<>" {
		equals := func(t *tx, r *record) bool { return equal(c.field, c.of(t, r), value) }
		if operator != "=" {
			return negated(equals), nil
		}
		return equals, nil
	}
	if _, isBool := value.(bool); isBool || value == nil || c.field.kind == kindID || c.field.kind == kindReference {
		return nil, p.unexpected(at)
	}
	return func(t *tx, r *record) bool {
		actual := c.of(t, r)
		if actual == nil {
			return false
		}
		sign := order(actual, value)
		switch operator {
		case "<":
			return sign < 0
		case "<=":
			return sign <= 0
		case ">":
			return sign > 0
		}
		return sign >= 0
	}, nil
}

// of is the column's value in a record, nil where the reference leads nowhere.
func (c column) of(t *tx, r *record) any {
	if c.via == nil {
		return r.values[c.field.name]
	}
	id, _ := r.values[c.via.name].(string)
	if target := t.records[id]; target != nil {
		return target.values[c.field.name]
	}
	return nil
}

// equal compares as SOQL does: ids exactly, other text without case.
func equal(f *field, a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if f.kind == kindID || f.kind == kindReference {
		return a == b
	}
	return order(a, b) == 0
}

// order compares two values of one field, neither of them nil.
func order(a, b any) int {
	switch a := a.(type) {
	case string:
		return cmp.Compare(strings.ToLower(a), strings.ToLower(b.(string)))
	case float64:
		return cmp.Compare(a, b.(float64))
	case time.Time:
		return a.Compare(b.(time.Time))
	case bool:
		if a == b.(bool) {
			return 0
		}
		if a {
			return 1
		}
		return -1
	}
	panic(fmt.Sprintf("a field holds a %T", a))
}

// literal reads a value that can be compared with the field; null and ” are nil.
func (p *parser) literal(f *field) (any, *apiError) {
	w := p.next()
	wrongType := badRequest("INVALID_FIELD", "value of filter criterion for field '%s' must be of type %s", f.name, f.kind)
	switch {
	case w.kind == wordName && strings.EqualFold(w.text, "null"):
		return nil, nil
	case w.kind == wordName && (strings.EqualFold(w.text, "true") || strings.EqualFold(w.text, "false")):
		if f.kind != kindBoolean {
			return nil, wrongType
		}
		return strings.EqualFold(w.text, "true"), nil
	case w.kind == wordString:
		if !f.isText() {
			return nil, wrongType
		}
		return p.textLiteral(f, w)
	case w.kind == wordNumber:
		if f.kind != kindDouble && f.kind != kindInt {
			return nil, wrongType
		}
		number, err := strconv.ParseFloat(w.text, 64)
		if err != nil {
			return nil, p.unexpected(w)
		}
		return number, nil
	case w.kind == wordTime:
		if f.kind != kindDatetime {
			return nil, wrongType
		}
		if at, valid := parseTime(w.text); valid {
			return at, nil
		}
	}
	return nil, p.unexpected(w)
}

func (p *parser) textLiteral(f *field, w word) (any, *apiError) {
	text, _, valid := unescape(w.text)
	if !valid {
		return nil, p.unexpected(w)
	}
	if text == "" {
		return nil, nil
	}
	if f.kind == kindID || f.kind == kindReference {
		id, valid := normalID(text)
		if !valid {
			return nil, badRequest("INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: %s", text)
		}
		return id, nil
	}
	return text, nil
}

// unescape decodes a string, and translates it to the regular expression that it means as
// a LIKE pattern.
func unescape(raw string) (text, pattern string, valid bool) {
	var plain, like strings.Builder
	like.WriteString(`(?is)^`)
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			j := i + 1
			for j < len(raw) && raw[j] != '\\' && raw[j] != '%' && raw[j] != '_' && c != '%' && c != '_' {
				j++
			}
			plain.WriteString(raw[i:j])
			like.WriteString(likePart(raw[i:j]))
			i = j
			continue
		}
		decoded, size := unescapeOne(raw[i+1:])
		if size == 0 {
			return "", "", false
		}
		plain.WriteString(decoded)
		like.WriteString(regexp.QuoteMeta(decoded))
		i += 1 + size
	}
	return plain.String(), like.String() + `$`, true
}

func likePart(part string) string {
	switch part {
	case "%":
		return ".*"
	case "_":
		return "."
	}
	return regexp.QuoteMeta(part)
}

// unescapeOne decodes what follows a backslash and returns how much of it that took; 0
// means that there is no such escape.
func unescapeOne(rest string) (string, int) {
	if rest == "" {
		return "", 0
	}
	switch rest[0] {
	case 'n', 'N':
		return "\n", 1
	case 'r', 'R':
		return "\r", 1
	case 't', 'T':
		return "\t", 1
	case 'b', 'B':
		return "\b", 1
	case 'f', 'F':
		return "\f", 1
	case '"', '\'', '\\', '_', '%':
		return rest[:1], 1
	case 'u':
		if len(rest) >= 5 {
			if code, err := strconv.ParseUint(rest[1:5], 16, 16); err == nil {
				return string(rune(code)), 5
			}
		}
	}
	return "", 0
}

func (p *parser) like(c column) (condition, *apiError) {
	w := p.next()
	if w.kind != wordString {
		return nil, p.unexpected(w)
	}
	if !c.field.isText() || c.field.kind == kindID || c.field.kind == kindReference {
		return nil, badRequest("INVALID_FIELD", "invalid operator on %s field", c.field.kind)
	}
	_, pattern, valid := unescape(w.text)
	if !valid {
		return nil, p.unexpected(w)
	}
	matcher := regexp.MustCompile(pattern)
	return func(t *tx, r *record) bool {
		text, isText := c.of(t, r).(string)
		return isText && matcher.MatchString(text)
	}, nil
}

// list reads the values of IN. A null in the list matches null, as in =.
func (p *parser) list(c column) (condition, *apiError) {
	if failure := p.expect("("); failure != nil {
		return nil, failure
	}
	var values []any
	for {
		value, failure := p.literal(c.field)
		if failure != nil {
			return nil, failure
		}
		values = append(values, value)
		if !p.accept(",") {
			break
		}
	}
	if failure := p.expect(")"); failure != nil {
		return nil, failure
	}
	return func(t *tx, r *record) bool {
		actual := c.of(t, r)
		return slices.ContainsFunc(values, func(v any) bool { return equal(c.field, actual, v) })
	}, nil
}
