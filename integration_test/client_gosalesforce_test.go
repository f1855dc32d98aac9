package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// goSalesforceApp builds the app on go-salesforce and returns its path. The app
// is a module of its own, so that its dependencies are not ours.
func goSalesforceApp(t *testing.T) string {
	t.Helper()
	need(t, "go")
	dir := filepath.Join("testdata", "clients", "go-salesforce")
	download := exec.Command("go", "mod", "download")
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		skip(t, "the modules of the client cannot be downloaded: "+string(out))
	}
	app := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-o", app, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the client: %v\n%s", err, out)
	}
	return app
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
