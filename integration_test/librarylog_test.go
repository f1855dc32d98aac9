package integration_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestAnswerThatNobodyAskedFor has an instance say more than it was asked, on a
// connection of net/http's transport, which writes what that was to its own log.
func TestAnswerThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	const unasked = "00D-of-somebody-else"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	goOn := make(chan bool)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-goOn
		io.WriteString(c, unasked)
	}()
	org := startOrg(t, devorg.Config{})
	org.SetInstanceURLInGrants("http://" + listener.Addr().String())
	p := startProxy(t, org.env)
	large := strings.Repeat("x", 100<<10) // which goes by net/http's transport
	if a := fetch(t, http.MethodPost, p.URL+echoPath, large); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	close(goOn)
	p.Log.waitFor(t, `Unsolicited response received on idle HTTP channel`)
	p.stop(t)
	for line := range strings.Lines(p.Log.String()) {
		if !strings.HasPrefix(line, "{") || strings.Contains(line, unasked) {
			t.Errorf("the log has the line %s", line)
		}
	}
}
