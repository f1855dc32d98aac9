package proxy_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// inPieces answers with a body that comes in pieces, and tells before it waits for
// one.
type inPieces struct {
	header http.Header
	pieces []string
	waits  chan bool // for the next piece; nil if all are here
	length int64     // that is announced; 0 for none
	end    error     // nil if it ends well
	tell   func()
}

func (s *inPieces) RoundTrip(r *http.Request) (*http.Response, error) {
	body := *s
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: s.header.Clone(), Body: &body, ContentLength: cmp.Or(s.length, -1), Request: r}, nil
}

func (s *inPieces) BeforeWait(f func()) { s.tell = f }

func (s *inPieces) Read(p []byte) (int, error) {
	if s.waits != nil {
		if s.tell != nil {
			s.tell()
		}
		<-s.waits
	}
	if len(s.pieces) == 0 {
		return 0, cmp.Or(s.end, io.EOF)
	}
	n := copy(p, s.pieces[0])
	s.pieces = s.pieces[1:]
	return n, nil
}

func (s *inPieces) Close() error { return nil }

var plain = http.Header{"Content-Type": {"text/plain"}}

// Pieces that are here are written together, the end with the last of them.
func TestPiecesThatAreHereAreWrittenTogether(t *testing.T) {
	source := &inPieces{header: plain}
	for i := range 10 {
		source.pieces = append(source.pieces, strings.Repeat(string(rune('0'+i)), 12<<10))
	}
	want := strings.Join(source.pieces, "")
	url, l := servePaced(t, proxy.Config{Tokens: newTokens("http://org.example"), Transport: source})
	const soap = "/services/Soap/u/60.0" // whose answers are looked at for the usage
	for _, request := range []string{limitsPath + " HTTP/1.1\r\n", limitsPath + " HTTP/1.1\r\nConnection: close\r\n", limitsPath + " HTTP/1.0\r\n", soap + " HTTP/1.1\r\n"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 { // where the connection goes on
			l.writes.Store(0)
			fmt.Fprintf(c, "GET %sHost: localhost\r\n\r\n", request)
			resp, err := http.ReadResponse(bufio.NewReaderSize(c, 256<<10), nil)
			if err != nil {
				t.Fatalf("%s: %v", request, err)
			}
			got, err := io.ReadAll(resp.Body)
			if n := l.writes.Load(); err != nil || string(got) != want || n > 2 {
				t.Errorf("%s: %d bytes, %v, in %d writes; want %d in 2 at most", request, len(got), err, n, len(want))
			}
			if resp.Close {
				break
			}
		}
	}
}

// A piece is passed on before the next one is waited for, be it the end, and so
// is the head.
func TestPiecesArePassedOnBeforeAWait(t *testing.T) {
	for _, media := range []string{"text/plain", "Text/Event-Stream ;charset=utf-8"} {
		source := &inPieces{header: http.Header{"Content-Type": {media}}, pieces: []string{"one", "two"}, waits: make(chan bool)}
		url, _ := servePaced(t, proxy.Config{Tokens: newTokens("http://org.example"), Transport: source})
		resp, err := http.Get(url + limitsPath)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for _, want := range source.pieces {
			source.waits <- true
			piece := make([]byte, len(want))
			if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != want {
				t.Fatalf("%s: got %q, %v; want %q", media, piece, err, want)
			}
		}
		source.waits <- true
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("%s: %q, %v after the last piece", media, rest, err)
		}
	}
}

// What there is of an answer that breaks off reaches the client. One of HTTP/1.0,
// which would take it for the whole answer, gets nothing.
func TestBrokenAnswerIsPassedOn(t *testing.T) {
	sized := http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"100"}}
	for name, source := range map[string]*inPieces{
		"of unknown length": {header: plain, pieces: []string{"begun"}, end: io.ErrUnexpectedEOF},
		"of known length":   {header: sized, length: 100, pieces: []string{"begun"}, end: io.ErrUnexpectedEOF},
	} {
		cfg := proxy.Config{Tokens: newTokens("http://org.example"), Transport: source}
		paced := startPaced(t, cfg, false).rig
		for to, r := range map[string]*rig{"HTTP/1.1": start(t, cfg), "HTTP/1.1, paced": paced, "HTTP/2": startPaced(t, cfg, true).rig} {
			got, err := r.try("POST", limitsPath, strings.NewReader("x"))
			if got.status != 200 || got.body != "begun" || err == nil {
				t.Errorf("an answer %s, by %s: %d %q, %v; want what there is of it, and that it broke off", name, to, got.status, got.body, err)
			}
		}
		c := paced.dial(t)
		c.write("POST " + limitsPath + " HTTP/1.0\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
		if got := c.rest(); got != "" {
			t.Errorf("an answer %s, by HTTP/1.0: %q, want the end of the connection", name, got)
		}
	}
}

// A document that is read whole before its head is written may be waited for.
func TestDocumentWithLinksIsWaitedFor(t *testing.T) {
	waits := make(chan bool, 3)
	for range cap(waits) {
		waits <- true
	}
	source := &inPieces{header: http.Header{"Content-Type": {"application/json"}, "X-Head": {"1"}}, waits: waits,
		pieces: []string{`{"limits":"http://org.`, `example/services/data/v60.0/limits"}`}}
	url, _ := servePaced(t, proxy.Config{Tokens: newTokens("http://org.example"), Transport: source})
	resp, err := http.Get(url + "/services/data/v60.0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if want := []byte(`{"limits":"` + url + `/services/data/v60.0/limits"}`); err != nil || !bytes.Equal(got, want) || resp.Header.Get("X-Head") == "" {
		t.Errorf("got %s, %v with %v; want %s", got, err, resp.Header, want)
	}
}

// drying is an answer without an end, of which nothing comes any more once its
// reader was held up for a long time.
type drying struct {
	tell func()
	ctx  context.Context
	over chan error
}

func (d *drying) RoundTrip(r *http.Request) (*http.Response, error) {
	body := &drying{ctx: r.Context(), over: d.over}
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: plain.Clone(), Body: body, ContentLength: -1, Request: r}, nil
}

func (d *drying) BeforeWait(f func()) { d.tell = f }

func (d *drying) Read(p []byte) (int, error) {
	began := time.Now()
	d.tell()
	if time.Since(began) < stallTimeout/2 {
		return len(p), nil
	}
	<-d.ctx.Done()
	d.over <- d.ctx.Err()
	return 0, d.ctx.Err()
}

func (d *drying) Close() error { return nil }

// Whoever is cut while a piece is passed on, before the org's next one is waited
// for, is not waited for with it.
func TestCutReaderEndsTheWaitForTheOrg(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		source := &drying{over: make(chan error, 1)}
		r := startPaced(t, proxy.Config{Tokens: newTokens("http://org.example"), Transport: source}, secure)
		c := r.dialPlainOrTLS(t, secure)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", limitsPath)
		r.wantCut(t, "answer")
		if err := receive(t, source.over, "the org's answer to end"); err == nil {
			t.Error("the request to the org is not canceled")
		}
	}
}
