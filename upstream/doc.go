// Package upstream carries requests to an org over HTTP/1.1 on the goroutine
// that sends them. net/http's transport has two goroutines a connection, and
// handing a request to the one and its answer back from the other is what a
// proxy in Go spends most on.
//
//	request.go    which requests it takes, and a request as bytes
//	transport.go  a connection for them, the way there and back, sending again
//	pool.go       connections that wait for their next request
//	conn.go       one connection: dial, TLS, one exchange after the other
//	tunnel.go     the way through a company proxy
//	await.go      the first byte of an answer, until which nothing is held to read it with
//	wire.go       the TCP connection under it, which can be asked whether anything came
//	upload.go     net/http's connections for large bodies, in fewer writes
//	body.go       an answer's body, which gives the connection back at its end
//
// It reads no answer by itself: status line, headers, lengths and chunks are
// [http.ReadResponse]'s, and what it does not take, net/http's transport does.
package upstream
