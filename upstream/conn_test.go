package upstream

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
)

// The name that a certificate is for is that of the host that was asked for, not
// of one that was dialled before.
func TestNameInTheCertificate(t *testing.T) {
	base := newBase()
	url := peer(t, base, true, func(_ int, c net.Conn) {
		hear(c)
		say(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	})
	transport := newTransport(t, base)
	other := strings.Replace(url, "127.0.0.1", "localhost", 1) // the certificate is for 127.0.0.1 and example.com
	for range 2 {
		if _, content, err := send(t, transport, "GET", url, ""); err != nil || content != "ok" {
			t.Fatalf("got %q, %v", content, err)
		}
		_, _, err := send(t, transport, "GET", other, "")
		if _, ok := errors.AsType[x509.HostnameError](err); !ok {
			t.Fatalf("error for another host = %v, want one about its name", err)
		}
	}
}
