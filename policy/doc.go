// Package policy decides what one client may do at Salesforce, in Salesforce's
// own terms: read or write, which objects, which paths, which API versions.
//
//	Decide
//	  → paths, API version    by the path alone                     policy.go, version.go
//	  → inspect               what the request would do: its effect  inspect.go, effect.go
//	      REST, Tooling         rest.go, sobject.go
//	      requests in requests  composite.go
//	      SOQL and SOSL         soql.go, sosl.go
//	      GraphQL               graphql.go
//	      SOAP                  soap.go
//	      Bulk API 1.0 and 2.0  bulk.go
//	      CometD                cometd.go
//	  → read-only, objects    by the effect                         policy.go, objects.go
//
// What is not known to be harmless counts as harmful, but that a GET of the REST
// API reads unless it is known to do more: a request that may change something
// is a write, and one whose objects cannot be told is refused where
// objects are listed. A body is asked for only if a rule needs it.
//
// The package knows nothing of HTTP servers, and imports nothing of this module.
package policy
