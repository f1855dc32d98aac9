package devorg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	oldestVersion = 31
	newestVersion = 67
	dailyRequests = 15000    // of a developer org
	maxJSON       = 64 << 20 // bytes
)

// A call is one REST call: a request, or a part of a composite one.
type call struct {
	ctx     context.Context
	method  string
	version string // v60.0
	path    []string
	query   url.Values
	header  http.Header
	body    io.Reader
	session session
}

// A result is the outcome of a call that succeeded.
type result struct {
	status   int
	header   http.Header
	body     any // nil means none
	blob     io.ReadSeeker
	modified time.Time // of the blob
}

func jsonResult(status int, body any) *result { return &result{status: status, body: body} }

func ok(body any) (*result, *apiError) { return jsonResult(http.StatusOK, body), nil }

func encodeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// root is the path of the call's API version.
func (c *call) root() string { return "/services/data/" + c.version }

// serveData answers under /services/data. The token is judged before the body is read.
func (o *Org) serveData(w http.ResponseWriter, r *http.Request, h *host) {
	path, err := splitPath(strings.TrimPrefix(r.URL.EscapedPath(), "/services/data"))
	if err != nil {
		o.answer(w, r, nil, notFound())
		return
	}
	if len(path) == 0 && r.Method == http.MethodGet {
		o.answer(w, r, jsonResult(http.StatusOK, versions()), nil)
		return
	}
	session, live := o.authenticate(r, h)
	if !live {
		o.answer(w, r, nil, errSessionExpired)
		return
	}
	if failure := o.spend(w); failure != nil {
		o.answer(w, r, nil, failure)
		return
	}
	if len(path) == 0 {
		o.answer(w, r, nil, methodNotAllowed(r.Method, "GET"))
		return
	}
	result, failure := o.callFrom(r, path, session)
	o.answer(w, r, result, failure)
}

var errRequestLimit = restError(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

// spend counts a request and puts the daily usage on its answer.
func (o *Org) spend(w http.ResponseWriter) *apiError {
	used, left := o.countUsage()
	w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", used, o.allowance()))
	if !left {
		return errRequestLimit
	}
	return nil
}

// countUsage counts a request and reports whether the org may still answer it.
// What is over the allowance is refused only where a test has set one.
func (o *Org) countUsage() (used int64, left bool) {
	used = o.stats.apiUsage.Add(1)
	if set := o.setAllowance(); set > 0 && used > set {
		return o.stats.apiUsage.Add(-1), false
	}
	return used, true
}

func (o *Org) callFrom(r *http.Request, path []string, s session) (*result, *apiError) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("MALFORMED_QUERY_STRING", "The query string cannot be read.")
	}
	body, failure := requestBody(r)
	if failure != nil {
		return nil, failure
	}
	return o.call(&call{
		ctx: r.Context(), method: r.Method, version: path[0], path: path[1:],
		query: query, header: r.Header, body: body, session: s,
	})
}

// splitPath decodes the segments of an escaped path, each for itself: an external id may
// hold %2F.
func splitPath(escaped string) ([]string, error) {
	escaped = strings.Trim(escaped, "/")
	if escaped == "" {
		return nil, nil
	}
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "" || decoded == "." || decoded == ".." {
			return nil, errors.New("segment cannot be used")
		}
		segments[i] = decoded
	}
	return segments, nil
}

var versionPattern = regexp.MustCompile(`^v([1-9][0-9])\.0$`)

func versions() []object {
	var list []object
	for v := oldestVersion; v <= newestVersion; v++ {
		list = append(list, object{
			{"label", releaseName(v)},
			{"url", fmt.Sprintf("/services/data/v%d.0", v)},
			{"version", fmt.Sprintf("%d.0", v)},
		})
	}
	return list
}

// releaseName knows that version 31 came in Summer 2014 and each next one a season later.
func releaseName(version int) string {
	seasons := []string{"Spring", "Summer", "Winter"}
	return fmt.Sprintf("%s '%02d", seasons[version%3], 14+(version-29)/3)
}

// call answers one REST call of a known session.
func (o *Org) call(c *call) (*result, *apiError) {
	match := versionPattern.FindStringSubmatch(c.version)
	if match == nil {
		return nil, notFound()
	}
	version, _ := strconv.Atoi(match[1])
	if version < oldestVersion {
		return nil, restError(http.StatusGone, "GONE", "This API version is retired")
	}
	if version > newestVersion {
		return nil, notFound()
	}
	if override := c.query.Get("_HttpMethod"); override != "" {
		if c.method != http.MethodPost || (override != http.MethodPatch && override != http.MethodDelete) {
			return nil, methodNotAllowed(override, "PATCH and DELETE, of a POST")
		}
		c.method = override
	}
	if len(c.path) == 0 {
		return c.get(func() (*result, *apiError) { return ok(o.resources(c)) })
	}
	if out, failure, found := o.code(c); found {
		return out, failure
	}
	switch name, rest := c.path[0], c.path[1:]; name {
	case "sobjects":
		return o.sobjects(c, rest)
	case "query", "queryAll":
		return o.query(c, rest, name == "queryAll")
	case "composite":
		return o.composite(c, rest)
	case "jobs":
		return o.bulkJobs(c, rest)
	case "limits":
		if len(rest) == 0 {
			return c.get(func() (*result, *apiError) { return ok(o.limits()) })
		}
	}
	return nil, notFound()
}

// get runs f if the call is a GET or HEAD.
func (c *call) get(f func() (*result, *apiError)) (*result, *apiError) {
	if c.method != http.MethodGet && c.method != http.MethodHead {
		return nil, methodNotAllowed(c.method, "GET, HEAD")
	}
	return f()
}

func (o *Org) resources(c *call) object {
	var links object
	for _, name := range []string{"composite", "jobs", "limits", "query", "queryAll", "sobjects"} {
		links = append(links, member{name, c.root() + "/" + name})
	}
	return append(links, member{"identity", o.LoginURL() + "/id/" + o.id + "/" + c.session.user.id})
}

func (o *Org) limits() object {
	limit := func(most, left int64) object { return object{{"Max", most}, {"Remaining", max(0, left)}} }
	return object{
		{"DailyApiRequests", limit(o.allowance(), o.allowance()-o.stats.apiUsage.Load())},
		{"DailyBulkApiBatches", limit(15000, 15000)},
		{"DailyStreamingApiEvents", limit(10000, 10000)},
		{"DataStorageMB", limit(1024, 1024)},
		{"FileStorageMB", limit(1024, 1024)},
	}
}

// readJSON decodes the body into target; anything after the value is an error.
func (c *call) readJSON(target any) *apiError {
	media, _, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return restError(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE",
			"The Content-Type is not supported; application/json is.")
	}
	data, err := io.ReadAll(io.LimitReader(c.body, maxJSON+1))
	if err != nil {
		return badRequest("INVALID_CONTENT", "The body cannot be read.")
	}
	if len(data) > maxJSON {
		return restError(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "The body is too large.")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(target); err != nil {
		return badRequest("JSON_PARSER_ERROR", "The body is not the JSON that is expected: %v", err)
	}
	if decoder.Decode(new(any)) != io.EOF {
		return badRequest("JSON_PARSER_ERROR", "There is data after the JSON value.")
	}
	return nil
}

// An object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
