package auth_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/auth"
)

// grantError returns the error of a grant that is refused.
func grantError(t *testing.T, code, description string) error {
	t.Helper()
	org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{
		Transport: answers(400, fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description))})
	_, err := org.Grant(t.Context(), ada)
	return err
}

// TestCatalogueFindsItself has every OAuth error as Salesforce words it
// explained by its own entry, whatever stands before it in the list.
func TestCatalogueFindsItself(t *testing.T) {
	for _, e := range auth.Refusals() {
		code := cmp.Or(e.Code, "a_code_of_tomorrow")
		for _, code := range []string{code, strings.ToUpper(code)} {
			got, ok := auth.Explain(fmt.Errorf("wrapped: %w", grantError(t, code, e.Seen)))
			if !ok || got.ID != e.ID {
				t.Errorf("Explain(%s: %s) = %q, %v, want %q", code, e.Seen, got.ID, ok, e.ID)
			}
		}
	}
	if got, ok := auth.Explain(errors.New("another error")); ok {
		t.Errorf("Explain of another error = %q, want none", got.ID)
	}
}

// TestCatalogueIsWhole looks at what a person reads: each entry says what is
// wrong and what to do, in a line that a log can take.
func TestCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range slices.Concat(auth.Refusals(), auth.Failures()) {
		if e.ID == "" || seen[e.ID] {
			t.Errorf("the ID %q is missing or used twice", e.ID)
		}
		seen[e.ID] = true
		for _, c := range e.Causes {
			if c.Cause == "" || c.Fix == "" {
				t.Errorf("%s has the cause %+v, want a cause and a fix", e.ID, c)
			}
		}
		if hint := e.Hint(); hint == "" || len(hint) > 300 || strings.Contains(hint, "\n") {
			t.Errorf("Hint of %s = %q, want a line of at most 300 bytes", e.ID, hint)
		}
	}
	if len(seen) < 45 {
		t.Errorf("the catalogue has %d entries, want 45 or more", len(seen))
	}
}

// TestExplainTransportByAnUntrustedCompanyProxy: the certificate is the
// proxy's, not the host's behind it.
func TestExplainTransportByAnUntrustedCompanyProxy(t *testing.T) {
	company := httptest.NewUnstartedServer(http.NotFoundHandler())
	company.Config.ErrorLog = log.New(io.Discard, "", 0)
	company.StartTLS()
	defer company.Close()
	address, err := url.Parse(company.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(address)}
	_, err = transport.RoundTrip(httptest.NewRequest(http.MethodGet, "https://acme.my.salesforce.com/", nil))
	if got := auth.ExplainTransport(err).ID; got != "company-proxy" {
		t.Errorf("ExplainTransport(%v) = %q, want company-proxy", err, got)
	}
}

func TestIsKeyRefusal(t *testing.T) {
	for _, tt := range []struct {
		code, description string
		want              bool
	}{
		{"invalid_grant", "invalid assertion", true},
		{"invalid_client_id", "client identifier invalid", true},
		{"invalid_grant", "", true},
		{"invalid_grant", "something of tomorrow", true},
		{"invalid_grant", "user hasn't approved this consumer", false},
		{"invalid_grant", "audience is invalid", false},
		{"invalid_grant", "inactive user", false},
		{"invalid_app_access", "user is not admin approved to access this app", false},
		{"a_code_of_tomorrow", "", false},
	} {
		if got := auth.IsKeyRefusal(grantError(t, tt.code, tt.description)); got != tt.want {
			t.Errorf("IsKeyRefusal(%s: %s) = %v, want %v", tt.code, tt.description, got, tt.want)
		}
	}
	if auth.IsKeyRefusal(errors.New("invalid_grant: invalid assertion")) {
		t.Error("IsKeyRefusal of another error = true, want false")
	}
}
