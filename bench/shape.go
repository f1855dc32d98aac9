package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// shape is one kind of request with its answer.
type shape struct {
	name        string
	what        string // for the table's heading
	method      string
	path        string
	header      string // further lines of the request
	body        []byte // of the request
	status      int
	answer      []byte // body of the answer
	answerType  string
	gzipped     bool
	sized       bool // answered with Content-Length; else chunked, as Salesforce does
	connections int  // at most so many at once; 0 for no limit of its own
}

const apiPath = "/services/data/v62.0"

// shapes are those that Salesforce's clients send most.
var shapes = newShapes()

func newShapes() []*shape {
	page := queryPage(130 << 10)
	blob := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	const json = "application/json;charset=UTF-8"
	return []*shape{
		{name: "record", what: "record, 350 B", method: "GET", path: apiPath + "/sobjects/Account/001Kj00002AbCdEIAV",
			status: 200, answer: record(350), answerType: json},
		{name: "page", what: "query page, 130 KB", method: "GET", path: apiPath + "/query?q=SELECT+Id%2C+Name%2C+Phone+FROM+Account",
			status: 200, answer: page, answerType: json},
		{name: "gzip", what: "query page, gzip", method: "GET", path: apiPath + "/query?q=SELECT+Id%2C+Name+FROM+Contact",
			header: "Accept-Encoding: gzip\r\n", status: 200, answer: compressed(page), answerType: json, gzipped: true},
		{name: "create", what: "create, 1 KB", method: "POST", path: apiPath + "/sobjects/Account",
			header: "Content-Type: application/json\r\n", body: record(1024),
			status: 201, answer: []byte(`{"id":"001Kj00002AbCdEIAV","success":true,"errors":[]}`), answerType: json},
		{name: "down", what: "blob down, 10 MB", method: "GET", path: apiPath + "/sobjects/ContentVersion/068Kj00000AbCdEIAV/VersionData",
			status: 200, answer: blob, answerType: "application/octetstream", sized: true, connections: 4},
		{name: "up", what: "blob up, 10 MB", method: "POST", path: apiPath + "/sobjects/ContentVersion",
			header: "Content-Type: application/octet-stream\r\n", body: blob,
			status: 201, answer: []byte(`{"id":"068Kj00000AbCdEIAV","success":true,"errors":[]}`), answerType: json, connections: 4},
	}
}

func shapeNamed(name string) (*shape, error) {
	for _, s := range shapes {
		if s.name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no shape is named %q", name)
}

// request returns the bytes of a request, the same each time.
func (s *shape) request(host, authorization string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n%s",
		s.method, s.path, host, authorization, s.header)
	if s.method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(s.body))
	}
	b.WriteString("\r\n")
	b.Write(s.body)
	return b.Bytes()
}

// chunkSize is that of the upstream's chunks: a TLS record.
const chunkSize = 16 << 10

// response returns the bytes of the answer, with the headers that Salesforce's
// have.
func (s *shape) response() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", s.status, http.StatusText(s.status))
	for _, h := range s.responseHeader() {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if s.sized {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(s.answer))
		b.Write(s.answer)
		return b.Bytes()
	}
	b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	for rest := s.answer; len(rest) > 0; {
		n := min(chunkSize, len(rest))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}

func (s *shape) responseHeader() [][2]string {
	header := [][2]string{
		{"Date", "Sat, 21 Nov 2026 12:00:00 GMT"},
		{"Set-Cookie", "BrowserId=8gVxvxxxT5xxxi0bg0vug; domain=.salesforce.com; path=/; expires=Sun, 21-Nov-2027 12:00:00 GMT; Max-Age=31536000"},
		{"Strict-Transport-Security", "max-age=63072000; includeSubDomains"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Robots-Tag", "none"},
		{"Cache-Control", "no-cache,must-revalidate,max-age=0,no-store,private"},
		{"Sforce-Limit-Info", "api-usage=18/100000"},
		{"Vary", "Accept-Encoding"},
		{"Content-Type", s.answerType},
	}
	if s.gzipped {
		header = append(header, [2]string{"Content-Encoding", "gzip"})
	}
	return header
}

// bytes returns how many bytes the bodies of one request and its answer have.
func (s *shape) bytes() int { return len(s.body) + len(s.answer) }

// record returns a JSON record of that many bytes.
func record(size int) []byte {
	const head = `{"attributes":{"type":"Account","url":"` + apiPath + `/sobjects/Account/001Kj00002AbCdEIAV"},` +
		`"Id":"001Kj00002AbCdEIAV","Name":"Acme","Phone":"+49 30 1234567","Description":"`
	return append(append([]byte(head), bytes.Repeat([]byte("x"), size-len(head)-2)...), `"}`...)
}

// queryPage returns a page of query results of about that many bytes, the same
// each time.
func queryPage(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var records bytes.Buffer
	count := 0
	for records.Len() < size {
		if count++; count > 1 {
			records.WriteByte(',')
		}
		id := fmt.Sprintf("001Kj%013d", random.Uint64N(1e13))
		fmt.Fprintf(&records, `{"attributes":{"type":"Account","url":"%s/sobjects/Account/%s"},"Id":"%s","Name":"%x","Phone":"+%d"}`,
			apiPath, id, id, random.Uint64(), random.Uint32())
	}
	return fmt.Appendf(nil, `{"totalSize":%s,"done":true,"records":[%s]}`, strconv.Itoa(count), records.Bytes())
}

func compressed(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text)
	w.Close()
	return b.Bytes()
}
