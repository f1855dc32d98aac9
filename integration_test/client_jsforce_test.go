package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// jsforceScript returns the path of an app on jsforce.
func jsforceScript(t *testing.T, name string) string {
	t.Helper()
	need(t, "node")
	dir := filepath.Join("testdata", "clients", "jsforce")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "jsforce")); err != nil {
		skip(t, "jsforce is not installed: run npm ci in integration_test/"+filepath.ToSlash(dir))
	}
	return filepath.Join(dir, name)
}

// TestJsforce runs an app on jsforce that has nothing but the proxy's URL.
func TestJsforce(t *testing.T) {
	t.Parallel()
	script := jsforceScript(t, "crud.mjs")
	for _, setup := range clientSetups() {
		t.Run(setup.name, func(t *testing.T) {
			org := startOrg(t, devorg.Config{TLS: true})
			org.AddAccounts(2500)
			p := startProxy(t, append(org.env, setup.env...))
			runClient(t, map[string]func(){"second page": org.RevokeTokens}, "node", script, p.URL, setup.token)
			checkClientStats(t, org.Stats())
		})
	}
}

// TestJsforceIdentity is about an address in the body of an answer that the
// client follows with its credential in the URL: it has to lead to the proxy.
func TestJsforceIdentity(t *testing.T) {
	t.Parallel()
	script := jsforceScript(t, "identity.mjs")
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, org.env)
	out, err := exec.CommandContext(t.Context(), "node", script, p.URL, "any").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != subject {
		t.Errorf("identity = %.600s (%v), want %s", out, err, subject)
	}
	if leaks := org.Stats().Leaks; leaks != 0 {
		t.Errorf("leaks = %d: the client took its credential to Salesforce, past the proxy", leaks)
	}
}
