// Package proxy is the main flow: it takes a client's request, puts the token
// of the client's subject on it, and sends it to the instance that the token
// is good for.
//
//	client
//	  → observe       request id, canonical path, one log line      observe.go, path.go
//	  → guard         Host, Origin, Sec-Fetch-Site; CORS            guard.go, cors.go
//	  → answerOAuth   logins at the token endpoint, answered here   identify.go
//	  → readEnvelope  SOAP: session and operation; login() and      soap.go, envelope.go
//	                  logout() are answered here
//	  → identify      credential → client, and so the subject       identify.go
//	  → admit         path, method, the client's policy             admit.go, path.go, policy.go
//	  → raise         an API version that is too old → a newer one  version.go
//	  → keep          read the body whole, or enough for a replay   body.go
//	  → rewrite       strip what is not Salesforce's business       rewrite.go
//	  → transport     token and instance on; if Salesforce refuses  transport.go
//	                  the token, renew once and replay once         refusal.go, opinion.go
//	  ← respond       Location, cookies, links                      response.go
//	  ← answer        the proxy's own answers in the API's dialect  answer.go
//
// The chain stands as one expression in [New]. What one request carries
// through it is its exchange.
package proxy
