package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// APIUsage is how many API calls an org has had in the last 24 hours and how
// many it may have. The zero value says that it is not known.
type APIUsage struct{ Used, Limit int64 }

// limitInfo is the header that tells of them: "api-usage=18/15000", which
// "; per-app-api-usage=17/250(appName=name)" may follow.
const limitInfo = "Sforce-Limit-Info"

// usageOf returns what an answer tells of the org's API calls.
func usageOf(h http.Header) APIUsage {
	values := h[limitInfo]
	if len(values) == 0 {
		return APIUsage{}
	}
	for part, rest := "", values[0]; rest != ""; {
		part, rest, _ = strings.Cut(rest, ";")
		text, ok := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !ok {
			continue
		}
		first, second, _ := strings.Cut(text, "/")
		used, err := strconv.ParseInt(first, 10, 64)
		limit, limitErr := strconv.ParseInt(second, 10, 64)
		if err == nil && limitErr == nil && used >= 0 && limit > 0 {
			return APIUsage{used, limit}
		}
	}
	return APIUsage{}
}

// isCounted reports whether Salesforce counts an answered request against the
// org's limit: a REST API says so by telling of it, the others do not tell.
func isCounted(f Family, u APIUsage) bool {
	return u != APIUsage{} || f == FamilySOAP || f == FamilyBulk
}
