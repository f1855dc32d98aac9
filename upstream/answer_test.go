package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

// outcome is what a client makes of an answer.
type outcome struct {
	Err     error // of RoundTrip
	Status  int
	Proto   string
	Header  http.Header
	Length  int64
	Coding  []string
	Close   bool
	Body    string
	BodyErr string
	Trailer http.Header
	Kept    bool // the connection takes the next request
}

func outcomeOf(rt http.RoundTripper, req *http.Request) outcome {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return outcome{Err: err}
	}
	o := outcome{Status: resp.StatusCode, Proto: resp.Proto, Header: resp.Header, Length: resp.ContentLength, Coding: resp.TransferEncoding, Close: resp.Close}
	body, err := io.ReadAll(resp.Body)
	o.Body, o.BodyErr = string(body), fmt.Sprint(err)
	resp.Body.Close()
	o.Trailer = resp.Trailer
	return o
}

// both has this package's transport and net/http's take the same answer to the
// same request.
func both(t testing.TB, method string, answer []byte, atOnce int, stall bool) (ours, theirs outcome) {
	t.Helper()
	request := func() *http.Request { return newRequest(t, method, "http://org.example/", "") }
	base := through(newScript(answer, atOnce, stall))
	base.MaxResponseHeaderBytes = 64 << 10
	transport := newTransport(t, base)
	ours = outcomeOf(transport, request())
	ours.Kept = transport.Idle() > 0

	var kept atomic.Bool
	base = through(newScript(answer, atOnce, stall))
	base.MaxResponseHeaderBytes = 64 << 10
	t.Cleanup(base.CloseIdleConnections)
	req := request()
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{PutIdleConn: func(err error) { kept.Store(err == nil) }}))
	theirs = outcomeOf(base, req)
	theirs.Kept = kept.Load()
	base.CloseIdleConnections()
	return ours, theirs
}

// compare fails unless ours is theirs, or stricter on purpose.
func compare(t *testing.T, ours, theirs outcome) {
	t.Helper()
	if ours.Err != nil {
		if theirs.Err == nil && !strictOnPurpose(ours.Err) {
			t.Fatalf("refused: %v; net/http gets %+v", ours.Err, theirs)
		}
		return
	}
	if theirs.Err != nil {
		t.Fatalf("taken: %+v; net/http: %v", ours, theirs.Err)
	}
	if ours.Kept && !theirs.Kept {
		t.Fatalf("the connection is kept after %+v; net/http closes it", ours)
	}
	ours.Kept, theirs.Kept = false, false
	if what, _, quotes := strings.Cut(theirs.BodyErr, `"`); quotes { // ours quote no answer
		theirs.BodyErr = strings.TrimRight(what, ": [")
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("ours     %+v\nnet/http %+v", ours, theirs)
	}
}

// strictOnPurpose reports whether err is about what net/http lets pass: odd
// versions, statuses that make no sense, many interim answers.
func strictOnPurpose(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "the answer is in ") || strings.HasPrefix(text, "the answer has the status ") || strings.HasPrefix(text, "more than 8 interim ")
}

const second = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

// answers are what may come from upstream, good and bad.
var answers = []struct {
	name, method, text string
	status             int // 0 for an error
	body               string
	broken             bool // the body ends with an error
	kept               bool
}{
	{"length", "GET", ok2, 200, "ok", false, true},
	{"no body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", false, true},
	{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", false, true},
	{"chunks and trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", 200, "ok", false, true},
	{"to the end", "GET", "HTTP/1.1 200 OK\r\n\r\nok", 200, "ok", false, false},
	{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, false},
	{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, false},
	{"HTTP/1.0 kept", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, true},
	{"HTTP/1.0 chunked", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "2\r\nok\r\n0\r\n\r\n", false, false},
	{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 200, "", false, true},
	{"HEAD chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", false, true},
	{"HEAD with a body", "HEAD", ok2, 200, "", false, false},
	{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, true},
	{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, "", false, true},
	{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, "", false, false},
	{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", 304, "", false, true},
	{"304 chunked", "GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 304, "", false, false},
	{"100", "GET", "HTTP/1.1 100 Continue\r\n\r\n" + ok2, 200, "ok", false, true},
	{"103", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok2, 200, "ok", false, true},
	{"eight of 103", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 8) + ok2, 200, "ok", false, true},
	{"nine of 103", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9) + ok2, 0, "", false, false},
	{"103 with a body", "GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok" + ok2, 0, "", false, false},
	{"101", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 0, "", false, false},
	{"status 099", "GET", "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"status +20", "GET", "HTTP/1.1 +20 Odd\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"status 2000", "GET", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"HTTP/2.0", "GET", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"no HTTP", "GET", "220 mail.example ESMTP\r\n", 0, "", false, false},
	{"nothing", "GET", "", 0, "", false, false},
	{"half a head", "GET", "HTTP/1.1 200 OK\r\nContent-Le", 0, "", false, false},
	{"cut by length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", 200, "ok", true, false},
	{"cut in a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok", 200, "ok", true, false},
	{"cut between chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 200, "ok", true, false},
	{"cut before the trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", 200, "ok", true, false},
	{"another behind it", "GET", ok2 + second, 200, "ok", false, false},
	{"another behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + second, 200, "ok", false, false},
	{"another behind no body", "GET", "HTTP/1.1 204 No Content\r\n\r\n" + second, 204, "", false, false},
	{"line end behind it", "GET", ok2 + "\r\n", 200, "ok", false, false},
	{"length and chunks", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", false, true},
	{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 8\r\n\r\nok", 0, "", false, false},
	{"equal lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, true},
	{"list of lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 0, "", false, false},
	{"signed length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", 0, "", false, false},
	{"negative length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", 0, "", false, false},
	{"empty length", "GET", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok", 0, "", false, false},
	{"length overflow", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", 0, "", false, false},
	{"two codings", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "", false, false},
	{"unknown coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, "", false, false},
	{"chunk size bad", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", 200, "", true, false},
	{"chunk size overflow", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n", 200, "", true, false},
	{"chunk size signed", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n", 200, "", true, false},
	{"chunk without its end", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n", 200, "ok", true, false},
	{"chunk with a bare LF", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n", 200, "", true, false},
	{"trailer that frames", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 8\r\n\r\n", 0, "", false, false},
	{"long trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n", 200, "ok", true, false},
	{"obs-fold", "GET", "HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 8\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, true},
	{"fold first", "GET", "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"space before the colon", "GET", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", 200, "ok", false, false},
	{"no colon", "GET", "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\nok", 0, "", false, false},
	{"NUL in a header", "GET", "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"bare CR in a header", "GET", "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 8\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"bare LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok", false, true},
	{"long head", "GET", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10) + "\r\nContent-Length: 2\r\n\r\nok", 0, "", false, false},
	{"long interim heads", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 15<<10)+"\r\n\r\n", 5) + ok2, 0, "", false, false},
	{"POST", "POST", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", 201, "ok", false, true},
}

// What comes from upstream is taken as net/http takes it, or refused; and after
// anything that is not whole and alone, the connection is not used again.
func TestAnswers(t *testing.T) {
	quietLog(t)
	for _, tt := range answers {
		for _, atOnce := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s by %d", tt.name, atOnce), func(t *testing.T) {
				ours, theirs := both(t, tt.method, []byte(tt.text), atOnce, false)
				compare(t, ours, theirs)
				if ours.Status != tt.status || ours.Body != tt.body || ours.Err == nil && (ours.BodyErr != "<nil>") != tt.broken {
					t.Errorf("got %+v, want status %d and %q", ours, tt.status, tt.body)
				}
				// By the byte, what follows an answer has not come yet: see TestIdleConnectionThatSpeaks.
				if atOnce > 1 && ours.Kept != tt.kept {
					t.Errorf("the connection is kept: %t, want %t", ours.Kept, tt.kept)
				}
			})
		}
	}
}

func FuzzAnswer(f *testing.F) {
	quietLog(f)
	for _, tt := range answers {
		f.Add([]byte(tt.text), uint8(len(tt.method)), uint16(1000), false)
		f.Add([]byte(tt.text), uint8(len(tt.method)), uint16(1), true)
	}
	f.Fuzz(func(t *testing.T, answer []byte, method uint8, atOnce uint16, stall bool) {
		if len(answer) > 256<<10 {
			return
		}
		methods := []string{"GET", "HEAD", "POST", "GET", "HEAD", "DELETE"}
		ours, theirs := both(t, methods[int(method)%len(methods)], bytes.Clone(answer), int(atOnce), stall)
		compare(t, ours, theirs)
	})
}
