// Package proxy is the main flow: it takes a client's request, puts the token
// of the client's subject on it, and sends it to the instance that the token
// is good for.
//
//	client
//	  → observe       request id, canonical path, CORS headers; at   observe.go, path.go,
//	                  the end one log line and one observation       cors.go, observation.go
//	  → paced         the client keeps up with bodies, or is cut     pace.go, pacedbody.go,
//	                                                                 pacedwriter.go, pacedconn.go
//	  → bound         the head's size, and how many requests run     limits.go, running.go
//	  → guard         Host, Origin, Sec-Fetch-Site                   guard.go, cors.go
//	  → answerOAuth   logins at the token endpoint, answered here    login.go
//	  → readEnvelope  SOAP: session and operation; login() and       soap.go, envelope.go,
//	                  logout() are answered here                     envelopetail.go
//	  → identify      credential → client, and so the subject        identify.go, certificate.go
//	  → boundClient   how many requests of the client run            limits.go, client.go
//	  → admit         path, method, the client's policy              admit.go, path.go, policy.go
//	  → raise         an API version that is too low → a newer one   version.go
//	  → keep          read the body whole, or enough for a replay    body.go
//	  → ration        what is left of the org's API requests         quota.go
//	  → ReverseProxy  of net/http/httputil, by way of
//	      rewrite     strip what is not Salesforce's business        rewrite.go
//	      transport   token and instance on; if Salesforce refuses   transport.go, refusal.go,
//	                  the token, renew once and replay once          opinion.go
//	      respond     Location, cookies, links                       response.go
//	      fail        why there is no answer of Salesforce's         answer.go
//
// The chain stands as one expression in [New]. Each stage either calls the next or
// answers itself: refuse (denial.go) does that for all of them, in the dialect of
// the API that the client speaks (answer.go). What one request carries through the
// chain is its exchange (exchange.go), in the order of the stages that write it.
//
// To the outside, [NewTransport] makes the connections to the org (transport.go,
// dial.go), [Proxy.Listener] those of the clients (pacedconn.go), [Proxy.Explain]
// tells what would become of a request, and [Observer], [Tracer] and the functions
// in [Config] are told what does.
package proxy
