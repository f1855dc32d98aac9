package proxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sfproxy/sfproxy/quota"
)

var errQueue = errors.New("ConcurrentRequests (Concurrent API Requests) Limit exceeded. (by sfproxy: as many requests of its clients run as SF_MAX_CONCURRENT allows, and no place came free within SF_QUEUE_TIMEOUT)")

// spendsRequests reports whether a request counts among the org's API requests.
// The list of versions does not, nor what is about the login, and the streaming
// API, whose polls stay open, has limits of its own.
func spendsRequests(path string) bool {
	return within(path, "/services") && path != "/services/data" && !within(path, "/services/oauth2")
}

// ration keeps clients to what they leave of the org's API requests to others,
// and lets so many of the org's requests run at a time. What it refuses has
// the shape of Salesforce's own refusal, which apps know how to wait after.
func (p *Proxy) ration(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if spendsRequests(exchangeOf(r.Context()).path) {
			if !p.leavesReserve(w, r) {
				return
			}
			if p.cfg.Queue != nil {
				if !p.waitTurn(w, r) {
					return
				}
				defer p.cfg.Queue.Release()
			}
		}
		next(w, r)
	}
}

// leavesReserve reports whether a request leaves to others what it has to, or
// refuses it.
func (p *Proxy) leavesReserve(w http.ResponseWriter, r *http.Request) bool {
	client := exchangeOf(r.Context()).client
	ok, again := p.cfg.Usage.Allows(client.Reserve, time.Now())
	if !ok {
		p.refuseRequest(w, r, &client.running.reserved, "PROXY_API_RESERVE", errReserved(p.cfg.Usage.Scarcest(), client.Reserve), again)
	}
	return ok
}

// waitTurn waits for a place among the org's requests. Without one it has
// answered.
func (p *Proxy) waitTurn(w http.ResponseWriter, r *http.Request) bool {
	client := exchangeOf(r.Context()).client
	ctx, cancel := context.WithTimeout(r.Context(), p.cfg.QueueTimeout)
	defer cancel()
	switch err := p.cfg.Queue.Acquire(ctx, client.Name); {
	case err == nil:
		return true
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has left: it must not take silence for a 200
	}
	p.refuseRequest(w, r, &client.running.unplaced, "PROXY_MAX_CONCURRENT", errQueue, time.Second)
	return false
}

func errReserved(last quota.Reading, reserve quota.Reserve) error {
	return fmt.Errorf("TotalRequests Limit exceeded. (by sfproxy: %d of %d API requests of 24 hours are left, and this client leaves %s to others, as PROXY_API_RESERVE or the client's own says)",
		last.Left(), last.Limit, reserve)
}

// refuseRequest answers as an org does that has no more requests to give, and
// tells the log once a minute: a job that runs away does not wait. code is ours.
func (p *Proxy) refuseRequest(w http.ResponseWriter, r *http.Request, notice *Notice, code string, reason error, retryAfter time.Duration) {
	ex := exchangeOf(r.Context())
	if refused, due := notice.Due(); due {
		p.logger.Warn("requests are refused for the sake of other clients", "client", ex.client.Name, "rule", ruleOf(code), "refused", refused, "reason", reason.Error())
	}
	f := &fault{status: http.StatusForbidden, code: "REQUEST_LIMIT_EXCEEDED", own: code, message: reason.Error(), reason: reason, told: true, retryAfter: retryAfter}
	if within(ex.path, "/services/async") {
		f.status, f.code = http.StatusBadRequest, "ExceededQuota" // Bulk API 1.0's clients know a closed list of codes
	}
	p.refuse(w, r, f)
}

// noteUsage takes over what an answer tells of the org's API requests. SOAP tells
// it at the beginning of the envelope, which is seen as it passes.
func (p *Proxy) noteUsage(resp *http.Response, ex *exchange) {
	info := resp.Header["Sforce-Limit-Info"]
	if len(info) > 0 {
		org, app := quota.ParseLimitInfo(info[0])
		p.cfg.Usage.Note(org, app, time.Now())
	} else if ex.seen.Family == FamilySOAP && resp.StatusCode == http.StatusOK {
		resp.Body = &envelopeUsage{ReadCloser: resp.Body, usage: p.cfg.Usage, zipped: resp.Header.Get("Content-Encoding") == "gzip"}
	}
	// The REST APIs say that a request counts by telling of the usage.
	ex.seen.Counted = len(info) > 0 || ex.seen.Family == FamilySOAP || ex.seen.Family == FamilyBulk
}

// envelopeUsage reads the usage off the first bytes of an envelope that a reader
// gets, and leaves them as they are.
type envelopeUsage struct {
	io.ReadCloser
	usage  *quota.Usage
	zipped bool
	seen   bool
}

func (e *envelopeUsage) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	if n > 0 && !e.seen {
		e.seen = true
		org, app := quota.ParseLimitInfoHeader(e.beginning(b[:n]))
		e.usage.Note(org, app, time.Now())
	}
	return n, err
}

// beginning returns the envelope's beginning as text: the header is in it, since
// it stands before the body.
func (e *envelopeUsage) beginning(b []byte) []byte {
	const enough = 2 << 10 // bytes
	if !e.zipped {
		return b[:min(len(b), enough)]
	}
	text, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	head := make([]byte, enough)
	n, _ := io.ReadFull(text, head) // an error is that there is no more
	return head[:n]
}
