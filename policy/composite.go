package policy

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// isComposite reports whether requests may lie within the requests of a
// canonical path, or of what another reader could make of it.
func isComposite(path string) bool {
	c := &call{path: segments(path)}
	return c.is(0, "services", "data") && (strings.HasPrefix(c.at(3), "composite") ||
		c.at(3) == "tooling" && strings.HasPrefix(c.at(4), "composite") ||
		strings.ContainsAny(c.at(3)+c.at(4), `%;\ `))
}

// composite returns the effect of a call under /composite.
func (in *inspector) composite(c *call) (effect, error) {
	switch resource := c.at(0); {
	case resource == "sobjects":
		return in.collection(c.from(1))
	case c.reads():
		return metadata("a list of resources"), nil
	case c.method != http.MethodPost:
	case resource == "tree" && len(c.path) == 2:
		return in.tree(c)
	case resource == "" || resource == "batch" || resource == "graph":
		return in.subrequests(c, resource)
	}
	return writingUnknown("a " + c.method + " under /composite"), nil
}

// subrequests returns the effect of all requests within a request.
func (in *inspector) subrequests(c *call, resource string) (effect, error) {
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	if in.depth++; in.depth > maxDepth {
		return effect{}, unreadable("its requests within requests are nested too deep")
	}
	defer func() { in.depth-- }()
	var list []any
	switch resource {
	case "":
		list, err = requestsOf(document, "compositeRequest")
	case "batch":
		list, err = requestsOf(document, "batchRequests")
	case "graph":
		list, err = graphRequests(document)
	}
	if err != nil {
		return effect{}, err
	}
	var sum effect
	for _, one := range list {
		e, err := in.subrequest(one, resource == "batch")
		if err != nil {
			return effect{}, err
		}
		sum = sum.with(e)
	}
	if sum.renames && slices.ContainsFunc(list, refersInURL) {
		return effect{}, unreadable("it has references and a query with functions, aliases or groups, whose results may be named as ids and be none")
	}
	return sum, nil
}

func refersInURL(one any) bool { return hasReference(textMember(one, "url")) }

// requestsOf returns a member that is a list of requests.
func requestsOf(document any, name string) ([]any, error) {
	list, _ := member(document, name).([]any)
	if len(list) == 0 {
		return nil, unreadable("it has no %s", name)
	}
	return list, nil
}

func graphRequests(document any) ([]any, error) {
	graphs, err := requestsOf(document, "graphs")
	if err != nil {
		return nil, err
	}
	var all []any
	for _, graph := range graphs {
		list, err := requestsOf(graph, "compositeRequest")
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// subrequest returns the effect of one request within a request. It has to
// satisfy the rules about paths as any other.
func (in *inspector) subrequest(one any, inBatch bool) (effect, error) {
	method, address := textMember(one, "method"), textMember(one, "url")
	if method == "" || address == "" {
		return effect{}, unreadable("a request within it has no method, or no url")
	}
	address, err := withoutReferences(address)
	if err != nil {
		return effect{}, err
	}
	if inBatch {
		address = batchAddress(address)
	}
	rawPath, rawQuery, _ := strings.Cut(address, "?")
	if !strings.HasPrefix(rawPath, "/") || strings.HasPrefix(rawPath, "//") || strings.Contains(address, "#") {
		return effect{}, unreadable("the url of a request within it is not a path")
	}
	path, err := in.resolve(rawPath)
	if err != nil {
		return effect{}, &denialError{Decision{Rule: Paths, Reason: "a request within the request is not forwarded", Remedy: err.Error()}}
	}
	if strings.Contains(path, "@{") {
		return effect{}, errReference
	}
	for _, denial := range []*Decision{in.policy.judgePath(path), in.policy.judgeVersion(path)} {
		if denial != nil {
			return effect{}, &denialError{*denial}
		}
	}
	value := member(one, "body")
	if inBatch {
		value = member(one, "richInput")
	}
	c := &call{path: segments(path), rawQuery: rawQuery, within: true, value: value}
	header, err := subrequestHeader(one)
	if err != nil {
		return effect{}, err
	}
	e, err := in.methods(c, method, overrides(&Request{RawQuery: rawQuery, Header: header}))
	if err == nil && e.changes == "" && mentionsReference(value) {
		return effect{}, unreadable("the body of a read within it has a reference, which could stand for anything")
	}
	return e.withHeader(header), err
}

// batchAddress makes a path of the url of a batch, which begins with the API
// version: v60.0/limits.
func batchAddress(address string) string {
	address = strings.TrimPrefix(address, "/")
	if strings.HasPrefix(address, "services/") {
		return "/" + address
	}
	return "/services/data/" + address
}

func subrequestHeader(one any) (http.Header, error) {
	header := http.Header{}
	given, isObject := member(one, "httpHeaders").(map[string]any)
	if !isObject && member(one, "httpHeaders") != nil {
		return nil, unreadable("the httpHeaders of a request within it are no object")
	}
	for name, value := range given {
		text, _ := value.(string)
		if hasReference(name + text) {
			return nil, errReference
		}
		header[name] = []string{text}
	}
	return header, nil
}

var (
	reference   = regexp.MustCompile(`@(?:\{|%7[Bb])[^}%/?]*(?:\}|%7[Dd])`)
	idReference = regexp.MustCompile(`^@(?:\{|%7[Bb])[A-Za-z0-9_]+(?:\[[0-9]+\])*(?:\.[A-Za-z0-9_]+(?:\[[0-9]+\])*)*\.[A-Za-z0-9]*[Ii][Dd](?:\}|%7[Dd])$`)
)

var errReference = unreadable("a url or a header within it has a reference that is not to an id, or where no id stands")

// hasReference reports whether a part of a url may have a reference in it.
func hasReference(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "@{") || strings.Contains(text, "@%7b") || strings.Contains(text, "%40{") || strings.Contains(text, "%40%7b")
}

// mentionsReference reports whether a JSON value has a reference in any text.
func mentionsReference(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.Contains(value, "@{")
	case []any:
		return slices.ContainsFunc(value, mentionsReference)
	case map[string]any:
		for name, part := range value {
			if strings.Contains(name, "@{") || mentionsReference(part) {
				return true
			}
		}
	}
	return false
}

// withoutReferences replaces references to the results of other requests, such
// as @{account.id}, by an id. What they stand for is known only to Salesforce,
// so that others than to ids, in the place of an id, are refused.
func withoutReferences(address string) (string, error) {
	path, query, hasQuery := strings.Cut(address, "?")
	for _, found := range reference.FindAllString(address, -1) {
		if !idReference.MatchString(found) {
			return "", errReference
		}
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch {
		case !hasReference(part):
		case i < 3 || reference.FindString(part) != part || !strings.EqualFold(parts[i-2], "sobjects"):
			return "", errReference
		default:
			parts[i] = placeholderID
		}
	}
	path = strings.Join(parts, "/")
	if hasQuery {
		query = reference.ReplaceAllLiteralString(query, placeholderID)
		if hasReference(query) {
			return "", errReference
		}
		return path + "?" + query, nil
	}
	return path, nil
}

// collection returns the effect of a call under /composite/sobjects.
func (in *inspector) collection(c *call) (effect, error) {
	named := len(c.path) > 0 && objectName.MatchString(c.path[0])
	switch {
	case named && len(c.path) == 1 && c.reads():
		return rowFields(c, reading("a read of several records", c.path[0]))
	case named && len(c.path) == 1 && c.method == http.MethodPost:
		return readCollection(c)
	case named && len(c.path) == 2 && c.method == http.MethodPatch:
		return in.savedCollection(c, writing("an upsert of several records", c.path[0]))
	case len(c.path) == 0 && (c.method == http.MethodPost || c.method == http.MethodPatch):
		return in.savedCollection(c, writing("a "+c.method+" of several records"))
	}
	return byMethod(c, readingUnknown("several records")), nil
}

// readCollection returns the effect of a POST that lists ids and fields to read.
// One with records to write is none.
func readCollection(c *call) (effect, error) {
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	object, _ := document.(map[string]any)
	_, hasIDs := object["ids"].([]any)
	fields, hasFields := object["fields"].([]any)
	if c.rawQuery != "" || len(object) != 2 || !hasIDs || !hasFields {
		return writingUnknown("a POST of several records"), nil
	}
	e := reading("a read of several records", c.path[0])
	for _, field := range fields {
		if name, isText := field.(string); !isText || !plainFields(name) {
			e.unknown = "its fields are not plain names of fields"
		}
	}
	return e, nil
}

// savedCollection adds the objects of the records in a body, where objects are
// listed.
func (in *inspector) savedCollection(c *call, e effect) (effect, error) {
	if !in.policy.listsObjects() {
		return e, nil
	}
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	records, err := requestsOf(document, "records")
	if err != nil {
		return effect{}, err
	}
	return e.writingAll(records), nil
}

// tree returns the effect of the creation of records with others under them.
func (in *inspector) tree(c *call) (effect, error) {
	return in.savedCollection(c, writing("a tree of records", c.path[1]))
}

// writingAll adds the objects of records, and of those within them.
func (e effect) writingAll(records []any) effect {
	for _, record := range records {
		name := textMember(member(record, "attributes"), "type")
		if name == "" {
			e.unknown = "a record in it does not say in its attributes of which object it is"
			continue
		}
		e.writes = append(e.writes, name)
		for _, value := range record.(map[string]any) {
			if children, ok := member(value, "records").([]any); ok {
				e = e.writingAll(children)
			}
		}
	}
	return e
}
