package upstream

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// The end of TLS may arrive in part behind an answer: that there is no more of it
// yet is no fault of the answer.
func TestAnswerBeforeHalfAnAlert(t *testing.T) {
	const alert = 20 // bytes of it that are late
	goOn := make(chan bool, 1)
	base := newBase()
	base.TLSClientConfig.MaxVersion = tls.VersionTLS12 // of later versions an alert cannot be told from data
	url := peer(t, base, true, func(_ int, c net.Conn) {
		hear(c)
		over := c.(*tls.Conn)
		cork := over.NetConn().(*corked)
		cork.on = true
		say(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok")
		over.CloseWrite()
		cork.SetWriteDeadline(time.Time{}) // CloseWrite lets nothing be written after it
		cork.on = false
		cork.Write(cork.held[:len(cork.held)-alert])
		<-goOn
		cork.Write(cork.held[len(cork.held)-alert:])
	})
	resp, err := newTransport(t, base).RoundTrip(newRequest(t, "GET", url, ""))
	goOn <- true
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(resp.Body); string(content) != "ok" || err != nil {
		t.Errorf("body = %q, %v", content, err)
	}
}
