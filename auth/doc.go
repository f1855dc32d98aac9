// Package auth is the token flow: it gets an access token for a Salesforce
// user by the OAuth 2.0 JWT bearer grant (RFC 7523) and looks after it.
//
//	Manager.Token(ctx, subject)                                manager.go, horizon.go
//	  fresh    → the cached token: no clock, no lock, no allocation
//	  due      → the cached token, and one renewal in the background
//	  expired  → wait for the flight that all callers of the subject share
//
//	flight: once for all who wait                              flight.go
//	  within the subject's budget of grants                    budget.go
//	  Org.Grant                                                grant.go
//	    key  → the current one, a new one on trial, a spare    keyring.go
//	         → assertion: RS256 over iss, sub, aud, exp, jti   assertion.go
//	    POST → the token endpoint, clock corrected by its Date clock.go
//	    answer → *Token, checked instance URL                  token.go, instance.go
//	           → *GrantError: code, permanent or not, a hint   error.go
//	             from the catalogue of errors                  catalogue.go, refusals.go, failures.go
//
//	Manager.Reject(token) drops that token and no other, so that a late 401
//	for an old token never costs the newer one.
//
// Salesforce sends no expires_in and its session timeout counts from the last
// use, so a refused token is the truth and the renewal by age only saves the
// detour. Every grant is a login, of which a user has 3,600 an hour: a subject
// has a budget below that, whatever goes wrong.
//
// The package knows nothing of HTTP servers and imports no other of ours.
package auth
