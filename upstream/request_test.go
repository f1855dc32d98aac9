package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// sent returns what a client writes for a request, its headers in one order.
func sent(t *testing.T, newClient func(*http.Transport) http.RoundTripper, req *http.Request) (string, error) {
	t.Helper()
	s := newScript([]byte(ok2), 1<<20, true)
	base := through(s)
	client := newClient(base)
	_, _, err := sendRequest(client, req)
	base.CloseIdleConnections()
	head, body, _ := strings.Cut(s.written.String(), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	name := func(line string) string { name, _, _ := strings.Cut(line, ":"); return name }
	slices.SortStableFunc(lines[1:], func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return strings.Join(lines, "\n") + "\n\n" + body, err
}

func ours(base *http.Transport) http.RoundTripper   { return New(base) }
func theirs(base *http.Transport) http.RoundTripper { return base }

// sameMessage fails unless this package sends what net/http does. make is called
// twice, for the body can be read once.
func sameMessage(t *testing.T, make func() *http.Request) string {
	t.Helper()
	got, err := sent(t, ours, make())
	want, wantErr := sent(t, theirs, make())
	if (err != nil) != (wantErr != nil) || err == nil && got != want {
		t.Fatalf("sent     %q, %v\nnet/http %q, %v", got, err, want, wantErr)
	}
	return got
}

func TestMessageIsNetHTTPs(t *testing.T) {
	for _, tt := range []struct {
		name, method, url, body string
		change                  func(*http.Request)
		own                     bool // this package sends it itself
	}{
		{"get", "GET", "http://org.example/a?b=c", "", nil, true},
		{"no method", "", "http://org.example/", "", nil, true},
		{"port", "GET", "http://org.example:8443/", "", nil, true},
		{"IPv6", "GET", "http://[::1]:8443/", "", nil, true},
		{"zone", "GET", "http://[fe80::1%25eth0]:8443/", "", nil, false},
		{"international host", "GET", "http://bücher.example/", "", nil, false},
		{"post", "POST", "http://org.example/", "body", nil, true},
		{"post without a body", "POST", "http://org.example/", "", nil, true},
		{"post with NoBody", "POST", "http://org.example/", "", func(r *http.Request) { r.Body = http.NoBody }, true},
		{"patch without a body", "PATCH", "http://org.example/", "", nil, true},
		{"delete", "DELETE", "http://org.example/", "", nil, true},
		{"get with a body", "GET", "http://org.example/", "body", nil, true},
		{"largest body", "POST", "http://org.example/", strings.Repeat("x", maxBody), nil, true},
		{"larger body", "POST", "http://org.example/", strings.Repeat("x", maxBody+1), nil, false},
		{"unknown length", "POST", "http://org.example/", "body", func(r *http.Request) { r.ContentLength = -1 }, false},
		{"no length", "POST", "http://org.example/", "body", func(r *http.Request) { r.ContentLength = 0 }, false},
		{"coding", "POST", "http://org.example/", "body", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, false},
		{"trailer", "POST", "http://org.example/", "body", func(r *http.Request) {
			r.ContentLength, r.Trailer = -1, http.Header{"X-Sum": {"1"}}
		}, false},
		{"opaque", "GET", "http://org.example/", "", func(r *http.Request) { r.URL.Opaque, r.URL.RawQuery = "/a/../b%2fc;d", "q=a;b" }, true},
		{"opaque with a host", "GET", "http://org.example/", "", func(r *http.Request) { r.URL.Opaque = "//other.example/a" }, true},
		{"empty query", "GET", "http://org.example/?", "", nil, true},
		{"space in the target", "GET", "http://org.example/", "", func(r *http.Request) { r.URL.Opaque = "/a HTTP/1.1" }, false},
		{"line end in the target", "GET", "http://org.example/", "", func(r *http.Request) { r.URL.Opaque = "/a\r\nX: y" }, false},
		{"other host", "GET", "http://org.example/", "", func(r *http.Request) { r.Host = "other.example" }, true},
		{"odd host", "GET", "http://org.example/", "", func(r *http.Request) { r.Host = "a/b" }, false},
		{"line end in the host", "GET", "http://org.example/", "", func(r *http.Request) { r.Host = "a\r\nX: y" }, false},
		{"odd method", "GE T", "http://org.example/", "", nil, false},
		{"CONNECT", "CONNECT", "http://org.example/", "", nil, false},
		{"close", "GET", "http://org.example/", "", func(r *http.Request) { r.Close = true }, false},
		{"agent", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["User-Agent"] = []string{" one ", "two"} }, true},
		{"no agent", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["User-Agent"] = []string{""} }, true},
		{"empty list of agents", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["User-Agent"] = nil }, true},
		{"values", "GET", "http://org.example/", "", func(r *http.Request) {
			r.Header["X-A"], r.Header["X-B"], r.Header["x-c"] = []string{"1", " 2\t", ""}, nil, []string{"ü\t\x80"}
		}, true},
		{"line end in a value", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["X"] = []string{"a\r\nY: b"} }, false},
		{"NUL in a value", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["X"] = []string{"a\x00"} }, false},
		{"odd name", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["X y"] = []string{"a"} }, false},
		{"empty name", "GET", "http://org.example/", "", func(r *http.Request) { r.Header[""] = []string{"a"} }, false},
		{"length in the headers", "POST", "http://org.example/", "body", func(r *http.Request) { r.Header["Content-Length"] = []string{"99"} }, true},
		{"length in small letters", "POST", "http://org.example/", "body", func(r *http.Request) { r.Header["content-length"] = []string{"99"} }, false},
		{"host in the headers", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["Host"] = []string{"other"} }, true},
		{"coding in the headers", "POST", "http://org.example/", "body", func(r *http.Request) { r.Header["Transfer-Encoding"] = []string{"chunked"} }, false},
		{"connection", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["Connection"] = []string{"close"} }, false},
		{"upgrade", "GET", "http://org.example/", "", func(r *http.Request) { r.Header["Upgrade"] = []string{"h2c"} }, false},
		{"short body", "POST", "http://org.example/", "body", func(r *http.Request) { r.ContentLength = 9 }, true},
		{"long body", "POST", "http://org.example/", "body", func(r *http.Request) { r.ContentLength = 2 }, true},
		{"length without a body", "POST", "http://org.example/", "", func(r *http.Request) { r.ContentLength = 2 }, false},
		{"no headers", "GET", "http://org.example/", "", func(r *http.Request) { r.Header = nil }, false},
		{"no URL", "GET", "http://org.example/", "", func(r *http.Request) { r.URL = nil }, false},
		{"no host", "GET", "http://org.example/", "", func(r *http.Request) { r.URL.Host = "" }, false},
		{"other scheme", "GET", "ftp://org.example/", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := func() *http.Request {
				req := newRequest(t, http.MethodPost, tt.url, tt.body)
				req.Method = tt.method
				if tt.change != nil {
					tt.change(req)
				}
				return req
			}
			sameMessage(t, request)
			req, m := request(), new(message)
			takes, _ := New(through(newScript(nil, 0, true))).takes(req)
			if own := takes && m.appendHead(req); own != tt.own {
				t.Errorf("sent without net/http: %t, want %t", own, tt.own)
			}
		})
	}
}

// Nothing is sent of a request whose body is not what was announced.
func TestMessageIsWholeOrNot(t *testing.T) {
	for _, length := range []int64{2, 9} {
		req := newRequest(t, http.MethodPost, "http://org.example/", "body")
		req.ContentLength = length
		if got, err := sent(t, ours, req); err == nil || got != "\n\n" {
			t.Errorf("%d bytes of 4: sent %q, %v", length, got, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("GET", "/a?b", "org.example", "X-A", "1", "x-b", "2", "")
	f.Add("POST", "//a", "", "Content-Length", "9", "te", "trailers", "body")
	f.Add("PUT", "/a b", "[::1]:80", "transfer-encoding", "chunked", "User-Agent", "", "body")
	f.Add("PUT", "/", "", "Content-Length", "\n", "a", "\x7f", "body")
	f.Add("DELETE", "", "a%b", "Host", "x", "Expect", "nothing", "")
	f.Fuzz(func(t *testing.T, method, target, host, name1, value1, name2, value2, body string) {
		if len(body) > 2*maxBody || strings.EqualFold(name1, "Expect") || strings.EqualFold(name2, "Expect") {
			return
		}
		got := sameMessage(t, func() *http.Request {
			var content io.ReadCloser
			if body != "" {
				content = io.NopCloser(strings.NewReader(body))
			}
			req := &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: "org.example", Opaque: target}, Host: host,
				Header: http.Header{name1: {value1}, name2: {value2}}, Body: content, ContentLength: int64(len(body))}
			return req.WithContext(t.Context())
		})
		if head, _, _ := strings.Cut(got, "\n\n"); strings.Count(head, "\n") > 6 {
			t.Errorf("sent more lines than there are: %q", head)
		}
	})
}

// countedBody counts its closes, and fails when it is read after one.
type countedBody struct {
	io.Reader
	t      *testing.T
	closed int
	err    error
}

func (b *countedBody) Read(p []byte) (int, error) {
	if b.closed > 0 {
		b.t.Error("the body is read after Close")
	}
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *countedBody) Close() error { b.closed++; return nil }

// The body of a request is closed once, whatever happens.
func TestBodyIsClosedOnce(t *testing.T) {
	failed := errors.New("the client left")
	for _, tt := range []struct {
		name   string
		answer string
		length int64
		err    error
		want   error
	}{
		{"answered", ok2, 4, nil, nil},
		{"broken", "", 4, nil, io.ErrUnexpectedEOF},
		{"body fails", ok2, 9, failed, failed},
		{"by net/http", ok2, -1, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := &countedBody{Reader: bytes.NewReader([]byte("body")), t: t, err: tt.err}
			req := newRequest(t, http.MethodPost, "http://org.example/", "")
			req.Body, req.ContentLength = body, tt.length
			_, _, err := sendRequest(newTransport(t, through(newScript([]byte(tt.answer), 1000, false))), req)
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
			if body.closed != 1 {
				t.Errorf("the body was closed %d times", body.closed)
			}
		})
	}
	body := &countedBody{Reader: strings.NewReader("body"), t: t}
	req := newRequest(t, http.MethodPost, "http://127.0.0.1:1/", "")
	req.Body, req.ContentLength = body, 4
	if _, _, err := sendRequest(newTransport(t, newBase()), req); err == nil || body.closed != 1 {
		t.Errorf("without a connection: %v, and the body was closed %d times", err, body.closed)
	}
}
