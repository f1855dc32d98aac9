package devorg

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
)

const (
	soapNamespace    = "http://schemas.xmlsoap.org/soap/envelope/"
	partnerNamespace = "urn:partner.soap.sforce.com"
	maxSOAP          = 50 << 20 // bytes
)

// soapNamespaces are those of each API, by the path segment after /services/Soap/.
var soapNamespaces = map[string]string{
	"u": partnerNamespace,
	"c": "urn:enterprise.soap.sforce.com",
	"m": "http://soap.sforce.com/2006/04/metadata",
	"T": "urn:tooling.soap.sforce.com",
	"s": "http://soap.sforce.com/2006/08/apex",
}

// An envelope is what the org needs to know of a SOAP request.
type envelope struct {
	sessionID string
	operation xml.Name
}

// serveSOAP answers for SOAP, of which there are two calls: getUserInfo and logout.
func (o *Org) serveSOAP(w http.ResponseWriter, r *http.Request, h *host) {
	api, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/services/Soap/"), "/")
	namespace, known := soapNamespaces[api]
	if !known || r.Method != http.MethodPost {
		http.Error(w, "URL No Longer Exists", http.StatusNotFound)
		return
	}
	body, failure := requestBody(r)
	if failure != nil {
		writeSOAPFault(w, namespace, "UNKNOWN_EXCEPTION", failure.Message)
		return
	}
	request, err := readEnvelope(io.LimitReader(body, maxSOAP), namespace)
	if err != nil {
		writeSOAPFault(w, namespace, "UNKNOWN_EXCEPTION", "the envelope cannot be read: "+err.Error())
		return
	}
	session, live := o.authenticateToken(request.sessionID, h)
	if !live {
		writeSOAPFault(w, namespace, "INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
		return
	}
	switch {
	case request.operation == xml.Name{Space: namespace, Local: "getUserInfo"}:
		writeSOAP(w, http.StatusOK, namespace, o.soapUserInfo(session.user))
	case request.operation == xml.Name{Space: namespace, Local: "logout"}:
		o.stats.forbidden.Add(1)
		o.sessions.end(request.sessionID)
		writeSOAP(w, http.StatusOK, namespace, "<logoutResponse/>")
	default:
		writeSOAPFault(w, namespace, "INVALID_OPERATION", "no operation available for request "+request.operation.Local)
	}
}

// readEnvelope goes through the whole request by namespace, not by prefix.
func readEnvelope(r io.Reader, namespace string) (*envelope, error) {
	decoder := xml.NewDecoder(r)
	session := []xml.Name{{Space: soapNamespace, Local: "Envelope"}, {Space: soapNamespace, Local: "Header"},
		{Space: namespace, Local: "SessionHeader"}, {Space: namespace, Local: "sessionId"}}
	found := &envelope{}
	var path []xml.Name
	sessions := 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("a DTD is not allowed")
		case xml.StartElement:
			path = append(path, t.Name)
			if len(path) == 3 && path[1] == (xml.Name{Space: soapNamespace, Local: "Body"}) && found.operation.Local == "" {
				found.operation = t.Name
			}
			if samePath(path, session) {
				if sessions++; sessions > 1 {
					return nil, errors.New("there is more than one sessionId")
				}
			}
		case xml.CharData:
			if samePath(path, session) {
				found.sessionID += string(t)
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}

func samePath(a, b []xml.Name) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func writeSOAP(w http.ResponseWriter, status int, namespace, body string) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="%s" xmlns="%s" `+
		`xmlns:sf="%s" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`,
		soapNamespace, namespace, faultNamespace(namespace), body)
}

// faultNamespace is urn:fault.… for the APIs that have one of their own.
func faultNamespace(namespace string) string {
	if rest, isURN := strings.CutPrefix(namespace, "urn:"); isURN {
		return "urn:fault." + rest
	}
	return namespace
}

// writeSOAPFault words an error as SOAP has it. The detail is what lets clients renew a
// session; the fault comes with a 500.
func writeSOAPFault(w http.ResponseWriter, namespace, code, message string) {
	message = html.EscapeString(message)
	writeSOAP(w, http.StatusInternalServerError, namespace, fmt.Sprintf(
		`<soapenv:Fault><faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring><detail>`+
			`<sf:UnexpectedErrorFault xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>%[1]s</sf:exceptionCode>`+
			`<sf:exceptionMessage>%[2]s</sf:exceptionMessage></sf:UnexpectedErrorFault></detail></soapenv:Fault>`, code, message))
}

func (o *Org) soapUserInfo(u *user) string {
	name := html.EscapeString(u.name)
	return fmt.Sprintf(`<getUserInfoResponse><result><accessibilityMode>false</accessibilityMode>`+
		`<currencySymbol>$</currencySymbol><orgAttachmentFileSizeLimit>5242880</orgAttachmentFileSizeLimit>`+
		`<orgDefaultCurrencyIsoCode>USD</orgDefaultCurrencyIsoCode><orgDisallowHtmlAttachments>false</orgDisallowHtmlAttachments>`+
		`<orgHasPersonAccounts>false</orgHasPersonAccounts><organizationId>%s</organizationId>`+
		`<organizationMultiCurrency>false</organizationMultiCurrency><organizationName>devorg</organizationName>`+
		`<profileId>%s</profileId><roleId xsi:nil="true"/><sessionSecondsValid>%.0f</sessionSecondsValid>`+
		`<userDefaultCurrencyIsoCode xsi:nil="true"/><userEmail>%s</userEmail><userFullName>%s</userFullName><userId>%s</userId>`+
		`<userLanguage>en_US</userLanguage><userLocale>en_US</userLocale><userName>%s</userName><userTimeZone>GMT</userTimeZone>`+
		`<userType>Standard</userType><userUiSkin>Theme3</userUiSkin></result></getUserInfoResponse>`,
		o.id, newID("00e", 1), o.cfg.TokenTTL.Seconds(), name, name, u.id, name)
}
