package config

import (
	"regexp"
	"slices"
	"strings"
)

var domainName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// Domains that anyone can have a name in, as far as they are likely here: the
// most used ones, and below those of countries the usual second level.
var (
	publicDomains = strings.Fields("com net org edu gov mil int info biz name pro app dev cloud online site website store shop tech xyz top club live space host page arpa")
	secondLevels  = strings.Fields("co com net org edu gov mil ac or ne go gob gouv govt")
)

// checkDomains brings SF_TRUSTED_DOMAINS into its plain form and refuses what
// would trust strangers.
func (p *parser) checkDomains(sf *Salesforce) {
	const variable = "SF_TRUSTED_DOMAINS"
	for i, text := range sf.TrustedDomains {
		domain := strings.TrimSuffix(strings.ToLower(text), ".")
		domain = strings.TrimPrefix(strings.TrimPrefix(domain, "*"), ".")
		switch {
		case strings.ContainsAny(domain, ":/@?#"):
			p.fault(variable, "%s is not a bare domain: leave out scheme, port and path", shown(text))
		case !domainName.MatchString(domain):
			p.fault(variable, "%s is not a domain", shown(text))
		case isPublic(domain):
			p.fault(variable, "%s would trust everybody who has a domain in it: name your own", shown(text))
		}
		sf.TrustedDomains[i] = domain
	}
}

// isPublic reports whether anyone can register a name right below domain. A
// name without a dot that is no top-level domain is one of a local network.
func isPublic(domain string) bool {
	below, top, hasDot := strings.Cut(domain, ".")
	if !hasDot {
		return len(domain) == 2 || slices.Contains(publicDomains, domain)
	}
	return len(top) == 2 && slices.Contains(secondLevels, below)
}
