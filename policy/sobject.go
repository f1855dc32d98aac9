package policy

import (
	"regexp"
	"strings"
)

// recordID is the form of a record's id, in 15 or 18 characters.
var recordID = regexp.MustCompile(`^[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?$`)

// placeholderID stands for the id in a reference to the result of another
// request.
const placeholderID = "000000000000000AAA"

// contents are the fields whose content is read at a path of its own.
var contents = map[string]bool{"body": true, "versiondata": true, "document": true, "bodycontent": true}

// describing are what stands behind an object's name and tells of no record.
var describing = map[string]bool{"describe": true, "layouts": true, "namedlayouts": true, "compactlayouts": true, "defaultvalues": true}

// sobjects returns the effect of a call under /sobjects: the object is in the
// path.
func (in *inspector) sobjects(c *call) (effect, error) {
	if len(c.path) == 0 {
		return byMethod(c, metadata("a list of objects")), nil
	}
	object := c.path[0]
	if !objectName.MatchString(object) || strings.Contains(object, ".") {
		return byMethod(c, readingUnknown("a look at a record")), nil
	}
	if c.reads() {
		return readRow(c, object)
	}
	// Behind the id of a record stands a relationship, behind another name the
	// value of an external id.
	if len(c.path) > 3 || len(c.path) == 3 && recordID.MatchString(c.path[1]) {
		return writingUnknown("a " + c.method + " beyond a record"), nil
	}
	return writing("a "+c.method+" of a record", object), nil
}

// readRow returns the effect of a GET of an object or of one of its records.
func readRow(c *call, object string) (effect, error) {
	e := reading("a look at a record", object)
	switch {
	case len(c.path) == 1 || describing[c.at(1)]:
		e.what = "an object"
		return e, nil
	case c.at(1) == "updated" || c.at(1) == "deleted":
		return e, nil
	case c.at(1) == "listviews" || c.at(1) == "quickactions" || c.at(1) == "relevantitems":
		return readingUnknown("/" + c.path[1]), nil
	case len(c.path) == 2, len(c.path) == 3 && !recordID.MatchString(c.path[1]):
		return rowFields(c, e)
	case len(c.path) == 3 && contents[c.at(2)]:
		return e, nil
	}
	// What is behind a record is a relationship, as far as its names are.
	path := object
	for _, name := range c.path[2:] {
		if path += "." + name; !objectName.MatchString(path) {
			return readingUnknown("what a record is related to"), nil
		}
	}
	return reading("what a record is related to", path), nil
}

// rowFields returns e, unless a list of fields could lead to other records.
func rowFields(c *call, e effect) (effect, error) {
	given, err := c.parameters()
	if err != nil {
		return effect{}, err
	}
	if !plainFields(given["fields"]) {
		e.unknown = "its fields are not plain names of fields"
	}
	return e, nil
}

// plainFields reports whether a list of fields has none of another object.
func plainFields(list string) bool {
	return !strings.ContainsFunc(list, func(r rune) bool {
		return !(r == ',' || r == ' ' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	})
}
