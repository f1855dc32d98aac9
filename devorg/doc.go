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
//	    token.go     the request        /services/apexrest/…     apexrest.go
//	    assertion.go the claims         /services/Soap/…         soap.go
//	    session.go   the result         /services/async/…        bulk.go
//	  /services/oauth2/revoke           /cometd/NN.0             cometd.go
//	                                    /id/…, userinfo          identity.go
//
// What it lacks is most of Salesforce: there are five objects and no custom ones, no
// sharing or validation rules, no search, no Apex, no bulk jobs, and SOAP knows two calls.
// Everything is in memory and gone when the org is closed.
//
// The package imports nothing else of this module, so that it cannot agree with the proxy
// by construction.
package devorg
