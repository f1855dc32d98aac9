package config

import "strings"

// nearest returns the name among names that name is most likely a misspelling
// of, or "" if none is near: more than a third of its letters would be wrong.
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	for _, candidate := range names {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
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
// this program alone.
func isOurs(name string) bool {
	return strings.HasPrefix(name, "SF_") || strings.HasPrefix(name, "PROXY_")
}
