// Package devorg is a small Salesforce-shaped org inside a Go program, for demos,
// documentation and tests.
//
// It serves two hosts, as Salesforce does: a login host with the token endpoint, and an
// instance host with the APIs. It is stricter than Salesforce wherever the two differ, so
// that a client which satisfies it satisfies the real thing: an assertion is judged claim
// by claim, a header that should have stayed behind in a proxy is an error of its own
// (DEVORG_LEAK), and SOQL that it does not know is refused rather than guessed at.
//
//	login host                        instance host
//	  POST /services/oauth2/token       /services/data/vNN.0/…   rest.go, record.go, query.go
//	    token.go     the request          …/jobs/…   Bulk 2.0    bulk2.go, bulk.go, bulkdata.go
//	    assertion.go the claims         /services/async/…  1.0   bulk1.go, bulk.go, bulkdata.go
//	    session.go   the result         /services/Soap/…         soap.go, soapquery.go, soapsave.go
//	  /services/oauth2/revoke           /services/apexrest/…     apexrest.go
//	  /services/Soap/…  login() is gone /cometd/NN.0             cometd.go
//	                                    /id/…, userinfo          identity.go
//
// All APIs work on the same records (store.go), which one set of rules checks (record.go).
// SOAP has the partner and the enterprise API; a metadata, tooling or Apex endpoint knows
// its user and logout. A bulk job is done with the request that starts it, and says so at
// the next look.
//
// What it lacks is most of Salesforce: there are five objects and no custom ones, no
// sharing or validation rules, no search, no recycle bin, and no Apex but code.go's. SOAP has no other calls
// than those in soap.go and takes no record within a record; bulk jobs cannot be listed,
// take no ZIP, no multipart and no other delimiter than the comma, and have no PK chunking.
// Everything is in memory and gone when the org is closed.
//
// A test ends tokens, moves the org, makes it slow or lets it fail through the methods in
// control.go, or over HTTP at Config.ControlListen, where GET / lists how.
//
// The package imports nothing else of this module, so that it cannot agree with the proxy
// by construction.
package devorg
