package policy

import (
	"net/url"
	"strings"
)

// parameters are those of a query, by their names in lower case.
type parameters map[string]string

// parameters returns those of the call's query. One that comes twice, or that
// another reader might split or decode in another way, is an error.
func (c *call) parameters() (parameters, error) {
	found := parameters{}
	if strings.Contains(c.rawQuery, ";") {
		return nil, unreadable("its query has a semicolon, which has to be written %%3B")
	}
	for pair := range strings.SplitSeq(c.rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil {
			return nil, unreadable("its query cannot be decoded")
		}
		if pair == "" {
			continue
		}
		name = strings.ToLower(name)
		if _, twice := found[name]; twice {
			return nil, unreadable("its query has %q twice", name)
		}
		found[name] = value
	}
	return found, nil
}

func unescapeLeniently(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}
