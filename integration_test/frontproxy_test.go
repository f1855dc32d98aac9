package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// nginx is a running nginx with one server.
type nginx struct {
	cmd     *exec.Cmd
	dir     string
	address string
}

// startNginx runs nginx on address until the test ends, in front of upstream.
// It passes on what it can be made to pass on: fields with odd names, and bodies
// as they come. For the rest of a request it waits patience seconds.
func startNginx(t *testing.T, address, upstream string, patience int) *nginx {
	t.Helper()
	n := &nginx{dir: t.TempDir(), address: address}
	config := writeFile(t, "nginx.conf", fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
  log_format requests escape=json '{"request":"$request_method $request_uri","upstream":"$upstream_addr","id":"$upstream_http_x_request_id"}';
  access_log %[1]s/access requests;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  upstream next { server %[3]s; keepalive 4; }
  server {
    listen %[2]s;
    ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;
    client_header_timeout %[4]d; client_body_timeout %[4]d; keepalive_timeout %[4]d; lingering_timeout 1s;
    location / {
      proxy_pass http://next; proxy_http_version 1.1; proxy_next_upstream off; proxy_request_buffering off;
      proxy_set_header Host $http_host; proxy_set_header Connection "";
    }
  }
}`, n.dir, address, upstream, patience))
	var output bytes.Buffer
	n.cmd = exec.Command("nginx", "-c", config, "-e", "stderr")
	n.cmd.Stderr = &output
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.cmd.Process.Kill()
		n.cmd.Wait()
		if t.Failed() {
			t.Logf("nginx: %s", &output)
		}
	})
	eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return n
}

// ownAddress returns an address to listen on at which nobody else does: it is on
// a loopback address of its own, whose ports no other test is given.
func ownAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// passedOn is a request that nginx has passed on.
type passedOn struct {
	Request  string // "METHOD path"
	Upstream string // where to, "" if it was refused here
	ID       string // the X-Request-Id of the answer
}

// stop ends nginx, once it has answered what it is at, and returns the requests
// that it has passed on.
func (n *nginx) stop(t *testing.T) []passedOn {
	t.Helper()
	n.cmd.Process.Signal(syscall.SIGQUIT)
	n.cmd.Wait()
	text, err := os.ReadFile(filepath.Join(n.dir, "access"))
	if err != nil {
		t.Fatal(err)
	}
	var requests []passedOn
	for line := range bytes.Lines(text) {
		if request := decode[passedOn](t, line); request.Upstream != "" {
			requests = append(requests, request)
		}
	}
	return requests
}

// chain is a proxy with an nginx behind it, and one in front of it if that is
// not nil, and the org at the end.
type chain struct {
	front, behind *nginx
	proxy         *process
	org           *org
}

// startChain starts all of a chain but the front.
func startChain(t *testing.T, env ...string) *chain {
	t.Helper()
	between, instance := ownAddress(t), ownAddress(t)
	org := startOrg(t, devorg.Config{InstanceListen: instance, PublicInstanceURL: "http://" + between})
	c := &chain{org: org, behind: startNginx(t, between, instance, 60)}
	c.proxy = startProxy(t, with(with(org.env, "LOG_LEVEL=debug"), env...))
	c.proxy.waitReady(t)
	return c
}

// counted are the requests, as "METHOD path", that each part of a chain has
// passed on or, the proxy, got. Those that a client gave up may have been passed
// on or not.
type counted struct {
	front, proxy, forwarded, givenUp, behind []string
}

// agree checks that what the proxy has forwarded of a shape is what was counted
// behind it.
func (c counted) agree(t *testing.T, shape string) {
	t.Helper()
	behind := slices.DeleteFunc(slices.Clone(c.behind), func(r string) bool { return slices.Contains(c.givenUp, r) })
	if got, want := of(shape, behind), of(shape, c.forwarded); got != want {
		t.Errorf("%s: nginx behind the proxy got %q, the proxy has forwarded %q", shape, got, want)
	}
}

// stop ends the chain from its front to its end, so that no request and no line
// of a log is on its way any more, and returns what was counted.
func (c *chain) stop(t *testing.T) (all counted) {
	t.Helper()
	if c.front != nil {
		for _, r := range c.front.stop(t) {
			if r.ID != "" { // net/http's server alone gives none, to what it takes for no request
				all.front = append(all.front, r.Request)
			}
		}
	}
	c.proxy.stop(t)
	for _, r := range c.behind.stop(t) {
		all.behind = append(all.behind, r.Request)
	}
	for line := range strings.Lines(c.proxy.Log.String()) {
		var entry struct {
			Msg, Method, Path, Instance string
			Status                      int
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Method == "" || entry.Msg == "audit" {
			continue
		}
		all.proxy = append(all.proxy, entry.Method+" "+entry.Path)
		switch request := entry.Method + " " + entry.Path; {
		case entry.Instance == "":
		case entry.Status == 0:
			all.givenUp = append(all.givenUp, request)
		default:
			all.forwarded = append(all.forwarded, request)
		}
	}
	if got := c.org.Stats().Requests; got != int64(len(all.behind)) {
		t.Errorf("the org has counted %d requests, nginx before it %d", got, len(all.behind))
	}
	return all
}

// of returns the requests of a shape, whose paths hold its name, without what
// they have in common and in the order of the alphabet.
func of(name string, requests []string) string {
	var found []string
	for _, request := range requests {
		if _, part, ok := strings.Cut(request, "/"+name+"/"); ok {
			found = append(found, part)
		}
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

// ambiguousShapes are requests that two servers may take apart in two ways. FIRST
// stands for a path, HIDDEN for a request that may be none, LEN and HEX for its
// length.
var ambiguousShapes = []struct {
	name, raw string
	// want are the requests that the proxy takes it for: the first, the hidden
	// one, and the last, which follows on the same connection.
	want string
}{
	{"plain", "GET FIRST HTTP/1.1\r\nHost: localhost\r\n\r\n", "first last"},
	{"pipelined", "GET FIRST HTTP/1.1\r\nHost: localhost\r\n\r\nHIDDEN", "first hidden last"},
	{"pipelined-after-a-body", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na=bHIDDEN", "first hidden last"},
	{"pipelined-after-chunks", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\nHIDDEN", "first hidden last"},
	{"empty-line-before", "\r\nGET FIRST HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},

	// RFC 9112 section 6.3: Transfer-Encoding wins, and the connection may end.
	{"CL.TE", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN+5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHIDDEN", "first hidden last"},
	{"TE.CL", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nHEX\r\nHIDDEN\r\n0\r\n\r\n", "first last"},
	{"TE.CL-in-lower-case", "POST FIRST HTTP/1.1\r\nHost: localhost\r\ntransfer-encoding: Chunked\r\ncontent-length: 4\r\n\r\nHEX\r\nHIDDEN\r\n0\r\n\r\n", "first last"},
	{"TE.TE-unknown", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN+5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-two-fields", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-list", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-identity", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"TE.TE-tab", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\tchunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", "first hidden last"},
	{"TE.TE-vertical-tab", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-space-before-the-colon", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-quoted", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \"chunked\"\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-underscore", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer_Encoding: chunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", "first last"},
	{"TE.TE-after-a-bare-CR", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nX-Custom: a\rTransfer-Encoding: chunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", ""},
	{"TE.TE-after-a-bare-LF", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nX-Custom: a\nTransfer-Encoding: chunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", "first hidden last"},
	{"TE-of-HTTP-1.0", "POST FIRST HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", "first last"},
	{"TE-of-a-GET", "GET FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nHIDDEN\r\n0\r\n\r\n", "first last"},
	{"TE-named-as-hop-by-hop", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nHIDDEN\r\n0\r\n\r\n", "first last"},

	// A body that a server does not read, since it answers before or takes the
	// method for one without.
	{"CL.0", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-a-GET", "GET FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-a-HEAD", "HEAD FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-a-refusal", "POST /services/oauth2/REFUSED HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-another-site", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-a-preflight", "OPTIONS FIRST HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nAccess-Control-Request-Method: POST\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-an-Upgrade", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-an-Expect", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL.0-of-another-Expect", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nExpect: y 100-continue\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL-named-as-hop-by-hop", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nConnection: Content-Length\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"CL-twice", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"CL-list", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN, LEN\r\n\r\nHIDDEN", ""},
	{"CL-signed", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: +LEN\r\n\r\nHIDDEN", ""},
	{"CL-hexadecimal", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0xHEX\r\n\r\nHIDDEN", ""},
	{"CL-with-zeros-before", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: 00000000000000000000LEN\r\n\r\nHIDDEN", "first last"},
	{"CL-too-large", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\nHIDDEN", ""},
	{"CL-underscore", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent_Length: LEN\r\n\r\nHIDDEN", "first hidden last"},

	{"fold-of-TE", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: LEN+5\r\n\r\n0\r\n\r\nHIDDEN", "first hidden last"},
	{"fold-of-CL", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n LEN\r\n\r\nHIDDEN", "first last"},
	{"fold-that-hides-CL", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nX-Custom: a\r\n Content-Length: LEN\r\n\r\nHIDDEN", "first hidden last"},
	{"fold-of-the-first-field", "POST FIRST HTTP/1.1\r\n X-Custom: a\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"bare-LF", "POST FIRST HTTP/1.1\nHost: localhost\nContent-Length: LEN\n\nHIDDEN", "first last"},
	{"bare-LF-at-the-end", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\nHIDDEN", "first last"},
	{"bare-CR-at-the-end", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\rHIDDEN", ""},

	{"chunk-extension", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\na=b\r\n0;c\r\n\r\nHIDDEN", "first hidden last"},
	{"chunk-extension-with-a-bare-LF", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\nHEX\r\n0\r\n\r\nHIDDEN", "first"},
	{"chunk-extension-in-quotes", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"\r\na=b\r\n0\r\n\r\nHIDDEN\"", "first hidden"},
	{"chunk-extension-too-long", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a=LONG\r\na=b\r\n0\r\n\r\nHIDDEN", "first"},
	{"chunk-lines-with-bare-LF", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\na=b\n0\n\nHIDDEN", "first"},
	{"chunk-data-without-its-end", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=bXX0\r\n\r\nHIDDEN", "first"},
	{"chunk-size-of-17-digits", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\na=b\r\n0\r\n\r\nHIDDEN", "first"},
	{"chunk-size-of-16-digits", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na=b\r\n0\r\n\r\nHIDDEN", "first"},
	{"chunk-size-with-zeros-before", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0000000003\r\na=b\r\n0000\r\n\r\nHIDDEN", "first hidden last"},
	{"chunk-size-signed", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\na=b\r\n0\r\n\r\nHIDDEN", "first"},
	{"chunk-size-with-0x", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\na=b\r\n0\r\n\r\nHIDDEN", "first"},
	{"chunk-size-with-a-space", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\na=b\r\n0 \r\n\r\nHIDDEN", "first hidden last"},
	{"chunk-size-missing", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\r\na=b\r\n0\r\n\r\nHIDDEN", "first"},
	{"trailer-that-frames", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},

	{"HTTP-0.9", "GET FIRST\r\n\r\nHIDDEN", ""},
	{"HTTP-1.9", "POST FIRST HTTP/1.9\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", "first last"},
	{"HTTP-2.0", "POST FIRST HTTP/2.0\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"tab-in-the-line", "POST\tFIRST\tHTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"spaces-in-the-line", "POST  FIRST  HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"two-hosts", "POST FIRST HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nContent-Length: LEN\r\n\r\nHIDDEN", ""},
	{"preface-of-HTTP-2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nHIDDEN", ""},
}

// TestRequestsAreCountedAlike writes what servers may disagree on to the proxy,
// and to an nginx in front of it, and compares how many requests of which kind
// each server on the way to the org takes it for.
func TestRequestsAreCountedAlike(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	for _, front := range []bool{false, true} {
		t.Run(map[bool]string{false: "behind", true: "in front and behind"}[front], func(t *testing.T) {
			t.Parallel()
			c := startChain(t)
			address := strings.TrimPrefix(c.proxy.URL, "http://")
			if front {
				c.front = startNginx(t, ownAddress(t), address, 1)
				address = c.front.address
			}
			for _, s := range ambiguousShapes {
				writeShape(t, address, s.name, s.raw)
			}
			all := c.stop(t)
			for _, s := range ambiguousShapes {
				all.agree(t, s.name)
				proxy := of(s.name, all.proxy)
				if got := of(s.name, all.front); front && got != proxy {
					t.Errorf("%s: nginx in front has forwarded %q, the proxy got %q", s.name, got, proxy)
				}
				if !front && proxy != s.want {
					t.Errorf("%s: the proxy got %q, want %q", s.name, proxy, s.want)
				}
			}
			if front {
				if got, want := of("plain", all.front), "first last"; got != want {
					t.Errorf("nginx in front has forwarded %q of a plain request, want %q", got, want)
				}
				t.Logf("nginx in front passed on %d requests of %d shapes", len(all.front), len(ambiguousShapes))
			}
		})
	}
}

// writeShape writes a shape, with a last request behind it, and reads until the
// server ends the connection.
func writeShape(t *testing.T, address, name, raw string) {
	t.Helper()
	path := echoPath + "/" + name
	hidden := "GET " + path + "/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
	raw = strings.NewReplacer("FIRST", path+"/first", "/REFUSED", "/"+name+"/first", "HIDDEN", hidden,
		"LEN+5", fmt.Sprint(len(hidden)+5), "LEN", fmt.Sprint(len(hidden)), "HEX", fmt.Sprintf("%x", len(hidden)),
		"LONG", strings.Repeat("x", 20<<10)).Replace(raw)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, raw+"GET "+path+"/last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") // or it is closed before
	if name == "chunk-size-of-16-digits" {
		conn.(*net.TCPConn).CloseWrite() // its body has no other end
	}
	io.Copy(io.Discard, conn)
}
