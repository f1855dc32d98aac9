package devorg

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const maxUpload = 100 << 20 // bytes

// A jobCall is one call of Bulk API 2.0. The mutex of the job table is held.
type jobCall struct {
	*call
	org    *Org
	body   []byte
	family string // ingest or query
}

// bulkJobs answers under /jobs: Bulk API 2.0.
func (o *Org) bulkJobs(c *call, path []string) (*result, *apiError) {
	if len(path) == 0 || (path[0] == "ingest" && c.version < "v41.0") || (path[0] == "query" && c.version < "v47.0") {
		return nil, notFound()
	}
	if path[0] != "ingest" && path[0] != "query" {
		return nil, notFound()
	}
	body, err := io.ReadAll(io.LimitReader(c.body, maxUpload+1))
	if err != nil {
		return nil, badRequest("INVALID_CONTENT", "The body cannot be read.")
	}
	if len(body) > maxUpload {
		return nil, restError(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "The body is too large.")
	}
	c.body = bytes.NewReader(body)
	b := &jobCall{call: c, org: o, body: body, family: path[0]}
	o.jobs.mu.Lock()
	defer o.jobs.mu.Unlock()
	return b.route(path[1:])
}

func (c *jobCall) route(path []string) (*result, *apiError) {
	if len(path) == 0 {
		if c.method != http.MethodPost {
			return nil, methodNotAllowed(c.method, "POST")
		}
		return c.create()
	}
	j := c.org.jobs.find(path[0], c.session.user)
	if j == nil || !j.bulk2 || j.operation.asksQuery() != (c.family == "query") {
		return nil, notFound()
	}
	if len(path) == 1 {
		return c.job(j)
	}
	if len(path) > 2 {
		return nil, notFound()
	}
	switch name := c.family + "/" + path[1]; name {
	case "ingest/batches":
		return c.upload(j)
	case "ingest/successfulResults", "ingest/failedResults", "ingest/unprocessedrecords":
		return c.get(func() (*result, *apiError) { return c.results(j, path[1]) })
	case "query/results":
		return c.get(func() (*result, *apiError) { return c.rows(j) })
	}
	return nil, notFound()
}

// texts reads a JSON object of strings, with none but the names that are known. Null and
// the empty string are as good as absent.
func (c *jobCall) texts(names ...string) (map[string]string, *apiError) {
	var members map[string]*string
	if failure := c.readJSON(&members); failure != nil {
		return nil, failure
	}
	given := make(map[string]string)
	for _, name := range names {
		if value := members[name]; value != nil {
			given[name] = *value
		}
		delete(members, name)
	}
	for name := range members {
		return nil, badRequest("JSON_PARSER_ERROR", "Unrecognized field %q", name)
	}
	return given, nil
}

func (c *jobCall) create() (*result, *apiError) {
	names := []string{"operation", "columnDelimiter", "lineEnding", "contentType"}
	if c.family == "query" {
		names = append(names, "query")
	} else {
		names = append(names, "object", "externalIdFieldName", "assignmentRuleId")
	}
	given, failure := c.texts(names...)
	if failure != nil {
		return nil, failure
	}
	op := operation(given["operation"])
	if op.asksQuery() != (c.family == "query") {
		return nil, badRequest("INVALIDJOB", "operation %q is not for /jobs/%s", op, c.family)
	}
	j := &job{bulk2: true, version: strings.TrimPrefix(c.version, "v"), format: "CSV", concurrency: "Parallel",
		lineEnding: "LF", created: c.org.now().UTC()}
	j.changed = j.created
	if failure := j.shape(given); failure != nil {
		return nil, failure
	}
	if c.family == "query" {
		return c.createQuery(j, op, given["query"])
	}
	if given["assignmentRuleId"] != "" {
		return nil, badRequest("INVALIDJOB", "there are no assignment rules")
	}
	j.writing, failure = jobRequest{op, given["object"], given["externalIdFieldName"]}.check(c.session.user)
	if failure != nil {
		failure.Code = strings.ToUpper(failure.Code)
		return nil, failure
	}
	j.state = "Open"
	c.org.jobs.add(j)
	return ok(j.brief())
}

// shape sets how the job's CSV is written, of which one delimiter and two ends of a line
// are known.
func (j *job) shape(given map[string]string) *apiError {
	for name, allowed := range map[string][]string{"columnDelimiter": {"COMMA"}, "contentType": {"CSV"}, "lineEnding": {"LF", "CRLF"}} {
		value, known := given[name], given[name] == ""
		for _, a := range allowed {
			known = known || a == value
		}
		if !known {
			return badRequest("INVALIDJOB", "%s %s is not supported", name, value)
		}
	}
	if given["lineEnding"] != "" {
		j.lineEnding = given["lineEnding"]
	}
	return nil
}

// createQuery runs the query at once and says that it is under way.
func (c *jobCall) createQuery(j *job, op operation, soql string) (*result, *apiError) {
	statement, rows, failure := c.org.findAll(c.ctx, soql, op)
	if failure != nil {
		failure.Code = strings.ToUpper(failure.Code)
		return nil, failure
	}
	j.writing = writing{operation: op, sobject: statement.from, user: c.session.user}
	j.batches = []*batch{{found: &findings{query: statement, rows: rows}}}
	c.org.jobs.add(j)
	j.state = "UploadComplete"
	answer := j.brief()
	j.state = "JobComplete"
	return ok(answer)
}

// brief has the members that every answer about a job has.
func (j *job) brief() object {
	o := object{{"id", j.id}, {"operation", j.operation}, {"object", j.sobject.name}, {"createdById", j.user.id},
		{"createdDate", j.created.Format(datetimeLayout)}, {"systemModstamp", j.changed.Format(datetimeLayout)}, {"state", j.state}}
	if j.key != nil {
		o = append(o, member{"externalIdFieldName", j.key.name})
	}
	o = append(o, object{{"concurrencyMode", j.concurrency}, {"contentType", j.format}, {"apiVersion", json.Number(j.version)}}...)
	if !j.operation.asksQuery() {
		o = append(o, member{"contentUrl", "services/data/v" + j.version + "/jobs/ingest/" + j.id + "/batches"})
	}
	return append(o, member{"lineEnding", j.lineEnding}, member{"columnDelimiter", "COMMA"})
}

// full adds what is only told of a job that is asked about.
func (j *job) full() object {
	o := j.brief()
	processed, failed := 0, 0
	for _, b := range j.batches {
		processed, failed = b.records()
	}
	if j.operation.asksQuery() {
		return append(o, object{{"jobType", "V2Query"}, {"numberRecordsProcessed", processed}, {"retries", 0},
			{"totalProcessingTime", 0}, {"isPkChunkingSupported", false}}...)
	}
	o = append(o, object{{"jobType", "V2Ingest"}, {"numberRecordsProcessed", processed}, {"numberRecordsFailed", failed},
		{"retries", 0}, {"totalProcessingTime", 0}, {"apiActiveProcessingTime", 0}, {"apexProcessingTime", 0}}...)
	if j.state == "Failed" {
		o = append(o, member{"errorMessage", j.batches[0].failure})
	}
	return o
}

// job answers for a job itself.
func (c *jobCall) job(j *job) (*result, *apiError) {
	switch c.method {
	case http.MethodGet, http.MethodHead:
		return ok(j.full())
	case http.MethodPatch:
		return c.setState(j)
	case http.MethodDelete:
		if j.state == "Open" {
			return nil, badRequest("INVALIDJOBSTATE", "Deleting Open Job not allowed")
		}
		c.org.jobs.remove(j)
		return &result{status: http.StatusNoContent}, nil
	}
	return nil, methodNotAllowed(c.method, "DELETE, GET, HEAD, PATCH")
}

// setState starts the work of an ingest job, or aborts it. A query has run already.
func (c *jobCall) setState(j *job) (*result, *apiError) {
	given, failure := c.texts("state", "id")
	if failure != nil {
		return nil, failure
	}
	if id := given["id"]; id != "" && id != j.id { // some clients repeat the job's own
		return nil, badRequest("INVALIDJOB", "the body has the id of another job")
	}
	state := given["state"]
	doing := map[string]string{"UploadComplete": "Closing", "Aborted": "Aborting"}[state]
	if doing == "" || (state == "UploadComplete" && c.family == "query") {
		return nil, badRequest("INVALIDJOB", "state %q cannot be set", state)
	}
	if j.state != "Open" {
		return nil, badRequest("INVALIDJOBSTATE", "%s", j.alreadyIs(doing))
	}
	if state == "UploadComplete" && len(j.batches) == 0 {
		return nil, badRequest("INVALIDJOBSTATE", "no data has been uploaded to the job")
	}
	j.state, j.changed = state, c.org.now().UTC()
	answer := j.brief()
	if state == "UploadComplete" {
		data := j.batches[0].request
		j.batches, j.state = nil, "JobComplete"
		if b := c.org.work(c.ctx, j, data); b.failure != "" {
			j.state = "Failed"
		}
	}
	return ok(answer)
}

// upload keeps the data of an ingest job until that is said to be complete.
func (c *jobCall) upload(j *job) (*result, *apiError) {
	if c.method != http.MethodPut {
		return nil, methodNotAllowed(c.method, "PUT")
	}
	media, parameters, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || media != "text/csv" || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return nil, restError(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "The Content-Type is not supported; text/csv in UTF-8 is.")
	}
	if j.state != "Open" {
		return nil, badRequest("INVALIDJOBSTATE", "%s", j.alreadyIs("Uploading to"))
	}
	if len(j.batches) > 0 {
		return nil, badRequest("CLIENTINPUTERROR", "Found multiple contents for job: %s, a job takes one PUT", j.id)
	}
	if len(c.body) == 0 {
		return nil, badRequest("CLIENTINPUTERROR", "the upload is empty")
	}
	j.batches = []*batch{{request: c.body}}
	return &result{status: http.StatusCreated}, nil
}

// results answers with the records of an ingest job that have done, or failed, or were not
// looked at because the job failed or was aborted.
func (c *jobCall) results(j *job, which string) (*result, *apiError) {
	if j.state == "Open" {
		return nil, badRequest("INVALIDJOBSTATE", "the job is not done: %s", j.state)
	}
	lines := csvText{ending: j.newline()}
	if len(j.batches) == 0 {
		return csvResult(&lines), nil
	}
	b := j.batches[0]
	loaded := b.load
	if loaded == nil { // aborted, or no CSV
		loaded = &load{}
		_ = loaded.readCSV(b.request, j.sobject) // as much of it as can be told into lines
	}
	switch which {
	case "unprocessedrecords":
		lines.line(loaded.names...)
		for i := range loaded.records {
			if b.outcomes == nil {
				lines.line(loaded.records[i].line...)
			}
		}
	case "successfulResults":
		lines.line(append([]string{"sf__Id", "sf__Created"}, loaded.names...)...)
		for i, out := range b.outcomes {
			if out.failure == nil {
				lines.line(append([]string{out.id, strconv.FormatBool(out.created)}, loaded.records[i].line...)...)
			}
		}
	case "failedResults":
		lines.line(append([]string{"sf__Id", "sf__Error"}, loaded.names...)...)
		for i, out := range b.outcomes {
			if out.failure != nil {
				lines.line(append([]string{loaded.records[i].sentID(), out.text()}, loaded.records[i].line...)...)
			}
		}
	}
	return csvResult(&lines), nil
}

func (j *job) newline() string {
	if j.lineEnding == "CRLF" {
		return "\r\n"
	}
	return "\n"
}

func csvResult(lines *csvText) *result {
	return &result{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {"text/csv; charset=UTF-8"}},
		blob:   bytes.NewReader(lines.Bytes()),
	}
}

// rows answers with one page of what a query found. The locator of the next page is the
// literal null after the last one.
func (c *jobCall) rows(j *job) (*result, *apiError) {
	found := j.batches[0].found
	start, most := 0, len(found.rows)
	if text := c.query.Get("locator"); text != "" {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		number, parseErr := strconv.Atoi(string(decoded))
		if err != nil || parseErr != nil || number <= 0 || number >= len(found.rows) {
			return nil, badRequest("INVALID_QUERY_LOCATOR", "invalid query locator")
		}
		start = number
	}
	if text := c.query.Get("maxRecords"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number <= 0 {
			return nil, badRequest("ILLEGAL_QUERY_PARAMETER_VALUE", "maxRecords must be a number above 0.")
		}
		most = number
	}
	end := start + min(most, len(found.rows)-start)
	locator := "null"
	if end < len(found.rows) {
		locator = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end)))
	}
	lines := csvText{ending: j.newline()}
	lines.rows(found.query, found.rows[start:end])
	answer := csvResult(&lines)
	answer.header.Set("Sforce-Locator", locator)
	answer.header.Set("Sforce-NumberOfRecords", strconv.Itoa(end-start))
	return answer, nil
}
