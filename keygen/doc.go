// Package keygen makes keys and certificates as files, and says what to upload
// where and what to set.
//
//	App         the key by which sfproxy logs in     app.go
//	Server      a certificate for serving HTTPS      server.go
//	  check…    what cannot be meant                 keygen.go
//	  write     all files, or none                   files.go, owner_unix.go
//	  print…    what to do with them                 text.go
//
// Package key makes the keys themselves. Errors are meant for people: they name
// the flag that is wrong. Two calls that replace the files of one directory at the
// same time may leave the key of the one and the certificate of the other.
package keygen
