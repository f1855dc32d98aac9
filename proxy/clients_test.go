package proxy_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// TestSetClients replaces the clients while requests of an old one, a new one
// and one that stays are under way.
func TestSetClients(t *testing.T) {
	base := upstream(t, func(http.ResponseWriter, *http.Request) {})
	client := func(name, apiKey string) proxy.Client {
		key, err := proxy.HashAPIKey(apiKey)
		if err != nil {
			t.Fatal(err)
		}
		return proxy.Client{Name: name, Subject: username, APIKey: key}
	}
	before := []proxy.Client{client("billing", "old"), client("sales", "same")}
	after := []proxy.Client{client("billing", "new"), client("sales", "same")}
	p := newHandler(t, proxy.Config{Tokens: newTokens(base), Clients: before}, newLogBuffer()).(*proxy.Proxy)
	status := func(apiKey string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", limitsPath, nil)
		r.Header.Set("Authorization", "Bearer "+apiKey)
		p.ServeHTTP(w, r)
		return w.Code
	}
	check := func(apiKey string, want int) {
		t.Helper()
		if got := status(apiKey); got != want {
			t.Errorf("answer to %q = %d, want %d", apiKey, got, want)
		}
	}
	check("old", http.StatusOK)
	check("new", http.StatusUnauthorized)

	ctx, cancel := context.WithCancel(t.Context())
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for ctx.Err() == nil {
				check("same", http.StatusOK)
				check("neither", http.StatusUnauthorized)
			}
		})
	}
	for range 500 {
		p.SetClients(before)
		p.SetClients(after)
	}
	cancel()
	requests.Wait()
	check("old", http.StatusUnauthorized)
	check("new", http.StatusOK)

	p.SetClients(nil) // is never an invitation
	check("new", http.StatusUnauthorized)
	check("", http.StatusUnauthorized)
}
