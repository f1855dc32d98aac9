// Package listen is what lies between the network and an HTTP server: listeners
// of TCP and of Unix sockets, how many connections they let in, and the TLS
// settings of their handshakes.
//
//	Open            an address, or why not and what to do        listen.go
//	  listenSocket  a Unix socket that is this user's alone      socket.go, lock_unix.go
//	Connections     limits, in all and of one address            connections.go
//	  turnstile     a word to those who find no room             turnstile.go
//	Handshakes      a certificate that is renewed meanwhile      handshakes.go
package listen
