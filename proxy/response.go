package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// respond changes the few things in Salesforce's answer that are about
// Salesforce's host and not about the client's request.
func (p *Proxy) respond(resp *http.Response) error {
	ex := exchangeOf(resp.Request.Context())
	h := resp.Header
	if here, ok := resp.Body.(interface{ Whole() (int64, bool) }); ok && resp.ContentLength < 0 && len(resp.Trailer) == 0 {
		if length, whole := here.Whole(); whole {
			resp.ContentLength = length // so that it is written at once
		}
	}
	h.Del("Strict-Transport-Security") // it would bind the proxy's host name
	keepSetCookies(h, ex.path)
	dropCORS(h)
	if h.Get(requestIDHeader) == "" {
		h.Set(requestIDHeader, ex.id)
	}
	ex.closeEarly(h)
	if resp.ContentLength < 0 {
		ex.passOnInTime(resp)
		resp.Body = &streamed{resp.Body, resp, ex}
	}
	p.noteUsage(resp, ex)
	instance := ex.token.InstanceURL
	if location := h.Get("Location"); location != "" {
		h.Set("Location", moveLocation(location, instance, p.public(ex.inbound)))
	}
	if hasLinks(ex.path) && resp.StatusCode == http.StatusOK && resp.Request.Method != http.MethodHead {
		if err := p.moveLinks(resp, ex); err != nil {
			return err
		}
	}
	ex.streams = resp.ContentLength < 0
	return nil
}

// closeEarly ends the client's connection after an answer that comes before the
// whole request body was read. net/http's server cannot go on with such a
// connection in full duplex: its next request would be lost.
func (ex *exchange) closeEarly(h http.Header) {
	if ex.body != nil && !ex.bodyWhole && ex.inbound.ProtoMajor == 1 && !ex.body.over.Load() {
		h.Set("Connection", "close")
	}
}

// lengthUnknown is a ContentLength that ReverseProxy does not take for a reason to
// flush each piece of an answer.
const lengthUnknown = -2

// passOnInTime has the pieces of an answer passed on when no more of it is here,
// if its body tells when that is: until then they may be written together.
// ReverseProxy flushes the others after each piece, and events anyway.
func (ex *exchange) passOnInTime(resp *http.Response) {
	body, ok := resp.Body.(interface{ BeforeWait(func()) })
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if !ok || strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
		return
	}
	resp.ContentLength = lengthUnknown
	body.BeforeWait(ex.passOn)
}

// passOn writes what there is of an answer. What it fails with is told by the next
// write.
func (ex *exchange) passOn() {
	switch {
	case ex.recorder.status == 0: // the body is read to be changed
	case ex.writer.ResponseWriter != nil:
		ex.writer.FlushError()
	default:
		ex.recorder.FlushError()
	}
}

// passOnBroken writes what there is of an answer that broke off: a client that hears
// nothing of it may send the request again, as Java's does with a POST. One of
// HTTP/1.0 would take a part of it for all.
func (ex *exchange) passOnBroken() {
	if ex.recorder.status != 0 && ex.inbound.ProtoAtLeast(1, 1) {
		ex.recorder.FlushError()
	}
}

// streamed is an answer's body whose length is not known. It notes its end, and
// keeps cookies out of the trailers, which are there by then.
type streamed struct {
	io.ReadCloser
	resp *http.Response
	ex   *exchange
}

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil {
		delete(s.resp.Trailer, "Set-Cookie")
		s.ex.answered.Store(err == io.EOF && len(s.resp.Trailer) == 0)
	}
	return n, err
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

const userInfoPath = "/services/oauth2/userinfo"

// versionRoot is the path of an API version's list of resources.
var versionRoot = regexp.MustCompile(`^/services/data/v[0-9]+\.[0-9]+$`)

// hasLinks reports whether the answer to a request of path is one of the few
// whose absolute URLs clients follow: they would go past the proxy, and take
// their credential with them.
func hasLinks(path string) bool {
	return isIdentity(path) || len(path) < len("/services/data/v000.00") && versionRoot.MatchString(path)
}

// maxLinks bounds a document with links, in bytes; real ones have about 3 KiB.
const maxLinks = 1 << 20

// moveLinks makes the absolute URLs of a document, those of the instance and
// the user's identity URL, the proxy's.
func (p *Proxy) moveLinks(resp *http.Response, ex *exchange) error {
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxLinks+1))
	resp.Body.Close()
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if len(document) > maxLinks {
		return fmt.Errorf("the answer is larger than %d bytes", maxLinks)
	}
	instance, public := ex.token.InstanceURL.Scheme+"://"+ex.token.InstanceURL.Host, p.public(ex.inbound)
	for _, end := range []string{"/", `"`} { // nothing that only begins like the instance
		document = bytes.ReplaceAll(document, []byte(instance+end), []byte(public+end))
	}
	identity, err := url.Parse(ex.token.IdentityURL)
	if err == nil && identity.Host != "" && ex.path != userInfoPath { // there it is the claim sub, which is a name and no link
		document = bytes.ReplaceAll(document, []byte(`"`+ex.token.IdentityURL+`"`), []byte(`"`+public+identity.Path+`"`))
	}
	resp.Body = io.NopCloser(bytes.NewReader(document))
	resp.ContentLength = int64(len(document))
	resp.Header.Set("Content-Length", strconv.Itoa(len(document)))
	return nil
}
