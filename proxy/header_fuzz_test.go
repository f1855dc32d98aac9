package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/proxy"
)

// FuzzHeaders sends any header fields and trailers over TCP. Of what reaches the
// upstream, none is a credential of the client's, one is the token, none was for
// the proxy alone, the rest is what was sent, and one request stays one.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []struct {
		target           uint8
		fields, trailers string
	}{
		{0, "X-Custom: a\nx-custom: b\nX-CUSTOM:\nAccept: */*\nSforce-Query-Options: batchSize=200", ""},
		{0, "AUTHORIZATION: Bearer KEY\nauthorization: Basic a\nx-sfdc-session: KEY\nCookie: sid=KEY; a=b\nX-API-Key: KEY", ""},
		{0, "Connection: x-hop, AUTHORIZATION ,, Content-Type\nX-Hop: 1\nContent-Type: application/json", ""},
		{0, "Connection: close\nConnection: Transfer-Encoding, Content-Length, Host, Sforce-Call-Options", ""},
		{0, "X-Forwarded-For: 1\nx-forwarded-access-token: KEY\nForwarded: for=x\nVia: a\nX-Real-IP: b\nProxy-Authorization: Basic KEY\nproxy-x: y", ""},
		{0, "Keep-Alive: timeout=5\nTE: trailers, deflate\nUpgrade: websocket\nConnection: upgrade, te, keep-alive", ""},
		{0, "Trailer: X-Sum, X-Api-Key\nTE: trailers", "X-Sum: 1\nX-Api-Key: KEY\nAuthorization: Bearer KEY\nCookie: sid=KEY"},
		{0, "Connection: X-Hop, X-Other\nTrailer: X-Hop, X-Sum", "X-Hop: 1\nX-Other: 2\nTE: trailers\nKeep-Alive: 5\nForwarded: for=x"},
		{0, "Content-Length: 3\nTransfer-Encoding: identity", ""},
		{0, "Content-Length: 5", "Content-Length: 1\nTransfer-Encoding: chunked\nHost: other"},
		{0, "Expect: 100-continue\nIdempotency-Key: k\nX-Request-Id: r\nUser-Agent: u", ""},
		{0, "X-Fold: a\n b\nX : c\n:d\nX\x00: e\nX-\u00e9: \u00e9\nX-Latin: \xe9", ""},
		{1, "X-SFDC-Session: KEY\nConnection: X-SFDC-Session", "X-SFDC-Session: KEY"},
		{2, "Cookie: sid=KEY; BAYEUX_BROWSER=x\nCookie: SID =KEY; \"sid\"=KEY", ""},
		{3, "SOAPAction: \"\"\nContent-Type: text/xml", "X-Sum: 1"},
		{4, "Host: other\nOrigin: http://other\nSec-Fetch-Site: same-origin\nReferer: http://other/?sid=KEY", ""},
	} {
		f.Add(seed.target, []byte(seed.fields), []byte(seed.trailers))
	}
	w := newHeaderWatch(f)
	f.Fuzz(func(t *testing.T, target uint8, fields, trailers []byte) { w.try(t, target, fields, trailers) })
}

const (
	plantedKey  = "planted-key-of-billing"
	wantedToken = "token-secret-1"
)

// fuzzTargets are requests whose credentials have places of their own.
var fuzzTargets = []struct{ line, body string }{
	{"POST /services/data/v60.0/sobjects/Account", `{"Name":"a"}`},
	{"POST /services/async/60.0/job", `{"object":"Account"}`},
	{"POST /cometd/60.0", `[]`},
	{"POST /services/Soap/u/60.0", `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header><SessionHeader xmlns="urn:partner.soap.sforce.com">` +
		`<sessionId>` + plantedKey + `</sessionId></SessionHeader></Header><Body><getUserInfo xmlns="urn:partner.soap.sforce.com"/></Body></Envelope>`},
	{"POST /services/data/v60.0/limits?a=b&oauth_token=" + plantedKey + "&access_token=" + plantedKey + "&sid=" + plantedKey, `{}`},
}

// arrived is what the upstream got.
type arrived struct {
	raw     []byte // the head, as it came over the wire
	header  http.Header
	trailer http.Header
	uri     string
	body    string
	err     error // of reading the body
}

// headerWatch is a proxy with one client, and an upstream that listens.
type headerWatch struct {
	address string

	mu       sync.Mutex
	arrivals []arrived
	conn     net.Conn // from the client; nil if there is none
	reader   *bufio.Reader
}

func newHeaderWatch(t testing.TB) *headerWatch {
	w := &headerWatch{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(w.arrive))
	server.Listener = recordingListener{server.Listener}
	server.Config.ConnContext = contextWithConn
	server.Start()
	t.Cleanup(server.Close)
	key, err := proxy.HashAPIKey(plantedKey)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, proxy.Config{Tokens: newTokens(server.URL), Logger: quiet, Clients: []proxy.Client{{Name: "billing", Subject: username, APIKey: key}}})
	w.address = strings.TrimPrefix(r.url, "http://")
	t.Cleanup(w.hangUp)
	return w
}

func (w *headerWatch) arrive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrivals = append(w.arrivals, arrived{connOf(r.Context()).head(), r.Header, r.Trailer, r.RequestURI, string(body), err})
}

// take returns what has arrived since the last time.
func (w *headerWatch) take() []arrived {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.arrivals
	w.arrivals = nil
	return taken
}

func (w *headerWatch) hangUp() {
	if w.conn != nil {
		w.conn.(*net.TCPConn).SetLinger(0) // which leaves no port waiting
		w.conn.Close()
		w.conn = nil
	}
}

// ask sends a request and returns the last answer to it, and whether the
// connection holds more.
func (w *headerWatch) ask(t *testing.T, request []byte) (*http.Response, bool) {
	if w.conn == nil {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		w.conn, w.reader = conn, bufio.NewReader(conn)
	}
	w.conn.SetDeadline(time.Now().Add(patience))
	w.conn.Write(request) // it may be refused before its end
	for {
		resp, err := http.ReadResponse(w.reader, &http.Request{Method: "POST"})
		if err != nil {
			w.hangUp()
			t.Fatalf("no answer to %q: %v", request, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("the answer to %q breaks off after %q: %v", request, body, err)
		}
		if resp.StatusCode >= 200 {
			more := w.reader.Buffered() > 0
			if resp.Close || more {
				w.hangUp()
			}
			return resp, more
		}
	}
}

// lines makes lines of a part of a head out of any bytes: neither ends the part.
func lines(text []byte) []byte {
	var out []byte
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
			out = append(append(out, bytes.ReplaceAll(line, []byte("KEY"), []byte(plantedKey))...), "\r\n"...)
		}
	}
	return out
}

func (w *headerWatch) try(t *testing.T, target uint8, fields, trailers []byte) {
	if len(fields)+len(trailers) > 2<<10 {
		return // what the server refuses without having read it, it may cut off before the answer is here
	}
	what := fuzzTargets[int(target)%len(fuzzTargets)]
	head := append([]byte("X-Api-Key: "+plantedKey+"\r\n"), lines(fields)...)
	request := fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n%s\r\n%x\r\n%s\r\n0\r\n%s\r\n",
		what.line, head, len(what.body), what.body, lines(trailers))
	resp, more := w.ask(t, request)
	arrivals := w.take()
	if more || len(arrivals) > 1 {
		t.Errorf("%q is one request, and made %d, or several answers", request, len(arrivals))
	}
	for _, a := range arrivals {
		for _, fault := range a.faults(what.line) {
			t.Errorf("%q reached the upstream as %q, trailers %q: %s", request, a.raw, a.trailer, fault)
		}
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-SFProxy-Error") != "" {
		return
	}
	if len(arrivals) == 0 {
		t.Fatalf("%q was answered by nobody", request)
	}
	sent, err := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader("\r\n")))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%q was forwarded, and its head is malformed: %v", request, err)
	}
	for _, fault := range arrivals[0].losses(what.body, http.Header(sent)) {
		t.Errorf("%q reached the upstream as %q: %s", request, arrivals[0].raw, fault)
	}
}

// neverSent are fields that are between the client and the proxy.
var neverSent = []string{"X-Api-Key", "Via", "X-Real-Ip", "Forwarded", "Upgrade", "Keep-Alive", "Origin", "Referer",
	"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User", "Connection"}

func isNeverSent(name string) bool {
	return slices.Contains(neverSent, name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Proxy-")
}

// faults says what has arrived that should not.
func (a arrived) faults(line string) []string {
	var found []string
	fault := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if got := a.header["Authorization"]; !slices.Equal(got, []string{"Bearer " + wantedToken}) {
		fault("Authorization = %q", got)
	}
	wanted := []string(nil)
	if strings.Contains(line, "/async/") {
		wanted = []string{wantedToken}
	}
	if got := a.header["X-Sfdc-Session"]; !slices.Equal(got, wanted) {
		fault("X-Sfdc-Session = %q, want %q", got, wanted)
	}
	for _, value := range a.header["Cookie"] {
		if cookies, err := http.ParseCookie(value); !strings.Contains(line, "/cometd/") || err == nil &&
			slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return strings.EqualFold(c.Name, "sid") }) {
			fault("Cookie = %q", value)
		}
	}
	if strings.Contains(a.uri, plantedKey) || strings.Contains(a.body, plantedKey) {
		fault("the client's credential is in the target %q or in the body %q", a.uri, a.body)
	}
	for name := range a.header {
		if isNeverSent(name) {
			fault("it has %s", name)
		}
	}
	for name := range a.trailer {
		if isNeverSent(name) || slices.Contains([]string{"Authorization", "X-Sfdc-Session", "Cookie", "Host", "Content-Length", "Transfer-Encoding", "Te", "Trailer"}, name) {
			fault("it has a trailer %s", name)
		}
	}
	if te := a.header["Te"]; te != nil && !slices.Equal(te, []string{"trailers"}) {
		fault("Te = %q", te)
	}
	return append(found, framingFaults(a.raw)...)
}

// framingFaults says where readers could differ on how long a request is.
func framingFaults(head []byte) []string {
	var lengths, codings, hosts int
	var found []string
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "content-length":
			lengths++
		case "transfer-encoding":
			codings++
			if !bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked")) {
				found = append(found, fmt.Sprintf("Transfer-Encoding is %q", value))
			}
		case "host":
			hosts++
		}
		if bytes.ContainsAny(line, "\r\n\x00") || len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			found = append(found, fmt.Sprintf("the line %q can be read in two ways", line))
		}
	}
	if lengths+codings != 1 || hosts != 1 {
		found = append(found, fmt.Sprintf("it has %d Content-Length, %d Transfer-Encoding, %d Host", lengths, codings, hosts))
	}
	return found
}

// losses says what of a request that was answered has not arrived as it was sent.
func (a arrived) losses(body string, sent http.Header) []string {
	var found []string
	if want := strings.ReplaceAll(body, plantedKey, wantedToken); a.body != want || a.err != nil {
		found = append(found, fmt.Sprintf("body = %q, %v, want %q", a.body, a.err, want))
	}
	named := map[string]bool{}
	for _, value := range sent["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			named[http.CanonicalHeaderKey(textproto.TrimString(name))] = true
		}
	}
	for name, values := range sent {
		for i := range values {
			values[i] = textproto.TrimString(values[i]) // what was folded may end with a space
		}
		switch {
		case isNeverSent(name):
		case name == "Sforce-Call-Options": // to which the client's name is added
		case slices.Contains([]string{"Authorization", "X-Sfdc-Session", "Cookie", "Te", "Expect", "Host", "Content-Length", "Transfer-Encoding", "Trailer"}, name):
		case named[name]:
			if got := a.header[name]; got != nil {
				found = append(found, fmt.Sprintf("Connection names %s, and it arrived as %q", name, got))
			}
		case name == "User-Agent": // net/http sends one, or none that is empty
			if got := a.header.Get(name); got != sent.Get(name) {
				found = append(found, fmt.Sprintf("User-Agent arrived as %q, want %q", got, sent.Get(name)))
			}
		case !slices.Equal(values, a.header[name]):
			found = append(found, fmt.Sprintf("%s arrived as %q, want %q", name, a.header[name], values))
		}
	}
	for name := range a.trailer {
		if named[name] {
			found = append(found, fmt.Sprintf("Connection names the trailer %s", name))
		}
	}
	for name := range a.header {
		ours := []string{"Authorization", "X-Sfdc-Session", "Sforce-Call-Options", "Content-Length", "Expect"}
		if sent[name] == nil && !slices.Contains(ours, name) {
			found = append(found, fmt.Sprintf("%s was not sent", name))
		}
	}
	return found
}
