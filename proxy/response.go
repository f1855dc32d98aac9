package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// respond changes the few things in Salesforce's answer that are about
// Salesforce's host and not about the client's request.
func respond(resp *http.Response) error {
	ex := exchangeOf(resp.Request.Context())
	h := resp.Header
	h.Del("Strict-Transport-Security") // it would bind the proxy's host name
	keepSetCookies(h, ex.path)
	if h.Get(requestIDHeader) == "" {
		h.Set(requestIDHeader, ex.id)
	}
	instance := ex.token.InstanceURL
	if location := h.Get("Location"); location != "" {
		h.Set("Location", moveLocation(location, instance, ex.public))
	}
	if isIdentity(ex.path) && resp.StatusCode == http.StatusOK && resp.Request.Method != http.MethodHead {
		return moveIdentity(resp, ex)
	}
	return nil
}

// moveLocation makes an absolute URL of the instance one of the proxy. Any
// other Location is returned as it is.
func moveLocation(location string, instance *url.URL, public string) string {
	origin := instance.Scheme + "://" + instance.Host
	if len(location) < len(origin) || !strings.EqualFold(location[:len(origin)], origin) {
		return location
	}
	rest := location[len(origin):]
	if rest != "" && !strings.ContainsAny(rest[:1], "/?#") {
		return location // a longer host name that begins like the instance's
	}
	return public + rest
}

// keepSetCookies drops Salesforce's cookies, but for CometD's, which lose the
// attributes that would make a client of the proxy not send them back. A session
// never passes.
func keepSetCookies(h http.Header, path string) {
	cookies := h["Set-Cookie"]
	if len(cookies) == 0 {
		return
	}
	if !within(path, "/cometd") {
		delete(h, "Set-Cookie")
		return
	}
	cookies = slices.DeleteFunc(cookies, func(cookie string) bool { return cookieName(cookie) == "sid" })
	h["Set-Cookie"] = cookies
	for i, cookie := range cookies {
		var kept []string
		for part := range strings.SplitSeq(cookie, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "domain", "secure", "samesite":
			default:
				kept = append(kept, part)
			}
		}
		cookies[i] = strings.Join(kept, ";")
	}
}

// cookieName returns the name, in lower case, that a cookie begins with.
func cookieName(cookie string) string {
	name, _, _ := strings.Cut(cookie, "=")
	return strings.ToLower(strings.TrimSpace(name))
}

// maxIdentity bounds an identity document, in bytes; a real one has about 3 KiB.
const maxIdentity = 1 << 20

// moveIdentity makes the instance's URLs in an identity document, which clients
// follow, the proxy's.
func moveIdentity(resp *http.Response, ex *exchange) error {
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxIdentity+1))
	resp.Body.Close()
	if err != nil {
		return fmt.Errorf("reading the identity document: %w", err)
	}
	if len(document) > maxIdentity {
		return fmt.Errorf("the identity document is larger than %d bytes", maxIdentity)
	}
	instance := ex.token.InstanceURL.Scheme + "://" + ex.token.InstanceURL.Host
	document = bytes.ReplaceAll(document, []byte(instance+"/"), []byte(ex.public+"/"))
	if identity, err := url.Parse(ex.token.IdentityURL); err == nil && identity.Host != "" {
		document = bytes.ReplaceAll(document, []byte(`"`+ex.token.IdentityURL+`"`), []byte(`"`+ex.public+identity.Path+`"`))
	}
	resp.Body = io.NopCloser(bytes.NewReader(document))
	resp.ContentLength = int64(len(document))
	resp.Header.Set("Content-Length", strconv.Itoa(len(document)))
	return nil
}
