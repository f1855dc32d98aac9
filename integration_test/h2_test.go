package integration_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// listenerTLS returns the settings of a proxy that serves HTTPS, and so HTTP/2.
func listenerTLS(t *testing.T) []string {
	t.Helper()
	certificate, key := newAuthority(t, pkix.Name{CommonName: "Listener CA"}).issue(t, "127.0.0.1", time.Now().AddDate(0, 1, 0))
	return []string{"PROXY_TLS_CERT_FILE=" + writeFile(t, "tls.crt", certificate), "PROXY_TLS_KEY_FILE=" + writeFile(t, "tls.key", key)}
}

// conformance is what h2spec says of a server.
type conformance struct {
	passed int
	failed map[string]bool // by section and name
}

// conform runs h2spec on a TLS server of this machine. report is a file to be
// written. h2spec gives up where a handshake takes longer than two seconds, as it
// may on a busy machine, and is run again then.
func conform(program, url, report string) (*conformance, error) {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "https://"))
	out, err := exec.Command(program, port, echoPath, report).CombinedOutput()
	if err != nil {
		out, err = exec.Command(program, port, echoPath, report).CombinedOutput()
	}
	if err != nil {
		return nil, fmt.Errorf("h2spec: %w\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	var suites struct {
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string    `xml:"classname,attr"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		return nil, err
	}
	c := &conformance{failed: map[string]bool{}}
	for _, suite := range suites.Suites {
		for _, test := range suite.Cases {
			switch {
			case test.Error != nil:
				c.failed[suite.Name+": "+test.Name] = true
			case test.Skipped == nil:
				c.passed++
			}
		}
	}
	return c, nil
}

// deviations are the tests of h2spec that fail, and why. All of them are
// net/http's, and none lets a request be taken for another one.
var deviations = map[string]string{
	"4.2. Frame Size: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE":                                                 "the frame is larger than the default of 16 KiB, and smaller than the 1 MiB that net/http announces",
	"6.5.3. Settings Synchronization: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                                     "net/http hangs up on a SETTINGS frame with duplicates, which no client sends",
	"8.1.2.2. Connection-Specific Header Fields: Sends a HEADERS frame that contains the connection-specific header field":                       "net/http answers 400, where a reset of the stream is asked for",
	"8.1.2.2. Connection-Specific Header Fields: Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "net/http answers 400, as above",
}

// TestHTTP2Conformance runs h2spec on the proxy's TLS listener, and beside it on
// a server that is net/http and nothing else: the proxy must be no worse.
func TestHTTP2Conformance(t *testing.T) {
	t.Parallel()
	program := buildModule(t, filepath.Join("testdata", "h2spec"))
	bare := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "{}")
	}))
	bare.EnableHTTP2 = true
	bare.Config.ErrorLog = log.New(io.Discard, "", 0)
	bare.StartTLS()
	t.Cleanup(bare.Close)
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, listenerTLS(t)...))
	p.waitReady(t)

	dir := t.TempDir()
	var own, library *conformance
	var err, libraryErr error
	var both sync.WaitGroup
	both.Go(func() { own, err = conform(program, p.URL, filepath.Join(dir, "own.xml")) })
	both.Go(func() { library, libraryErr = conform(program, bare.URL, filepath.Join(dir, "library.xml")) })
	both.Wait()
	if err := errors.Join(err, libraryErr); err != nil {
		t.Fatal(err)
	}
	t.Logf("h2spec: %d pass, %d fail; with net/http alone %d and %d", own.passed, len(own.failed), library.passed, len(library.failed))
	if own.passed < 100 {
		t.Errorf("h2spec: only %d tests pass", own.passed)
	}
	var worse []string
	for _, name := range slices.Sorted(maps.Keys(own.failed)) {
		t.Logf("fails: %s (%s)", name, deviations[name])
		if deviations[name] == "" && !library.failed[name] {
			worse = append(worse, name)
		}
	}
	if worse == nil {
		return
	}
	// h2spec gives a server two seconds, and a busy machine may need more once.
	again, err := conform(program, p.URL, filepath.Join(dir, "again.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range worse {
		if again.failed[name] {
			t.Errorf("%s: fails, and not with net/http alone", name)
		}
	}
}

// field is a header field of HTTP/2.
type field struct{ name, value string }

// downgradeShapes are HTTP/2 requests that could turn into something else when
// they are written as HTTP/1.1. Of the pseudo-fields those that a shape has none
// of are as they should be. FIRST and SECOND stand for paths, HIDDEN for an
// HTTP/1.1 request, LEN for its length.
var downgradeShapes = []struct {
	name   string
	fields []field
	body   string
	// want are the requests that the proxy takes it for; no hidden one ever.
	want string
}{
	{"plain", []field{{"content-length", "LEN"}}, "HIDDEN", "first last"},
	{"no-length", nil, "HIDDEN", "first last"},
	{"length-0", []field{{"content-length", "0"}}, "HIDDEN", "first last"},
	{"length-too-short", []field{{"content-length", "4"}}, "HIDDEN", "first last"},
	{"length-too-long", []field{{"content-length", "1LEN"}}, "HIDDEN", "first last"},
	{"length-signed", []field{{"content-length", "+LEN"}}, "HIDDEN", "first last"},
	{"length-list", []field{{"content-length", "LEN, LEN"}}, "HIDDEN", "first last"},
	{"length-twice", []field{{"content-length", "LEN"}, {"content-length", "0"}}, "HIDDEN", "first last"},
	{"length-of-a-GET", []field{{":method", "GET"}, {"content-length", "0"}}, "HIDDEN", "first last"},
	{"chunked", []field{{"transfer-encoding", "chunked"}}, "0\r\n\r\nHIDDEN", "last"},
	{"chunked-with-a-length", []field{{"transfer-encoding", "chunked"}, {"content-length", "LEN"}}, "HIDDEN", "last"},
	{"chunked-with-an-underscore", []field{{"transfer_encoding", "chunked"}}, "0\r\n\r\nHIDDEN", "first last"},
	{"chunked-with-a-space", []field{{"transfer-encoding ", "chunked"}}, "0\r\n\r\nHIDDEN", ""},
	{"upper-case", []field{{"Transfer-Encoding", "chunked"}}, "0\r\n\r\nHIDDEN", ""},
	{"line-in-a-value", []field{{"x-custom", "a\r\ntransfer-encoding: chunked"}}, "0\r\n\r\nHIDDEN", ""},
	{"request-in-a-value", []field{{"x-custom", "a\r\n\r\nHIDDEN"}}, "", ""},
	{"LF-in-a-value", []field{{"x-custom", "a\ntransfer-encoding: chunked"}}, "0\r\n\r\nHIDDEN", ""},
	{"NUL-in-a-value", []field{{"x-custom", "a\x00b"}}, "", ""},
	{"line-in-a-name", []field{{"x-custom: a\r\ntransfer-encoding", "chunked"}}, "0\r\n\r\nHIDDEN", ""},
	{"colon-in-a-name", []field{{"transfer-encoding: chunked\r\nx", "a"}}, "0\r\n\r\nHIDDEN", ""},
	{"empty-name", []field{{"", "a"}}, "", ""},
	{"line-in-the-path", []field{{":path", "FIRST HTTP/1.1\r\nhost: localhost\r\n\r\nGET SECOND"}}, "", ""},
	{"space-in-the-path", []field{{":path", "FIRST HTTP/1.1"}}, "", "first HTTP/1.1 last"},
	{"no-slash-in-the-path", []field{{":path", "localhostFIRST"}}, "", "last"},
	{"line-in-the-method", []field{{":method", "GET SECOND HTTP/1.1\r\nhost: localhost\r\n\r\nPOST"}}, "", ""},
	{"space-in-the-method", []field{{":method", "GET / HTTP/1.1"}}, "", "first last"},
	{"line-in-the-authority", []field{{":authority", "localhost\r\ntransfer-encoding: chunked"}}, "0\r\n\r\nHIDDEN", ""},
	{"line-in-the-scheme", []field{{":scheme", "https://localhost/ HTTP/1.1\r\nx: a"}}, "", ""},
	{"another-host-field", []field{{"host", "evil.example"}}, "", "first last"},
	{"two-paths", []field{{":path", "FIRST"}, {":path", "SECOND"}}, "", ""},
	{"two-methods", []field{{":method", "GET"}, {":method", "POST"}}, "", ""},
	{"unknown-pseudo-field", []field{{":x", "a"}}, "", ""},
	{"pseudo-field-at-the-end", []field{{"x-custom", "a"}, {":path", "SECOND"}}, "", ""},
	{"connection", []field{{"connection", "content-length"}}, "HIDDEN", "last"},
	{"upgrade", []field{{"upgrade", "websocket"}, {"connection", "upgrade"}}, "HIDDEN", "last"},
	{"te", []field{{"te", "chunked"}}, "HIDDEN", "last"},
	{"CONNECT", []field{{":method", "CONNECT"}}, "HIDDEN", "last"},
}

// TestHTTP2IsWrittenAsItIsCounted has the proxy forward HTTP/2 requests over
// HTTP/1.1 to an nginx, and compares how many each takes them for.
func TestHTTP2IsWrittenAsItIsCounted(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	c := startChain(t, listenerTLS(t)...)
	for _, s := range downgradeShapes {
		sendDowngrade(t, strings.TrimPrefix(c.proxy.URL, "https://"), s.name, s.fields, s.body)
	}
	all := c.stop(t)
	for _, s := range downgradeShapes {
		if got := of(s.name, all.proxy); got != s.want {
			t.Errorf("%s: the proxy got %q, want %q", s.name, got, s.want)
		}
		all.agree(t, s.name)
	}
}

// sendDowngrade sends a shape as the first request of a connection and, if that
// lives on, an ordinary one as the second.
func sendDowngrade(t *testing.T, address, name string, fields []field, body string) {
	t.Helper()
	path := echoPath + "/" + name
	hidden := "GET " + path + "/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
	fill := strings.NewReplacer("FIRST", path+"/first", "SECOND", path+"/second", "HIDDEN", hidden, "LEN", fmt.Sprint(len(hidden)))
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeFrame(conn, frameSettings, 0, 0, nil)
	writeFrame(conn, frameHeaders, flagEndHeaders, 1, headerBlock(fields, path+"/first", fill))
	writeFrame(conn, frameData, flagEndStream, 1, []byte(fill.Replace(body)))
	if waitStream(t, conn, 1) {
		writeFrame(conn, frameHeaders, flagEndHeaders|flagEndStream, 3, headerBlock([]field{{":method", "GET"}}, path+"/last", fill))
		waitStream(t, conn, 3)
	}
}

// waitStream reads frames until the server has ended a stream, or the connection:
// then it returns false.
func waitStream(t *testing.T, conn io.Reader, stream byte) bool {
	t.Helper()
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Errorf("before the end of stream %d: %v", stream, err)
			return false
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			t.Errorf("within a frame: %v", err)
			return false
		}
		kind, flags := head[3], head[4]
		switch {
		case kind == frameGoAway:
			return false
		case head[8] == stream && (kind == frameReset || kind <= frameHeaders && flags&flagEndStream != 0):
			return true
		}
	}
}

// Frames and flags of HTTP/2 (RFC 9113 sections 6 and 7).
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7

	flagEndStream, flagEndHeaders = 1, 4
)

// writeFrame writes a frame; that the server has closed is seen when reading.
func writeFrame(w io.Writer, kind, flags, stream byte, payload []byte) {
	n := len(payload)
	w.Write(append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}, payload...))
}

// headerBlock encodes fields as literals (RFC 7541 section 6.2.2), without a look
// at what they hold.
func headerBlock(fields []field, path string, fill *strings.Replacer) []byte {
	list := []field{{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}}
	list = slices.DeleteFunc(list, func(usual field) bool {
		return slices.ContainsFunc(fields, func(f field) bool { return f.name == usual.name })
	})
	var block []byte
	for _, f := range append(list, fields...) {
		block = append(block, 0)
		for _, text := range []string{f.name, fill.Replace(f.value)} {
			if n := len(text); n < 127 {
				block = append(block, byte(n))
			} else {
				block = append(block, 127, byte(n-127)) // up to 254
			}
			block = append(block, text...)
		}
	}
	return block
}
