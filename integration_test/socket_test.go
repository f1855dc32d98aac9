package integration_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// socketPath returns a path for a Unix socket, which has to be shorter than what
// T.TempDir may give.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sfproxy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "proxy.sock")
}

// TestUnixSocket serves by a socket, which is this user's alone, and gone after.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	path := socketPath(t)
	env := with(startOrg(t, devorg.Config{}).env, "PROXY_LISTEN=unix:"+path)
	p := startProxy(t, env)
	p.waitReady(t)
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v; want mode 0600", info.Mode(), err)
	}
	if status, body := curlStatus(t, "http://localhost"+echoPath, "--unix-socket", path); status != "200" {
		t.Errorf("answer = %s %s, want 200", status, body)
	}
	if status, body := curlStatus(t, "http://evil.example"+echoPath, "--unix-socket", path); status != "403" || !strings.Contains(body, "PROXY_WRONG_HOST") {
		t.Errorf("answer to another Host = %s %s, want 403 as on loopback", status, body)
	}
	p.Log.waitFor(t, `"event":"denial","outcome":"refused","address":"unix",.*"rule":"wrong_host"`)

	env = with(env, "PROXY_ADMIN_LISTEN="+strings.TrimPrefix(p.Admin, "http://"))
	if got := run(t, env, "health"); got.status != 0 {
		t.Errorf("health = %d, %q; want 0", got.status, got.stderr)
	}
	if out := examine(t, env, 0); !strings.Contains(out, "PROXY_LISTEN=unix:"+path+", for this user alone; sfproxy runs there: it is ready") {
		t.Errorf("beside the proxy the doctor says\n%s", out)
	}
	if out := examine(t, with(env, "PROXY_ADMIN_LISTEN=off"), 0); !strings.Contains(out, "sfproxy runs there: it answers") {
		t.Errorf("beside the proxy, without its admin port, the doctor says\n%s", out)
	}
	second := run(t, with(env, "PROXY_ADMIN_LISTEN=127.0.0.1:0"), "serve")
	second.check(t, 1, "PROXY_LISTEN: cannot listen on "+path, "another sfproxy")
	if status, body := curlStatus(t, "http://localhost"+echoPath, "--unix-socket", path); status != "200" {
		t.Errorf("after a second start, answer = %s %s, want 200", status, body)
	}

	if status := p.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there after the stop")
	}
	if out := examine(t, with(env, "PROXY_ADMIN_LISTEN=127.0.0.1:0"), 0); !strings.Contains(out, "the path is free") {
		t.Errorf("after the stop the doctor says\n%s", out)
	}
}

// TestUnixSocketLeftBehind replaces the socket of a process that was killed, and
// no other file.
func TestUnixSocketLeftBehind(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	path := socketPath(t)
	env := with(startOrg(t, devorg.Config{}).env, "PROXY_LISTEN=unix:"+path, "PROXY_ADMIN_LISTEN=off")
	killed := startProxy(t, env)
	killed.signal(t, syscall.SIGKILL)
	killed.wait(t)
	if _, err := net.Dial("unix", path); err == nil {
		t.Fatal("the killed proxy answers")
	}
	if out := examine(t, env, 0); !strings.Contains(out, "which the start replaces") {
		t.Errorf("the doctor says\n%s", out)
	}
	p := startProxy(t, env)
	if status, body := curlStatus(t, "http://localhost"+echoPath, "--unix-socket", path); status != "200" {
		t.Errorf("answer = %s %s, want 200", status, body)
	}
	p.stop(t)

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, env, "serve").check(t, 1, "is no socket")
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
		t.Errorf("the file is now %q, %v", content, err)
	}
	run(t, with(env, "PROXY_LISTEN=unix:"+path+".d/proxy.sock"), "serve").check(t, 1, "its directory does not exist")
}

// TestPasswordByUnixSocket logs in without TLS, as on loopback.
func TestPasswordByUnixSocket(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	path := socketPath(t)
	startProxy(t, with(startOrg(t, devorg.Config{}).env, "PROXY_LISTEN=unix:"+path,
		"PROXY_CLIENT_0_NAME=etl", "PROXY_CLIENT_0_USERNAME=etl@proxy.local", "PROXY_CLIENT_0_PASSWORD=a-password-of-etl"))
	status, body := curlStatus(t, "http://localhost/services/oauth2/token", "--unix-socket", path,
		"-d", "grant_type=password", "-d", "client_id=any", "-d", "client_secret=any", "-d", "username=etl@proxy.local", "-d", "password=a-password-of-etl")
	if status != "200" || !strings.Contains(body, "access_token") {
		t.Errorf("login = %s, want 200 with a session", status)
	}
	if status, _ := curlStatus(t, "http://localhost"+echoPath, "--unix-socket", path); status != "401" {
		t.Errorf("without a session = %s, want 401", status)
	}
}
