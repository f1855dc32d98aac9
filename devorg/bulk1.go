package devorg

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const maxBatch = 10 << 20 // bytes

// A bulkCall is one request of Bulk API 1.0 with a known session.
type bulkCall struct {
	org     *Org
	w       http.ResponseWriter
	r       *http.Request
	version string // 60.0
	session session
	body    []byte
}

var bulkVersion = regexp.MustCompile(`^([1-9][0-9]?)\.0$`)

// serveBulk answers for Bulk API 1.0. The token is in X-SFDC-Session and nowhere else, and
// every error is a 400.
func (o *Org) serveBulk(w http.ResponseWriter, r *http.Request, h *host) {
	path, err := splitPath(strings.TrimPrefix(r.URL.EscapedPath(), "/services/async"))
	if err != nil || len(path) == 0 {
		bulkError(w, r, "InvalidUrl", "Failed to parse URL.")
		return
	}
	version := 0
	if match := bulkVersion.FindStringSubmatch(path[0]); match != nil {
		version, _ = strconv.Atoi(match[1])
	}
	if version < oldestVersion || version > newestVersion {
		bulkError(w, r, "InvalidVersion", "Api version "+path[0]+" is not supported")
		return
	}
	token := r.Header.Get("X-Sfdc-Session")
	if token == "" {
		o.stats.unauthorized.Add(1)
		bulkError(w, r, "InvalidSessionId", "Unable to find session id")
		return
	}
	session, live := o.authenticateToken(token, h)
	if !live {
		bulkError(w, r, "InvalidSessionId", "Invalid session id")
		return
	}
	answer := &heldAnswer{header: w.Header(), status: http.StatusOK}
	c := &bulkCall{org: o, w: answer, r: r, version: path[0], session: session}
	failure := c.read()
	if failure == nil {
		failure = c.locked(path[1:])
	}
	if failure != nil {
		bulkError(w, r, failure.Code, failure.Message)
		return
	}
	w.WriteHeader(answer.status)
	w.Write(answer.body.Bytes())
}

// locked holds the table's mutex, but not for as long as the client takes to read.
func (c *bulkCall) locked(path []string) *apiError {
	c.org.jobs.mu.Lock()
	defer c.org.jobs.mu.Unlock()
	return c.route(path)
}

// A heldAnswer is an answer that is sent later.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header { return a.header }

func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// bulkError answers in JSON to a request in JSON, else in XML.
func bulkError(w http.ResponseWriter, r *http.Request, code, message string) {
	members := object{{"exceptionCode", code}, {"exceptionMessage", message}}
	if isJSON(r) {
		writeJSON(w, http.StatusBadRequest, members)
		return
	}
	writeBulkXML(w, http.StatusBadRequest, "error", members)
}

func isJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
}

func writeBulkXML(w http.ResponseWriter, status int, root string, members object) {
	var b xmlText
	b.members(members)
	w.Header().Set("Content-Type", "application/xml;charset=UTF-8")
	w.WriteHeader(status)
	io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><`+root+` xmlns="`+bulkNamespace+`" xmlns:xsi="`+schemaInstance+`">`+
		b.String()+`</`+root+`>`)
}

// read takes the whole body before any lock is held.
func (c *bulkCall) read() *apiError {
	body, failure := requestBody(c.r)
	if failure != nil {
		return badRequest("ClientInputError", "%s", failure.Message)
	}
	var err error
	c.body, err = io.ReadAll(http.MaxBytesReader(nil, io.NopCloser(body), maxBatch))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return badRequest("ClientInputError", "the batch is longer than %d bytes", maxBatch)
	}
	if err != nil {
		return badRequest("ClientInputError", "the body cannot be read")
	}
	return nil
}

// route finds what the path after the version stands for.
func (c *bulkCall) route(path []string) *apiError {
	if len(path) == 0 || path[0] != "job" {
		return badRequest("InvalidUrl", "Failed to parse URL. Was expecting 'job' but found:%s", strings.Join(path[:min(1, len(path))], ""))
	}
	if len(path) == 1 {
		return c.by(map[string]func() *apiError{http.MethodPost: c.createJob})
	}
	j := c.org.jobs.find(path[1], c.session.user)
	if j == nil || j.bulk2 {
		return badRequest("InvalidJob", "Unable to find job for id: %s", path[1])
	}
	if len(path) == 2 {
		return c.by(map[string]func() *apiError{
			http.MethodGet:  func() *apiError { return c.answer(j, 200, "jobInfo", j.info()) },
			http.MethodPost: func() *apiError { return c.setState(j) },
		})
	}
	if path[2] != "batch" {
		return badRequest("InvalidUrl", "Failed to parse URL. Was expecting 'batch' but found:%s", path[2])
	}
	if len(path) == 3 {
		return c.by(map[string]func() *apiError{
			http.MethodGet:  func() *apiError { return c.listBatches(j) },
			http.MethodPost: func() *apiError { return c.addBatch(j) },
		})
	}
	for _, b := range j.batches {
		if id, valid := normalID(path[3]); valid && id == b.id {
			return c.by(map[string]func() *apiError{http.MethodGet: func() *apiError { return c.batch(j, b, path[4:]) }})
		}
	}
	return badRequest("InvalidBatch", "Unable to find batch for id: %s", path[3])
}

// by runs what there is for the request's method.
func (c *bulkCall) by(methods map[string]func() *apiError) *apiError {
	if run := methods[c.r.Method]; run != nil {
		return run()
	}
	return badRequest("ClientInputError", "HTTP Method '%s' not allowed", c.r.Method)
}

// answer is in JSON to a request in JSON, or one that says nothing about a job in JSON.
// XML leaves out what is null.
func (c *bulkCall) answer(j *job, status int, root string, members object) *apiError {
	if isJSON(c.r) || (j.format == "JSON" && c.r.Header.Get("Content-Type") == "") {
		writeJSON(c.w, status, dated(members, datetimeLayout, false))
		return nil
	}
	writeBulkXML(c.w, status, root, dated(members, soapTime, true))
	return nil
}

// dated writes the times of an object in the way of the one or the other format.
func dated(members object, layout string, withoutNull bool) object {
	var out object
	for _, m := range members {
		switch v := m.value.(type) {
		case time.Time:
			m.value = v.Format(layout)
		case []object:
			list := make([]object, len(v))
			for i := range v {
				list[i] = dated(v[i], layout, withoutNull)
			}
			m.value = list
		}
		if m.value != nil || !withoutNull {
			out = append(out, m)
		}
	}
	return out
}

// jobText reads a jobInfo in XML or in JSON, with none but the names that are known.
func (c *bulkCall) jobText(names ...string) (map[string]string, *apiError) {
	given := make(map[string]string)
	for _, name := range names {
		given[name] = ""
	}
	set := func(name, value string) *apiError {
		if old, known := given[name]; !known || old != "" {
			return badRequest("InvalidJob", "Unable to parse Job: %s is not expected here", name)
		}
		given[name] = value
		return nil
	}
	if isJSON(c.r) {
		var members map[string]*string
		if err := json.Unmarshal(c.body, &members); err != nil {
			return nil, badRequest("InvalidJob", "Unable to parse Job: it must be a JSON object of strings")
		}
		for name, value := range members {
			if value == nil {
				value = new(string)
			}
			if failure := set(name, *value); failure != nil {
				return nil, failure
			}
		}
		return given, nil
	}
	root, err := readXML(c.body)
	if err != nil || root.name != (xml.Name{Space: bulkNamespace, Local: "jobInfo"}) {
		return nil, badRequest("InvalidXML", "Unable to parse Job: it must be a jobInfo")
	}
	for _, child := range root.children {
		if child.name.Space != bulkNamespace || len(child.children) > 0 {
			return nil, badRequest("InvalidXML", "Unable to parse Job: unexpected element %s", child.name.Local)
		}
		if failure := set(child.name.Local, child.text); failure != nil {
			return nil, failure
		}
	}
	return given, nil
}

func (c *bulkCall) createJob() *apiError {
	given, failure := c.jobText("operation", "object", "contentType", "externalIdFieldName", "concurrencyMode", "assignmentRuleId")
	if failure != nil {
		return failure
	}
	if chunking := c.r.Header.Get("Sforce-Enable-PKChunking"); chunking != "" && !strings.EqualFold(chunking, "false") {
		return badRequest("FeatureNotEnabled", "PK chunking is not enabled")
	}
	j := &job{version: c.version, format: given["contentType"], concurrency: given["concurrencyMode"], state: "Open", created: c.org.now().UTC()}
	j.changed = j.created
	if j.writing, failure = (jobRequest{operation(given["operation"]), given["object"], given["externalIdFieldName"]}).check(c.session.user); failure != nil {
		return failure
	}
	switch j.format {
	case "":
		j.format = "XML"
	case "CSV", "JSON", "XML":
	default:
		return badRequest("InvalidJob", "Unsupported content type: %s", j.format)
	}
	switch j.concurrency {
	case "":
		j.concurrency = "Parallel"
	case "Parallel", "Serial":
	default:
		return badRequest("InvalidJob", "Unsupported concurrency mode: %s", j.concurrency)
	}
	if given["assignmentRuleId"] != "" {
		return badRequest("InvalidJob", "%s has no assignment rules", j.sobject.name)
	}
	c.org.jobs.add(j)
	return c.answer(j, http.StatusCreated, "jobInfo", j.info())
}

// info has the members of a jobInfo.
func (j *job) info() object {
	completed, broken, records, failed := 0, 0, 0, 0
	for _, b := range j.batches {
		if b.failure != "" {
			broken++
			continue
		}
		completed++
		n, bad := b.records()
		records, failed = records+n, failed+bad
	}
	var key any
	if j.key != nil {
		key = j.key.name
	}
	return object{
		{"id", j.id}, {"operation", j.operation}, {"object", j.sobject.name}, {"createdById", j.user.id},
		{"createdDate", j.created}, {"systemModstamp", j.changed}, {"state", j.state}, {"externalIdFieldName", key},
		{"concurrencyMode", j.concurrency}, {"contentType", j.format}, {"numberBatchesQueued", 0}, {"numberBatchesInProgress", 0},
		{"numberBatchesCompleted", completed}, {"numberBatchesFailed", broken}, {"numberBatchesTotal", len(j.batches)},
		{"numberRecordsProcessed", records}, {"numberRetries", 0}, {"apiVersion", json.Number(j.version)},
		{"numberRecordsFailed", failed}, {"totalProcessingTime", 0}, {"apiActiveProcessingTime", 0}, {"apexProcessingTime", 0},
	}
}

// setState closes or aborts a job.
func (c *bulkCall) setState(j *job) *apiError {
	given, failure := c.jobText("state")
	if failure != nil {
		return failure
	}
	switch state := given["state"]; {
	case state == "Closed" && j.state != "Open":
		return badRequest("InvalidJobState", "%s", j.alreadyIs("Closing"))
	case state == "Aborted" && j.state == "Aborted":
		return badRequest("InvalidJobState", "%s", j.alreadyIs("Aborting"))
	case state != "Closed" && state != "Aborted":
		return badRequest("InvalidJob", "Unable to parse Job: state %q is not Closed or Aborted", state)
	default:
		j.state, j.changed = state, c.org.now().UTC()
	}
	return c.answer(j, http.StatusOK, "jobInfo", j.info())
}

// bulkTypes are the media types of each format.
var bulkTypes = map[string]string{"CSV": "text/csv", "JSON": "application/json", "XML": "application/xml"}

func (c *bulkCall) addBatch(j *job) *apiError {
	if j.state != "Open" {
		return badRequest("InvalidJobState", "the job is not open: %s", j.state)
	}
	media, parameters, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || media != bulkTypes[j.format] || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return badRequest("InvalidBatch", "The content type of the batch must be %s in UTF-8, as the job's is %s", bulkTypes[j.format], j.format)
	}
	b := c.org.work(c.r.Context(), j, c.body)
	queued := append(object{{"id", b.id}, {"jobId", j.id}, {"state", "Queued"}, {"stateMessage", nil}}, b.counts(0, 0)...)
	return c.answer(j, http.StatusCreated, "batchInfo", queued)
}

// counts are the members that end a batchInfo.
func (b *batch) counts(processed, failed int) object {
	return object{{"createdDate", b.created}, {"systemModstamp", b.created}, {"numberRecordsProcessed", processed},
		{"numberRecordsFailed", failed}, {"totalProcessingTime", 0}, {"apiActiveProcessingTime", 0}, {"apexProcessingTime", 0}}
}

// info has the members of a batchInfo of a batch that has been worked off.
func (b *batch) info(j *job) object {
	state, message := "Completed", any(nil)
	if b.failure != "" {
		state, message = "Failed", b.failure
	}
	return append(object{{"id", b.id}, {"jobId", j.id}, {"state", state}, {"stateMessage", message}}, b.counts(b.records())...)
}

func (c *bulkCall) listBatches(j *job) *apiError {
	list := make([]object, len(j.batches))
	for i, b := range j.batches {
		list[i] = b.info(j)
	}
	return c.answer(j, http.StatusOK, "batchInfoList", object{{"batchInfo", list}})
}

// batch answers for a batch: itself, its request, its results, and one result of a query.
func (c *bulkCall) batch(j *job, b *batch, path []string) *apiError {
	switch {
	case len(path) == 0:
		return c.answer(j, http.StatusOK, "batchInfo", b.info(j))
	case len(path) == 1 && path[0] == "request":
		return c.send(bulkTypes[j.format], b.request)
	case path[0] != "result" || len(path) > 2:
		return badRequest("InvalidUrl", "Failed to parse URL. Was expecting 'request' or 'result' but found:%s", path[0])
	case b.failure != "":
		return badRequest("InvalidBatch", "Records not processed")
	case len(path) == 2:
		if id, valid := normalID(path[1]); !valid || b.found == nil || id != b.found.id {
			return badRequest("InvalidBatch", "Unable to find result for id: %s", path[1])
		}
		return c.sendRows(j, b.found)
	case b.found != nil:
		return c.sendResultList(j, b.found)
	}
	return c.sendOutcomes(j, b)
}

func (c *bulkCall) send(media string, body []byte) *apiError {
	c.w.Header().Set("Content-Type", media+"; charset=UTF-8")
	c.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	c.w.Write(body)
	return nil
}

func (c *bulkCall) sendResultList(j *job, found *findings) *apiError {
	if j.format == "JSON" {
		writeJSON(c.w, http.StatusOK, []string{found.id})
		return nil
	}
	writeBulkXML(c.w, http.StatusOK, "result-list", object{{"result", found.id}})
	return nil
}

// sendRows writes what a query found.
func (c *bulkCall) sendRows(j *job, found *findings) *apiError {
	switch j.format {
	case "JSON":
		rows := make([]object, len(found.rows))
		for i, r := range found.rows {
			rows[i] = r.bulkJSON(&call{version: "v" + j.version}, found.query.fields)
		}
		writeJSON(c.w, http.StatusOK, rows)
		return nil
	case "XML":
		var b xmlText
		// The partner API's way to write a row, with the prefix left out: a bare < or > is
		// never within a value.
		writer := &soapCall{api: soapAPIs["u"]}
		for _, r := range found.rows {
			writer.writeRow(&b, "records", r, found.query.fields)
		}
		records := strings.NewReplacer("<sf:", "<", "</sf:", "</", `"sf:sObject">`, `"sObject">`).Replace(b.String())
		writeBulkXML(c.w, http.StatusOK, "queryResult", object{{"records", rawXML(records)}})
		return nil
	}
	lines := csvText{ending: "\n"}
	if len(found.rows) == 0 {
		lines.WriteString("Records not found for this query")
	} else {
		lines.rows(found.query, found.rows)
	}
	return c.send("text/csv", lines.Bytes())
}

// bulkJSON is render with times as milliseconds, as this API alone has them.
func (r row) bulkJSON(c *call, columns []column) object {
	o := r.render(c, columns)
	for _, column := range columns {
		target := r.of(column)
		if column.field.kind != kindDatetime || target == nil {
			continue
		}
		members := o
		for _, m := range o {
			if column.via != nil && m.name == column.via.relation {
				members = m.value.(object)
			}
		}
		for i := range members {
			if at, isTime := target.values[column.field.name].(time.Time); isTime && members[i].name == column.field.name {
				members[i].value = at.UnixMilli()
			}
		}
	}
	return o
}

// sendOutcomes writes what became of each record.
func (c *bulkCall) sendOutcomes(j *job, b *batch) *apiError {
	results := make([]object, len(b.outcomes))
	for i, out := range b.outcomes {
		id, errs := any(out.id), []object{}
		if out.failure != nil {
			id = nil
			errs = []object{{{"fields", append([]string{}, out.failure.Fields...)}, {"message", out.failure.Message}, {"statusCode", out.failure.Code}}}
		}
		results[i] = object{{"errors", errs}, {"id", id}, {"success", out.failure == nil}, {"created", out.created}}
	}
	switch j.format {
	case "JSON":
		writeJSON(c.w, http.StatusOK, results)
		return nil
	case "XML":
		writeBulkXML(c.w, http.StatusOK, "results", dated(object{{"result", results}}, soapTime, true))
		return nil
	}
	lines := csvText{ending: "\n"}
	lines.line("Id", "Success", "Created", "Error")
	for _, out := range b.outcomes {
		lines.line(out.id, fmt.Sprint(out.failure == nil), fmt.Sprint(out.created), out.text())
	}
	return c.send("text/csv", lines.Bytes())
}
