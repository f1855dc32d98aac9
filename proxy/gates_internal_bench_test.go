package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
)

const benchPath = "/services/data/v60.0/sobjects/Account/0015g0000000002AAA"

// benchGate measures one gate that a request passes, with what the others have
// found out before.
func benchGate(b *testing.B, cfg Config, gate func(*Proxy) func(http.HandlerFunc) http.HandlerFunc) {
	cfg.Tokens, cfg.Transport = struct{ Tokens }{}, http.DefaultTransport // not come to
	p, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", benchPath, nil)
	r.Host = "localhost"
	r.Header.Set("Authorization", "Bearer key-of-client-0")
	ex := newExchange(r)
	ex.inbound = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, ex))
	ex.client = &p.clients.Load().list[0]
	passed, sent := 0, 0
	handler := gate(p)(func(http.ResponseWriter, *http.Request) { passed++ })
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		sent++
		handler(w, ex.inbound)
	}
	if passed != sent {
		b.Fatalf("%d requests of %d have passed", passed, sent)
	}
}

// benchClients returns clients of whom the first sends the requests.
func benchClients(b *testing.B, n int, p *policy.Policy) []Client {
	var list []Client
	for i := range n {
		key, err := HashAPIKey(fmt.Sprint("key-of-client-", i))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, Client{Name: fmt.Sprint("client", i), Subject: "user@example.com", APIKey: key, Policy: p})
	}
	return list
}

func BenchmarkGuard(b *testing.B) {
	benchGate(b, Config{Clients: benchClients(b, 1, nil)}, func(p *Proxy) func(http.HandlerFunc) http.HandlerFunc { return p.guard })
}

func BenchmarkIdentify(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			benchGate(b, Config{Clients: benchClients(b, n, nil)}, func(p *Proxy) func(http.HandlerFunc) http.HandlerFunc { return p.identify })
		})
	}
}

// BenchmarkAdmit is what is allowed: the paths that all have, and a client's policy.
func BenchmarkAdmit(b *testing.B) {
	for _, bc := range []struct {
		name string
		cfg  *policy.Config // nil for none
	}{
		{"paths", nil},
		{"read_only", &policy.Config{ReadOnly: true}},
		{"objects", &policy.Config{ReadOnly: true, ReadObjects: []string{"Account", "Contact"}}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			var own *policy.Policy
			if bc.cfg != nil {
				var err error
				if own, err = policy.New(*bc.cfg); err != nil {
					b.Fatal(err)
				}
			}
			benchGate(b, Config{Clients: benchClients(b, 1, own)}, func(p *Proxy) func(http.HandlerFunc) http.HandlerFunc { return p.admit })
		})
	}
}

func BenchmarkCanonicalPath(b *testing.B) {
	for _, bc := range []struct{ name, path string }{{"plain", benchPath}, {"encoded", "/services/data/v60.0/sobjects/Account/Name__c/M%C3%BCller%20AG"}} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := canonicalPath(bc.path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
