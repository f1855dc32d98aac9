package config

import (
	"slices"
	"strings"
)

// nearest returns the name among names that name is the beginning of, or else
// most likely a misspelling of; "" if none is near: more than a third of its
// letters would be wrong.
func nearest(name string, names []string) string {
	if whole := completion(name, names); whole != "" {
		return whole
	}
	best, least := "", len(name)/3+1
	for _, candidate := range names {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// completion returns the name among names that name is the beginning of, or ""
// if there is none or they go on in different ways.
func completion(name string, names []string) string {
	begun := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, name) })
	if len(begun) == 0 {
		return ""
	}
	shortest := slices.MinFunc(begun, func(a, b string) int { return len(a) - len(b) })
	if slices.ContainsFunc(begun, func(n string) bool { return !strings.HasPrefix(n, shortest) }) {
		return ""
	}
	return shortest
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// isOurs reports whether a variable's name begins like those that belong to
// this program alone. LOG_ does not: there it takes one or two wrong letters in
// one of names.
func isOurs(name string, names []string) bool {
	if strings.HasPrefix(name, "LOG_") {
		return slices.ContainsFunc(names, func(n string) bool { return distance(name, n) <= 2 })
	}
	return strings.HasPrefix(name, "SF_") || strings.HasPrefix(name, "PROXY_")
}
