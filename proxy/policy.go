package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/sfproxy/sfproxy/policy"
)

// maxInspected is how much of a body a policy looks into, in bytes: a larger
// one is refused where a rule needs it.
const maxInspected = 1 << 20

var (
	errLargeBody = errors.New("its body has more than 1 MiB, which is as far as a policy looks: split it into several requests")
	errCodedBody = errors.New("its body has a Content-Encoding other than gzip, or is not what it says: send it as it is")
)

// anything is the policy of a client that has none.
var anything = &policy.Policy{}

// policyRequest returns a request as a policy looks at it.
func (p *Proxy) policyRequest(ex *exchange, r *http.Request) *policy.Request {
	request := &policy.Request{
		Method:     r.Method,
		Path:       ex.path,
		RawQuery:   ex.rawQuery,
		Header:     endToEnd(r.Header),
		HasBody:    r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody,
		Body:       func() ([]byte, error) { return p.wholeBody(ex, r) },
		Resolve:    p.resolve,
		ResolveAll: p.looksWithin,
	}
	if raised, _ := p.raisedPath(ex.rawPath); raised != "" {
		request.SentPath, _ = canonicalPath(raised) // one that cannot be raised is refused where it is
	}
	return request
}

// resolve returns the canonical form of the raw path of a request within a
// request, or why it is not forwarded.
func (p *Proxy) resolve(rawPath string) (string, error) {
	canonical, err := canonicalPath(rawPath)
	if err != nil {
		return "", err
	}
	if denied := p.judgePath(canonical); denied != nil {
		return "", denied.reason
	}
	return canonical, nil
}

// wholeBody takes over the request's body and returns it without its content
// coding.
func (p *Proxy) wholeBody(ex *exchange, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 || r.Body == nil {
		return nil, nil
	}
	if ex.body == nil {
		ex.body = newBody(r, r.Body, max(p.cfg.ReplayBuffer, maxInspected))
	}
	if !ex.bodyWhole {
		whole, err := ex.body.fill(r.ContentLength, maxInspected)
		switch {
		case err != nil:
			return nil, errBrokenBody
		case !whole:
			return nil, errLargeBody
		}
		ex.bodyWhole = true
	}
	coding := endToEnd(r.Header)["Content-Encoding"]
	switch {
	case len(coding) == 0 || len(coding) == 1 && strings.EqualFold(coding[0], "identity"):
		return ex.body.beginning(), nil
	case len(coding) == 1 && strings.EqualFold(coding[0], "gzip"):
		return unzip(ex.body.beginning())
	}
	return nil, errCodedBody
}

// unzip returns the one gzip member that text is.
func unzip(text []byte) ([]byte, error) {
	source := bytes.NewReader(text)
	reader, err := gzip.NewReader(source)
	if err != nil {
		return nil, errCodedBody
	}
	reader.Multistream(false)
	data, err := io.ReadAll(io.LimitReader(reader, maxInspected+1))
	switch {
	case len(data) > maxInspected:
		return nil, errLargeBody
	case err != nil || source.Len() > 0:
		return nil, errCodedBody
	}
	return data, nil
}
