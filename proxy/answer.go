package proxy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// errorHeader tells the proxy's own answers from Salesforce's.
const errorHeader = "X-SFProxy-Error"

// fault is an answer of the proxy's own, and why it is given.
type fault struct {
	status     int
	code       string        // begins with PROXY_, unless it is Salesforce's on purpose
	own        string        // code of ours where code is Salesforce's and the answer is about something else
	message    string        // what the client is told
	reason     error         // what the log is told
	rule       string        // that refuses the request; "" if it has failed
	limit      string        // that the request goes over; "" for none
	told       bool          // the log has a line that tells of it and of others like it
	retryAfter time.Duration // 0 for none
}

// ownCode returns what the proxy calls the fault, whatever it tells the app.
func (f *fault) ownCode() string { return cmp.Or(f.own, f.code) }

// fail answers a request that got no answer from Salesforce. It is
// ReverseProxy's ErrorHandler; r is the outbound request.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	ex := exchangeOf(r.Context())
	ex.fault = faultOf(err)
	ex.fault.reason = err
	switch {
	case ex.upload.isSlow(): // by which net/http's server takes the client for gone
		p.refuse(w, ex.inbound, denial(http.StatusRequestTimeout, "PROXY_TOO_SLOW", errTooSlow))
	case ex.inbound.Context().Err() != nil:
		// The client has left, or has only closed its half of the connection:
		// without an answer it must not take silence for a 200.
		panic(http.ErrAbortHandler)
	case ex.body != nil && ex.body.broken.Load():
		p.refuseBody(w, ex.inbound, ex.body)
	default:
		ex.seen.Failure = ex.fault.code
		writeFault(w, ex.inbound, ex.fault)
	}
}

// sessionFaultFor is what Salesforce answers to an expired session, so that the
// app's own way to log in again works.
func sessionFaultFor(path string) *fault {
	switch {
	case within(path, "/services/Soap"):
		return &fault{status: http.StatusInternalServerError, code: "INVALID_SESSION_ID", message: "Invalid Session ID found in SessionHeader: Illegal Session"}
	case within(path, "/services/async"):
		return &fault{status: http.StatusBadRequest, code: "InvalidSessionId", message: "Invalid session id"}
	case isIdentity(path):
		return &fault{status: http.StatusForbidden, code: "Bad_OAuth_Token"}
	}
	return &fault{status: http.StatusUnauthorized, code: "INVALID_SESSION_ID", message: "Session expired or invalid"}
}

// errJWTForSOAP is that the org issues tokens that its SOAP APIs do not take.
var errJWTForSOAP = errors.New("the org issues access tokens in JWT format, which SOAP does not take: turn off \"Issue JSON Web Token (JWT)-based access tokens\" in the app's OAuth settings")

// tokenError is that there was no token to send a request with.
type tokenError struct{ error }

func (e *tokenError) Unwrap() error { return e.error }

// faultOf says what an error of the transport means to the client. A refused
// grant is never a 401: some clients answer that by logging in for ever.
func faultOf(err error) *fault {
	if budget, ok := errors.AsType[*auth.BudgetError](err); ok {
		return &fault{status: http.StatusTooManyRequests, code: "PROXY_GRANT_BUDGET", message: budget.Error(), retryAfter: budget.RetryAfter}
	}
	if grant, ok := errors.AsType[*auth.GrantError](err); ok {
		message := grant.Error()
		if grant.Hint != "" {
			message += " (" + grant.Hint + ")"
		}
		if grant.Permanent {
			return &fault{status: http.StatusBadGateway, code: "PROXY_GRANT_REFUSED", message: message}
		}
		return &fault{status: http.StatusServiceUnavailable, code: "PROXY_GRANT_UNAVAILABLE", message: message, retryAfter: cmp.Or(grant.RetryAfter, 5*time.Second)}
	}
	if errors.Is(err, auth.ErrClosed) {
		return &fault{status: http.StatusServiceUnavailable, code: "PROXY_STOPPING", message: "the proxy is stopping", retryAfter: time.Second}
	}
	if _, ok := errors.AsType[*tokenError](err); ok {
		return &fault{status: http.StatusBadGateway, code: "PROXY_GRANT_REFUSED", message: err.Error()}
	}
	if errors.Is(err, errJWTForSOAP) {
		return &fault{status: http.StatusBadGateway, code: "PROXY_TOKEN_FORMAT", message: err.Error()}
	}
	return instanceFault(err)
}

// instanceFault is faultOf for what went wrong between us and the instance.
func instanceFault(err error) *fault {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &fault{status: http.StatusBadGateway, code: "PROXY_INSTANCE_UNTRUSTED",
			message: fmt.Sprintf("the instance's certificate is not trusted: %v (where a company proxy inspects TLS, set SF_CA_FILE to its CA certificate)", err)}
	}
	if _, ok := errors.AsType[*auth.PrivateAddressError](err); ok {
		return &fault{status: http.StatusBadGateway, code: "PROXY_INSTANCE_PRIVATE",
			message: fmt.Sprintf("the instance is not asked: %v (%s)", err, auth.ExplainTransport(err).Hint())}
	}
	operation, _ := errors.AsType[*net.OpError](err)
	switch {
	case operation != nil && operation.Op == "dial":
		return &fault{status: http.StatusServiceUnavailable, code: "PROXY_INSTANCE_UNREACHABLE",
			message: fmt.Sprintf("the instance cannot be reached: %v", err), retryAfter: 5 * time.Second}
	case operation != nil && operation.Op == "proxyconnect":
		return &fault{status: http.StatusServiceUnavailable, code: "PROXY_INSTANCE_UNREACHABLE",
			message: fmt.Sprintf("the instance cannot be reached: %v (%s)", err, auth.ExplainTransport(err).Hint()), retryAfter: 5 * time.Second}
	}
	var network net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
		return &fault{status: http.StatusGatewayTimeout, code: "PROXY_INSTANCE_TIMEOUT",
			message: "Salesforce did not answer in time; whether it has done what was asked is not known"}
	}
	return &fault{status: http.StatusBadGateway, code: "PROXY_INSTANCE_BROKE_OFF",
		message: fmt.Sprintf("the connection to the instance broke off: %v; whether Salesforce has done what was asked is not known", err)}
}

// writeFault writes f in the dialect of the API that the client speaks.
func writeFault(w http.ResponseWriter, r *http.Request, f *fault) {
	ex := exchangeOf(r.Context())
	status, contentType, body := f.status, "", []byte(nil)
	switch {
	case within(ex.path, "/services/Soap"):
		// SOAP 1.1 section 6.2: a fault has status 500, and clients insist.
		status, contentType, body = http.StatusInternalServerError, "text/xml;charset=UTF-8", soapFault(f)
	case within(ex.path, "/services/async"):
		contentType, body = bulkError(f, r.Header)
	case f.code == loginOff:
		contentType, body = oauthError(f)
	case isIdentity(ex.path) && f.message == "":
		contentType, body = "text/plain;charset=UTF-8", []byte(f.code)
	default:
		contentType, body = restError(f, r.Header)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(errorHeader, f.ownCode())
	h.Set(requestIDHeader, ex.id)
	if f.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.retryAfter+time.Second-1)/time.Second)))
	}
	ex.closeEarly(h)
	w.WriteHeader(status)
	w.Write(body)
}

// restError is the error of the REST APIs: JSON, or XML for who asks for it.
func restError(f *fault, h http.Header) (contentType string, body []byte) {
	one := restFault{Code: f.code, Message: f.message}
	if accept := h.Get("Accept"); strings.Contains(accept, "xml") && !strings.Contains(accept, "json") {
		return "application/xml;charset=UTF-8", marshalXML(struct {
			XMLName xml.Name    `xml:"Errors"`
			Faults  []restFault `xml:"Error"`
		}{Faults: []restFault{one}})
	}
	return "application/json;charset=UTF-8", marshalJSON([]restFault{one})
}

// bulkError is the error of Bulk API 1.0: XML, or JSON for who sends JSON.
func bulkError(f *fault, h http.Header) (contentType string, body []byte) {
	one := struct {
		XMLName xml.Name `xml:"http://www.force.com/2009/06/asyncapi/dataload error" json:"-"`
		Code    string   `xml:"exceptionCode" json:"exceptionCode"`
		Message string   `xml:"exceptionMessage" json:"exceptionMessage"`
	}{Code: f.code, Message: f.message}
	if strings.Contains(h.Get("Content-Type"), "json") || strings.Contains(h.Get("Accept"), "json") {
		return "application/json;charset=UTF-8", marshalJSON(one)
	}
	return "application/xml;charset=UTF-8", marshalXML(one)
}

// marshalJSON leaves "<" and "&" as people read them: no browser takes the
// answer for HTML, since its type is told and not to be guessed.
func marshalJSON(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func marshalXML(v any) []byte {
	body, _ := xml.Marshal(v)
	return append([]byte(xml.Header), body...)
}
