package devorg

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const bulkNamespace = "http://www.force.com/2009/06/asyncapi/dataload"

// A batchFault is why a batch as a whole failed, in the words of its stateMessage.
type batchFault string

func (f batchFault) Error() string { return string(f) }

// A load is a batch's records as they were read.
type load struct {
	names   []string // the columns of CSV, as they were sent
	records []bulkRecord
}

// A bulkRecord has a failure of its own if a value is not what its field can hold.
type bulkRecord struct {
	fields  map[string]any // by the names in the schema
	line    []string       // of CSV
	failure *apiError
}

// sentID is the id that a record came with.
func (r bulkRecord) sentID() string { id, _ := r.fields["Id"].(string); return id }

// read understands a batch in full or not at all, but for its values. Of CSV that can be
// told into lines, it returns these with the error.
func (j *job) read(data []byte) (*load, error) {
	if !utf8.Valid(data) {
		return nil, batchFault("the data is not UTF-8")
	}
	loaded := &load{}
	if j.bulk2 && lineEndingOf(data) != j.lineEnding {
		return nil, batchFault("LineEnding is invalid on user data. Current LineEnding setting is " + j.lineEnding)
	}
	var err error
	switch j.format {
	case "CSV":
		err = loaded.readCSV(data, j.sobject)
	case "JSON":
		err = loaded.readJSON(data, j.sobject)
	default:
		err = loaded.readXML(data, j.sobject)
	}
	if err == nil && !j.bulk2 && len(loaded.records) > maxBatchRecords {
		err = batchFault(fmt.Sprintf("Records in batch exceed %d", maxBatchRecords))
	}
	if err == nil && j.operation == opDelete {
		for _, r := range loaded.records {
			if _, hasID := r.fields["Id"]; len(r.fields) != 1 || !hasID {
				err = batchFault("The 'delete' batch must contain only ids")
			}
		}
	}
	return loaded, err
}

// lineEndingOf looks at the end of the first line.
func lineEndingOf(data []byte) string {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if bytes.HasSuffix(line, []byte("\r")) {
		return "CRLF"
	}
	return "LF"
}

func fieldNotFound(name string) error { return batchFault("Field name not found : " + name) }

// readCSV takes an empty value for none at all and #N/A for null.
func (l *load) readCSV(data []byte, s *sobject) error {
	lines, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))).ReadAll()
	if err != nil {
		return batchFault("Failed to parse CSV: " + err.Error())
	}
	if len(lines) == 0 {
		return batchFault("Failed to parse CSV header: there is none")
	}
	l.names = lines[0]
	for _, line := range lines[1:] {
		l.records = append(l.records, bulkRecord{line: line, fields: make(map[string]any)})
	}
	var fields []*field
	for _, name := range l.names {
		f := s.field(name)
		if f == nil {
			return fieldNotFound(name)
		}
		if slices.Contains(fields, f) {
			return batchFault("Duplicate field : " + name)
		}
		fields = append(fields, f)
	}
	for i := range l.records {
		r := &l.records[i]
		for column, text := range r.line {
			r.set(fields[column], text)
		}
	}
	return nil
}

// set takes one value that is text.
func (r *bulkRecord) set(f *field, text string) {
	switch text {
	case "":
	case "#N/A":
		r.fields[f.name] = nil
	default:
		value, failure := f.fromText(text)
		if failure != nil {
			r.failure = failure
		}
		r.fields[f.name] = value
	}
}

func (l *load) readJSON(data []byte, s *sobject) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var sent []map[string]any
	if err := decoder.Decode(&sent); err != nil {
		return batchFault("Failed to parse JSON: " + err.Error())
	}
	if decoder.Decode(new(any)) != io.EOF {
		return batchFault("Failed to parse JSON: there is data after the list")
	}
	for _, values := range sent {
		r := bulkRecord{fields: make(map[string]any)}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			f := s.field(name)
			if name == "attributes" {
				f = &field{name: name} // which the record's own check judges
			}
			if f == nil {
				return fieldNotFound(name)
			}
			if _, twice := r.fields[f.name]; twice {
				return batchFault("Duplicate field : " + name)
			}
			r.fields[f.name] = values[name]
		}
		l.records = append(l.records, r)
	}
	return nil
}

func (l *load) readXML(data []byte, s *sobject) error {
	root, err := readXML(data)
	if err != nil {
		return batchFault("Failed to parse XML: " + err.Error())
	}
	record := xml.Name{Space: bulkNamespace, Local: "sObject"}
	if root.name != (xml.Name{Space: bulkNamespace, Local: "sObjects"}) || len(root.named(record)) != len(root.children) {
		return batchFault("Failed to parse XML: sObjects of sObject are expected")
	}
	for _, n := range root.children {
		r := bulkRecord{fields: make(map[string]any)}
		for _, child := range n.children {
			f := s.field(child.name.Local)
			if f == nil || child.name.Space != bulkNamespace || len(child.children) > 0 {
				return fieldNotFound(child.name.Local)
			}
			if _, twice := r.fields[f.name]; twice {
				return batchFault("Duplicate field : " + f.name)
			}
			if child.null() {
				r.fields[f.name] = nil
			} else if child.text != "" {
				r.set(f, child.text)
			}
		}
		l.records = append(l.records, r)
	}
	return nil
}

// A csvText is CSV that is being written, every value within quotes.
type csvText struct {
	bytes.Buffer
	ending string
}

func (b *csvText) line(values ...string) {
	for i, value := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.ReplaceAll(value, `"`, `""`) + `"`)
	}
	b.WriteString(b.ending)
}

// rows writes rows of a query under the names of their columns.
func (b *csvText) rows(query *statement, rows []row) {
	values := make([]string, len(query.fields))
	for i, c := range query.fields {
		values[i] = c.label()
	}
	b.line(values...)
	for _, r := range rows {
		for i, c := range query.fields {
			values[i] = ""
			if target := r.of(c); target != nil {
				values[i], _ = target.text(c.field)
			}
		}
		b.line(values...)
	}
}
