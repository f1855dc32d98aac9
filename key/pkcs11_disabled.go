//go:build !pkcs11

package key

import "errors"

// OpenPKCS11 says that this build has no support for PKCS#11, which needs cgo
// and a C library at run time. The one that has is in pkcs11.go.
func OpenPKCS11(_, _ string) (*Key, error) {
	return nil, errors.New("this sfproxy is built without support for PKCS #11; build it with CGO_ENABLED=1 go build -tags pkcs11")
}
