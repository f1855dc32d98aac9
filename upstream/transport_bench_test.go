package upstream

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// benchRequest has the headers that the proxy sends for a request of an app.
func benchRequest(t testing.TB, base string) *http.Request {
	req := newRequest(t, "GET", base+"/services/data/v60.0/sobjects/Account/0015g0000000002AAA", "")
	req.Header = http.Header{"Authorization": {"Bearer 00D5g000000abcd!" + strings.Repeat("x", 80)}, "Accept": {"application/json"},
		"Accept-Encoding": {"gzip"}, "User-Agent": {"app/1.0"}, "X-Request-Id": {"5f1c2a7be0d94c31"}}
	return req
}

// benchAnswer is one of Salesforce's, with a record in one chunk.
var benchAnswer = []byte("HTTP/1.1 200 OK\r\nDate: Tue, 01 Jun 2027 12:00:00 GMT\r\nContent-Type: application/json;charset=UTF-8\r\n" +
	"Cache-Control: no-cache,must-revalidate,max-age=0,no-store,private\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n" +
	"Sforce-Limit-Info: api-usage=18/15000\r\nTransfer-Encoding: chunked\r\n\r\n15e\r\n" + strings.Repeat("r", 350) + "\r\n0\r\n\r\n")

// answering answers whatever comes in one piece.
func answering(_ int, c net.Conn) {
	question := make([]byte, bufferSize)
	for {
		if _, err := c.Read(question); err != nil {
			return
		}
		if _, err := c.Write(benchAnswer); err != nil {
			return
		}
	}
}

// BenchmarkRoundTrip is a request and its answer over loopback, with this
// package and, to compare, with net/http alone; the far end's work counts in
// both.
func BenchmarkRoundTrip(b *testing.B) {
	for _, bc := range []struct {
		name   string
		secure bool
		client func(*http.Transport) http.RoundTripper
	}{{"http/ours", false, ours}, {"http/net", false, theirs}, {"https/ours", true, ours}, {"https/net", true, theirs}} {
		b.Run(bc.name, func(b *testing.B) {
			base := newBase()
			rt := bc.client(base)
			b.Cleanup(func() { rt.(interface{ CloseIdleConnections() }).CloseIdleConnections() })
			req := benchRequest(b, peer(b, base, bc.secure, answering))
			b.ReportAllocs()
			for b.Loop() {
				resp, err := rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); n != 350 || err != nil {
					b.Fatal(n, err)
				}
				resp.Body.Close()
			}
		})
	}
}

func BenchmarkAppendHead(b *testing.B) {
	req := benchRequest(b, "https://acme.my.salesforce.com")
	var m message
	b.ReportAllocs()
	for b.Loop() {
		if !m.appendHead(req) {
			b.Fatal("not taken")
		}
	}
}

// again is a connection on which the same comes again and again.
type again struct {
	net.Conn // nil
	text     []byte
}

func (a *again) Read(p []byte) (int, error) { return copy(p, a.text), nil }
func (a *again) Close() error               { return nil }

// BenchmarkAnswer is the reading of an answer's head and of a body that is here.
func BenchmarkAnswer(b *testing.B) {
	req := benchRequest(b, "http://org.example")
	c := newConn(&again{text: benchAnswer}, originOf(req.URL, nil))
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.answer(req, http.DefaultMaxHeaderBytes, nil)
		if err != nil {
			b.Fatal(err)
		}
		body := &body{ReadCloser: resp.Body, exchange: watch(req.Context(), c, nil)} // reusable by nobody
		body.settle()
		if n, whole := body.Whole(); n != 350 || !whole {
			b.Fatal(n, whole)
		}
	}
}

func BenchmarkAreAllChunks(b *testing.B) {
	_, small, _ := bytes.Cut(benchAnswer, []byte("\r\n\r\n"))
	full := append(bytes.Repeat([]byte("15e\r\n"+strings.Repeat("r", 350)+"\r\n"), bufferSize/400), small...)
	for _, bc := range []struct {
		name   string
		chunks []byte
		whole  bool
	}{{"one", small, true}, {"many", full, true}, {"begun", full[:len(full)/2], false}} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if areAllChunks(bc.chunks) != bc.whole {
					b.Fatal("taken for what it is not")
				}
			}
		})
	}
}
