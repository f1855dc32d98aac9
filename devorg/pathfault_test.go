package devorg_test

import (
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

func TestFailPath(t *testing.T) {
	s := open(t, start(t, nil))
	s.org.FailPath(data+"/limits", devorg.RESTFault(403, "API_CURRENTLY_DISABLED", "API is disabled for this User"))
	for range 2 {
		wantError(t, "faulty path", s.do("GET", data+"/limits", ""), 403, "API_CURRENTLY_DISABLED")
	}
	if got := s.do("GET", data+"/sobjects", ""); got.status != 200 {
		t.Errorf("another path = %d %s, want 200", got.status, got.body)
	}
	s.org.EndPathFaults()
	if got := s.do("GET", data+"/limits", ""); got.status != 200 {
		t.Errorf("limits afterwards = %d %s, want 200", got.status, got.body)
	}
}
