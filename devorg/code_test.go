package devorg_test

import "testing"

// TestCode runs code in the ways that there are, and sees in a snapshot whether
// it ran.
func TestCode(t *testing.T) {
	s := open(t, start(t, nil))
	for _, tt := range []struct {
		method, path string
		runs         bool
	}{
		{"GET", "/services/data/v60.0/tooling/executeAnonymous?anonymousBody=x", true},
		{"GET", "/services/data/v60.0/tooling/ExecuteAnonymous.json;x=1?anonymousBody=x", true},
		{"GET", "/services/data/v60.0/tooling/runTestsSynchronous?classnames=x", true},
		{"GET", "/services/data/v60.0/actions/custom/apex/Do", false},
		{"POST", "/services/data/v60.0/actions/custom/apex/Do", true},
		{"GET", "/services/apexrest/create", true},
		{"GET", "/services/apexrest/echo", false},
	} {
		before := s.org.Snapshot()
		if got := s.do(tt.method, tt.path, ""); got.status != 200 {
			t.Errorf("%s %s = %d %s, want 200", tt.method, tt.path, got.status, got.body)
		}
		if ran := s.org.Snapshot() != before; ran != tt.runs {
			t.Errorf("%s %s: code ran = %v, want %v", tt.method, tt.path, ran, tt.runs)
		}
	}
}
