package integration_test

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^sfproxy \S+ \(go1\.\d+\S*, \w+/\w+\)\n$`)
	for _, arg := range []string{"version", "--version"} {
		if got := run(t, nil, arg); got.status != 0 || !want.MatchString(got.stdout) || got.stderr != "" {
			t.Errorf("%s = %+v, want %s", arg, got, want)
		}
	}
}

// TestHelp asks each command for help: it names the variables that the command
// reads, and no others.
func TestHelp(t *testing.T) {
	t.Parallel()
	const org, client, log = "SF_LOGIN_URL", "PROXY_CLIENT_<n>_API_KEY[_FILE]", "LOG_LEVEL"
	for _, test := range []struct {
		args           string
		names, omitted []string
	}{
		{"--help", []string{"serve", "demo", "devorg", "token", "doctor", "keygen", "health", "policy", "version", org, client, log}, nil},
		{"serve --help", []string{org, client, log}, nil},
		{"demo --help", []string{client, log}, []string{org}},
		{"token --help", []string{org, log}, []string{client}},
		{"doctor --help", []string{"--json", "--callback", org, client, log}, nil},
		{"health --help", []string{"PROXY_ADMIN_LISTEN"}, nil},
		{"keygen --help", []string{"--csr", "--passphrase-file", "--tls"}, []string{org, client, log}},
		{"devorg --help", []string{"--listen", "--tls", "--dir"}, []string{org, client, log}},
		{"policy explain --help", []string{"--body", org, client}, nil},
		{"version --help", nil, []string{org, client, log}},
	} {
		t.Run(test.args, func(t *testing.T) {
			got := run(t, nil, strings.Fields(test.args)...)
			if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Usage:") {
				t.Errorf("exit status = %d, stderr = %q, stdout = %q; want 0, nothing and a usage", got.status, got.stderr, got.stdout)
			}
			for _, name := range test.names {
				if !strings.Contains(got.stdout, name) {
					t.Errorf("help does not name %s:\n%s", name, got.stdout)
				}
			}
			for _, name := range test.omitted {
				if strings.Contains(got.stdout, name) {
					t.Errorf("help names %s, which the command does not read:\n%s", name, got.stdout)
				}
			}
		})
	}
}

// TestToken uses what sfproxy token prints without the proxy.
func TestToken(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	got := run(t, with(org.env, "LOG_LEVEL=debug"), "token")
	token, rest, _ := strings.Cut(got.stdout, "\n")
	if got.status != 0 || rest != "" {
		t.Fatalf("exit status = %d, %d further bytes on stdout, stderr = %q; want the token alone", got.status, len(rest), got.stderr)
	}
	if a := get(t, org.InstanceURL()+echoPath, "Authorization: Bearer "+token); a.status != http.StatusOK {
		t.Errorf("the token's first use = %d %s, want 200", a.status, a.body)
	}
	if stats := org.Stats(); stats.GrantAttempts != 1 {
		t.Errorf("attempts at grants = %d, want 1", stats.GrantAttempts)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, org.env)
	address := strings.TrimPrefix(p.Admin, "http://")
	env := with(org.env, "PROXY_ADMIN_LISTEN="+address)
	if got := run(t, env, "health"); got.status != 0 || got.stdout+got.stderr != "" {
		t.Errorf("health = %+v, want 0 and silence", got)
	}
	if got := run(t, nil, "health", p.URL+"/"); got.status != 0 {
		t.Errorf("health of an address that answers 403 = %+v, want 0", got)
	}
	org.FailRequests(1, devorg.PageFault(http.StatusServiceUnavailable))
	run(t, nil, "health", org.InstanceURL()).check(t, 1, org.InstanceURL()+" answered 503")
	org.FailGrants(-1, devorg.PageFault(http.StatusServiceUnavailable))
	if got := run(t, env, "health"); got.status != 0 {
		t.Errorf("health while Salesforce is away = %+v, want 0: a restart would not help", got)
	}
	p.stop(t)
	run(t, env, "health").check(t, 1, address)
	run(t, with(org.env, "PROXY_ADMIN_LISTEN=off"), "health").check(t, 2, "PROXY_ADMIN_LISTEN is off")
}

// TestDevorg gives the printed settings of an embedded org to a proxy.
func TestDevorg(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"plain": nil, "TLS": {"--tls"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := append([]string{"devorg", "--listen", "127.0.0.1:0", "--instance-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--dir", dir, "--verbose"}, flags...)
			modes := map[string]fs.FileMode{"server.key": 0o600, "server.crt": 0o644}
			last := "SF_JWT_KEY_FILE"
			if flags != nil {
				modes["ca.crt"], modes["ca.key"] = 0o644, 0o600
				last = "SF_CA_FILE"
			}
			o := start(t, nil, args...)
			o.Stdout.waitFor(t, `(?m)^`+last+`=.*\n`)
			settings := strings.Split(strings.TrimSpace(o.Stdout.String()), "\n")
			for _, s := range settings {
				if !strings.HasPrefix(s, "SF_") {
					t.Errorf("stdout has %q, want settings alone", s)
				}
			}
			checkFiles(t, dir, modes)
			p := startProxy(t, settings)
			if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
				t.Errorf("answer through the proxy = %d %s, want 200", a.status, a.body)
			}
			o.Log.waitFor(t, `"msg":"request","method":"GET","path":"`+echoPath+`"`)
			control := o.Log.waitFor(t, `"control_url":"([^"]+)"`)[1]
			if a := get(t, control+"/"); a.status != http.StatusOK || !strings.Contains(string(a.body), "POST /expire ") {
				t.Errorf("the controls' list = %d %s", a.status, a.body)
			}

			key, err := os.ReadFile(filepath.Join(dir, "server.key"))
			if err != nil {
				t.Fatal(err)
			}
			if status := o.stop(t); status != 0 {
				t.Errorf("exit status = %d, want 0", status)
			}
			again := start(t, nil, args...)
			again.Stdout.waitFor(t, `(?m)^`+last+`=.*\n`)
			if same, _ := os.ReadFile(filepath.Join(dir, "server.key")); string(same) != string(key) {
				t.Error("a second run has made another key, want that of the first")
			}
		})
	}
}

func checkFiles(t *testing.T, dir string, modes map[string]fs.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(modes) {
		t.Errorf("files made = %v, want %d", entries, len(modes))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != modes[e.Name()] {
			t.Errorf("mode of %s = %v, want %v", e.Name(), info.Mode(), modes[e.Name()])
		}
	}
}

// TestDevorgRegistersCertificate registers a certificate of the user's own.
func TestDevorgRegistersCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := start(t, nil, "devorg", "--listen", "127.0.0.1:0", "--instance-listen", "127.0.0.1:0", "--dir", dir,
		"--certificate", writeFile(t, "mine.crt", certificatePEM(t)), "--user", "one@example.com,two@example.com", "--consumer-key", "mine")
	login := o.Stdout.waitFor(t, `(?m)^(SF_LOGIN_URL=.*)\n`)[1]
	got := run(t, []string{login, "SF_CLIENT_ID=mine", "SF_USERNAME=two@example.com", "SF_JWT_KEY=" + string(keyPEM(t, testKey()))}, "token")
	if got.status != 0 {
		t.Errorf("token = %d %q, want one", got.status, got.stderr)
	}
	checkFiles(t, dir, nil)
}

// TestDemo pastes the printed lines into a shell, and uses the token beyond its
// short life.
func TestDemo(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl", "sed")
	p := start(t, []string{"PROXY_LISTEN=127.0.0.1:0", "PROXY_ADMIN_LISTEN=127.0.0.1:0", "LOG_FORMAT=json",
		"SF_LOGIN_URL=https://ignored.example", "SF_USERNAME=ignored@example.com"}, "demo")
	api := p.Stdout.waitFor(t, `(?m)^  api=(http://127\.0\.0\.1:\d+/services/data/v60\.0)$`)[1]
	p.Stdout.waitFor(t, `(?m)^Ctrl-C ends it\.$`)
	var pasted []string
	for line := range strings.Lines(p.Stdout.String()) {
		if strings.HasPrefix(line, "  ") {
			pasted = append(pasted, line)
		}
	}
	shell := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail")
	shell.Env = []string{"PATH=" + os.Getenv("PATH")}
	shell.Stdin = strings.NewReader(strings.Join(pasted, "\n"))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the pasted lines: %v\n%s", err, out)
	}
	checkPasted(t, string(out))

	granted := func() int { return strings.Count(p.Log.String(), `"msg":"token granted"`) }
	if n := granted(); n != 1 {
		t.Errorf("tokens granted so far = %d, want 1", n)
	}
	eventually(t, "a second token is granted", func() bool {
		if a := get(t, api+"/limits"); a.status != http.StatusOK {
			t.Fatalf("answer = %d %s, want 200", a.status, a.body)
		}
		return granted() > 1
	})
	if status := p.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
}

// checkPasted checks what the demo's lines print: an id, the record, the
// query's result, and the statuses of update and delete.
func checkPasted(t *testing.T, out string) {
	t.Helper()
	id, rest, _ := strings.Cut(out, "\n")
	if !regexp.MustCompile(`^001[0-9A-Za-z]{15}$`).MatchString(id) {
		t.Fatalf("create printed %q, want an id", id)
	}
	if n := strings.Count(rest, `"Acme Rockets"`); n != 2 {
		t.Errorf("the name came back %d times, want from read and query:\n%s", n, rest)
	}
	if !strings.Contains(rest, `"totalSize":1`) {
		t.Errorf("the query did not find one record:\n%s", rest)
	}
	if fields := strings.Fields(rest); len(fields) < 2 || !slices.Equal(fields[len(fields)-2:], []string{"204", "204"}) {
		t.Errorf("update and delete did not end with 204 each:\n%s", rest)
	}
}
