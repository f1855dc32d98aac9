package integration_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// runClient runs one of the apps in testdata/clients to its end. Before each step
// the app says what it is about to do and waits; the function in beforeStep of
// that name is called then, so that the org can change under the app.
func runClient(t *testing.T, beforeStep map[string]func(), name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer timeout.Stop()
	var steps []string
	isDone := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		step, isStep := strings.CutPrefix(lines.Text(), "next: ")
		isDone = lines.Text() == "done"
		if !isStep {
			continue
		}
		steps = append(steps, step)
		if before := beforeStep[step]; before != nil {
			before()
			delete(beforeStep, step)
		}
		fmt.Fprintln(stdin, "go")
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil || !isDone {
		t.Fatalf("the client ended with %v after the steps %q:\n%s", err, steps, stderr.String())
	}
	for step := range beforeStep {
		t.Errorf("the client never took the step %q, of %q", step, steps)
	}
}

// clientSetups are the two ways in which an app reaches a proxy: one that is
// open to this machine, where its token means nothing, and one that has clients.
func clientSetups() []struct {
	name, token string
	env         []string
} {
	key := newAPIKey()
	return []struct {
		name, token string
		env         []string
	}{
		{"open", "any", nil},
		{"api key", key, []string{"PROXY_CLIENT_0_NAME=legacy", "PROXY_CLIENT_0_API_KEY=" + key}},
	}
}

// checkClientStats checks what the org saw of a client whose tokens were
// revoked once: two grants, and nothing of the client's that is not Salesforce's
// business.
func checkClientStats(t *testing.T, stats devorg.Stats) {
	t.Helper()
	if stats.Grants != 2 {
		t.Errorf("grants = %d, want 2: one at first and one after the revocation", stats.Grants)
	}
	if stats.Unauthorized == 0 {
		t.Error("no request met the revoked token: the test proves nothing")
	}
	if stats.Leaks != 0 || stats.Forbidden != 0 {
		t.Errorf("leaks = %d, forbidden requests = %d, want none", stats.Leaks, stats.Forbidden)
	}
}
