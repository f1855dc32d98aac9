package devorg

import (
	"context"
	"encoding/xml"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

const (
	partnerNamespace = "urn:partner.soap.sforce.com"
	maxSOAP          = 50 << 20 // bytes
)

// A soapAPI is one of the SOAP APIs.
type soapAPI struct {
	namespace string
	records   string // the namespace of records; empty for an API that has none
	typed     bool   // a record's sobject is its xsi:type
}

// soapAPIs goes by the path segment after /services/Soap/.
var soapAPIs = map[string]soapAPI{
	"u": {namespace: partnerNamespace, records: "urn:sobject.partner.soap.sforce.com"},
	"c": {namespace: "urn:enterprise.soap.sforce.com", records: "urn:sobject.enterprise.soap.sforce.com", typed: true},
	"m": {namespace: "http://soap.sforce.com/2006/04/metadata"},
	"T": {namespace: "urn:tooling.soap.sforce.com"},
	"s": {namespace: "http://soap.sforce.com/2006/08/apex"},
}

// A soapCall is one call of a known session.
type soapCall struct {
	org       *Org
	ctx       context.Context
	api       soapAPI
	session   session
	token     string
	options   soapOptions
	operation *node
	out       xmlText // what the answer holds between the operation's Response tags
}

// sfNamespace is what the prefix sf stands for in the answer.
func (a soapAPI) sfNamespace() string {
	if a.records != "" {
		return a.records
	}
	return faultNamespace(a.namespace)
}

// everyOperation is what all APIs have; recordOperations need records.
var (
	everyOperation = map[string]func(*soapCall) *apiError{
		"getUserInfo": (*soapCall).getUserInfo, "logout": (*soapCall).logout,
	}
	recordOperations = map[string]func(*soapCall) *apiError{
		"query": (*soapCall).query, "queryAll": (*soapCall).queryAll, "queryMore": (*soapCall).queryMore,
		"create": (*soapCall).create, "update": (*soapCall).update, "upsert": (*soapCall).upsert,
		"delete": (*soapCall).delete, "retrieve": (*soapCall).retrieve,
		"describeGlobal": (*soapCall).describeGlobal, "describeSObject": (*soapCall).describeSObject,
		"getServerTimestamp": (*soapCall).getServerTimestamp,
	}
)

func (a soapAPI) call(name xml.Name) func(*soapCall) *apiError {
	if name.Space != a.namespace {
		return nil
	}
	if f := everyOperation[name.Local]; f != nil || a.records == "" {
		return f
	}
	return recordOperations[name.Local]
}

// serveSOAP answers for SOAP. The session is in the envelope and nowhere else.
func (o *Org) serveSOAP(w http.ResponseWriter, r *http.Request, h *host) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/services/Soap/"), "/")
	api, known := soapAPIs[path[0]]
	if !known || r.Method != http.MethodPost {
		http.Error(w, "URL No Longer Exists", http.StatusNotFound)
		return
	}
	if o.refusesSOAP(w, r, api, path[1:]) {
		return
	}
	body, failure := soapBody(r)
	if failure != nil {
		writeSOAPFault(w, api.namespace, failure.Code, failure.Message)
		return
	}
	request, err := readEnvelope(body)
	token := ""
	if err == nil {
		token, err = request.sessionID(api.namespace)
	}
	if err != nil {
		writeSOAPFault(w, api.namespace, "UNKNOWN_EXCEPTION", "the envelope cannot be read: "+err.Error())
		return
	}
	o.callSOAP(w, r, h, api, request, token)
}

var soapVersion = regexp.MustCompile(`^([1-9][0-9]?)\.0$`)

// refusesSOAP answers what is wrong with a request before its body matters. The path is
// that after the API's letter: NN.0, and perhaps the org's id and a package's.
func (o *Org) refusesSOAP(w http.ResponseWriter, r *http.Request, api soapAPI, path []string) bool {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || media != "text/xml" || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		writeClientFault(w, http.StatusUnsupportedMediaType, api.namespace, "content-type of the request should be text/xml")
		return true
	}
	if _, present := r.Header["Soapaction"]; !present {
		writeClientFault(w, http.StatusInternalServerError, api.namespace, "SOAPAction HTTP header missing")
		return true
	}
	var match []string
	if len(path) > 0 {
		match = soapVersion.FindStringSubmatch(path[0])
	}
	version := 0
	if match != nil {
		version, _ = strconv.Atoi(match[1])
	}
	if version == 0 || version > newestVersion {
		writeSOAPFault(w, api.namespace, "UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
		return true
	}
	if version < oldestVersion {
		writeSOAPFault(w, api.namespace, "UNSUPPORTED_API_VERSION", fmt.Sprintf("The API version that was specified (%d.0) is below the minimum supported (%d.0). Change the version number and run the request again.", version, oldestVersion))
		return true
	}
	if !o.isEndpoint(path[1:], api) {
		writeSOAPFault(w, api.namespace, "UNKNOWN_EXCEPTION", "Destination URL not reset. The URL returned from login must be set in the SforceService")
		return true
	}
	return false
}

// isEndpoint judges what comes after the version: nothing, this org's id and, in the
// enterprise API, the id of a set of package versions.
func (o *Org) isEndpoint(path []string, api soapAPI) bool {
	if len(path) == 0 {
		return true
	}
	if id, valid := normalID(path[0]); !valid || id != o.id {
		return false
	}
	if len(path) == 2 && api.typed {
		_, valid := normalID(path[1])
		return valid && strings.HasPrefix(path[1], "0DF")
	}
	return len(path) == 1
}

// callSOAP judges the session, and then the rest of the envelope.
func (o *Org) callSOAP(w http.ResponseWriter, r *http.Request, h *host, api soapAPI, request *envelope, token string) {
	operation, err := request.operation()
	if err == nil && operation.name == (xml.Name{Space: api.namespace, Local: "login"}) {
		writeLoginGone(w, api.namespace)
		return
	}
	session, live := o.authenticateToken(token, h)
	if !live {
		writeSOAPFault(w, api.namespace, "INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
		return
	}
	if err != nil {
		writeSOAPFault(w, api.namespace, "UNKNOWN_EXCEPTION", "the envelope cannot be read: "+err.Error())
		return
	}
	used, left := o.countUsage()
	if !left {
		writeSOAPFault(w, api.namespace, errRequestLimit.Code, errRequestLimit.Message)
		return
	}
	run := api.call(operation.name)
	if run == nil {
		writeClientFault(w, http.StatusInternalServerError, api.namespace, fmt.Sprintf(
			"No operation available for request {%s}%s, please check the WSDL for the service.", operation.name.Space, operation.name.Local))
		return
	}
	c := &soapCall{org: o, ctx: r.Context(), api: api, session: session, token: token, operation: operation}
	var failure *apiError
	if c.options, failure = request.options(api.namespace); failure == nil {
		failure = run(c)
	}
	if failure != nil {
		writeSOAPFault(w, api.namespace, failure.Code, failure.Message)
		return
	}
	var usage xmlText
	usage.members(object{{"LimitInfoHeader", object{{"limitInfo", object{
		{"current", used}, {"limit", o.allowance()}, {"type", "API REQUESTS"}}}}}})
	name := operation.name.Local + "Response"
	answer := "<" + name + "/>"
	if c.out.Len() > 0 {
		answer = "<" + name + ">" + c.out.String() + "</" + name + ">"
	}
	writeSOAP(w, http.StatusOK, api.namespace, api.sfNamespace(), usage.String(), answer)
}

// looseNamespace is what one client puts the arguments of create and its kind into.
// Salesforce takes them, so it cannot look at an argument's namespace very closely.
const looseNamespace = "sobject.partner.soap.sforce.com"

// arguments sorts the operation's children by name; one without a known name is refused.
func (c *soapCall) arguments(names ...string) (map[string][]*node, *apiError) {
	given := make(map[string][]*node)
	for _, name := range names {
		given[name] = nil
	}
	for _, child := range c.operation.children {
		list, known := given[child.name.Local]
		if !known || !c.argumentSpace(child.name.Space) {
			return nil, c.cannotRead("unexpected element " + child.name.Local)
		}
		given[child.name.Local] = append(list, child)
	}
	return given, nil
}

func (c *soapCall) argumentSpace(space string) bool {
	return space == c.api.namespace || (space == c.api.records && space != "") || (space == looseNamespace && !c.api.typed)
}

func (c *soapCall) cannotRead(why string) *apiError {
	return badRequest("UNKNOWN_EXCEPTION", "%s cannot be read: %s", c.operation.name.Local, why)
}

// texts reads arguments that are text.
func (c *soapCall) texts(nodes []*node) ([]string, *apiError) {
	var texts []string
	for _, n := range nodes {
		if len(n.children) > 0 || n.null() {
			return nil, c.cannotRead(n.name.Local + " must be text")
		}
		texts = append(texts, n.text)
	}
	return texts, nil
}

// text reads the one argument of a name.
func (c *soapCall) text(given map[string][]*node, name string) (string, *apiError) {
	texts, failure := c.texts(given[name])
	if failure != nil {
		return "", failure
	}
	if len(texts) != 1 {
		return "", c.cannotRead("there must be one " + name)
	}
	return texts[0], nil
}

// noArguments is for the operations that have none.
func (c *soapCall) noArguments() *apiError {
	_, failure := c.arguments()
	return failure
}

func (c *soapCall) logout() *apiError {
	if failure := c.noArguments(); failure != nil {
		return failure
	}
	c.org.stats.forbidden.Add(1)
	c.org.sessions.end(c.token)
	return nil
}

func (c *soapCall) getServerTimestamp() *apiError {
	if failure := c.noArguments(); failure != nil {
		return failure
	}
	c.out.members(object{{"result", object{{"timestamp", c.org.now().UTC().Format(soapTime)}}}})
	return nil
}

func (c *soapCall) getUserInfo() *apiError {
	if failure := c.noArguments(); failure != nil {
		return failure
	}
	o, u := c.org, c.session.user
	c.out.members(object{{"result", object{
		{"accessibilityMode", false}, {"chatterExternal", false}, {"currencySymbol", "$"},
		{"orgAttachmentFileSizeLimit", 5242880}, {"orgDefaultCurrencyIsoCode", "USD"}, {"orgDefaultCurrencyLocale", "en_US"},
		{"orgDisallowHtmlAttachments", false}, {"orgHasPersonAccounts", false}, {"organizationId", o.id},
		{"organizationMultiCurrency", false}, {"organizationName", "devorg"}, {"profileId", newID("00e", 1)}, {"roleId", nil},
		{"sessionSecondsValid", int(o.cfg.TokenTTL.Seconds())}, {"userDefaultCurrencyIsoCode", nil}, {"userEmail", u.name},
		{"userFullName", u.name}, {"userId", u.id}, {"userLanguage", "en_US"}, {"userLocale", "en_US"}, {"userName", u.name},
		{"userTimeZone", "GMT"}, {"userType", "Standard"}, {"userUiSkin", "Theme3"},
	}}})
	return nil
}
