// Package login answers the logins that legacy apps make, so that an app which
// knows only username and password works behind the proxy: SOAP login() and
// logout(), and the OAuth 2.0 password and client credentials grants.
//
//	app → SOAP login(), or POST /services/oauth2/token    soap.go, oauth.go
//	        local username and password                   account.go
//	        a throttle for guessers                       throttle.go
//	      ← a session: opaque, signed, worthless at
//	        Salesforce                                    session.go
//	        and what the app wants to know of its user    user.go
//
// A session names a client of the proxy and nothing else. It needs no storage:
// replicas with the same secret take each other's, and a restart forgets none.
// A local password is never the user's real one: some apps try a refused login
// again at Salesforce itself.
package login
