package devorg

import (
	"regexp"
	"strings"
)

const (
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	checksumChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
)

// longID appends the three characters that make a 15-character id safe where case is lost:
// each tells which of five characters are capitals.
func longID(short string) string {
	suffix := make([]byte, 3)
	for block := range suffix {
		bits := 0
		for i, c := range short[block*5 : block*5+5] {
			if 'A' <= c && c <= 'Z' {
				bits |= 1 << i
			}
		}
		suffix[block] = checksumChars[bits]
	}
	return short + string(suffix)
}

// newID is the id of the n-th record made with a prefix.
func newID(prefix string, n int) string {
	digits := []byte("00000000")
	for i := len(digits) - 1; n > 0; i-- {
		digits[i] = base62[n%62]
		n /= 62
	}
	return longID(prefix + "5g00" + string(digits))
}

var shortID = regexp.MustCompile(`^[0-9A-Za-z]{15}$`)

// normalID returns the 18-character form of an id in either form. A wrong checksum makes
// it no id at all, where Salesforce would repair the case.
func normalID(id string) (string, bool) {
	if len(id) != 15 && len(id) != 18 || !shortID.MatchString(id[:15]) {
		return "", false
	}
	long := longID(id[:15])
	return long, len(id) == 15 || id == long
}

// idOf returns the 18-character id of what should be a record of s.
func (s *sobject) idOf(raw string) (string, *apiError) {
	id, valid := normalID(raw)
	if !valid || !strings.HasPrefix(id, s.prefix) {
		return "", badRequest("MALFORMED_ID", "%s ID: id value of incorrect type: %s", s.name, raw)
	}
	return id, nil
}
