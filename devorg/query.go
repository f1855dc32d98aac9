package devorg

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
)

const (
	pageSize   = 2000
	maxCursors = 100
)

// A cursor is the outcome of a query, kept while its pages are fetched. Immutable.
type cursor struct {
	owner *user
	size  int // records on a page
	rows  []row
	query *statement
}

// A row is one record with the records that its references led to when it was found.
type row struct {
	*record
	related map[*field]*record
}

// A cursorTable holds the cursors that are not yet read to their end. The oldest gives way.
type cursorTable struct {
	mu     sync.Mutex // guards what follows
	byID   map[string]*cursor
	ids    []string // oldest first
	serial int
}

func newCursorTable() *cursorTable { return &cursorTable{byID: make(map[string]*cursor)} }

func (t *cursorTable) add(c *cursor) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serial++
	id := newID("01g", t.serial)
	t.byID[id] = c
	t.ids = append(t.ids, id)
	if len(t.ids) > maxCursors {
		delete(t.byID, t.ids[0])
		t.ids = t.ids[1:]
	}
	return id
}

func (t *cursorTable) find(id string) *cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// query answers for /query, /queryAll and the further pages of either.
func (o *Org) query(c *call, path []string, deleted bool) (*result, *apiError) {
	if c.method != http.MethodGet {
		return nil, methodNotAllowed(c.method, "GET")
	}
	if len(path) == 1 {
		return o.page(c, path[0])
	}
	if len(path) > 1 {
		return nil, notFound()
	}
	if len(c.query["q"]) != 1 {
		return nil, badRequest("MALFORMED_QUERY", "The parameter q is needed, once.")
	}
	size, failure := batchSize(c.header.Get("Sforce-Query-Options"))
	if failure != nil {
		return nil, failure
	}
	statement, rows, failure := o.find(c.ctx, c.query.Get("q"), deleted)
	if failure != nil {
		return nil, failure
	}
	if statement.count {
		return ok(object{{"totalSize", len(rows)}, {"done", true}, {"records", []any{}}})
	}
	found := &cursor{owner: c.session.user, size: size, rows: rows, query: statement}
	id := ""
	if len(rows) > size {
		id = o.cursors.add(found)
	}
	return ok(found.page(c, id, 0))
}

// find runs a SOQL query.
func (o *Org) find(ctx context.Context, soql string, deleted bool) (*statement, []row, *apiError) {
	statement, failure := parseSOQL(soql)
	if failure != nil {
		return nil, nil, failure
	}
	var rows []row
	o.store.do(ctx, func(t *tx) *apiError {
		rows = statement.run(t, deleted)
		return nil
	})
	return statement, rows, nil
}

var batchSizeOption = regexp.MustCompile(`(?i)^\s*batchSize\s*=\s*(\d{1,6})\s*$`)

// batchSize reads Sforce-Query-Options. What is out of range is refused, where Salesforce
// would take the nearest size.
func batchSize(options string) (int, *apiError) {
	if options == "" {
		return pageSize, nil
	}
	match := batchSizeOption.FindStringSubmatch(options)
	if match == nil {
		return 0, badRequest("INVALID_QUERY_OPTIONS", "Sforce-Query-Options must be batchSize=N.")
	}
	return pageOf(match[1])
}

// pageOf checks a size that a client wants its pages to have.
func pageOf(text string) (int, *apiError) {
	size, err := strconv.Atoi(text)
	if err != nil || size < 200 || size > pageSize {
		return 0, badRequest("INVALID_BATCH_SIZE", "batchSize must be from 200 to 2000.")
	}
	return size, nil
}

var locatorPattern = regexp.MustCompile(`^(01g[0-9A-Za-z]{15})-(\d{1,9})$`)

// page answers for one nextRecordsUrl, which is good for the user who asked the query.
func (o *Org) page(c *call, locator string) (*result, *apiError) {
	found, id, start, failure := o.locate(locator, c.session.user)
	if failure != nil {
		return nil, failure
	}
	return ok(found.page(c, id, start))
}

// locate finds the cursor, its id and the first row that a locator stands for.
func (o *Org) locate(locator string, u *user) (found *cursor, id string, start int, failure *apiError) {
	invalid := badRequest("INVALID_QUERY_LOCATOR", "invalid query locator")
	match := locatorPattern.FindStringSubmatch(locator)
	if match == nil {
		return nil, "", 0, invalid
	}
	start, _ = strconv.Atoi(match[2])
	found = o.cursors.find(match[1])
	if found == nil || found.owner != u || start >= len(found.rows) {
		return nil, "", 0, invalid
	}
	return found, match[1], start, nil
}

func (q *cursor) page(c *call, id string, start int) object {
	end := min(start+q.size, len(q.rows))
	records := make([]object, 0, end-start)
	for _, row := range q.rows[start:end] {
		records = append(records, row.render(c, q.query.fields))
	}
	answer := object{{"totalSize", len(q.rows)}, {"done", end == len(q.rows)}}
	if end < len(q.rows) {
		answer = append(answer, member{"nextRecordsUrl", fmt.Sprintf("%s/query/%s-%d", c.root(), id, end)})
	}
	return append(answer, member{"records", records})
}

// run finds, sorts and cuts the rows.
func (s *statement) run(t *tx, deleted bool) []row {
	var records []*record
	for _, r := range t.all(s.from, deleted) {
		if s.where == nil || s.where(t, r) {
			records = append(records, r)
		}
	}
	if len(s.order) > 0 {
		slices.SortStableFunc(records, func(a, b *record) int { return s.compare(t, a, b) })
	}
	records = records[min(s.offset, len(records)):]
	if s.limit >= 0 {
		records = records[:min(s.limit, len(records))]
	}
	rows := make([]row, len(records))
	for i, r := range records {
		rows[i] = s.row(t, r)
	}
	return rows
}

func (s *statement) row(t *tx, r *record) row {
	found := row{record: r}
	for _, c := range s.fields {
		if c.via == nil {
			continue
		}
		if found.related == nil {
			found.related = make(map[*field]*record)
		}
		id, _ := r.values[c.via.name].(string)
		found.related[c.via] = t.records[id]
	}
	return found
}

// compare orders two records. Null comes first unless the query says otherwise.
func (s *statement) compare(t *tx, a, b *record) int {
	for _, by := range s.order {
		x, y := by.column.of(t, a), by.column.of(t, b)
		sign := 0
		switch {
		case x == nil && y == nil:
			continue
		case x == nil || y == nil:
			if (x == nil) != by.nullsLast {
				return -1
			}
			return 1
		default:
			sign = order(x, y)
		}
		if by.descending {
			sign = -sign
		}
		if sign != 0 {
			return sign
		}
	}
	return 0
}

// render shows the columns in the order they were asked for; those of one related record
// are together, where the first of them was.
func (r row) render(c *call, columns []column) object {
	o := object{{"attributes", r.attributes(c)}}
	at := make(map[*field]int)
	for _, column := range columns {
		if column.via == nil {
			o = append(o, member{column.field.name, r.json(c, column.field)})
			continue
		}
		i, begun := at[column.via]
		if !begun {
			i = len(o)
			at[column.via] = i
			o = append(o, member{column.via.relation, nil})
		}
		target := r.related[column.via]
		if target == nil {
			continue
		}
		nested, _ := o[i].value.(object)
		if nested == nil {
			nested = object{{"attributes", target.attributes(c)}}
		}
		o[i].value = append(nested, member{column.field.name, target.json(c, column.field)})
	}
	return o
}
