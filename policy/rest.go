package policy

import (
	"net/http"
	"regexp"
	"strings"
)

// apiVersion is a version as it stands in a path.
var apiVersion = regexp.MustCompile(`^[vV]?[1-9][0-9]?\.[0-9]$`)

// rest returns the effect of a call under /services/data.
func (in *inspector) rest(c *call) (effect, error) {
	switch {
	case len(c.path) > 0 && !apiVersion.MatchString(c.path[0]):
		return writingUnknown("a path without an API version"), nil
	case len(c.path) < 2:
		return byMethod(c, metadata("a list of resources")), nil
	}
	c = c.from(1).withoutSuffix() // the version
	switch {
	case c.at(0) == "tooling":
		return in.tooling(c.from(1))
	case strings.HasPrefix(c.at(0), "tooling"): // which another reader may take for it
		return writingUnknown("/" + c.path[0]), nil
	}
	return in.resource(c)
}

// withoutSuffix drops the suffix by which old API versions choose a format.
func (c *call) withoutSuffix() *call {
	last := len(c.path) - 1
	name := c.path[last]
	for _, suffix := range []string{".json", ".xml"} {
		if len(name) > len(suffix) && strings.EqualFold(name[len(name)-len(suffix):], suffix) {
			name = name[:len(name)-len(suffix)]
			break
		}
	}
	changed := *c
	changed.path = append(append([]string(nil), c.path[:last]...), name)
	return &changed
}

// tooling returns the effect of a call under /tooling. Its GETs may run code:
// only those that are known to read do.
func (in *inspector) tooling(c *call) (effect, error) {
	switch c.at(0) {
	case "":
		return byMethod(c, metadata("a list of resources")), nil
	case "query", "queryall", "search", "parameterizedsearch", "sobjects", "composite":
		return in.resource(c)
	case "completions":
		return byMethod(c, readingUnknown("code completions")), nil
	}
	return writingUnknown("/tooling/" + c.path[0]), nil
}

// listings are resources that tell of the org and of no record.
var listings = map[string]bool{"theme": true, "tabs": true, "appmenu": true, "licensing": true}

// resource returns the effect of a call to a resource of the REST API.
func (in *inspector) resource(c *call) (effect, error) {
	switch name := c.at(0); {
	case name == "sobjects":
		return in.sobjects(c.from(1))
	case name == "query" || name == "queryall":
		return in.query(c.from(1))
	case name == "search" || name == "parameterizedsearch":
		return in.search(c)
	case name == "composite":
		return in.composite(c.from(1))
	case name == "graphql":
		return in.graphQL(c)
	case name == "jobs":
		return in.jobs(c.from(1))
	case name == "limits":
		return in.limits(c)
	case listings[name]:
		return byMethod(c, metadata("/"+name)), nil
	}
	return byMethod(c, readingUnknown("/"+c.path[0])), nil
}

// byMethod returns e for a method that reads, else that of a write to what is
// not known.
func byMethod(c *call, e effect) effect {
	if c.reads() {
		return e
	}
	return writingUnknown("a " + c.method + " of " + e.what)
}

// limits may tell how many records objects have.
func (in *inspector) limits(c *call) (effect, error) {
	if c.at(1) != "recordcount" || !c.reads() {
		return byMethod(c, metadata("/limits")), nil
	}
	given, err := c.parameters()
	if err != nil {
		return effect{}, err
	}
	if given["sobjects"] == "" {
		return readingUnknown("a count of all records"), nil
	}
	return reading("a count of records", splitList(given["sobjects"])...), nil
}

func splitList(text string) []string {
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// query returns the effect of a query by its SOQL, or by the cursor of one.
func (in *inspector) query(c *call) (effect, error) {
	if !c.reads() {
		return byMethod(c, metadata("/query")), nil
	}
	if len(c.path) > 0 {
		return in.own("the next page of a query"), nil
	}
	given, err := c.parameters()
	if err != nil {
		return effect{}, err
	}
	var sum effect
	for _, name := range []string{"q", "explain"} {
		if text, ok := given[name]; ok {
			sum = sum.with(soqlEffect(text))
		}
	}
	if sum.what == "" {
		return metadata("a query without text"), nil
	}
	return sum, nil
}

// own is the effect of a read of what an earlier request has made. That is the
// client's own if nobody else acts as its user.
func (in *inspector) own(what string) effect {
	if in.policy.cfg.OwnSubject {
		return metadata(what)
	}
	e := readingUnknown(what)
	e.unknown += " while other clients act as the same Salesforce user (give this one a PROXY_CLIENT_<n>_SUBJECT of its own)"
	return e
}

// ownChange is the same for a change of one's own job.
func (in *inspector) ownChange(what string) effect {
	e := in.own(what)
	e.changes = what + " may change something"
	return e
}

// search returns the effect of a search.
func (in *inspector) search(c *call) (effect, error) {
	switch {
	case c.at(0) == "parameterizedsearch" && c.method == http.MethodPost:
		return parameterizedSearch(c)
	case !c.reads() || c.at(0) == "parameterizedsearch" || len(c.path) > 1:
		return byMethod(c, readingUnknown("a search")), nil
	}
	given, err := c.parameters()
	if err != nil {
		return effect{}, err
	}
	return soslEffect(given["q"]), nil
}

// searchMembers are the members of a search whose text is JSON, and those of an
// object in it, that change nothing by themselves.
var (
	searchMembers   = names("q", "in", "fields", "sobjects", "defaultlimit", "overalllimit", "offset", "spellcorrection", "snippet", "updatetracking", "updateviewstat")
	searchedMembers = names("name", "fields", "limit", "orderby", "where")
)

// onlyMembers reports whether a JSON object has no other members than known.
func onlyMembers(value any, known map[string]bool) bool {
	object, isObject := value.(map[string]any)
	for name := range object {
		if !known[name] {
			return false
		}
	}
	return isObject
}

// plainFieldList reports whether a member is absent, or a list of plain fields.
func plainFieldList(value any, name string) bool {
	fields, isList := member(value, name).([]any)
	for _, field := range fields {
		if text, isText := field.(string); !isText || !plainFields(text) {
			return false
		}
	}
	return isList || member(value, name) == nil
}

// parameterizedSearch returns the effect of a search whose text is JSON.
func parameterizedSearch(c *call) (effect, error) {
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	for _, name := range []string{"updateTracking", "updateViewStat"} {
		if update := member(document, name); update != nil && update != false {
			return writingUnknown("a search with " + name), nil
		}
	}
	if c.rawQuery != "" || !onlyMembers(document, searchMembers) {
		return writingUnknown("a search with parameters that are not known"), nil
	}
	list, _ := member(document, "sobjects").([]any)
	if len(list) == 0 || !plainFieldList(document, "fields") {
		return readingUnknown("a search without sobjects"), nil
	}
	e := reading("a search")
	for _, one := range list {
		name := textMember(one, "name")
		orderBy, orders := member(one, "orderBy").(string)
		if name == "" || member(one, "where") != nil || !onlyMembers(one, searchedMembers) ||
			!plainFieldList(one, "fields") || !plainFields(orderBy) || !orders && member(one, "orderBy") != nil {
			return readingUnknown("a search"), nil
		}
		e.reads = append(e.reads, name)
	}
	return e, nil
}
