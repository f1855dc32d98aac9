package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// accessToken is what every peer has to put on its requests.
const accessToken = "00DKj0000012345!AQEAQBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBench"

// upstream is an org that answers from memory and does next to nothing: its
// requests are taken off the connection without net/http, whose cost would be a
// good part of what all processes together spend.
type upstream struct {
	latency      time.Duration     // before each answer of the API
	grantLatency time.Duration     // before each token
	responses    map[string][]byte // request line up to the version → answer
	issuer       string            // its origin

	mu     sync.Mutex
	grants []time.Time // when each token was asked for
}

// serveUpstream is the role of the upstream. It prints its address.
func serveUpstream(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("upstream", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory of the certificate")
	latency := flags.Duration("latency", 0, "before each answer")
	grantLatency := flags.Duration("grant-latency", 0, "before each token")
	offerHTTP2 := flags.Bool("http2", false, "offer HTTP/2, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(*dir, certFile), filepath.Join(*dir, keyFile))
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { plain.Close() })
	u := &upstream{latency: *latency, grantLatency: *grantLatency, responses: map[string][]byte{}}
	u.issuer = fmt.Sprintf("https://localhost:%d", plain.Addr().(*net.TCPAddr).Port)
	for _, s := range shapes {
		u.responses[s.method+" "+s.path] = s.response()
	}
	fmt.Fprintln(os.Stdout, u.issuer)
	settings := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true}
	if *offerHTTP2 {
		settings.NextProtos = []string{"h2", "http/1.1"}
	}
	multiplexed := newConnections(ctx, plain.Addr())
	go http.Serve(multiplexed, http.HandlerFunc(u.serveHTTP2))
	for {
		conn, err := plain.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go u.serve(ctx, tls.Server(conn, settings), multiplexed)
	}
}

// serve answers a connection's requests until it ends; one of HTTP/2 goes to
// multiplexed.
func (u *upstream) serve(ctx context.Context, conn *tls.Conn, multiplexed *connections) {
	if err := conn.HandshakeContext(ctx); err == nil && conn.ConnectionState().NegotiatedProtocol == "h2" {
		multiplexed.hand(conn)
		return
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 16<<10)
	for {
		if err := u.answer(conn, r); err != nil {
			return
		}
	}
}

// answer reads one request and answers it.
func (u *upstream) answer(conn net.Conn, r *bufio.Reader) error {
	h, err := readHead(r)
	if err != nil {
		return err
	}
	if h.expectsContinue {
		if _, err := io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	if _, err := h.discardBody(r, nil); err != nil {
		return err
	}
	response := u.responseTo(h)
	_, err = conn.Write(response)
	return err
}

func (u *upstream) responseTo(h *head) []byte {
	switch h.first {
	case "POST " + tokenPath:
		return u.grant()
	case "GET /bench/grants":
		return u.grantTimes()
	}
	if !h.authorized {
		return statusOnly(401)
	}
	response, ok := u.responses[h.first]
	if !ok {
		return statusOnly(404)
	}
	if u.latency > 0 {
		time.Sleep(u.latency)
	}
	return response
}

func statusOnly(status int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d Refused\r\nContent-Length: 0\r\n\r\n", status)
}

const tokenPath = "/services/oauth2/token"

// grant answers at the token endpoint; each token is a new one.
func (u *upstream) grant() []byte {
	u.mu.Lock()
	u.grants = append(u.grants, time.Now())
	token := fmt.Sprintf("%s.%d", accessToken, len(u.grants))
	u.mu.Unlock()
	time.Sleep(u.grantLatency)
	return jsonResponse(map[string]string{"access_token": token, "instance_url": u.issuer, "token_type": "Bearer",
		"scope": "api", "id": u.issuer + "/id/00DKj0000012345MAA/005Kj000001AbCdIAK"})
}

// grantTimes tells when tokens were asked for.
func (u *upstream) grantTimes() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return jsonResponse(u.grants)
}

func jsonResponse(v any) []byte {
	body, _ := json.Marshal(v)
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// head is what the upstream and the load need to know of the head of a request
// or an answer.
type head struct {
	first           string // of a request: method and target; of an answer: version and status
	length          int64  // of the body; -1 if it is chunked
	authorized      bool   // the request brings a token of the upstream's, or an AWS signature
	expectsContinue bool
	closes          bool // the connection is not to be used again
}

var (
	bearer    = []byte("Bearer " + accessToken)
	signature = []byte("AWS4-HMAC-SHA256 ")
)

// readHead reads as far as the body. Names of header fields may be in any case.
func readHead(r *bufio.Reader) (*head, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	one := bytes.IndexByte(line, ' ')
	two := bytes.IndexByte(line[one+1:], ' ')
	if one < 0 || two < 0 {
		return nil, fmt.Errorf("a head begins with %q", line)
	}
	h := &head{first: string(line[:one+1+two])}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		if err := h.take(line); err != nil {
			return nil, err
		}
	}
}

// take notes one header field.
func (h *head) take(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return fmt.Errorf("a header field without a colon: %q", line)
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch colon {
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.ParseInt(string(value), 10, 64)
			h.length = n
			return err
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) && bytes.EqualFold(value, []byte("chunked")) {
			h.length = -1
		}
	case len("Authorization"):
		if bytes.EqualFold(name, []byte("Authorization")) {
			h.authorized = bytes.HasPrefix(value, bearer) || bytes.HasPrefix(value, signature)
		}
	case len("Expect"):
		h.expectsContinue = h.expectsContinue || bytes.EqualFold(name, []byte("Expect"))
	case len("Connection"):
		h.closes = h.closes || bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

// discardBody reads the body and returns how long it was. moved, if not nil, is
// called with the size of each piece as it comes.
func (h *head) discardBody(r *bufio.Reader, moved func(n int)) (int64, error) {
	if h.length >= 0 {
		return h.length, discard(r, h.length, moved)
	}
	var total int64
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return total, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 64)
		if err != nil {
			return total, err
		}
		if err := discard(r, size, moved); err != nil {
			return total, err
		}
		if err := discard(r, 2, nil); err != nil { // the line's end
			return total, err
		}
		total += size
		if size == 0 {
			return total, nil
		}
	}
}

// discard reads n bytes, as many at once as the buffer has.
func discard(r *bufio.Reader, n int64, moved func(n int)) error {
	for n > 0 {
		if _, err := r.Peek(1); err != nil {
			return err
		}
		piece := min(n, int64(r.Buffered()))
		r.Discard(int(piece))
		n -= piece
		if moved != nil {
			moved(int(piece))
		}
	}
	return nil
}
