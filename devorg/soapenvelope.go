package devorg

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
)

const soapNamespace = "http://schemas.xmlsoap.org/soap/envelope/"

// An envelope is a SOAP request that has been read, of which nothing is believed yet.
type envelope struct{ root *node }

// readEnvelope reads a whole request by namespace, not by prefix.
func readEnvelope(data []byte) (*envelope, error) {
	root, err := readXML(data)
	if err != nil {
		return nil, err
	}
	if root.name != (xml.Name{Space: soapNamespace, Local: "Envelope"}) {
		return nil, errors.New("the root is not an Envelope of SOAP 1.1")
	}
	return &envelope{root}, nil
}

func (e *envelope) part(local string) []*node {
	return e.root.named(xml.Name{Space: soapNamespace, Local: local})
}

// sessionID is the text of the one sessionId in the header; empty means there is none.
func (e *envelope) sessionID(namespace string) (string, error) {
	var found []*node
	for _, header := range e.part("Header") {
		for _, session := range header.named(xml.Name{Space: namespace, Local: "SessionHeader"}) {
			found = append(found, session.named(xml.Name{Space: namespace, Local: "sessionId"})...)
		}
	}
	if len(found) > 1 {
		return "", errors.New("there is more than one sessionId")
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0].text, nil
}

// operation returns the one element of the one body.
func (e *envelope) operation() (*node, error) {
	bodies := e.part("Body")
	if len(bodies) != 1 || len(bodies[0].children) != 1 {
		return nil, errors.New("there must be one Body with one element")
	}
	if len(e.part("Header"))+1 < len(e.root.children) {
		return nil, errors.New("there must be nothing but Header and Body")
	}
	if len(e.part("Header")) > 1 || (len(e.root.children) == 2 && e.root.children[1] != bodies[0]) {
		return nil, errors.New("there must be one Header at most, before the Body")
	}
	return bodies[0].children[0], nil
}

// soapOptions are what the headers besides the session's ask for.
type soapOptions struct {
	batchSize int // 0 means none was asked for
	allOrNone bool
}

// idleHeaders are understood and change nothing: there are no rules, mails, packages or
// territories here that they could be about.
var idleHeaders = []string{
	"AssignmentRuleHeader", "CallOptions", "DebuggingHeader", "DisableFeedTrackingHeader", "DuplicateRuleHeader",
	"EmailHeader", "LimitInfoHeader", "LocaleOptions", "MruHeader", "OwnerChangeOptions", "PackageVersionHeader",
	"SessionHeader", "StreamingEnabledHeader", "UserTerritoryDeleteHeader",
}

// options reads the headers. One of the API's that is unknown, and one of another
// namespace that must be understood, is refused.
func (e *envelope) options(namespace string) (soapOptions, *apiError) {
	var options soapOptions
	seen := make(map[xml.Name]bool)
	for _, header := range e.part("Header") {
		for _, entry := range header.children {
			invalid := badRequest("INVALID_SOAP_HEADER", "the header %s cannot be used", entry.name.Local)
			must := entry.attr(soapNamespace, "mustUnderstand")
			if entry.name.Space != namespace {
				if must == "1" {
					return options, invalid
				}
				continue
			}
			if seen[entry.name] {
				return options, invalid
			}
			seen[entry.name] = true
			if slices.Contains(idleHeaders, entry.name.Local) {
				continue
			}
			if failure := options.set(entry, invalid); failure != nil {
				return options, failure
			}
		}
	}
	return options, nil
}

func (o *soapOptions) set(entry *node, invalid *apiError) *apiError {
	if len(entry.children) > 1 {
		return invalid
	}
	for _, child := range entry.children {
		name := child.name
		if name.Space != entry.name.Space {
			return invalid
		}
		switch {
		case entry.name.Local == "QueryOptions" && name.Local == "batchSize":
			size, failure := pageOf(child.text)
			if failure != nil {
				return failure
			}
			o.batchSize = size
		case entry.name.Local == "AllOrNoneHeader" && name.Local == "allOrNone" && child.boolean():
			o.allOrNone = child.text == "true" || child.text == "1"
		default:
			return invalid
		}
	}
	if entry.name.Local != "QueryOptions" && entry.name.Local != "AllOrNoneHeader" {
		return invalid
	}
	return nil
}

func (n *node) boolean() bool { return slices.Contains([]string{"true", "false", "1", "0"}, n.text) }

// soapBody is the request's body without its content coding.
func soapBody(r *http.Request) ([]byte, *apiError) {
	body, failure := requestBody(r)
	if failure != nil {
		return nil, badRequest("UNKNOWN_EXCEPTION", "%s", failure.Message)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxSOAP+1))
	if err != nil {
		return nil, badRequest("UNKNOWN_EXCEPTION", "the request cannot be read")
	}
	if len(data) > maxSOAP {
		return nil, badRequest("EXCEEDED_MAX_SIZE_REQUEST", "the request is longer than %d bytes", maxSOAP)
	}
	return data, nil
}
