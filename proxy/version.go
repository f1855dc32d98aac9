package proxy

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// versionedPath is a path with an API version in its plain form, as Salesforce's
// clients write it. Classes in Apex have none: theirs is in the org.
var versionedPath = regexp.MustCompile(`^/services/(?:data/v|Soap/[ucmTs]/|async/)([1-9][0-9]?)\.[0-9](?:/|$)|^/cometd/([1-9][0-9]?)\.[0-9](?:/|$)`)

// parseVersion returns the number of an API version such as "60.0", 0 for "".
func parseVersion(version string) (int, error) {
	if version == "" {
		return 0, nil
	}
	number, err := strconv.Atoi(strings.TrimSuffix(version, ".0"))
	if err != nil || number < 1 || version != strconv.Itoa(number)+".0" {
		return 0, fmt.Errorf("proxy: MinAPIVersion %q is not a version such as 60.0", version)
	}
	return number, nil
}

// raise sends requests for an API version that the org has retired, or soon
// will, to the lowest one that it is to be asked for. Nothing else of the path
// changes, so what admit has decided holds, but for the allowed paths: they may
// name versions.
func (p *Proxy) raise(next http.HandlerFunc) http.HandlerFunc {
	if p.minVersion == 0 {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		if ex.raisedPath, ex.raisedFrom = p.raisedPath(ex.rawPath); ex.raisedPath != "" {
			if raised, err := canonicalPath(ex.raisedPath); err != nil || !p.allows(raised) {
				p.refuse(w, r, denial(http.StatusForbidden, "PROXY_PATH_NOT_ALLOWED",
					fmt.Errorf("%s, to which SF_MIN_API_VERSION raises the path, is not among the paths that are forwarded: to allow it, add a prefix of it to PROXY_ALLOW_PATHS", raised)))
				return
			}
			p.sayRaised(ex, apiOf(ex.rawPath))
		}
		next(w, r)
	}
}

// raisedPath returns a raw path with MinAPIVersion in the place of a lower version,
// and that version; "" of a path that is not to be raised.
func (p *Proxy) raisedPath(rawPath string) (raised, from string) {
	if p.minVersion == 0 {
		return "", ""
	}
	match := versionedPath.FindStringSubmatchIndex(rawPath)
	if match == nil {
		return "", ""
	}
	start, end := max(match[2], match[4]), max(match[3], match[5])+len(".0")
	if number, _ := strconv.Atoi(rawPath[start : end-len(".0")]); number >= p.minVersion {
		return "", ""
	}
	return rawPath[:start] + p.cfg.MinAPIVersion + rawPath[end:], rawPath[start:end]
}

// sayRaised tells the operator of a request that was raised: each by count, and
// the first of a client and an API in the log.
func (p *Proxy) sayRaised(ex *exchange, api string) {
	if p.cfg.OnRaised != nil {
		p.cfg.OnRaised(ex.client.Name)
	}
	if _, again := p.raised.LoadOrStore(raisedAPI{ex.client.Name, api}, nil); again {
		return
	}
	p.logger.Warn("the app's API version is below SF_MIN_API_VERSION and was raised",
		"request_id", ex.id, "client", ex.client.Name, "api", api, "asked_for", ex.raisedFrom, "gets", p.cfg.MinAPIVersion,
		"hint", "answers may differ from what the app was made for; this is said once for a client and an API")
}

// raisedAPI is an API that a client asks for in too low a version.
type raisedAPI struct{ client, name string }

// apiOf names the API of a path for a person.
func apiOf(rawPath string) string {
	for _, api := range []struct{ prefix, name string }{
		{"/services/data", "REST"}, {"/services/Soap", "SOAP"}, {"/services/async", "Bulk 1.0"},
	} {
		if within(rawPath, api.prefix) {
			return api.name
		}
	}
	return "CometD"
}
