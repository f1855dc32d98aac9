package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf16"
)

const soapEnvelope = "http://schemas.xmlsoap.org/soap/envelope/"

// soapFault is a SOAP fault as Salesforce has them, for every SOAP API.
func soapFault(f fault) []byte {
	var message bytes.Buffer
	xml.EscapeText(&message, []byte(f.message))
	return fmt.Appendf(nil, xml.Header+
		`<soapenv:Envelope xmlns:soapenv="`+soapEnvelope+`" xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>`+
		`<faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring>`+
		`<detail><sf:UnexpectedErrorFault xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>%[1]s</sf:exceptionCode><sf:exceptionMessage>%[2]s</sf:exceptionMessage></sf:UnexpectedErrorFault></detail>`+
		`</soapenv:Fault></soapenv:Body></soapenv:Envelope>`, f.code, message.String())
}

// endSessionsHere answers SOAP logout() itself: the login behind the proxy is
// not one client's to end.
func (p *Proxy) endSessionsHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := exchangeOf(r.Context())
		// A class in Apex may have a logout() of its own.
		if ex.bodyWhole && within(ex.path, "/services/Soap") && !within(ex.path, "/services/Soap/class") {
			envelope := decode(ex.body.beginning(), r.Header.Get("Content-Encoding"), maxEnvelope)
			switch operation := soapOperation(envelope); operation.Local {
			case "logout":
				writeLogout(w, ex, operation.Space)
				return
			case "invalidateSessions":
				p.refuse(w, r, http.StatusForbidden, "PROXY_LOGIN_IS_SHARED",
					fmt.Errorf("invalidateSessions() would end the login that all clients share"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// maxEnvelope bounds, in bytes, the envelope that is looked at once it is unzipped.
const maxEnvelope = 1 << 20

// soapOperation returns the name of the element in a SOAP envelope's body, or
// an empty one if there is none to be found.
func soapOperation(envelope []byte) xml.Name {
	decoder := xml.NewDecoder(bytes.NewReader(inUTF8(envelope)))
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // names are ASCII
	inBody := false
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return xml.Name{}
		}
		switch element := token.(type) {
		case xml.StartElement:
			if inBody {
				return element.Name
			}
			depth++
			inBody = depth == 2 && element.Name.Space == soapEnvelope && element.Name.Local == "Body"
		case xml.EndElement:
			depth--
			inBody = false
		}
	}
}

// inUTF8 returns text that begins with the byte order mark of UTF-16 in UTF-8,
// and any other as it is.
func inUTF8(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	default:
		return text
	}
	var units []uint16
	for text = text[2:]; len(text) >= 2; text = text[2:] {
		units = append(units, order.Uint16(text))
	}
	return []byte(string(utf16.Decode(units)))
}

// writeLogout answers logout() with success. Namespaces other than Salesforce's
// get its partner one.
func writeLogout(w http.ResponseWriter, ex *exchange, namespace string) {
	if !strings.HasPrefix(namespace, "urn:") || strings.ContainsAny(namespace, `"<&`) {
		namespace = "urn:partner.soap.sforce.com"
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml;charset=UTF-8")
	h.Set(requestIDHeader, ex.id)
	fmt.Fprintf(w, xml.Header+`<soapenv:Envelope xmlns:soapenv="`+soapEnvelope+`" xmlns="%s"><soapenv:Body><logoutResponse/></soapenv:Body></soapenv:Envelope>`, namespace)
}
