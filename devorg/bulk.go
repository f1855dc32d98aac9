package devorg

import (
	"context"
	"strings"
	"sync"
	"time"
)

const (
	opQuery    operation = "query"
	opQueryAll operation = "queryAll"

	maxJobs         = 200
	maxBatchRecords = 10_000
)

// asksQuery reports whether a job's operation reads.
func (op operation) asksQuery() bool { return op == opQuery || op == opQueryAll }

// A job is a job of either Bulk API. What is sent to it is worked off at once; the table's
// mutex guards it.
type job struct {
	writing
	id, version      string // version is 60.0
	bulk2            bool
	format           string // CSV, JSON or XML
	concurrency      string
	lineEnding       string // LF or CRLF
	state            string
	created, changed time.Time
	batches          []*batch // Bulk 2.0 has one at most
}

// A batch is what was sent to a job, and what became of it.
type batch struct {
	id       string
	created  time.Time
	request  []byte
	failure  string // why all of it failed; empty means that it did not
	load     *load  // of a job that writes
	outcomes []bulkOutcome
	found    *findings // of a job that reads
}

// A bulkOutcome is what became of one record.
type bulkOutcome struct {
	id      string
	created bool
	failure *apiError
}

// findings are the rows of a query.
type findings struct {
	id    string
	query *statement
	rows  []row
}

// A jobTable holds the jobs. The oldest gives way.
type jobTable struct {
	mu     sync.Mutex // guards what follows
	byID   map[string]*job
	ids    []string // oldest first
	serial int
}

func newJobTable() *jobTable { return &jobTable{byID: make(map[string]*job)} }

// id makes the id of a job, batch or result. The mutex is held.
func (t *jobTable) id(prefix string) string {
	t.serial++
	return newID(prefix, t.serial)
}

func (t *jobTable) add(j *job) {
	j.id = t.id("750")
	t.byID[j.id] = j
	t.ids = append(t.ids, j.id)
	if len(t.ids) > maxJobs {
		delete(t.byID, t.ids[0])
		t.ids = t.ids[1:]
	}
}

// find returns a user's own job.
func (t *jobTable) find(raw string, u *user) *job {
	id, valid := normalID(raw)
	if j := t.byID[id]; valid && j != nil && j.user == u {
		return j
	}
	return nil
}

func (t *jobTable) remove(j *job) {
	delete(t.byID, j.id)
	for i, id := range t.ids {
		if id == j.id {
			t.ids = append(t.ids[:i:i], t.ids[i+1:]...)
			return
		}
	}
}

// A jobRequest is what a client wants a new job to be.
type jobRequest struct {
	operation operation
	object    string
	key       string
}

// check finds the sobject and the field of an upsert. The error codes are Bulk 1.0's.
func (in jobRequest) check(u *user) (writing, *apiError) {
	w := writing{operation: in.operation, user: u}
	switch in.operation {
	case opInsert, opUpdate, opUpsert, opDelete, opQuery, opQueryAll:
	case "hardDelete":
		return w, badRequest("FeatureNotEnabled", "hardDelete operation requires special user profile permission, please contact your system administrator")
	default:
		return w, badRequest("InvalidJob", "Unable to parse Job: operation %q is not known", in.operation)
	}
	if w.sobject = sobjectNamed(in.object); w.sobject == nil {
		return w, badRequest("InvalidEntity", "Entity '%s' is not supported by the Bulk API.", in.object)
	}
	if in.operation != opUpsert {
		if in.key != "" {
			return w, badRequest("InvalidJob", "externalIdFieldName is for upsert")
		}
		return w, nil
	}
	if in.key == "" {
		return w, badRequest("InvalidJob", "External ID was blank for %s. An External ID must be specified for upsert.", w.sobject.name)
	}
	if w.key = w.sobject.keyFor(in.key); w.key == nil {
		return w, badRequest("InvalidJob", "Field name provided, %s does not match an External ID for %s", in.key, w.sobject.name)
	}
	return w, nil
}

// work does what a batch asks for. The table's mutex is held.
func (o *Org) work(ctx context.Context, j *job, data []byte) *batch {
	b := &batch{id: o.jobs.id("751"), created: o.now().UTC(), request: data}
	j.batches = append(j.batches, b)
	j.changed = b.created
	if j.operation.asksQuery() {
		statement, rows, failure := o.findAll(ctx, string(data), j.operation)
		switch {
		case failure != nil:
			b.failure = "InvalidBatch : Failed to process query: " + failure.Error()
		case statement.from != j.sobject:
			b.failure = "InvalidBatch : Failed to process query: the query is not of " + j.sobject.name
		default:
			b.found = &findings{id: o.jobs.id("752"), query: statement, rows: rows}
		}
		return b
	}
	loaded, err := j.read(data)
	if err != nil {
		b.failure = "InvalidBatch : " + err.Error()
		b.load = loaded
		return b
	}
	b.load = loaded
	b.outcomes = make([]bulkOutcome, len(loaded.records))
	for i, r := range loaded.records {
		out := &b.outcomes[i]
		if out.failure = r.failure; out.failure == nil {
			out.failure = o.store.do(ctx, func(t *tx) (failure *apiError) {
				out.id, out.created, failure = t.apply(j.writing, r.fields)
				return failure
			})
		}
	}
	return b
}

// findAll runs a query, of the kinds that the Bulk APIs have.
func (o *Org) findAll(ctx context.Context, soql string, op operation) (*statement, []row, *apiError) {
	statement, rows, failure := o.find(ctx, soql, op == opQueryAll)
	if failure != nil {
		return nil, nil, failure
	}
	if statement.count {
		return nil, nil, badRequest("FUNCTIONALITY_NOT_ENABLED", "COUNT() is not supported in Bulk Query")
	}
	for _, c := range statement.fields {
		if c.field.kind == kindBlob {
			return nil, nil, badRequest("FeatureNotEnabled", "Binary field not supported")
		}
	}
	return statement, rows, nil
}

// records is how many records the batch went through, and how many of them failed.
func (b *batch) records() (processed, failed int) {
	if b.found != nil {
		return len(b.found.rows), 0
	}
	for _, out := range b.outcomes {
		if out.failure != nil {
			failed++
		}
	}
	return len(b.outcomes), failed
}

// text words an outcome's error as the Bulk APIs do: code, message and fields.
func (out bulkOutcome) text() string {
	if out.failure == nil {
		return ""
	}
	fields := strings.Join(out.failure.Fields, " ")
	if fields != "" {
		fields += " "
	}
	return out.failure.Code + ":" + out.failure.Message + ":" + fields + "--"
}

// alreadyIs refuses a change of a job's state.
func (j *job) alreadyIs(doing string) string {
	return doing + " already " + strings.ReplaceAll(j.state, "JobComplete", "Completed") + " Job not allowed"
}
