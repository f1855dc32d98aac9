package integration_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// httpClient is the client of the tests: it follows no redirect, decompresses
// nothing, and keeps enough connections for every test at once.
var httpClient = &http.Client{
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       2 * time.Minute,
}

// answer is an HTTP answer that has been read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// fetch sends a request and returns the answer. Header fields are "Name: value".
func fetch(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	return fetchAs(t, method, url, "", body, header...)
}

// fetchAs is fetch with another Host than the URL's, unless that is "".
func fetchAs(t *testing.T, method, url, host, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = cmp.Or(host, req.Host)
	for _, field := range header {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Add(name, value)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", method, url, err)
	}
	return answer{resp.StatusCode, resp.Header, content}
}

func get(t *testing.T, url string, header ...string) answer {
	t.Helper()
	return fetch(t, http.MethodGet, url, "", header...)
}

// ask gets a page of the admin port, which counts as an output of the process.
func (p *process) ask(t *testing.T, path string) answer {
	t.Helper()
	a := get(t, p.Admin+path)
	transcripts.add(a.body)
	return a
}

// restError is an error in the REST APIs' shape.
type restError struct{ ErrorCode, Message string }

// fault returns the error that the proxy itself answered with.
func (a answer) fault(t *testing.T) restError {
	t.Helper()
	transcripts.add(a.body)
	faults := decode[[]restError](t, a.body)
	if len(faults) != 1 || faults[0].ErrorCode != a.header.Get("X-SFProxy-Error") {
		t.Fatalf("answer %d %s with X-SFProxy-Error %q, want one error of the proxy", a.status, a.body, a.header.Get("X-SFProxy-Error"))
	}
	return faults[0]
}

// echoed is what the org's echo class says of a request.
type echoed struct {
	Method, URI      string
	TransferEncoding []string
	ContentLength    int64
	Length           int64
	SHA256           string
}

const echoPath = "/services/apexrest/echo"

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// without returns env without the named variables.
func without(env []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(names, name)
	})
}

// with returns env with further variables; of two of the same name the later counts.
func with(env []string, variables ...string) []string {
	return append(slices.Clone(env), variables...)
}

// closedPort returns an address of this machine where nobody listens, and
// nobody can until the test ends: it is taken by a socket that does not listen.
func closedPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}
