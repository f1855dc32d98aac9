package auth

import (
	"strings"
	"unicode"
)

const maxForeign = 200 // characters

// Foreign makes text from elsewhere fit to print, in an error or a log: one line of
// at most 200 characters, all of them printable.
func Foreign(s string) string {
	s = Printable(s)
	if r := []rune(s); len(r) > maxForeign {
		return string(r[:maxForeign]) + "…"
	}
	return s
}

// Printable is [Foreign] for text of any length.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, " "))
}
