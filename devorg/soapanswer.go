package devorg

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// writeSOAP answers with an envelope. The header may be empty; sf is the namespace of the
// prefix that records and faults have.
func writeSOAP(w http.ResponseWriter, status int, namespace, sf, header, body string) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	if header != "" {
		header = "<soapenv:Header>" + header + "</soapenv:Header>"
	}
	io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="`+soapNamespace+
		`" xmlns="`+namespace+`" xmlns:sf="`+sf+`" xmlns:xsi="`+schemaInstance+`">`+header+
		`<soapenv:Body>`+body+`</soapenv:Body></soapenv:Envelope>`)
}

// faultNamespace is urn:fault.… for the APIs that have one of their own.
func faultNamespace(namespace string) string {
	if rest, isURN := strings.CutPrefix(namespace, "urn:"); isURN {
		return "urn:fault." + rest
	}
	return namespace
}

// faultTypes are the faults with a type of their own.
var faultTypes = map[string]string{
	"INVALID_FIELD":         "InvalidFieldFault",
	"INVALID_ID_FIELD":      "InvalidIdFault",
	"INVALID_QUERY_LOCATOR": "InvalidQueryLocatorFault",
	"INVALID_TYPE":          "InvalidSObjectFault",
	"MALFORMED_ID":          "InvalidIdFault",
	"MALFORMED_QUERY":       "MalformedQueryFault",
}

var queryPosition = regexp.MustCompile(`ERROR at Row:(\d+):Column:(\d+)`)

// writeSOAPFault words an error as SOAP has it. The detail is what lets clients renew a
// session; the fault comes with a 500.
func writeSOAPFault(w http.ResponseWriter, namespace, code, message string) {
	kind, place := faultTypes[code], ""
	switch kind {
	case "":
		kind = "UnexpectedErrorFault"
	case "InvalidFieldFault", "InvalidSObjectFault", "MalformedQueryFault":
		row, column := "-1", "-1"
		if at := queryPosition.FindStringSubmatch(message); at != nil {
			row, column = at[1], at[2]
		}
		place = "<sf:row>" + row + "</sf:row><sf:column>" + column + "</sf:column>"
	}
	writeSOAP(w, http.StatusInternalServerError, namespace, faultNamespace(namespace), "", fmt.Sprintf(
		`<soapenv:Fault><faultcode>sf:%[1]s</faultcode><faultstring>%[1]s: %[2]s</faultstring><detail>`+
			`<sf:%[3]s xsi:type="sf:%[3]s"><sf:exceptionCode>%[1]s</sf:exceptionCode>`+
			`<sf:exceptionMessage>%[2]s</sf:exceptionMessage>%[4]s</sf:%[3]s></detail></soapenv:Fault>`,
		code, escapeXML(message), kind, place))
}

// writeClientFault is for what never gets as far as the API.
func writeClientFault(w http.ResponseWriter, status int, namespace, message string) {
	var b xmlText
	b.leaf("faultstring", message)
	writeSOAP(w, status, namespace, faultNamespace(namespace), "",
		`<soapenv:Fault><faultcode>soapenv:Client</faultcode>`+b.String()+`</soapenv:Fault>`)
}

// writeLoginGone answers login(), which Salesforce ends in June 2027. What it will say then
// is not known: this is the fault of an org in which login() is switched off.
func writeLoginGone(w http.ResponseWriter, namespace string) {
	writeSOAPFault(w, namespace, "INVALID_OPERATION",
		"SOAP API login() is disabled by default in this org. Use OAuth instead.")
}
