package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// What Salesforce has said reaches the client while it says the rest.
func TestStreamFirstBytesFirst(t *testing.T) {
	goOn := make(chan bool)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprint(w, i)
			http.NewResponseController(w).Flush()
			<-goOn
		}
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	resp, err := r.client.Get(r.url + limitsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 3 {
		got := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != fmt.Sprint(i) {
			t.Fatalf("part %d = %q (%v)", i, got, err)
		}
		goOn <- true
	}
}

// heapMeter notes how far the heap grows while bytes go by.
type heapMeter struct {
	io.Reader
	read, next int64
	peak       uint64
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (h *heapMeter) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.read += int64(n); h.read >= h.next {
		h.next += 8 << 20
		h.peak = max(h.peak, heap())
	}
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestStreamNeedsLittleMemory(t *testing.T) {
	const size, bound = 64 << 20, 16 << 20
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Length", fmt.Sprint(n))
		if r.Method == "GET" {
			io.CopyN(w, zeros{}, size)
		}
	})
	r := start(t, proxy.Config{Tokens: newTokens(base), ReplayBuffer: 1 << 20})
	before := heap()
	up := &heapMeter{Reader: io.LimitReader(zeros{}, size)}
	got := r.send(t, "POST", echoPath, unsized{up})
	if got.header.Get("X-Length") != fmt.Sprint(size) {
		t.Errorf("%s bytes arrived, want %d", got.header.Get("X-Length"), size)
	}
	resp, err := r.client.Get(r.url + echoPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	down := &heapMeter{Reader: resp.Body}
	if n, err := io.Copy(io.Discard, down); n != size || err != nil {
		t.Errorf("%d bytes came back (%v), want %d", n, err, size)
	}
	if peak := max(up.peak, down.peak); peak > before+bound {
		t.Errorf("the heap grew by %d bytes, want less than %d", peak-before, bound)
	}
}

// A client of HTTP/2 over TLS is served as any other.
func TestStreamHTTP2(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if r.Header.Get("Authorization") == "Bearer token-secret-1" {
			w.WriteHeader(401)
			io.WriteString(w, sessionFault)
			return
		}
		fmt.Fprint(w, r.RequestURI, " ", n)
	})
	r := newRig()
	handler, protocols := newHandler(t, proxy.Config{Tokens: newTokens(base)}, r.log), make(chan int, 2)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.ProtoMajor
		handler.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	r.url, r.client = server.URL, server.Client()
	for _, size := range []int{10, 1 << 20} {
		got := r.send(t, "POST", limitsPath+"?q=a;b", unsized{strings.NewReader(strings.Repeat("x", size))})
		if want := fmt.Sprint(limitsPath, "?q=a;b ", size); got.status != 200 || got.body != want {
			t.Errorf("answer = %d %s, want %s", got.status, got.body, want)
		}
	}
	if got := receive(t, protocols, "a request"); got != 2 {
		t.Errorf("the client spoke HTTP/%d", got)
	}
}

func BenchmarkProxy(b *testing.B) {
	base := upstream(b, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") })
	target, _ := url.Parse(base)
	transport := proxy.NewTransport(proxy.TransportConfig{})
	b.Cleanup(transport.CloseIdleConnections)
	bare := &httputil.ReverseProxy{Transport: transport, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }}
	for name, handler := range map[string]http.Handler{
		"bare":    bare,
		"sfproxy": newHandler(b, proxy.Config{Tokens: newTokens(base), Transport: transport, Logger: quiet}, io.Discard),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest("GET", limitsPath, nil)
				req.Host = "localhost"
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, req); w.Code != 200 {
					b.Fatalf("answer = %d %s", w.Code, w.Body)
				}
			}
		})
	}
}
