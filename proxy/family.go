package proxy

import "strings"

// Family is a family of Salesforce's APIs: what a request is about, for metrics.
type Family uint8

// The families, a closed set that no client can add to.
const (
	FamilyOther     Family = iota // no API of Salesforce's, or an ambiguous path
	FamilySObjects                // records and their descriptions
	FamilyQuery                   // SOQL
	FamilySearch                  // SOSL and suggestions
	FamilyComposite               // several requests in one
	FamilyGraphQL                 // queries and changes in one
	FamilyUI                      // User Interface API
	FamilyConnect                 // Connect REST API, once Chatter's
	FamilyAnalytics               // reports, dashboards and CRM Analytics
	FamilyTooling                 // Tooling API
	FamilyBulk                    // Bulk API 1.0 and 2.0
	FamilyREST                    // the rest of the REST API, such as limits and versions
	FamilyApexREST                // the org's own classes
	FamilySOAP                    // the SOAP APIs, login() among them
	FamilyCometD                  // Streaming API
	FamilyIdentity                // identity URLs and userinfo
	FamilyLogin                   // the token and the revocation endpoint, which the proxy answers
	families
)

// Families is how many there are: each is less than it.
const Families = int(families)

var familyNames = [families]string{
	FamilyOther: "other", FamilySObjects: "sobjects", FamilyQuery: "query", FamilySearch: "search",
	FamilyComposite: "composite", FamilyGraphQL: "graphql", FamilyUI: "ui", FamilyConnect: "connect",
	FamilyAnalytics: "analytics", FamilyTooling: "tooling", FamilyBulk: "bulk", FamilyREST: "rest",
	FamilyApexREST: "apexrest", FamilySOAP: "soap", FamilyCometD: "cometd", FamilyIdentity: "identity",
	FamilyLogin: "login",
}

func (f Family) String() string { return familyNames[f] }

// familyOf returns the family of a canonical path.
func familyOf(path string) Family {
	switch {
	case within(path, "/services/data"):
		return restFamily(path[len("/services/data"):])
	case within(path, "/services/Soap"):
		return FamilySOAP
	case within(path, "/services/apexrest"):
		return FamilyApexREST
	case within(path, "/services/async"):
		return FamilyBulk
	case within(path, "/cometd"):
		return FamilyCometD
	case isIdentity(path):
		return FamilyIdentity
	case path == tokenPath || path == revokePath:
		return FamilyLogin
	}
	return FamilyOther
}

// restFamily returns the family of a path under /services/data, of which rest
// is what follows: a version and the name of a resource.
func restFamily(rest string) Family {
	_, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	resource, _, _ := strings.Cut(rest, "/")
	switch resource {
	case "sobjects":
		return FamilySObjects
	case "query", "queryAll":
		return FamilyQuery
	case "search", "parameterizedSearch":
		return FamilySearch
	case "composite":
		return FamilyComposite
	case "graphql":
		return FamilyGraphQL
	case "ui-api":
		return FamilyUI
	case "connect", "chatter":
		return FamilyConnect
	case "analytics", "wave":
		return FamilyAnalytics
	case "tooling":
		return FamilyTooling
	case "jobs":
		return FamilyBulk
	}
	return FamilyREST
}
