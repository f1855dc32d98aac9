package proxy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// soapFault is a SOAP fault as Salesforce has them, for every SOAP API.
func soapFault(f *fault) []byte {
	var message bytes.Buffer
	xml.EscapeText(&message, []byte(f.message))
	return fmt.Appendf(nil, xml.Header+
		`<soapenv:Envelope xmlns:soapenv="`+soapEnvelope+`" xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>`+
		`<faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring>`+
		`<detail><sf:UnexpectedErrorFault xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>%[1]s</sf:exceptionCode><sf:exceptionMessage>%[2]s</sf:exceptionMessage></sf:UnexpectedErrorFault></detail>`+
		`</soapenv:Fault></soapenv:Body></soapenv:Envelope>`, f.code, message.String())
}

var (
	errShared     = errors.New("invalidateSessions() would end the login that all clients share")
	errSOAPMethod = errors.New("SOAP requests are POSTs")
	errSOAPCoded  = errors.New("the request has a Content-Encoding other than gzip or deflate, or is not what it says")
)

// readEnvelope reads the head of a SOAP request, where its session stands and
// the operation is named. Logins and logouts are answered here: they are about
// the client's session, and the login behind the proxy is nobody's to end.
func (p *Proxy) readEnvelope(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		switch {
		case !isSOAP(ex, r):
			next(w, r)
			return
		case r.Method != http.MethodPost:
			p.refuse(w, r, denial(http.StatusForbidden, "PROXY_METHOD_NOT_ALLOWED", errSOAPMethod))
			return
		}
		var err error
		if !p.boundUnknown(w, r, func() { err = p.keepEnvelope(ex, r) }) {
			return
		}
		if err != nil {
			p.refuse(w, r, denial(http.StatusBadRequest, "PROXY_BAD_ENVELOPE", err))
			return
		}
		switch ex.loginOperation() {
		case "login", "logout":
			p.answerLogin(w, r, ex)
		case "invalidateSessions":
			p.refuse(w, r, denial(http.StatusForbidden, "PROXY_LOGIN_IS_SHARED", errShared))
		default:
			next(w, r)
		}
	}
}

// isSOAP reports whether a request is one that a SOAP API is to answer.
func isSOAP(ex *exchange, r *http.Request) bool {
	return !ex.ambiguous && within(ex.path, "/services/Soap") && r.Method != http.MethodGet && r.Method != http.MethodHead
}

// loginOperation returns the name of the operation in the envelope if it may be
// about the client's login. A class in Apex may have a login() of its own.
func (ex *exchange) loginOperation() string {
	if within(ex.path, "/services/Soap/class") {
		return ""
	}
	return ex.envelope.operation.Local
}

// keepEnvelope takes over the body of a SOAP request and scans its head.
func (p *Proxy) keepEnvelope(ex *exchange, r *http.Request) error {
	if r.ContentLength == 0 || r.Body == nil {
		return errEnvelopeHead
	}
	source, err := decoded(r)
	if err != nil {
		return errSOAPCoded
	}
	ex.body = newBody(r, &envelopeTail{source: source}, max(p.cfg.ReplayBuffer, maxEnvelopeHead))
	ex.bodyWhole, err = ex.body.fill(r.ContentLength, maxEnvelopeHead)
	switch {
	case errors.Is(err, errAfterBody):
		return errAfterBody
	case err != nil:
		return errBrokenBody
	}
	ex.envelope, err = scanEnvelope(ex.body.beginning())
	return err
}

// decoded returns the body of a request without its content coding. A session
// cannot be replaced in a compressed one.
func decoded(r *http.Request) (io.Reader, error) {
	coding := strings.ToLower(r.Header.Get("Content-Encoding"))
	reader, err := uncoded(r.Body, coding)
	if coding != "" && coding != "identity" {
		r.Header.Del("Content-Encoding")
		r.Header.Del("Content-Length")
		r.ContentLength = -1
	}
	return reader, err
}

// answerLogin answers login() and logout().
func (p *Proxy) answerLogin(w http.ResponseWriter, r *http.Request, ex *exchange) {
	switch {
	case !ex.bodyWhole:
		p.refuse(w, r, denial(http.StatusBadRequest, "PROXY_BAD_ENVELOPE", errEnvelopeHead))
	case p.cfg.Logins != nil:
		w.Header().Set(requestIDHeader, ex.id)
		p.cfg.Logins.ServeSOAP(w, ex.forLogins(r), p.public(r), ex.body.beginning())
	case ex.envelope.operation.Local == "login":
		p.refuse(w, r, denial(http.StatusForbidden, loginOff, errLoginOff))
	default:
		writeLogout(w, ex, ex.envelope.operation.Space)
	}
}

// writeLogout answers logout() with success, where clients have API keys in
// the place of sessions. Namespaces other than Salesforce's get its partner one.
func writeLogout(w http.ResponseWriter, ex *exchange, namespace string) {
	if !strings.HasPrefix(namespace, "urn:") || strings.ContainsAny(namespace, `"<&`) {
		namespace = "urn:partner.soap.sforce.com"
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml;charset=UTF-8")
	h.Set(requestIDHeader, ex.id)
	fmt.Fprintf(w, xml.Header+`<soapenv:Envelope xmlns:soapenv="`+soapEnvelope+`" xmlns="%s"><soapenv:Body><logoutResponse/></soapenv:Body></soapenv:Envelope>`, namespace)
}

// soapFaultCode returns the code of a SOAP fault, without its prefix.
func soapFaultCode(answer []byte) string {
	var fault struct {
		Code string `xml:"Body>Fault>faultcode"` // whichever namespace it is in
	}
	if xml.Unmarshal(answer, &fault) != nil {
		return ""
	}
	return fault.Code[strings.LastIndex(fault.Code, ":")+1:]
}
