package integration_test

import (
	"path/filepath"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// goSalesforceApp builds the app on go-salesforce and returns its path.
func goSalesforceApp(t *testing.T) string {
	t.Helper()
	return buildModule(t, filepath.Join("testdata", "clients", "go-salesforce"))
}

// TestGoSalesforce runs an app on go-salesforce that has nothing but the proxy's
// URL.
func TestGoSalesforce(t *testing.T) {
	t.Parallel()
	app := goSalesforceApp(t)
	for _, setup := range clientSetups() {
		t.Run(setup.name, func(t *testing.T) {
			org := startOrg(t, devorg.Config{TLS: true})
			org.AddAccounts(2500)
			p := startProxy(t, append(org.env, setup.env...))
			runClient(t, map[string]func(){"query": org.RevokeTokens}, app, p.URL, setup.token)
			checkClientStats(t, org.Stats())
		})
	}
}
