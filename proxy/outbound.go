package proxy

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
)

// outbound returns req with the token, the token's instance and a body reader
// of its own. Its context is the inbound one: ReverseProxy's would pass interim
// responses on, 100 Continue to a client that did not ask for it among them.
func outbound(ctx context.Context, req *http.Request, ex *exchange) (*http.Request, error) {
	out := req.WithContext(ctx)
	target := *req.URL
	target.Scheme, target.Host = ex.token.InstanceURL.Scheme, ex.token.InstanceURL.Host
	out.URL, out.Host = &target, target.Host
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1 // of an HTTP/1.0 client's request it would not wait for 100 Continue
	out.Header = maps.Clone(req.Header)
	credential := ex.token.AccessToken.Reveal()
	out.Header["Authorization"] = []string{"Bearer " + credential}
	if within(ex.path, "/services/async") {
		out.Header["X-Sfdc-Session"] = []string{credential} // where Bulk API 1.0 looks
	}
	out.Body, out.GetBody = nil, nil
	if ex.body == nil {
		return out, nil
	}
	return out, attachBody(out, ex)
}

// attachBody gives out the exchange's body. GetBody lets net/http send a
// request again that died with an idle connection before a byte was written.
func attachBody(out *http.Request, ex *exchange) error {
	out.Trailer = ex.inbound.Trailer // filled when the body ends, see body.end
	if ex.bodyWhole && len(out.Trailer) == 0 {
		out.ContentLength, out.TransferEncoding = ex.body.size(), nil
	}
	if !ex.bodyWhole {
		// Ask first, so that a refused token costs no upload.
		out.Header["Expect"] = []string{"100-continue"}
	}
	if out.ContentLength == 0 {
		return nil
	}
	out.GetBody = func() (io.ReadCloser, error) { return bodyWith(ex, "") }
	if e := ex.envelope; e != nil {
		session := e.with(ex.token.AccessToken.Reveal())
		if out.ContentLength > 0 {
			out.ContentLength += int64(len(session) - (e.end - e.start))
		}
		out.GetBody = func() (io.ReadCloser, error) { return bodyWith(ex, session) }
	}
	var err error
	out.Body, err = out.GetBody()
	return err
}

// bodyWith starts an attempt to send the exchange's body, with session in its
// place if the body is an envelope.
func bodyWith(ex *exchange, session string) (io.ReadCloser, error) {
	if ex.envelope == nil {
		return ex.body.reader(0)
	}
	rest, err := ex.body.reader(ex.envelope.end)
	if err != nil {
		return nil, err
	}
	head := ex.body.beginning()[:ex.envelope.start]
	return &peeked{Reader: io.MultiReader(bytes.NewReader(head), strings.NewReader(session), rest), Closer: rest}, nil
}
