package integration_test

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestMemoryIsClosed has another program of the user that the proxy runs as
// look for the key in the proxy's variables and its memory.
func TestMemoryIsClosed(t *testing.T) {
	t.Parallel()
	need(t, "prlimit", "setpriv", "head")
	if os.Getuid() != 0 {
		skip(t, "only root can run the proxy as another user, and with a limit that is not lowered yet")
	}
	if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil { // for the other user
		t.Fatal(err)
	}
	asUser := []string{"--core=unlimited", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	org := startOrg(t, devorg.Config{})
	env := with(without(org.env, "SF_JWT_KEY_FILE"), "SF_JWT_KEY="+string(keyPEM(t, testKey())), "PATH="+os.Getenv("PATH"))
	p := startProxyOf(t, "prlimit", env, append(asUser, binary, "serve")...)

	read := func(pid, file string) string {
		cmd := exec.Command("prlimit", append(asUser, "head", "-c", "1", "/proc/"+pid+"/"+file)...)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if got := read("self", "environ"); len(got) != 1 {
		t.Fatalf("a program's own variables read as %q, want a byte", got)
	}
	pid := strconv.Itoa(p.cmd.Process.Pid)
	for _, file := range []string{"environ", "mem", "maps", "fd/0"} {
		if got := read(pid, file); !strings.Contains(got, "Permission denied") {
			t.Errorf("%s of the proxy reads as %q, want it denied to other programs of its user", file, got)
		}
	}
	limits, err := os.ReadFile("/proc/" + pid + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("the limits are %s, want no core files", limits)
	}
	// It sees its own process as before.
	if a := p.ask(t, "/metrics"); !bytes.Contains(a.body, []byte("process_open_fds ")) || !bytes.Contains(a.body, []byte("process_resident_memory_bytes ")) {
		t.Errorf("metrics = %d %.300s, want the process's own numbers", a.status, a.body)
	}
}

// TestProfiles asks for Go's profiles where they are off and where they are on.
func TestProfiles(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	const page = "/debug/pprof/goroutine?debug=2"
	if a := startProxy(t, org.env).ask(t, page); a.status != http.StatusNotFound {
		t.Errorf("profile by default = %d %.100s, want 404", a.status, a.body)
	}

	p := startProxy(t, with(org.env, "PROXY_PPROF=true", "PROXY_ALLOW_PATHS=/services,/debug"))
	p.Log.waitFor(t, `"level":"WARN","msg":"PROXY_PPROF: whoever reaches the admin port`)
	for _, path := range []string{page, "/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/trace?seconds=0.1", "/metrics", "/healthz"} {
		if a := p.ask(t, path); a.status != http.StatusOK || len(a.body) == 0 {
			t.Errorf("%s = %d %.100s, want 200", path, a.status, a.body)
		}
	}
	if a := get(t, p.URL+page); bytes.Contains(a.body, []byte("goroutine 1 ")) {
		t.Error("the port of the clients serves profiles")
	}
	if a := p.ask(t, "/debug/pprof/cmdline"); a.status != http.StatusNotFound {
		t.Errorf("the command line = %d %s, want 404", a.status, a.body)
	}
}

// TestAdminPort asks for its pages as monitoring does, and as web pages would.
func TestAdminPort(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, with(org.env, "PROXY_PPROF=true", "PROXY_ALLOW_HOSTS=sfproxy.monitoring.svc"))
	eventually(t, "the proxy is ready", func() bool { return p.ask(t, "/readyz").status == http.StatusOK })
	for _, tt := range []struct {
		host, site string
		want       int
	}{
		{"", "", http.StatusOK}, // the address and port of the listener
		{"localhost:8081", "", http.StatusOK},
		{"10.1.2.3:8081", "", http.StatusOK}, // Kubernetes and Prometheus by the pod's address
		{"sfproxy:8081", "", http.StatusOK},  // a container's name
		{"sfproxy.monitoring.svc:8081", "", http.StatusOK},
		{"localhost", "none", http.StatusOK}, // typed into the address bar
		{"localhost", "same-origin", http.StatusOK},
		{"rebound.example", "", http.StatusForbidden},
		{"rebound.example:8081", "same-origin", http.StatusForbidden},
		{"localhost", "cross-site", http.StatusForbidden},
		{"localhost", "same-site", http.StatusForbidden}, // another port of this machine
	} {
		for _, page := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/goroutine?debug=2"} {
			var header []string
			if tt.site != "" {
				header = []string{"Sec-Fetch-Site: " + tt.site}
			}
			a := fetchAs(t, http.MethodGet, p.Admin+page, tt.host, "", header...)
			if a.status != tt.want {
				t.Errorf("%s of host %q and Sec-Fetch-Site %q = %d %.200s, want %d", page, tt.host, tt.site, a.status, a.body, tt.want)
			}
			if strings.HasPrefix(tt.host, "rebound") && !bytes.Contains(a.body, []byte("PROXY_ALLOW_HOSTS")) {
				t.Errorf("%s of host %q = %s, want it to say what to set", page, tt.host, a.body)
			}
		}
	}
}

// TestUnit has systemd read the unit and judge what it leaves open.
func TestUnit(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	text, err := os.ReadFile("../deploy/sfproxy.service")
	if err != nil {
		t.Fatal(err)
	}
	here := bytes.ReplaceAll(text, []byte("/usr/local/bin/sfproxy"), []byte(binary)) // which has to be there
	unit := writeFile(t, "sfproxy.service", here)
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v, %s", err, out)
	}
	const most = "15" // tenths of the exposure level, which goes to 10
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+most, unit).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v, want an exposure of %s tenths or less:\n%s", err, most, out)
	}
}

// readSecurity returns SECURITY.md.
func readSecurity(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	testName = regexp.MustCompile("`(\\w+)\\.((?:Test|Fuzz)\\w+)`")
	promise  = regexp.MustCompile(`^\| .* \| (.*) \|$`)
)

// TestSecurityPromisesAreTested looks for the tests that SECURITY.md names, and
// for promises without one.
func TestSecurityPromisesAreTested(t *testing.T) {
	t.Parallel()
	text := readSecurity(t)
	there := map[string][]string{} // tests by package
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		pkg, name := m[1], m[2]
		if there[pkg] == nil {
			there[pkg] = testsOf(t, pkg)
		}
		if !slices.Contains(there[pkg], name) {
			t.Errorf("SECURITY.md names %s.%s, which does not exist", pkg, name)
		}
	}
	tables := strings.Split(text, "\n| promise | shown by |\n| --- | --- |\n")[1:]
	for _, table := range tables {
		rows, _, _ := strings.Cut(table, "\n\n")
		for row := range strings.Lines(rows) {
			if m := promise.FindStringSubmatch(strings.TrimSpace(row)); m == nil || !testName.MatchString(m[1]) {
				t.Errorf("a promise of SECURITY.md names no test: %s", row)
			}
		}
	}
	if len(tables) < 5 || len(there) < 5 {
		t.Errorf("SECURITY.md has %d tables of promises with tests of %d packages, want more: was its form changed?", len(tables), len(there))
	}
}

// testsOf returns the tests of a package of this module.
func testsOf(t *testing.T, pkg string) []string {
	t.Helper()
	dir := filepath.Join("..", pkg)
	if pkg == "sfproxy" {
		dir = ".."
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	var names []string
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

var headerName = regexp.MustCompile("`([A-Z][A-Za-z*-]+)`")

// TestSecurityHeaders sends every header that SECURITY.md lists as stripped or
// as kept.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	arrived := make(chan http.Header, 1)
	instance := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header }))
	t.Cleanup(instance.Close)
	org := startOrg(t, devorg.Config{})
	org.SetInstanceURLInGrants(instance.URL)
	p := startProxy(t, org.env)

	const value = "sent-by-the-client"
	values := map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": p.URL, "Connection": "keep-alive, X-Named-By-Connection"}
	sent := func(name string) string { return cmp.Or(values[name], value) }
	stripped, kept := headersUnder(t, "### Stripped"), headersUnder(t, "### Kept")
	stripped = append(stripped, "X-Named-By-Connection")
	var fields []string
	for _, name := range slices.Concat(stripped, kept) {
		fields = append(fields, name+": "+sent(name))
	}
	if a := get(t, p.URL+"/services/data/v60.0/limits", fields...); a.status != http.StatusOK {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	got := <-arrived
	for _, name := range stripped {
		if slices.Contains(got.Values(name), sent(name)) {
			t.Errorf("%s arrived as %q, want it stripped", name, got.Values(name))
		}
	}
	for _, name := range kept {
		if !slices.Equal(got.Values(name), []string{value}) {
			t.Errorf("%s arrived as %q, want it kept", name, got.Values(name))
		}
	}
}

// headersUnder returns the headers that SECURITY.md names under a heading; a
// star stands for any end.
func headersUnder(t *testing.T, heading string) []string {
	t.Helper()
	_, rest, _ := strings.Cut(readSecurity(t), "\n"+heading+"\n")
	section, _, _ := strings.Cut(rest, "\n#")
	var names []string
	for _, m := range headerName.FindAllStringSubmatch(section, -1) {
		names = append(names, strings.ReplaceAll(m[1], "*", "Anything"))
	}
	if len(names) < 8 {
		t.Fatalf("SECURITY.md names the headers %q under %s, want more: was its form changed?", names, heading)
	}
	return names
}
