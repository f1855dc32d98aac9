package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/http/pprof"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

// bare is what a Go programmer who knows net/http well would write in an hour,
// and what sfproxy is measured against; stock is what is written in a minute.
var (
	bare      = &peer{name: reference, what: "bare ReverseProxy, tuned", prepare: prepareReverseProxy, command: reverseProxyCommand("-tuned")}
	bareHTTP2 = &peer{name: "bare-h2", what: "bare ReverseProxy, tuned, HTTP/2 upstream", prepare: prepareReverseProxy, command: reverseProxyCommand("-tuned", "-http2")}
	stock     = &peer{name: "stock", what: "bare ReverseProxy, stock", prepare: prepareReverseProxy, command: reverseProxyCommand()}
)

func prepareReverseProxy(context.Context, *site) (program, version string, err error) {
	program, err = os.Executable()
	return program, strings.TrimPrefix(runtime.Version(), "go"), err
}

func reverseProxyCommand(flags ...string) func(s *site, program, address string) (*exec.Cmd, string, error) {
	return func(s *site, program, address string) (*exec.Cmd, string, error) {
		admin, err := freeAddress()
		if err != nil {
			return nil, "", err
		}
		args := append([]string{"reverseproxy", "-ca", s.path(caFile), "-upstream", "https://" + s.upstream,
			"-listen", address, "-admin", admin}, flags...)
		cmd := exec.Command(program, args...)
		cmd.Env = plainEnvironment()
		return cmd, "http://" + admin + "/metrics", nil
	}
}

// serveReverseProxy is the role of the bare peers.
func serveReverseProxy(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("reverseproxy", flag.ContinueOnError)
	ca := flags.String("ca", "", "file of the roots")
	upstream := flags.String("upstream", "", "origin that requests go to")
	listen := flags.String("listen", "", "address")
	admin := flags.String("admin", "", "address of /metrics and /debug/pprof")
	http2 := flags.Bool("http2", false, "speak HTTP/2 to the upstream")
	tuned := flags.Bool("tuned", false, "with pooled buffers and connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	target, err := url.Parse(*upstream)
	if err != nil {
		return err
	}
	roots, err := readRoots(*ca)
	if err != nil {
		return err
	}
	handler := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("Authorization", "Bearer "+accessToken)
	}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	if *tuned {
		transport = tunedTransport(roots)
		transport.Protocols.SetHTTP2(*http2)
		handler.BufferPool = new(buffers)
	}
	handler.Transport = transport
	server := &http.Server{Addr: *listen, Handler: handler}
	adminServer := &http.Server{Addr: *admin, Handler: adminPages()}
	context.AfterFunc(ctx, func() {
		server.Close()
		adminServer.Close()
	})
	go adminServer.ListenAndServe()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func tunedTransport(roots *x509.CertPool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:         new(net.Dialer).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(256)},
		MaxIdleConnsPerHost: 512,
		DisableCompression:  true,
		Protocols:           protocols,
	}
}

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }

// adminPages has the one metric that the load reads, and profiles.
func adminPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		fmt.Fprintf(w, "go_memstats_mallocs_total %d\n", stats.Mallocs)
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	return mux
}
