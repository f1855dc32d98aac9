package config

import "testing"

func TestShareFiles(t *testing.T) {
	tests := []struct{ files, connections, requests, wantConnections, wantRequests int }{
		{20_000, 10_000, 5000, 10_000, 5000},
		{15_000, 10_000, 5000, 10_000, 5000},
		{12_000, 10_000, 5000, 7000, 5000},
		{1000, 10_000, 5000, 500, 500},
		{1000, 10_000, 100, 900, 100},
		{1000, 300, 5000, 300, 700},
		{1000, 0, 5000, 0, 500},
		{1000, 10_000, 0, 500, 0},
		{1000, 0, 0, 0, 0},
	}
	for _, tt := range tests {
		if c, r := shareFiles(tt.files, tt.connections, tt.requests); c != tt.wantConnections || r != tt.wantRequests {
			t.Errorf("shareFiles(%d, %d, %d) = %d, %d, want %d, %d", tt.files, tt.connections, tt.requests, c, r, tt.wantConnections, tt.wantRequests)
		}
	}
}

// TestWithinOpenFiles has each share of a limit leave to others what it did.
func TestWithinOpenFiles(t *testing.T) {
	cfg := &Config{Clients: []Client{{MaxRequests: 2500}, {MaxRequests: 100}, {MaxRequests: 5000}, {}}}
	cfg.Proxy.MaxConnections, cfg.Proxy.MaxConnectionsPerAddress = 10_000, 5000
	cfg.Proxy.MaxRequests, cfg.Proxy.MaxRequestsPerClient = 5000, 2500
	if got := cfg.WithinOpenFiles(20_000); got != cfg {
		t.Errorf("enough files lower the limits to %+v", got.Proxy)
	}
	got := cfg.WithinOpenFiles(1128)
	if p := got.Proxy; p.MaxConnections != 500 || p.MaxConnectionsPerAddress != 250 || p.MaxRequests != 500 || p.MaxRequestsPerClient != 250 {
		t.Errorf("limits = %+v, want 500 connections, 250 of one address, 500 requests, 250 of one client", p)
	}
	for i, want := range []int{250, 100, 500, 0} {
		if n := got.Clients[i].MaxRequests; n != want {
			t.Errorf("client %d: %d requests, want %d", i, n, want)
		}
	}
	if cfg.Proxy.MaxConnections != 10_000 || cfg.Clients[0].MaxRequests != 2500 {
		t.Error("the configuration that was given has changed")
	}
}
