package integration_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// A token that comes of age is renewed behind the requests that use it: none of
// them waits for the grant, slow as that is, and one grant serves all.
func TestDueRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	const grantTakes, clients = 3 * time.Second, 8
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "SF_TOKEN_TTL=10s"))
	if a := get(t, p.URL+dataPath+"/limits"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	org.SetGrantDelay(grantTakes)
	var longest atomic.Int64 // nanoseconds
	var sent atomic.Int64
	var running sync.WaitGroup
	end := time.Now().Add(time.Minute)
	for range clients {
		running.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for org.Stats().Grants < 2 && time.Now().Before(end) && !t.Failed() {
				began := <-pace.C
				if a := get(t, p.URL+dataPath+"/limits"); a.status != http.StatusOK {
					t.Errorf("%d %s", a.status, a.body)
				}
				sent.Add(1)
				took := int64(time.Since(began))
				for was := longest.Load(); took > was && !longest.CompareAndSwap(was, took); was = longest.Load() {
				}
			}
		})
	}
	running.Wait()
	stats := org.Stats()
	t.Logf("%d requests, %d grants, the longest request took %v", sent.Load(), stats.Grants, time.Duration(longest.Load()))
	if stats.Grants != 2 || stats.MaxConcurrentGrants != 1 {
		t.Errorf("%d grants, %d at once; want 2, one at a time", stats.Grants, stats.MaxConcurrentGrants)
	}
	if time.Duration(longest.Load()) >= grantTakes {
		t.Errorf("a request took %v: it has waited for a grant", time.Duration(longest.Load()))
	}
}
