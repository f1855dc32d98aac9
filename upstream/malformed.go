package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
)

// withoutBytes returns err, which may be nil, without what it quotes: net/http's
// errors quote the bytes of an answer that is malformed, which may hold a token or
// be somebody else's answer. Errors of the network and of certificates quote names.
func withoutBytes(err error) error {
	if err == nil {
		return nil
	}
	what, _, quotes := strings.Cut(err.Error(), `"`)
	if !quotes {
		return err
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return err
	}
	return errors.New(strings.TrimRight(what, ": ["))
}
