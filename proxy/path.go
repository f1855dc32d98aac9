package proxy

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// DefaultAllowPaths are the prefixes of Salesforce's APIs.
var DefaultAllowPaths = []string{
	"/services/data", "/services/apexrest", "/services/async", "/services/Soap",
	"/services/oauth2/userinfo", "/id", "/cometd",
}

// neverPaths are not forwarded whatever is allowed: pages that make a browser
// login of a session, and what issues, shows or ends tokens.
var neverPaths = []string{
	"/secur", "/login", "/visualforce/session", "/services/authcallback", "/services/auth",
	"/services/oauth2",
}

var errAmbiguous = errors.New("the path can be read in more than one way (dot segments, what is encoded twice, or control characters): send it in its plain form")

// canonicalPath returns the path of a request in the one form that decisions
// are made on: percent-decoded once, without empty segments. The request is
// forwarded as it was sent, so a path that another reader might resolve to
// something else is refused.
func canonicalPath(raw string) (string, error) {
	decoded, err := url.PathUnescape(raw)
	if err != nil || !strings.HasPrefix(decoded, "/") || !plain(decoded) {
		return "", errAmbiguous
	}
	// What a second decoding would make of it, if anything, must be plain as well.
	if twice := unescape(decoded); twice != decoded && !plain(twice) {
		return "", errAmbiguous
	}
	return path.Clean(decoded), nil
}

// unescape decodes what can be decoded of p and leaves the rest, as lenient
// servers do.
func unescape(p string) string {
	if !strings.Contains(p, "%") {
		return p
	}
	var decoded strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+3 <= len(p) {
			if octet, err := hex.DecodeString(p[i+1 : i+3]); err == nil {
				decoded.WriteByte(octet[0])
				i += 2
				continue
			}
		}
		decoded.WriteByte(p[i])
	}
	return decoded.String()
}

// plain reports whether p has neither control characters nor dot segments, in
// any of the ways that servers understand them: "\" as "/", and "..;x" as "..".
func plain(p string) bool {
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name = strings.TrimSpace(name); name == "." || name == ".." {
			return false
		}
	}
	return true
}

// within reports whether p is prefix or lies under it.
func within(p, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	return p == prefix || strings.HasPrefix(p, prefix) && p[len(prefix)] == '/'
}

// forbidden reports whether the canonical path p is one that is never
// forwarded, as it is or decoded once more. Path parameters and case do not
// matter, nor does the first segment of an Experience Cloud site's paths.
func forbidden(p string) bool {
	return !isPlainData(p) && (forbiddenPage(p) || forbiddenPage(unescape(p)))
}

// isPlainData reports whether p lies under the REST API's data, in the only way
// that it can be read, and nothing below is forbidden: most requests are of that
// kind.
func isPlainData(p string) bool {
	rest, ok := strings.CutPrefix(p, "/services/data")
	for i, c := range []byte(rest) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		case c == '.' && i > 0 && rest[i-1] != '.':
		case c == '/' && (len(rest) < i+6 || !strings.EqualFold(rest[i:i+6], "/apps/")):
		default:
			return false
		}
	}
	return ok && strings.HasPrefix(rest, "/")
}

func forbiddenPage(p string) bool {
	segments := strings.Split(strings.ReplaceAll(strings.ToLower(p), `\`, "/"), "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		segments[i] = strings.TrimSpace(s)
	}
	p = path.Clean(strings.Join(segments, "/"))
	if p == userInfoPath {
		return false
	}
	if strings.Contains(p, "/apps/oauth/credentials") || never(p) { // the former holds consumer secrets
		return true
	}
	site, page, _ := strings.Cut(p[1:], "/")
	return site != "services" && never("/"+page)
}

func never(p string) bool {
	return slices.ContainsFunc(neverPaths, func(prefix string) bool { return within(p, prefix) })
}

// rawTarget returns path and query of the request as they came over the wire.
// An absolute-form target (RFC 9112 section 3.2.2) is cut to its path. The other
// forms name no path, and none is returned.
func rawTarget(r *http.Request) (rawPath, rawQuery string) {
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") {
		scheme, rest, absolute := strings.Cut(target, "://")
		if !absolute || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return "", ""
		}
		authority := strings.IndexAny(rest, "/?")
		if authority < 0 {
			authority = len(rest)
		}
		target = rest[authority:]
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
	}
	rawPath, rawQuery, _ = strings.Cut(target, "?")
	return rawPath, rawQuery
}
