package integration_test

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestWaitingRequests has the org think long about many requests, and bounds what
// each has of heap and stacks meanwhile, as the program itself counts it.
// bench/README.md tells what that is made of.
func TestWaitingRequests(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("the race detector's own memory is part of what there is")
	}
	const requests = 500
	needFiles(t, 4*requests)
	for _, tt := range []struct {
		name string
		body []byte
		most int // bytes a request
	}{
		{"GET", nil, 40 << 10},
		{"POST of 10 KB", bytes.Repeat([]byte("x"), 10<<10), 51 << 10}, // the body once, for a replay
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, devorg.Config{TLS: true})
			key := newAPIKey()
			p := startProxy(t, with(org.env, "PROXY_PPROF=true", "PROXY_CLIENT_0_NAME=app", "PROXY_CLIENT_0_API_KEY="+key))
			if first := get(t, p.URL+echoPath, "X-Api-Key: "+key); first.status != 200 {
				t.Fatalf("answer = %d %.300s", first.status, first.body)
			}
			before, seen := p.inUse(t), org.Stats().Requests
			org.SetLatency(time.Minute)
			leave := askAtOnce(t, requests, p.URL+echoPath, tt.body, key)
			eventually(t, "all requests wait for the org", func() bool { return org.Stats().Requests == seen+requests })
			each := (p.inUse(t) - before) / requests
			leave()
			t.Logf("%d bytes a request", each)
			if each > tt.most {
				t.Errorf("a request that waits for its answer has %d bytes, want %d at most", each, tt.most)
			}
		})
	}
}

// askAtOnce sends requests that wait for their answers, until leave is called.
func askAtOnce(t *testing.T, requests int, url string, body []byte, key string) (leave func()) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{}}
	var waiting sync.WaitGroup
	for range requests {
		waiting.Go(func() {
			req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("X-Api-Key", key)
			if resp, err := client.Do(req); ctx.Err() == nil {
				t.Errorf("a request did not wait: %v, %v", resp, err)
			}
		})
	}
	return func() {
		cancel()
		waiting.Wait()
	}
}

// inUse returns the bytes of heap and stacks that the process uses. It has the
// garbage collected first, several times: each time a stack loses half of its
// room if little of it is used.
func (p *process) inUse(t *testing.T) int {
	t.Helper()
	var page []byte
	for range 3 {
		page = p.ask(t, "/debug/pprof/heap?gc=1&debug=1").body
	}
	sum := 0
	for _, name := range []string{"HeapAlloc", "Stack"} {
		found := regexp.MustCompile(`(?m)^# ` + name + ` = (\d+)`).FindSubmatch(page)
		if found == nil {
			t.Fatalf("no %s in %.300s", name, page)
		}
		n, err := strconv.Atoi(string(found[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
