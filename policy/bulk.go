package policy

import (
	"bytes"
	"net/http"
	"strings"
)

// jobs returns the effect of a call of Bulk API 2.0, under /jobs.
func (in *inspector) jobs(c *call) (effect, error) {
	kind := c.at(0)
	switch {
	case c.reads() && len(c.path) <= 2:
		return metadata("a look at jobs"), nil
	case c.reads() && (kind == "query" || kind == "ingest"):
		return in.own("the results of a job"), nil
	case kind == "query" && len(c.path) == 1 && c.method == http.MethodPost:
		return queryJob(c)
	case kind == "query" && len(c.path) == 2 && (c.method == http.MethodPatch || c.method == http.MethodDelete):
		return in.endOfJob("the end of a query job"), nil
	case kind == "ingest" && len(c.path) == 1 && c.method == http.MethodPost:
		return in.ingestJob(c)
	case kind == "ingest" && len(c.path) >= 2:
		return in.ownChange("a change of an ingest job"), nil
	}
	return writingUnknown("a " + c.method + " of jobs"), nil
}

// endOfJob is the effect of closing, aborting or deleting a query job: where it
// is the client's own, nothing of the org's changes.
func (in *inspector) endOfJob(what string) effect {
	if in.policy.cfg.OwnSubject {
		return metadata(what)
	}
	e := in.ownChange(what)
	e.remedy = "to allow it, give this client a PROXY_CLIENT_<n>_SUBJECT of its own, so that the job is surely its own"
	return e
}

func queryJob(c *call) (effect, error) {
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	switch textMember(document, "operation") {
	case "query", "queryAll":
		return soqlEffect(textMember(document, "query")), nil
	}
	return writingUnknown("a job of another kind"), nil
}

func (in *inspector) ingestJob(c *call) (effect, error) {
	if !in.policy.listsObjects() {
		return writing("an ingest job"), nil
	}
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	if object := textMember(document, "object"); object != "" {
		return writing("an ingest job", object), nil
	}
	return writingUnknown("an ingest job"), nil
}

// bulk returns the effect of a call of Bulk API 1.0, /services/async/NN.N/job….
func (in *inspector) bulk(c *call) (effect, error) {
	if len(c.path) < 2 || c.at(1) != "job" || !apiVersion.MatchString(c.path[0]) {
		return byMethod(c, readingUnknown("/services/async")), nil
	}
	c = c.from(2)
	switch {
	case c.reads() && (len(c.path) <= 2 || len(c.path) == 3 && c.at(1) == "batch"):
		return metadata("a look at a job"), nil
	case c.reads():
		return in.own("the results of a job"), nil
	case c.method != http.MethodPost:
	case len(c.path) == 0:
		return newJob(c)
	case len(c.path) == 1:
		return in.jobState(c)
	case len(c.path) == 2 && c.at(1) == "batch":
		return in.batch(c)
	}
	return writingUnknown("a " + c.method + " of a job"), nil
}

// jobText returns the members of a job that is sent as JSON or XML.
func jobText(c *call) (func(name string) string, error) {
	text, err := c.text("application/json", "application/xml", "text/xml")
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		document, err := parseJSON(text)
		return func(name string) string { return textMember(document, name) }, err
	}
	root, err := parseXML(text)
	return func(name string) string {
		if values := root.all(name); len(values) == 1 {
			return values[0]
		}
		return ""
	}, err
}

func newJob(c *call) (effect, error) {
	value, err := jobText(c)
	if err != nil {
		return effect{}, err
	}
	object := value("object")
	switch operation := value("operation"); {
	case object == "":
		return writingUnknown("a job"), nil
	case operation == "query" || operation == "queryAll":
		return reading("a query job", object), nil
	}
	return writing("a job", object), nil
}

// jobState returns the effect of closing or aborting a job. Which kind of job
// it is is not known, but that it is the client's own may be.
func (in *inspector) jobState(c *call) (effect, error) {
	value, err := jobText(c)
	if err != nil {
		return effect{}, err
	}
	if state := value("state"); state == "Closed" || state == "Aborted" {
		return in.endOfJob("the end of a job"), nil
	}
	return in.ownChange("a change of a job"), nil
}

// batch returns the effect of a batch. The kind of its job is not known here,
// but a single line that is a query changes nothing in any of them: for a job
// that writes, it is the header of a table without rows.
func (in *inspector) batch(c *call) (effect, error) {
	if !in.policy.cfg.ReadOnly && !in.policy.reads.listed {
		return in.ownChange("a batch"), nil
	}
	text, err := c.text("text/csv", "application/xml", "text/xml", "application/json", "zip/csv", "zip/xml", "zip/json")
	if err != nil {
		return effect{}, err
	}
	line := string(bytes.TrimRight(text, "\r\n"))
	if !strings.EqualFold(line[:min(len(line), len("SELECT "))], "SELECT ") {
		return in.ownChange("a batch"), nil
	}
	if strings.ContainsFunc(line, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfffd
	}) {
		return in.ownChange("a batch of several lines"), nil
	}
	return soqlEffect(line), nil
}
