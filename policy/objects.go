package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// objects is a list of objects, and of relationships that start at one. The
// zero value lists none and so holds all.
type objects struct {
	listed bool
	names  map[string]bool // in lower case; of a relationship, its beginnings as well
}

// objectName is the API name of an object, or of one with relationships behind.
var objectName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$`)

func parseObjects(names []string) (objects, error) {
	if names == nil {
		return objects{}, nil
	}
	list := objects{true, map[string]bool{}}
	for _, name := range names {
		if !objectName.MatchString(name) {
			return objects{}, fmt.Errorf("%q is not the API name of an object, such as Account or Invoice__c", name)
		}
		name = strings.ToLower(name)
		list.names[name] = true
		// Who may go two steps may go one; but a relationship does not list the
		// object where it starts.
		for at := strings.LastIndexByte(name, '.'); at > strings.IndexByte(name, '.'); at = strings.LastIndexByte(name[:at], '.') {
			list.names[name[:at]] = true
		}
	}
	return list, nil
}

// missing returns the first of names that is not on the list, "" if none is.
func (o objects) missing(names []string) string {
	if !o.listed {
		return ""
	}
	for _, name := range names {
		if !o.names[strings.ToLower(name)] {
			return name
		}
	}
	return ""
}
