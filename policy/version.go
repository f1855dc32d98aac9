package policy

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// versions are the API versions that a client may ask for; nil stands for all.
type versions []versionRange

// versionRange holds the numbers before the dot, both included.
type versionRange struct{ from, to int }

var versionRangeText = regexp.MustCompile(`^([1-9][0-9])\.0(?:(-)(?:([1-9][0-9])\.0)?)?$`)

func parseVersions(text string) (versions, error) {
	if text == "" {
		return nil, nil
	}
	var list versions
	for part := range strings.SplitSeq(text, ",") {
		match := versionRangeText.FindStringSubmatch(strings.TrimSpace(part))
		if match == nil {
			return nil, fmt.Errorf("%q is neither an API version, such as 60.0, nor a range, such as 58.0-62.0 or 55.0-", part)
		}
		from, _ := strconv.Atoi(match[1])
		one := versionRange{from, from}
		switch {
		case match[3] != "":
			one.to, _ = strconv.Atoi(match[3])
		case match[2] != "":
			one.to = math.MaxInt
		}
		if one.to < one.from {
			return nil, fmt.Errorf("%q ends before it begins", part)
		}
		list = append(list, one)
	}
	return list, nil
}

// versionedPath is a path of an API that has versions: the version stands where
// the group is. A class in Apex has its own, which is in the org.
var versionedPath = regexp.MustCompile(`(?i)^/(?:services/data|services/soap/[^/]|services/async|cometd)(?:/|$)v?([^/]*)`)

var versionText = regexp.MustCompile(`^([1-9][0-9]?)(?:\.[0-9])?$`)

// judge reports whether a canonical path is in one of the versions; asked is
// the version that it names. A path without versions is.
func (v versions) judge(path string) (asked string, ok bool) {
	if v == nil || path == "/services/data" { // the latter lists the versions
		return "", true
	}
	match := versionedPath.FindStringSubmatch(path)
	if match == nil {
		return "", true
	}
	number := versionText.FindStringSubmatch(match[1])
	if number == nil {
		return match[1], false
	}
	n, _ := strconv.Atoi(number[1])
	for _, one := range v {
		if one.from <= n && n <= one.to {
			return match[1], true
		}
	}
	return match[1], false
}
