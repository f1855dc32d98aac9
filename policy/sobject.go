package policy

import (
	"regexp"
	"strings"
)

// recordID is the form of a record's id, in 15 or 18 characters.
var recordID = regexp.MustCompile(`^[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?$`)

// isRecordID reports whether a segment is the id of a record, and not a word as
// long as one, such as approvalLayouts: every id has a digit.
func isRecordID(segment string) bool {
	return recordID.MatchString(segment) && strings.ContainsAny(segment, "0123456789")
}

// lookups are the standard fields by whose value a record can be named in a
// path, besides custom ones that are external ids.
var lookups = names("id", "name", "developername", "email", "username", "federationidentifier", "externalid")

// isLookup reports whether a segment, in lower case, is a field by whose value
// a record is named, and not a resource of the object.
func isLookup(segment string) bool { return strings.HasSuffix(segment, "__c") || lookups[segment] }

// placeholderID stands for the id in a reference to the result of another
// request.
const placeholderID = "000000000000000AAA"

// contents are the fields whose content is read at a path of its own.
var contents = map[string]bool{"body": true, "versiondata": true, "document": true, "bodycontent": true}

// describing are what stands behind an object's name and tells of no record.
var describing = map[string]bool{"describe": true, "layouts": true, "namedlayouts": true, "compactlayouts": true, "defaultvalues": true, "eventschema": true}

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
	switch {
	case len(c.path) == 1, len(c.path) == 2 && isRecordID(c.path[1]), len(c.path) == 3 && isLookup(c.at(1)):
		return writing("a "+c.method+" of a record", object), nil
	}
	// What is behind a record, or a resource such as quickActions, writes other
	// objects as well.
	return writingUnknown("a " + c.method + " beyond a record"), nil
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
	case len(c.path) == 2 && isRecordID(c.path[1]), len(c.path) == 3 && isLookup(c.at(1)):
		return rowFields(c, e)
	case !isRecordID(c.path[1]):
		return readingUnknown("/" + c.path[1]), nil
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
	return rowFields(c, reading("what a record is related to", path))
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
