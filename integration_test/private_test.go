package integration_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// misled returns the command line of a sfproxy for which names lead to loopback,
// in a mount namespace with a hosts file of its own, and the environment for it.
func misled(t *testing.T, env []string, names ...string) (program string, args, environ []string) {
	t.Helper()
	need(t, "unshare", "mount")
	if os.Getuid() != 0 {
		skip(t, "only root can give a program a hosts file of its own")
	}
	hosts := writeFile(t, "hosts", []byte("127.0.0.1 localhost "+strings.Join(names, " ")+"\n"))
	if err := os.Chmod(hosts, 0o644); err != nil {
		t.Fatal(err)
	}
	return "unshare", []string{"--mount", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts, binary}, with(env, "PATH="+os.Getenv("PATH"))
}

// TestPrivateAddress has names of Salesforce's lead to this machine, as a
// resolver may that means ill.
func TestPrivateAddress(t *testing.T) {
	t.Parallel()
	const host, reason = "acme--dev.sandbox.my.salesforce.com", "acme--dev.sandbox.my.salesforce.com resolves to 127.0.0.1, which is no public address"
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trap.Close() })
	var connections atomic.Int32
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			conn.Close()
		}
	}()
	trapped := "https://" + host + trap.Addr().String()[len("127.0.0.1"):]
	org := startOrg(t, devorg.Config{})

	t.Run("login host", func(t *testing.T) {
		program, args, env := misled(t, with(org.env, "SF_LOGIN_URL="+trapped), host)
		p := startProxyOf(t, program, env, append(args, "serve")...)
		p.Log.waitFor(t, reason+`".*"hint":"a host of Salesforce's resolves to an address that is not public`)
		if a := get(t, p.URL+echoPath); a.status != http.StatusBadGateway || a.header.Get("X-SFProxy-Error") != "PROXY_GRANT_REFUSED" ||
			!strings.Contains(string(a.body), reason) || !strings.Contains(string(a.body), "SF_ALLOW_PRIVATE=true") {
			t.Errorf("answer = %d %s, want 502 with %q and SF_ALLOW_PRIVATE=true", a.status, a.body, reason)
		}
	})
	t.Run("instance", func(t *testing.T) {
		org.SetInstanceURLInGrants(trapped)
		program, args, env := misled(t, org.env, host)
		p := startProxyOf(t, program, env, append(args, "serve")...)
		if a := get(t, p.URL+echoPath); a.status != http.StatusBadGateway || a.header.Get("X-SFProxy-Error") != "PROXY_INSTANCE_PRIVATE" ||
			!strings.Contains(string(a.body), reason) || !strings.Contains(string(a.body), "SF_ALLOW_PRIVATE=true") {
			t.Errorf("answer = %d %s, want 502 PROXY_INSTANCE_PRIVATE with %q and SF_ALLOW_PRIVATE=true", a.status, a.body, reason)
		}
	})
	t.Run("doctor", func(t *testing.T) {
		program, args, env := misled(t, append(noListener, with(org.env, "SF_LOGIN_URL="+trapped)...), host)
		cmd := exec.Command(program, append(args, "doctor")...)
		cmd.Env = env
		out, _ := cmd.Output()
		transcripts.add(out)
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "✗ TCP") {
			t.Errorf("exit status = %d, want 1 and a failure of TCP in\n%s", cmd.ProcessState.ExitCode(), out)
		}
		golden(t, "private-address", attention(string(out)))
	})
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made, want none", n)
	}
}

// TestPrivateAddressThatIsMeant: with the setting the way is open, and so it is to
// hosts that are not Salesforce's without it.
func TestPrivateAddressThatIsMeant(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ domain, set string }{
		{"my.salesforce.com", "SF_ALLOW_PRIVATE=true"},
		{"my.example.com", "SF_TRUSTED_DOMAINS=my.example.com"},
	} {
		login, instance := freeAddress(t), freeAddress(t)
		at := func(name, address string) string {
			return "https://" + name + "." + tt.domain + strings.TrimPrefix(address, "127.0.0.1")
		}
		org := startOrg(t, devorg.Config{TLS: true, LoginListen: login, InstanceListen: instance,
			PublicLoginURL: at("login", login), PublicInstanceURL: at("acme", instance)})
		program, args, env := misled(t, with(org.env, tt.set, "SF_AUDIENCE="+org.LoginURL()), "login."+tt.domain, "acme."+tt.domain)
		p := startProxyOf(t, program, env, append(args, "serve")...)
		if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
			t.Errorf("answer from %s = %d %s, want 200", tt.domain, a.status, a.body)
		}
		name, _, _ := strings.Cut(tt.set, "=")
		p.Log.waitFor(t, `"level":"WARN","msg":"`+name+`: `)
		p.Log.waitFor(t, `"level":"INFO","msg":"SF_CA_FILE: `)
	}
}
