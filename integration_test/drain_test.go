package integration_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestDrain stops the proxy while an answer is under way.
func TestDrain(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "PROXY_DRAIN_TIMEOUT=5m")) // however slow the machine is
	p.waitReady(t)
	const size = 64 << 20 // more than all buffers on the way
	running := openDownload(t, p, size)

	p.signal(t, syscall.SIGTERM)
	p.Log.waitFor(t, `"msg":"stopping"`)
	ready := p.ask(t, "/readyz")
	report := decode[readiness](t, ready.body)
	if ready.status != http.StatusServiceUnavailable || report.Ready || report.Reason != "stopping" {
		t.Errorf("/readyz during the drain = %d %s, want 503, stopping", ready.status, ready.body)
	}
	if alive := p.ask(t, "/healthz"); alive.status != http.StatusOK {
		t.Errorf("/healthz during the drain = %d, want 200", alive.status)
	}
	eventually(t, "new connections are refused", func() bool { return refuses(p.URL) })

	if n, err := io.Copy(io.Discard, running); n != size || err != nil {
		t.Errorf("the running download ended with %d bytes and %v, want all %d", n, err, size)
	}
	if status := p.wait(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
	if !strings.Contains(p.Log.String(), `"msg":"stopped"`) {
		t.Errorf("the log does not say that the stop was clean:\n%s", p.Log)
	}
}

// refuses reports whether nobody listens at url.
func refuses(url string) bool {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return true
	}
	c.Close()
	return false
}

// TestDrainTimeout has a request that would never end.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "PROXY_DRAIN_TIMEOUT=300ms"))
	failure := hang(t, org, p)
	started := time.Now()
	if status := p.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
	if took := time.Since(started); took < 300*time.Millisecond {
		t.Errorf("the stop took %v, want no less than the drain time", took)
	}
	if err := <-failure; err == nil {
		t.Error("the hanging request had an answer, want a broken connection")
	}
	if !strings.Contains(p.Log.String(), "they are cut") {
		t.Errorf("the log does not say that a request was cut:\n%s", p.Log)
	}
}

// TestSecondSignal ends the drain at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, devorg.Config{})
			p := startProxy(t, with(org.env, "PROXY_DRAIN_TIMEOUT=10m"))
			failure := hang(t, org, p)
			p.signal(t, s)
			p.Log.waitFor(t, `"msg":"stopping"`)
			eventually(t, "the process ends", func() bool {
				p.signal(t, s)
				select {
				case <-p.exited:
					return true
				default:
					return false
				}
			})
			if status := p.wait(t); status == 0 {
				t.Error("exit status = 0, want another: requests were cut")
			}
			<-failure
		})
	}
}

// hang begins a request that the org never answers. The channel gets what the
// client sees.
func hang(t *testing.T, org *org, p *process) <-chan error {
	t.Helper()
	p.Log.waitFor(t, `"msg":"token granted"`)
	org.FailRequests(-1, devorg.Fault{Hang: true})
	before := org.Stats().Requests
	failure := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+echoPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		resp, err := new(http.Transport).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		failure <- err
	}()
	eventually(t, "the request is at the org", func() bool { return org.Stats().Requests > before })
	return failure
}

// readiness is the body of /readyz.
type readiness struct {
	Ready       bool
	Reason      string
	Grants      int
	LastFailure *struct{ Error, Hint string } `json:"last_failure"`
}

// waitReady waits until the proxy says that it is ready.
func (p *process) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "/readyz is 200", func() bool { return p.ask(t, "/readyz").status == http.StatusOK })
}

// TestStartTime measures how long it takes from nothing to the first answer.
func TestStartTime(t *testing.T) {
	org := startOrg(t, devorg.Config{})
	least := time.Hour
	for range 5 {
		started := time.Now()
		p := startProxy(t, org.env)
		if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
			t.Fatalf("first answer = %d %s", a.status, a.body)
		}
		least = min(least, time.Since(started))
		p.stop(t)
	}
	t.Logf("from the start of the process to the first answer: %v, the best of five", least.Round(time.Millisecond))
}
