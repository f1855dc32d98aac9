package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/proxy"
)

// observer keeps what it is told of requests. Its channel has room for those of
// one test.
type observer struct {
	arrived atomic.Int32
	done    chan observed
}

type observed struct {
	client string
	proxy.Observation
}

func newObserver() *observer { return &observer{done: make(chan observed, 100)} }

func (o *observer) Arrived() { o.arrived.Add(1) }

func (o *observer) Client(name string) proxy.ClientObserver { return clientObserver{o, name} }

type clientObserver struct {
	*observer
	name string
}

func (c clientObserver) Done(o *proxy.Observation) { c.done <- observed{c.name, *o} }

// next returns what the next request has done, with its durations apart.
func (o *observer) next(t *testing.T) (got observed, durations proxy.Observation) {
	t.Helper()
	got = receive(t, o.done, "the end of a request")
	durations = proxy.Observation{Duration: got.Duration, SendDelay: got.SendDelay, TokenWait: got.TokenWait, Upstream: got.Upstream}
	got.Duration, got.SendDelay, got.TokenWait, got.Upstream = 0, 0, 0, 0
	return got, durations
}

func (o *observer) want(t *testing.T, client string, want proxy.Observation) {
	t.Helper()
	got, _ := o.next(t)
	if want := (observed{client, want}); got != want {
		t.Errorf("observed %+v, want %+v", got, want)
	}
}

// clientsNamed returns clients whose API keys are "key of" their names.
func clientsNamed(t *testing.T, names ...string) []proxy.Client {
	t.Helper()
	var list []proxy.Client
	for _, name := range names {
		key, err := proxy.HashAPIKey("key of " + name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, proxy.Client{Name: name, Subject: username, APIKey: key})
	}
	return list
}

func TestObserverSeesAnswers(t *testing.T) {
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if strings.Contains(r.URL.Path, "/query") {
			w.Header().Set("Sforce-Limit-Info", "api-usage=18/15000")
		}
		w.WriteHeader(404)
		io.WriteString(w, "nothing")
	})
	o := newObserver()
	handler := newHandler(t, proxy.Config{Tokens: newTokens(url), Observer: o, Clients: clientsNamed(t, "billing")}, io.Discard).(*proxy.Proxy)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p, key := newRig(), "X-Api-Key: key of billing"
	p.url = server.URL
	p.send(t, "GET", "/services/data/v60.0/query?q=SELECT+Id+FROM+Account", nil, key)
	o.want(t, "billing", proxy.Observation{Family: proxy.FamilyQuery, Status: 404, Whole: true, Forwarded: true, Sent: 7, Counted: true})
	p.send(t, "POST", "/services/async/60.0/job", strings.NewReader("<job/>"), key)
	o.want(t, "billing", proxy.Observation{Family: proxy.FamilyBulk, Status: 404, Whole: true, Forwarded: true, Received: 6, Sent: 7, Counted: true})
	p.send(t, "GET", echoPath, nil, key)
	o.want(t, "billing", proxy.Observation{Family: proxy.FamilyApexREST, Status: 404, Whole: true, Forwarded: true, Sent: 7})

	a := p.send(t, "GET", "/services/data/v60.0/query", nil)
	o.want(t, "", proxy.Observation{Family: proxy.FamilyQuery, Source: proxy.FromProxy, Status: 401, Whole: true, Sent: int64(len(a.body))})
	a = p.send(t, "GET", "/services/data/%252e%252e/query", nil, key)
	o.want(t, "billing", proxy.Observation{Source: proxy.FromProxy, Status: 403, Whole: true, Sent: int64(len(a.body))})
	if n := o.arrived.Load(); n != 5 {
		t.Errorf("%d requests have arrived, want 5", n)
	}

	handler.SetClients(clientsNamed(t, "reports"))
	p.send(t, "GET", echoPath, nil, "X-Api-Key: key of reports")
	o.want(t, "reports", proxy.Observation{Family: proxy.FamilyApexREST, Status: 404, Whole: true, Forwarded: true, Sent: 7})
}

func TestObserverSeesDurations(t *testing.T) {
	const pause = 30 * time.Millisecond // what a fake takes, so that each part can be told from the rest
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(pause)
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		time.Sleep(pause)
	})
	o := newObserver()
	r := start(t, proxy.Config{Tokens: slowTokens{newTokens(url), pause}, Observer: o})
	r.send(t, "GET", limitsPath, nil)
	_, took := o.next(t)
	if took.TokenWait < pause || took.SendDelay < took.TokenWait || took.Upstream < pause || took.Duration < took.SendDelay+took.Upstream+pause {
		t.Errorf("the request took %v: %v until it was sent, of which %v for the token, and %v for the head of the answer; each part takes %v",
			took.Duration, took.SendDelay, took.TokenWait, took.Upstream, pause)
	}
}

// slowTokens takes its time for a token.
type slowTokens struct {
	*fakeTokens
	pause time.Duration
}

func (s slowTokens) Token(ctx context.Context, subject string) (*auth.Token, error) {
	time.Sleep(s.pause)
	return s.fakeTokens.Token(ctx, subject)
}

func TestObserverSeesWhatBreaks(t *testing.T) {
	left := make(chan bool)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "hang":
			left <- true
			<-r.Context().Done()
		case "break":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	o := newObserver()
	tokens := newTokens(url)
	r := start(t, proxy.Config{Tokens: tokens, Observer: o})
	if _, err := r.try("GET", limitsPath+"?do=break", nil); err == nil {
		t.Error("an answer that breaks off is read without an error")
	}
	o.want(t, "", proxy.Observation{Family: proxy.FamilyREST, Status: 200, Forwarded: true, Sent: 5})

	c := r.dial(t)
	c.write("GET " + limitsPath + "?do=hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
	receive(t, left, "the request")
	c.Close()
	o.want(t, "", proxy.Observation{Family: proxy.FamilyREST, Source: proxy.FromClient, Forwarded: true})

	tokens.Reject(tokens.current)
	tokens.err = errors.New("no key")
	a := r.send(t, "GET", limitsPath, nil)
	o.want(t, "", proxy.Observation{Family: proxy.FamilyREST, Source: proxy.FromProxy, Status: 502, Whole: true, Failure: "PROXY_GRANT_REFUSED", Forwarded: true, Sent: int64(len(a.body))})
}

func TestObserverSeesRefusals(t *testing.T) {
	for _, tc := range []struct {
		name    string
		refused string // the tokens that the instance does not take
		fault   string
		size    int // of the body
		last    error
		want    []proxy.Refused // of requests one after the other
	}{
		{"renewed", "token-secret-1", sessionFault, 10, nil, []proxy.Refused{proxy.RefusalCured, proxy.NotRefused}},
		{"by policy", "token-secret", policyFault, 10, nil, []proxy.Refused{proxy.RefusalRepeated, proxy.RefusalPassed}},
		{"large", "token-secret-1", sessionFault, 200 << 10, nil, []proxy.Refused{proxy.RefusalTooLarge, proxy.NotRefused}},
		{"no grant", "token-secret-1", sessionFault, 10, errors.New("no key"), []proxy.Refused{proxy.RefusalFailed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tokens := newTokens("")
			tokens.instance[0] = upstream(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "+tc.refused) {
					tokens.mu.Lock()
					tokens.err = tc.last
					tokens.mu.Unlock()
					w.WriteHeader(401)
					io.WriteString(w, tc.fault)
				}
			})
			o := newObserver()
			r := start(t, proxy.Config{Tokens: tokens, Observer: o})
			for i, want := range tc.want {
				r.send(t, "POST", limitsPath, strings.NewReader(strings.Repeat("x", tc.size)))
				if got, _ := o.next(t); got.Refused != want {
					t.Errorf("request %d: the refusal of its token came to %v, want %v", i, got.Refused, want)
				}
			}
		})
	}
}
