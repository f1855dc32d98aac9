// Package key has the private keys that sign assertions, in every form that
// companies keep them in.
//
//	Parse                   PEM, DER, PKCS#12, JKS, JCEKS: told apart by content    key.go
//	  identify              what a file is, and what to say of a wrong one          kind.go
//	  parsePEM, parseDER    PKCS#1 and PKCS#8                                       pem.go, der.go
//	  parsePKCS12           one key or several                                      pkcs12.go, bag.go
//	  parseKeystore         JKS and JCEKS                                           keystore.go
//	  cost, guard           what keeps a damaged file from hanging or crashing us   encryption.go
//	NewCommand, OpenPKCS11  keys that never leave their keeper                      command.go, pkcs11.go
//	Generate, Encode…       new keys, and the files for them                        generate.go, export.go
//	NewAuthority, Issue     certificates for serving HTTPS                          authority.go
//
// Errors are meant for people: they name the variable that is wrong, and hold
// nothing secret.
package key
