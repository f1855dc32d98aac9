package integration_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestDocker builds the image and runs what docker-compose.yml promises with
// it: the demo, and the proxy in front of an org of one's own, for which the
// demo's serves here.
func TestDocker(t *testing.T) {
	t.Parallel()
	needDocker(t)
	image := "sfproxy-test:" + strconv.Itoa(os.Getpid())
	began := time.Now()
	docker(t, "build", "-q", "-t", image, "..")
	t.Logf("building the image took %.0f s", time.Since(began).Seconds())
	t.Cleanup(func() { docker(t, "image", "rm", "-f", image) })

	t.Run("image", func(t *testing.T) { testImage(t, image) })
	t.Run("demo", func(t *testing.T) { testComposeDemo(t, image) })
	t.Run("own org", func(t *testing.T) { testComposeOrg(t, image) })
	t.Run("memory limit", func(t *testing.T) { testMemoryLimit(t, image) })
}

// needDocker leaves the test out unless there is an engine to run containers
// and an image to build in.
func needDocker(t *testing.T) {
	t.Helper()
	need(t, "docker", "curl")
	if composeCommand() == nil {
		skip(t, "neither docker compose nor docker-compose is installed")
	}
	if err := exec.Command("docker", "info").Run(); err != nil {
		skip(t, `no Docker engine answers: to start one, eval "$(.ci/docker up)"`)
	}
	const base = "golang:1.26"
	if exec.Command("docker", "image", "inspect", base).Run() != nil && exec.Command("docker", "pull", "-q", base).Run() != nil {
		skip(t, "there is no image "+base+" and it cannot be pulled")
	}
}

func testImage(t *testing.T, image string) {
	const most = 20 << 20
	size, err := strconv.ParseInt(docker(t, "image", "inspect", "-f", "{{.Size}}", image), 10, 64)
	if err != nil || size > most {
		t.Errorf("the image has %d bytes (%v), want less than %d", size, err, most)
	}
	t.Logf("the image has %.1f MB", float64(size)/1e6)
	if user := docker(t, "image", "inspect", "-f", "{{.Config.User}}", image); user != "65532:65532" {
		t.Errorf("the image's user is %q, want an unprivileged one", user)
	}
	bare := []string{"run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", image}
	if out := docker(t, append(bare, "version")...); !strings.HasPrefix(out, "sfproxy ") {
		t.Errorf("version in the image prints %q", out)
	}
	out, err := exec.Command("docker", append(bare, "health")...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "SF_CLIENT_ID") {
		t.Errorf("health without a configuration: %v, %s, want status 2 and the variable that is missing", err, out)
	}
}

func testComposeDemo(t *testing.T, image string) {
	t.Parallel()
	c := newCompose(t, image, nil, devorgOverride(""))
	c.run("up", "-d")
	c.waitHealthy("devorg", "proxy")
	for _, service := range []string{"devorg", "proxy"} {
		c.checkLockedDown(service)
	}
	row := c.create()

	t.Run("revoked token", func(t *testing.T) {
		curl(t, c.url("devorg", 8445)+"/revoke", "-X", "POST")
		c.read(t, row)
		if stats := c.stats(t); stats.Grants != 2 || stats.Unauthorized == 0 || stats.Leaks != 0 {
			t.Errorf("stats = %+v, want 2 grants, a refused token and no leaks", stats)
		}
	})
	t.Run("proxy killed", func(t *testing.T) {
		docker(t, "kill", c.container("proxy"))
		c.run("up", "-d")
		c.waitHealthy("proxy")
		c.read(t, row)
	})
	t.Run("delete", func(t *testing.T) {
		got := curl(t, c.url("proxy", 8080)+row, "-o", os.DevNull, "-w", "%{http_code}", "-X", "DELETE")
		if string(got) != "204" {
			t.Errorf("delete = %s, want 204", got)
		}
	})
	t.Run("confined", func(t *testing.T) { testConfined(t, c.container("proxy")) })
	t.Run("org killed", func(t *testing.T) {
		docker(t, "kill", c.container("devorg"))
		answer := string(curl(t, c.url("proxy", 8080)+row, "-i"))
		if !strings.HasPrefix(answer, "HTTP/1.1 503 ") || !strings.Contains(answer, "\r\nRetry-After: ") || !strings.Contains(answer, "PROXY_INSTANCE_UNREACHABLE") {
			t.Errorf("the answer without an org is %s\nwant a 503 with Retry-After", answer)
		}
		// The org comes back with other certificates; a proxy reads them at its start.
		docker(t, "start", c.container("devorg"))
		c.waitHealthy("devorg")
		c.run("restart", "proxy")
		c.waitHealthy("proxy")
		c.create()
	})
	t.Run("stop", func(t *testing.T) {
		c.run("stop", "proxy")
		if code := docker(t, "inspect", "-f", "{{.State.ExitCode}}", c.container("proxy")); code != "0" {
			t.Errorf("the proxy ended with status %s at docker stop, want 0", code)
		}
	})
}

// testConfined asks the kernel what a container of docker-compose.yml is left
// with: another user, no capability, and Docker's filter of system calls.
func testConfined(t *testing.T, container string) {
	text, err := os.ReadFile("/proc/" + docker(t, "inspect", "-f", "{{.State.Pid}}", container) + "/status")
	if err != nil {
		t.Skip("the engine runs elsewhere: ", err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		got[name] = strings.Join(strings.Fields(value), " ")
	}
	for name, want := range map[string]string{"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "Uid": "65532 65532 65532 65532"} {
		if got[name] != want {
			t.Errorf("%s of the proxy in its container = %q, want %q", name, got[name], want)
		}
	}
}

// testComposeOrg runs the profile for an org of one's own as a user would: with
// a filled-in .env and the key in a file.
func testComposeOrg(t *testing.T, image string) {
	t.Parallel()
	keyFile := writeFile(t, "server.key", keyPEM(t, testKey()))
	certificateFile := writeFile(t, "server.crt", appCertificate(t))
	for _, name := range []string{keyFile, certificateFile} {
		// The container's user is not the test's.
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	apiKey := newAPIKey()
	example, err := os.ReadFile(filepath.Join("..", ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	env := fillIn(t, string(example), map[string]string{
		"SF_LOGIN_URL":           "https://devorg:8443",
		"SF_CLIENT_ID":           "devorg-consumer-key",
		"SF_USERNAME":            subject,
		"SF_JWT_KEY_FILE":        keyFile,
		"PROXY_CLIENT_0_API_KEY": apiKey,
	})
	c := newCompose(t, image, []string{"--profile", "org", "--env-file", writeFile(t, "env", []byte(env))},
		devorgOverride(certificateFile)+`
  proxy-org:
    environment:
      SF_CA_FILE: /demo/ca.crt
    volumes: ["demo:/demo:ro"]
`)
	c.run("config", "-q")
	c.run("up", "-d", "devorg")
	c.waitHealthy("devorg")
	c.run("up", "-d", "proxy-org")
	c.waitHealthy("proxy-org")
	c.checkLockedDown("proxy-org")

	limits := c.url("proxy-org", 8080) + "/services/data/v60.0/limits"
	status := []string{"-o", os.DevNull, "-w", "%{http_code}"}
	for _, test := range []struct{ name, header, want string }{
		{"key", "Authorization: Bearer " + apiKey, "200"},
		{"wrong key", "Authorization: Bearer " + apiKey + "0", "401"},
		{"no key", "Accept: */*", "401"},
	} {
		if got := curl(t, limits, append(status, "-H", test.header)...); string(got) != test.want {
			t.Errorf("a request with %s = %s, want %s", test.name, got, test.want)
		}
	}
	if stats := c.stats(t); stats.Grants != 1 || stats.Leaks != 0 {
		t.Errorf("stats = %+v, want 1 grant and no leaks", stats)
	}
	// A secret is a file in the container, not a variable.
	if out := docker(t, "inspect", "-f", "{{.Config.Env}}", c.container("proxy-org")); strings.Contains(out, "PRIVATE KEY") {
		t.Errorf("the key is in the container's environment: %s", out)
	}
}

// testMemoryLimit has bodies kept for a replay fill most of a container's
// memory: the kernel kills the proxy unless its heap keeps to the limit.
func testMemoryLimit(t *testing.T, image string) {
	t.Parallel()
	c := newCompose(t, image, nil, `
services:
  proxy:
    environment:
      PROXY_REPLAY_BUFFER: 8MiB
    mem_limit: 64m
    memswap_limit: 64m
`)
	c.run("up", "-d")
	c.waitHealthy("devorg", "proxy")
	proxy := &process{URL: c.url("proxy", 8080)}
	t.Run("load", func(t *testing.T) {
		for range 3 {
			t.Run("upload", func(t *testing.T) {
				t.Parallel()
				upload(t, proxy, 7<<20, true)
			})
		}
	})
	if state := docker(t, "inspect", "-f", "{{.State.Status}} {{.State.OOMKilled}} {{.RestartCount}}", c.container("proxy")); state != "running false 0" {
		t.Errorf("the proxy's state, killed for its memory, restarts = %s, want running false 0", state)
	}
	logs, err := c.command("logs", "--no-color", "proxy").CombinedOutput()
	if err != nil || !strings.Contains(string(logs), `"limit_bytes":67108864,"target_bytes":50331648`) {
		t.Errorf("the log does not tell of a limit of 64 MiB and a target of 48 (%v):\n%s", err, logs)
	}
}

// devorgOverride is a compose file that gives the org its test controls and, if
// it is named, the certificate of an app.
func devorgOverride(certificateFile string) string {
	override := `
services:
  devorg:
    command:
      - devorg
      - --dir=/demo
      - --tls
      - --listen=0.0.0.0:8443
      - --instance-listen=0.0.0.0:8444
      - --login-url=https://devorg:8443
      - --instance-url=https://devorg:8444
      - --control-listen=0.0.0.0:8445
`
	if certificateFile != "" {
		override += "      - --certificate=/app.crt\n    volumes: [\"" + certificateFile + ":/app.crt:ro\"]\n"
	}
	return override + "    ports: [\"127.0.0.1:0:8445\"]\n"
}

// appCertificate returns a certificate for the test's key, in PEM.
func appCertificate(t *testing.T) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sfproxy"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &testKey().PublicKey, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// fillIn returns a .env file with values for some of its variables.
func fillIn(t *testing.T, example string, values map[string]string) string {
	t.Helper()
	lines := strings.Split(example, "\n")
	filled := 0
	for i, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		if value, ok := values[name]; ok {
			lines[i] = name + "=" + value
			filled++
		}
	}
	if filled != len(values) {
		t.Fatalf(".env.example has %d of the variables %v", filled, values)
	}
	return strings.Join(lines, "\n")
}

// compose is a project made of the repository's docker-compose.yml and an
// override, under a name and on ports of its own.
type compose struct {
	t       *testing.T
	project string
	args    []string
	env     []string
}

// composeCommand returns how Compose is called here, or nil.
func composeCommand() []string {
	if exec.Command("docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return []string{"docker-compose"}
	}
	return nil
}

// newCompose returns a project that is taken down at the test's end, with its
// volumes. args are further arguments of Compose itself.
func newCompose(t *testing.T, image string, args []string, override string) *compose {
	t.Helper()
	c := &compose{t: t, project: fmt.Sprintf("sfproxy-test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)}
	c.args = append(composeCommand(), "-p", c.project, "-f", "../docker-compose.yml", "-f", writeFile(t, "override.yml", []byte(override)))
	c.args = append(c.args, args...)
	for _, v := range os.Environ() {
		// What the user has set for an org of their own is not for the test.
		if !strings.HasPrefix(v, "SF_") && !strings.HasPrefix(v, "PROXY_") && !strings.HasPrefix(v, "COMPOSE_") {
			c.env = append(c.env, v)
		}
	}
	c.env = append(c.env, "SFPROXY_IMAGE="+image, "SFPROXY_PORT=0")
	t.Cleanup(func() {
		logs, _ := c.command("logs", "--no-color").CombinedOutput()
		transcripts.add(logs)
		if t.Failed() {
			t.Logf("logs of the containers:\n%s", logs)
		}
		c.run("down", "-v", "--remove-orphans", "-t", "5")
	})
	return c
}

func (c *compose) command(args ...string) *exec.Cmd {
	args = append(c.args[1:len(c.args):len(c.args)], args...)
	cmd := exec.Command(c.args[0], args...)
	cmd.Env = c.env
	return cmd
}

func (c *compose) run(args ...string) {
	c.t.Helper()
	if out, err := c.command(args...).CombinedOutput(); err != nil {
		c.t.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// container returns the id of a service's container.
func (c *compose) container(service string) string {
	c.t.Helper()
	id := docker(c.t, "ps", "-aq", "--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.service="+service)
	if id == "" || strings.Contains(id, "\n") {
		c.t.Fatalf("the containers of %s are %q, want one", service, id)
	}
	return id
}

// url returns the origin at which a container's port is published.
func (c *compose) url(service string, port int) string {
	c.t.Helper()
	address, _, _ := strings.Cut(docker(c.t, "port", c.container(service), strconv.Itoa(port)), "\n")
	return "http://" + address
}

// waitHealthy waits until the containers' own health checks succeed.
func (c *compose) waitHealthy(services ...string) {
	c.t.Helper()
	began := time.Now()
	for _, service := range services {
		for {
			state := docker(c.t, "inspect", "-f", "{{.State.Status}} {{.State.Health.Status}}", c.container(service))
			if state == "running healthy" {
				break
			}
			if time.Since(began) > time.Minute {
				c.t.Fatalf("%s is %s after a minute, want it healthy", service, state)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	c.t.Logf("%s healthy after %.1f s", strings.Join(services, " and "), time.Since(began).Seconds())
}

// checkLockedDown checks what a container may do.
func (c *compose) checkLockedDown(service string) {
	c.t.Helper()
	const format = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
	want := "65532:65532 true [ALL] [no-new-privileges:true]"
	if got := docker(c.t, "inspect", "-f", format, c.container(service)); got != want {
		c.t.Errorf("%s runs with user, read-only root, dropped capabilities, options %q, want %q", service, got, want)
	}
}

// create creates, updates and finds an account with curl, and returns its path.
func (c *compose) create() string {
	t := c.t
	t.Helper()
	proxy, api := c.url("proxy", 8080), "/services/data/v60.0"
	created := decode[struct{ ID string }](t, curl(t, proxy+api+"/sobjects/Account",
		"-H", "Content-Type: application/json", "-d", `{"Name":"Container"}`))
	row := api + "/sobjects/Account/" + created.ID
	if got := curl(t, proxy+row, "-o", os.DevNull, "-w", "%{http_code}", "-X", "PATCH",
		"-H", "Content-Type: application/json", "-d", `{"Phone":"555-0100"}`); string(got) != "204" {
		t.Errorf("update = %s, want 204", got)
	}
	found := decode[struct{ TotalSize int }](t, curl(t, proxy+api+"/query", "-G",
		"--data-urlencode", "q=SELECT Id FROM Account WHERE Phone = '555-0100'"))
	if found.TotalSize != 1 {
		t.Errorf("query found %d, want 1", found.TotalSize)
	}
	c.read(t, row)
	return row
}

func (c *compose) read(t *testing.T, row string) {
	t.Helper()
	if read := decode[struct{ Name string }](t, curl(t, c.url("proxy", 8080)+row)); read.Name != "Container" {
		t.Errorf("read Name = %q, want Container", read.Name)
	}
}

func (c *compose) stats(t *testing.T) devorg.Stats {
	t.Helper()
	return decode[devorg.Stats](t, curl(t, c.url("devorg", 8445)+"/stats"))
}

// docker returns what a docker command prints, without the line's end.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
