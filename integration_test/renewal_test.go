package integration_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// shown returns the certificate that a handshake with the proxy shows and the
// protocol that is agreed on.
func (r *rotated) shown(t *testing.T) (*x509.Certificate, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	return state.PeerCertificates[0], state.NegotiatedProtocol
}

// startRenewed runs a proxy whose TLS files are in its directory, with a
// certificate that is valid until then.
func startRenewed(t *testing.T, ca *authority, until time.Time, env ...string) *rotated {
	t.Helper()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	certificate, key := ca.issue(t, "127.0.0.1", until)
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.replace(t, "tls.crt", certificate)
	r.replace(t, "tls.key", key)
	r.start(t, append([]string{"SF_JWT_KEY_FILE=DIR/server.key", "PROXY_TLS_CERT_FILE=DIR/tls.crt", "PROXY_TLS_KEY_FILE=DIR/tls.key"}, env...)...)
	return r
}

// loopers are apps that ask without end, half of them on a new connection each
// time. They stop at the first request that fails.
type loopers struct {
	done     chan struct{}
	wait     sync.WaitGroup
	answered atomic.Int64
	failure  atomic.Pointer[error]
}

func startLoopers(url string, trusted []byte, count int) *loopers {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	l := &loopers{done: make(chan struct{})}
	for i := range count {
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: i%4 < 2, DisableKeepAlives: i%2 == 0}}
		l.wait.Go(func() {
			defer client.CloseIdleConnections()
			l.loop(client, url)
		})
	}
	return l
}

func (l *loopers) loop(client *http.Client, url string) {
	for {
		select {
		case <-l.done:
			return
		default:
		}
		resp, err := client.Get(url)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("answer = %s", resp.Status)
			}
		}
		if err != nil {
			l.failure.CompareAndSwap(nil, &err)
			return
		}
		l.answered.Add(1)
	}
}

// more waits until the apps have had a number of further answers.
func (l *loopers) more(t *testing.T, count int64) {
	t.Helper()
	until := l.answered.Load() + count
	eventually(t, "further answers", func() bool { return l.answered.Load() >= until || l.failure.Load() != nil })
}

func (l *loopers) stop(t *testing.T) {
	t.Helper()
	close(l.done)
	l.wait.Wait()
	if err := l.failure.Load(); err != nil {
		t.Errorf("a request failed after %d good ones: %v", l.answered.Load(), *err)
	}
}

// TestListenerCertificateRenewal renews the certificate while apps work: none of
// them notices, and a new handshake shows the new one.
func TestListenerCertificateRenewal(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, pkix.Name{CommonName: "Listener CA"})
	until := time.Now().AddDate(0, 1, 0).UTC().Truncate(time.Second)
	r := startRenewed(t, ca, until)
	apps := startLoopers(r.URL+echoPath, ca.pem, 8)
	for i := range 5 {
		apps.more(t, 50)
		until = until.AddDate(0, 1, 0)
		certificate, key := ca.issue(t, "127.0.0.1", until)
		r.replace(t, "tls.crt", certificate)
		r.replace(t, "tls.key", key)
		r.waitCount(t, reloadsApplied, i+1)
		leaf, protocol := r.shown(t)
		r.Log.waitFor(t, `"event":"key_change","outcome":"ok","scope":"listener","change":"in_use","serial":"`+leaf.SerialNumber.Text(16)+`"`)
		if !leaf.NotAfter.Equal(until) || protocol != "h2" {
			t.Errorf("renewal %d: a handshake shows a certificate until %v by %q, want until %v by h2", i, leaf.NotAfter, protocol, until)
		}
		if got := r.metric(t, "sfproxy_listener_certificate_expiry_timestamp_seconds"); got != exposition(until) {
			t.Errorf("renewal %d: the metrics say that the certificate expires at %s, want %s", i, got, exposition(until))
		}
	}
	apps.more(t, 50)
	apps.stop(t)
	r.Log.waitFor(t, `"level":"INFO","msg":"the listener's certificate was read again and is in use","serial":"2","expires":"`+until.Format(time.RFC3339)+`"`)
}

// TestListenerCertificateThatDoesNotFit keeps the old pair until both files of
// the new one are there.
func TestListenerCertificateThatDoesNotFit(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, pkix.Name{CommonName: "Listener CA"})
	until := time.Now().AddDate(0, 1, 0).UTC().Truncate(time.Second)
	r := startRenewed(t, ca, until)
	later := until.AddDate(0, 1, 0)
	certificate, key := ca.issue(t, "127.0.0.1", later)
	check := func(want time.Time) {
		t.Helper()
		if leaf, _ := r.shown(t); !leaf.NotAfter.Equal(want) {
			t.Errorf("a handshake shows a certificate until %v, want %v", leaf.NotAfter, want)
		}
	}
	r.replace(t, "tls.crt", certificate)
	r.Log.waitFor(t, `"level":"WARN","msg":"the listener's certificate as it is now is not used; the old one stays","error":"PROXY_TLS_CERT_FILE and PROXY_TLS_KEY_FILE: tls: private key does not match public key"`)
	check(until)
	refused := r.metric(t, reloadsRefused)
	r.replace(t, "tls.key", []byte("no key"))
	eventually(t, "the text is refused", func() bool { return r.metric(t, reloadsRefused) != refused })
	check(until)
	r.replace(t, "tls.key", key)
	r.waitMetric(t, reloadsApplied, "1")
	check(later)
}

// TestClientAuthorityRenewal trusts another authority of clients from one
// handshake to the next, with no session to resume from before.
func TestClientAuthorityRenewal(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t, pkix.Name{CommonName: "before"}), newAuthority(t, pkix.Name{CommonName: "after"})
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.replace(t, "clients.crt", before.pem)
	r.start(t, append(listenerTLS(t), "SF_JWT_KEY_FILE=DIR/server.key", "PROXY_TLS_CLIENT_CA_FILE=DIR/clients.crt")...)

	app := func(ca *authority) *http.Client {
		args := ca.shows(t, x509.Certificate{Subject: pkix.Name{CommonName: "app"}})
		pair, err := tls.LoadX509KeyPair(args[1], args[3])
		if err != nil {
			t.Fatal(err)
		}
		return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(0), Certificates: []tls.Certificate{pair}}}}
	}
	old, fresh := app(before), app(after)
	asks := func(client *http.Client) bool {
		resp, err := client.Get(r.URL + echoPath)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	}
	if !asks(old) || asks(fresh) {
		t.Fatal("before the renewal it is not the first authority that is trusted")
	}
	if err := os.WriteFile(r.dir+"/clients.crt", after.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	r.waitMetric(t, reloadsApplied, "1")
	if asks(old) || !asks(fresh) {
		t.Error("after the renewal it is not the second authority that is trusted")
	}
}
