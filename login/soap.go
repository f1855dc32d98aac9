package login

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

const (
	nsEnvelope   = "http://schemas.xmlsoap.org/soap/envelope/"
	nsPartner    = "urn:partner.soap.sforce.com"
	nsEnterprise = "urn:enterprise.soap.sforce.com"
)

// maxEnvelope bounds the envelope of a login() or logout(), in bytes.
const maxEnvelope = 64 << 10

// endpoint is what the path of a SOAP request says.
type endpoint struct {
	letter  string // "u" for the partner API, "c" for the enterprise one
	version string // such as "60.0"
	// packages is "/" and the id of a set of package versions, which the URL of
	// an enterprise WSDL may end in; "" for none.
	packages string
}

// salesforceNamespace are those of Salesforce's SOAP APIs.
var salesforceNamespace = regexp.MustCompile(`^(urn:[a-z]+\.soap\.sforce\.com|http://soap\.sforce\.com/[0-9/a-z]+)$`)

var (
	endpointPath    = regexp.MustCompile(`^/services/Soap/([uc])/([0-9]{2,3})(\.0)?(/.*)?$`)
	packageVersions = regexp.MustCompile(`/0DF[0-9A-Za-z]{12}([0-9A-Za-z]{3})?$`)
)

func parseEndpoint(path string) (endpoint, error) {
	m := endpointPath.FindStringSubmatch(path)
	if m == nil || m[2] < "20" && len(m[2]) == 2 {
		return endpoint{letter: "u", version: "60.0"}, errors.New("login() is at /services/Soap/u/VERSION or /services/Soap/c/VERSION, from version 20.0")
	}
	at := endpoint{letter: m[1], version: m[2] + ".0"}
	if at.letter == "c" {
		at.packages = packageVersions.FindString(m[4])
	}
	return at, nil
}

// namespace is that of the API's elements.
func (e endpoint) namespace() string {
	if e.letter == "c" {
		return nsEnterprise
	}
	return nsPartner
}

// envelope is a login() or a logout(), by namespace and not by prefix. The
// namespace says partner or enterprise as the path does; where they differ
// Salesforce goes by the path, and a client by what it was built from: both
// are read.
type envelope struct {
	XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
	Header  struct {
		Session *sessionHeader `xml:"SessionHeader"`
	} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Header"`
	Body struct {
		PartnerLogin    *credentials `xml:"urn:partner.soap.sforce.com login"`
		EnterpriseLogin *credentials `xml:"urn:enterprise.soap.sforce.com login"`
		Logout          *struct {
			XMLName xml.Name
		} `xml:"logout"`
	} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
}

type sessionHeader struct {
	SessionID string `xml:"sessionId"`
}

type credentials struct {
	Username string `xml:"username"`
	Password string `xml:"password"`
}

var errEnvelope = errors.New("the request is not a SOAP envelope with one login or logout in the API's namespace")

// parseEnvelope reads an envelope. Document type declarations are refused, and
// with them entities of the sender's own.
func parseEnvelope(text []byte) (*envelope, error) {
	for d := newDecoder(text); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if _, ok := token.(xml.Directive); ok || err != nil {
			return nil, errEnvelope
		}
	}
	var e envelope
	if err := newDecoder(text).Decode(&e); err != nil {
		return nil, errEnvelope
	}
	return &e, nil
}

func newDecoder(text []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "us-ascii", "ascii":
			return r, nil
		case "iso-8859-1", "latin1":
			return latin1(r)
		}
		return nil, errEnvelope
	}
	return d
}

// latin1 returns r, of which each byte is a character, in UTF-8.
func latin1(r io.Reader) (io.Reader, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxEnvelope))
	if err != nil {
		return nil, err
	}
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return strings.NewReader(string(runes)), nil
}

// ServeSOAP answers a login() or logout() whose envelope has been read. public
// is the proxy's origin as the client knows it.
func (l *Logins) ServeSOAP(w http.ResponseWriter, r *http.Request, public string, text []byte) {
	at, pathErr := parseEndpoint(r.URL.Path)
	e, err := parseEnvelope(text)
	if err != nil {
		writeFault(w, at, soapFault{"INVALID_OPERATION", err.Error(), "UnexpectedErrorFault"})
		return
	}
	if e.Body.Logout != nil { // at every SOAP API
		l.soapLogout(w, r, at, e)
		return
	}
	if pathErr != nil {
		writeFault(w, at, soapFault{"INVALID_OPERATION", pathErr.Error(), "UnexpectedErrorFault"})
		return
	}
	switch {
	case e.Body.PartnerLogin != nil:
		l.soapLogin(w, r, at, public, e.Body.PartnerLogin)
	case e.Body.EnterpriseLogin != nil:
		l.soapLogin(w, r, at, public, e.Body.EnterpriseLogin)
	default:
		writeFault(w, at, soapFault{"INVALID_OPERATION", errEnvelope.Error(), "UnexpectedErrorFault"})
	}
}

func (l *Logins) soapLogin(w http.ResponseWriter, r *http.Request, at endpoint, public string, c *credentials) {
	attempt := Attempt{How: "soap"}
	account, err := l.authenticate(w, r, &attempt, c.Username, func() (*Account, error) {
		return byPassword(l.accounts(), c.Username, c.Password)
	})
	if err != nil {
		writeFault(w, at, loginFault(w, err))
		return
	}
	who, err := l.userOf(w, r, &attempt, account, at.version)
	if err != nil {
		writeFault(w, at, soapFault{"SERVER_UNAVAILABLE", unavailable(err), "UnexpectedErrorFault"})
		return
	}
	var b bytes.Buffer
	service := public + "/services/Soap/"
	fmt.Fprintf(&b, `<loginResponse><result><metadataServerUrl>%sm/%s/%s</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>%t</sandbox>`,
		service, at.version, who.orgID, who.sandbox)
	fmt.Fprintf(&b, `<serverUrl>%s%s/%s/%s%s</serverUrl><sessionId>%s</sessionId><userId>%s</userId><userInfo>`,
		service, at.letter, at.version, who.orgID, at.packages, l.issue(account, who), who.userID)
	who.write(&b, l.cfg.TTL)
	b.WriteString(`</userInfo></result></loginResponse>`)
	writeEnvelope(w, http.StatusOK, at.namespace(), "", b.Bytes())
}

func (l *Logins) soapLogout(w http.ResponseWriter, r *http.Request, at endpoint, e *envelope) {
	header := e.Header.Session
	if header == nil {
		writeFault(w, at, invalidSession)
		return
	}
	// An API key in the session's place cannot be logged out, and need not be.
	if strings.Contains(header.SessionID, "!") {
		ended, err := l.sessions.end(strings.TrimSpace(header.SessionID))
		if err != nil {
			writeFault(w, at, invalidSession)
			return
		}
		l.tell(w, r, Attempt{Logout: true, How: "soap", Client: ended.client, Outcome: OK})
	}
	namespace := at.namespace()
	if space := e.Body.Logout.XMLName.Space; salesforceNamespace.MatchString(space) {
		namespace = space
	}
	writeEnvelope(w, http.StatusOK, namespace, "", []byte(`<logoutResponse/>`))
}

// issue returns a new session for an account.
func (l *Logins) issue(account *Account, who *user) string {
	orgID := who.orgID
	if len(orgID) > orgIDSize {
		orgID = orgID[:orgIDSize]
	}
	return l.sessions.issue(orgID, account.Client, account.fingerprint(l.sessions.key))
}

// soapFault is a SOAP fault in Salesforce's shape.
type soapFault struct{ code, message, kind string }

// invalidSession has the text that Salesforce's Java client takes as leave to
// log in again.
var invalidSession = soapFault{"INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session", "UnexpectedErrorFault"}

// loginFault says why a login was refused, as Salesforce does.
func loginFault(w http.ResponseWriter, err error) soapFault {
	if throttled, ok := errors.AsType[*throttledError](err); ok {
		setRetryAfter(w, throttled.wait)
		return soapFault{"LOGIN_RATE_EXCEEDED", err.Error(), "LoginFault"}
	}
	if errors.Is(err, errCredentials) {
		return soapFault{"INVALID_LOGIN", "Invalid username, password, security token; or user locked out.", "LoginFault"}
	}
	return soapFault{"INSUFFICIENT_ACCESS", err.Error(), "LoginFault"}
}

func writeFault(w http.ResponseWriter, at endpoint, f soapFault) {
	var message bytes.Buffer
	xml.EscapeText(&message, []byte(f.message))
	body := fmt.Appendf(nil, `<soapenv:Fault><faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring><detail><sf:%[3]s xsi:type="sf:%[3]s"><sf:exceptionCode>%[1]s</sf:exceptionCode><sf:exceptionMessage>%[2]s</sf:exceptionMessage></sf:%[3]s></detail></soapenv:Fault>`,
		f.code, message.String(), f.kind)
	status := http.StatusInternalServerError
	if f.code == "LOGIN_RATE_EXCEEDED" {
		status = http.StatusTooManyRequests
	}
	writeEnvelope(w, status, "", strings.Replace(at.namespace(), "urn:", "urn:fault.", 1), body)
}

// writeEnvelope writes an answer: without prefixes and attributes on what
// clients read, since some look for the bare tags.
func writeEnvelope(w http.ResponseWriter, status int, namespace, faultNamespace string, body []byte) {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="` + nsEnvelope + `"`)
	if namespace != "" {
		b.WriteString(` xmlns="` + namespace + `"`)
	}
	if faultNamespace != "" {
		b.WriteString(` xmlns:sf="` + faultNamespace + `"`)
	}
	b.WriteString(` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`)
	b.Write(body)
	b.WriteString(`</soapenv:Body></soapenv:Envelope>`)
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// unavailable says why there is no token for a login, and what to do.
func unavailable(err error) string {
	if hint := auth.Hint(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

func setRetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", fmt.Sprint(int((wait+time.Second-1)/time.Second)))
}
