package telemetry

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// TestServerLogOfHandshakes tells of clients without a good certificate once a
// minute, and of other failed handshakes at debug alone.
func TestServerLogOfHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := serverLog{slog.New(slog.NewTextHandler(&log, nil)), new(proxy.Notice)}
		fail := func(why string) { io.WriteString(l, "http: TLS handshake error from 192.0.2.1:4711: "+why+"\n") }
		fail("EOF")
		fail("remote error: tls: bad certificate") // that of the proxy, to the client
		if log.Len() > 0 {
			t.Errorf("log = %s, want nothing", &log)
		}
		fail("tls: client didn't provide a certificate")
		fail("tls: failed to verify certificate: x509: certificate has expired or is not yet valid")
		fail("tls: client didn't provide a certificate")
		time.Sleep(time.Minute)
		fail("tls: failed to verify certificate: x509: certificate signed by unknown authority")
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "refused=1 ") || !strings.Contains(lines[1], "refused=3 ") || !strings.Contains(lines[1], "unknown authority") {
			t.Errorf("log = %s, want one line a minute, of 1 and of 3 clients", &log)
		}
	})
}
