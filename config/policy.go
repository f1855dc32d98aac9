package config

import (
	"regexp"
	"slices"
	"strings"
)

var (
	objectName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	relationship = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$`)
	versionRange = regexp.MustCompile(`^([1-9][0-9]\.0)(?:-([1-9][0-9]\.0)?)?$`)
)

// checkPolicy checks what client n may do. forwarded are the paths that any
// client's requests may go to; nil stands for the API paths.
func (p *parser) checkPolicy(n int, c *Client, forwarded []string) {
	paths := clientVariable(n, "ALLOW_PATHS")
	p.checkPaths(paths, c.AllowPaths)
	for _, path := range c.AllowPaths {
		if forwarded != nil && !slices.ContainsFunc(forwarded, func(prefix string) bool { return isUnder(path, prefix) }) {
			p.fault(paths, "%s does not lie in PROXY_ALLOW_PATHS, so that it is not forwarded", shown(path))
		}
	}
	p.checkNames(clientVariable(n, "READ_OBJECTS"), c.ReadObjects, relationship)
	p.checkNames(clientVariable(n, "WRITE_OBJECTS"), c.WriteObjects, objectName)
	if c.ReadOnly && c.WriteObjects != nil {
		p.faultLike(clientVariable(n, "WRITE_OBJECTS"), "", "is set, and %s lets the client write nothing", clientVariable(n, "READ_ONLY"))
	}
	for part := range strings.SplitSeq(c.APIVersions, ",") {
		match := versionRange.FindStringSubmatch(strings.TrimSpace(part))
		if c.APIVersions != "" && (match == nil || match[2] != "" && match[2] < match[1]) {
			p.fault(clientVariable(n, "API_VERSIONS"), "%s is neither an API version, such as 60.0, nor a range, such as 58.0-62.0 or 55.0-", shown(part))
		}
	}
}

var reserve = regexp.MustCompile(`^([0-9]{1,9}|(100|[0-9]{1,2})(\.[0-9]{1,3})?%)$`)

func (p *parser) checkReserve(variable, text string) {
	if text != "" && !reserve.MatchString(text) {
		p.fault(variable, "%s is neither a percentage, such as 10%%, nor a number of requests", shown(text))
	}
}

func (p *parser) checkNames(variable string, names []string, form *regexp.Regexp) {
	for _, name := range names {
		if !form.MatchString(name) {
			p.fault(variable, "%s is not the API name of an object, such as Account or Invoice__c", shown(name))
		}
	}
}

// isUnder reports whether a path is prefix or lies under it.
func isUnder(path, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
