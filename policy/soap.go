package policy

import (
	"net/http"
	"slices"
	"strings"
)

// soapReads are the operations of each SOAP API, by the letter in the path,
// that change nothing. Those of the Apex API compile or run code.
var soapReads = map[string]map[string]bool{
	"u": dataReads, "c": dataReads, "t": dataReads,
	"m": names("describeMetadata", "describeValueType", "listMetadata", "readMetadata", "retrieve", "checkStatus", "checkRetrieveStatus", "checkDeployStatus"),
}

var dataReads = names("query", "queryAll", "queryMore", "search", "retrieve",
	"getUserInfo", "getServerTimestamp", "getDeleted", "getUpdated")

func names(list ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range list {
		set[name] = true
	}
	return set
}

// soapNamespaces are those of the operations of each SOAP API.
var soapNamespaces = map[string]string{
	"u": "urn:partner.soap.sforce.com", "c": "urn:enterprise.soap.sforce.com",
	"t": "urn:tooling.soap.sforce.com", "m": "http://soap.sforce.com/2006/04/metadata",
}

// soap returns the effect of a call under /services/Soap.
func (in *inspector) soap(c *call) (effect, error) {
	if c.reads() {
		return metadata("a look at a SOAP endpoint"), nil
	}
	api := c.at(0)
	if c.method != http.MethodPost || soapNamespaces[api] == "" {
		return writingUnknown("a SOAP call to a class or to the Apex API"), nil
	}
	text, err := c.text("text/xml")
	if err != nil {
		return effect{}, err
	}
	root, err := parseXML(text)
	if err != nil {
		return effect{}, err
	}
	operation, err := soapOperation(root)
	if err != nil {
		return effect{}, err
	}
	if operation.name.Space != soapNamespaces[api] {
		return writingUnknown(operation.name.Local + "() of another API"), nil
	}
	e := in.operation(api, operation)
	if root.has("defaultNamespace") {
		e.unknown = errNamespace
	}
	if e.changes == "" && countsUse(root) {
		e.changes = countsAsUse
	}
	return e, nil
}

// countsUse reports whether an element within e asks to count a read as a use.
func countsUse(e *element) bool {
	return slices.ContainsFunc(e.children, func(child *element) bool {
		asks := strings.EqualFold(child.name.Local, "updateMru") && !slices.Contains([]string{"false", "0"}, strings.TrimSpace(child.text))
		return asks || countsUse(child)
	})
}

// soapOperation returns the one element in the Body of an envelope.
func soapOperation(root *element) (*element, error) {
	const namespace = "http://schemas.xmlsoap.org/soap/envelope/"
	if root.name.Space != namespace || root.name.Local != "Envelope" {
		return nil, unreadable("it is no SOAP 1.1 envelope")
	}
	var body *element
	for _, child := range root.children {
		if strings.EqualFold(child.name.Local, "Body") {
			if body != nil || child.name.Space != namespace || child.name.Local != "Body" {
				return nil, unreadable("its envelope has more than one Body")
			}
			body = child
		}
	}
	if body == nil || len(body.children) != 1 {
		return nil, unreadable("its Body does not hold one operation")
	}
	return body.children[0], nil
}

// operation returns the effect of an operation of an API.
func (in *inspector) operation(api string, o *element) effect {
	name := o.name.Local
	what := name + "()"
	describes := api != "m" && strings.HasPrefix(name, "describe")
	switch {
	case api == "m" && (name == "readMetadata" || name == "retrieve" || name == "checkRetrieveStatus"):
		return readingUnknown(what) // some of the metadata are records
	case api == "m" && soapReads[api][name]:
		return metadata(what)
	case describes:
		return reading(what, objectTypes(o)...)
	case name == "getUserInfo" || name == "getServerTimestamp":
		return metadata(what)
	case name == "query" || name == "queryAll":
		return oneText(o, "queryString", what, soqlEffect)
	case name == "search":
		return oneText(o, "searchString", what, soslEffect)
	case name == "queryMore":
		return in.own("the next page of a query")
	case soapReads[api][name]:
		return readingTypes(o, what)
	case name == "create" || name == "update" || name == "upsert":
		return saving(o, what)
	}
	return writingUnknown(what)
}

// oneText returns the effect that the text of the only element of a name has.
func oneText(o *element, local, what string, effectOf func(string) effect) effect {
	texts := o.all(local)
	if len(texts) != 1 {
		return writingUnknown(what) // which of them Salesforce takes is not known, nor whether it is FOR VIEW
	}
	return effectOf(texts[0])
}

// objectTypes returns the objects that the operation names: the element's name
// is sObjectType, or begins so.
func objectTypes(o *element) []string {
	var found []string
	for _, child := range o.children {
		if strings.HasPrefix(strings.ToLower(child.name.Local), "sobjecttype") {
			found = append(found, strings.TrimSpace(child.text))
		}
	}
	return found
}

// readingTypes returns the effect of a retrieve() and the like.
func readingTypes(o *element, what string) effect {
	e := reading(what, objectTypes(o)...)
	if len(e.reads) == 0 {
		return readingUnknown(what)
	}
	for _, list := range o.all("fieldList") {
		if !plainFields(list) {
			e.unknown = "its fields are not plain names of fields"
		}
	}
	return e
}

// saving returns the effect of a create() and the like by the types of its
// records: an element in the partner API, an attribute in the enterprise one.
func saving(o *element, what string) effect {
	e := writing(what)
	for _, record := range o.children {
		if !strings.EqualFold(record.name.Local, "sObjects") {
			continue
		}
		types := record.all("type")
		for _, a := range record.attr {
			if a.Name.Local != "type" {
				continue
			}
			_, local, hasPrefix := strings.Cut(a.Value, ":")
			if !hasPrefix {
				local = a.Value
			}
			if !strings.EqualFold(local, "sObject") {
				types = append(types, local)
			}
		}
		if len(types) == 0 {
			e.unknown = "a record of " + what + " does not say of which object it is"
		}
		e.writes = append(e.writes, types...)
	}
	if len(e.writes) == 0 {
		return writingUnknown(what)
	}
	return e
}
