package proxy_test

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// Salesforce sees exactly the requests that the proxy has seen, whatever
// shape a client's bytes have.
func TestSmuggling(t *testing.T) {
	const host = "Host: localhost\r\n"
	const smuggled = "GET /services/data/smuggled HTTP/1.1\r\n" + host + "\r\n"
	const last = "GET /services/data/last HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
	post := "POST /services/data/first HTTP/1.1\r\n" + host
	get := func(target string) string { return "GET " + target + " HTTP/1.1\r\n" + host + "\r\n" }
	for _, tt := range []struct{ name, sent string }{
		{"CL and TE", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"},
		{"TE and CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + smuggled + "\r\n0\r\n\r\n"},
		{"CL over a request", post + "Content-Length: 58\r\n\r\n" + smuggled},
		{"two CL", post + "Content-Length: 0\r\nContent-Length: 58\r\n\r\n" + smuggled},
		{"equal CL", post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"},
		{"list of CL", post + "Content-Length: 0, 58\r\n\r\n" + smuggled},
		{"signed CL", post + "Content-Length: +1\r\n\r\nx"},
		{"CL of a GET", "GET /services/data/first HTTP/1.1\r\n" + host + "Content-Length: 58\r\n\r\n" + smuggled},
		{"TE twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"},
		{"TE unknown", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{"TE with space", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{"TE with tab", post + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"},
		{"TE of HTTP/1.0", "POST /services/data/first HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"obs-fold", post + "X-Custom: a\r\n Content-Length: 58\r\nContent-Length: 0\r\n\r\n"},
		{"fold of TE", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
		{"NUL in a header", post + "X-Custom: a\x00b\r\nContent-Length: 0\r\n\r\n"},
		{"bare CR in a header", post + "X-Custom: a\rX: b\r\nContent-Length: 0\r\n\r\n"},
		{"bare LF", "POST /services/data/first HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n"},
		{"bare LF in a header", post + "X-Custom: a\nContent-Length: 0\r\n\r\n"},
		{"chunk size overflow", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n"},
		{"chunk size signed", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n"},
		{"chunk without its end", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n"},
		{"chunk extension", post + "Transfer-Encoding: chunked\r\n\r\n1;a=\"\r\n\r\n\"\r\nx\r\n0\r\n\r\n"},
		{"trailer with CL", post + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"trailer that frames", post + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 58\r\n\r\n"},
		{"connection names CL", post + "Connection: content-length\r\nContent-Length: 58\r\n\r\n" + smuggled},
		{"request line in the path", get("/services/data/x%20HTTP/1.1%0d%0aX:y")},
		{"dots", get("/services/data/../oauth2/token")},
		{"encoded dots", get("/services/data/%2e%2e/oauth2/token")},
		{"slashes", get("//services/data//x")},
		{"absolute", get("http://localhost/services/data/x")},
		{"absolute elsewhere", get("http://evil.example.com/services/data/x")},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n"},
		{"CONNECT", "CONNECT localhost:443 HTTP/1.1\r\n" + host + "\r\n"},
		{"spaces in the line", get("/services/data/x HTTP/1.1 y")},
		{"two hosts", "GET /services/data/x HTTP/1.1\r\n" + host + host + "\r\n"},
		{"upgrade", "GET /services/data/x HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var seen []string
			base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, r.Method+" "+path.Clean(r.URL.Path))
			})
			r := start(t, proxy.Config{Tokens: newTokens(base)})
			c := r.dial(t)
			go c.Conn.Write([]byte(tt.sent + last)) // the proxy may close before it is done
			c.rest()
			if final := r.send(t, "GET", "/services/data/end", nil); final.status != 200 {
				t.Errorf("the next client gets %d %s", final.status, final.body)
			}
			var forwarded []string
			for _, line := range r.log.requests(t, 1) {
				if line["instance"] != nil && line["path"] != "/services/data/end" { // that one's line may be late
					forwarded = append(forwarded, fmt.Sprint(line["method"], " ", line["path"]))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if seen = seen[:len(seen)-1]; !slices.Equal(seen, forwarded) {
				t.Errorf("Salesforce saw %q, the proxy forwarded %q", seen, forwarded)
			}
		})
	}
}
