// Package integration_test drives the built binary over real connections: what
// a user of sfproxy sees, and nothing of its inside.
package integration_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

const (
	consumerKey = "integration-consumer-key"
	subject     = "integration@example.com"
)

var binary string // the built sfproxy

// transcripts holds what every process of the run has printed, but for the
// stdout of sfproxy token, whose purpose is to print a secret.
var transcripts transcript

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	flag.Set("test.parallel", "32") // unless the command line says otherwise: parallel tests mostly wait
	dir, err := os.MkdirTemp("", "sfproxy-integration-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sfproxy")
	build := exec.Command("go", append(slices.Clone(buildArgs), "-o", binary, "..")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building sfproxy: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	for _, secret := range transcripts.secrets() {
		fmt.Fprintf(os.Stderr, "FAIL: the outputs of this run hold %s\n", secret)
		code = 1
	}
	return code
}

// need says that a test cannot do without a command. Where everything is to be
// tested, its absence is a failure.
func need(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			skip(t, c+" is not installed")
		}
	}
}

// skip leaves a test out, or fails it if SFPROXY_TEST_NO_SKIP is set.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("SFPROXY_TEST_NO_SKIP") != "" {
		t.Fatalf("would be skipped: %s", reason)
	}
	t.Skip(reason)
}

// testKey is one RSA key for the whole run; making one takes a while.
var testKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })

func newKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func keyPEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// writeFile writes a file of the test's own and returns its path.
func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// org is an embedded org in the test's own process, with the settings that a
// proxy needs to use it.
type org struct {
	*devorg.Org
	env []string
}

// startOrg starts an org; what cfg leaves out is filled in.
func startOrg(t *testing.T, cfg devorg.Config) *org {
	t.Helper()
	key := testKey()
	cfg.ConsumerKey, cfg.PublicKey = consumerKey, &key.PublicKey
	if len(cfg.Users) == 0 {
		cfg.Users = []string{subject}
	}
	o, err := devorg.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	env := []string{
		"SF_LOGIN_URL=" + o.LoginURL(),
		"SF_CLIENT_ID=" + consumerKey,
		"SF_USERNAME=" + subject,
		"SF_JWT_KEY_FILE=" + writeFile(t, "server.key", keyPEM(t, key)),
	}
	if cfg.TLS {
		env = append(env, "SF_CA_FILE="+writeFile(t, "ca.crt", o.CAPEM()))
	}
	return &org{o, env}
}

// process is a running sfproxy.
type process struct {
	cmd    *exec.Cmd
	URL    string // of the proxy
	Admin  string // of the admin port
	Stdout *lines
	Log    *lines // stderr
	exited chan struct{}
}

// lines collects an output and lets tests wait for a part of it.
type lines struct {
	record  *transcript // gets a copy
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced on each line
}

func newLines(record *transcript) *lines {
	return &lines{record: record, changed: make(chan struct{})}
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// waitFor returns the first match of pattern in the output, once it is there.
func (l *lines) waitFor(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(time.Minute)
	for {
		l.mu.Lock()
		match, changed := re.FindStringSubmatch(l.text.String()), l.changed
		l.mu.Unlock()
		if match != nil {
			return match
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the output never had %q:\n%s", pattern, l)
		}
	}
}

func (l *lines) follow(r io.Reader) {
	reader := bufio.NewReader(r)
	for {
		line, err := reader.ReadString('\n')
		if line != "" {
			l.record.add([]byte(line))
			l.add(line)
		}
		if err != nil {
			return
		}
	}
}

// startProxy runs sfproxy with the environment env until the test ends, on free
// ports unless env says otherwise, and waits until it listens.
func startProxy(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startProxyOf(t, binary, env, args...)
}

// startProxyOf is startProxy with another build.
func startProxyOf(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := startOf(t, program, append([]string{"PROXY_LISTEN=127.0.0.1:0", "PROXY_ADMIN_LISTEN=127.0.0.1:0", "LOG_FORMAT=json"}, env...), args...)
	scheme := "http://"
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "PROXY_TLS_CERT_FILE=") }) {
		scheme = "https://"
	}
	p.URL = scheme + p.Log.waitFor(t, `"msg":"listening","address":"([^"]+)"`)[1]
	if !slices.Contains(env, "PROXY_ADMIN_LISTEN=off") {
		p.Admin = "http://" + p.Log.waitFor(t, `"msg":"admin port listening","address":"([^"]+)"`)[1]
	}
	return p
}

// start runs sfproxy with exactly the environment env until the test ends.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startOf(t, binary, env, args...)
}

func startOf(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{}),
		Stdout: newLines(&transcripts), Log: newLines(&transcripts)}
	p.cmd.Env = append([]string{}, env...) // not nil, which would be our own
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		var outputs sync.WaitGroup
		outputs.Go(func() { p.Stdout.follow(stdout) })
		outputs.Go(func() { p.Log.follow(stderr) })
		outputs.Wait()
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("log of sfproxy:\n%s", p.Log)
		}
		if strings.Contains(p.Log.String(), "DATA RACE") {
			t.Errorf("data race:\n%s", p.Log)
		}
	})
	return p
}

// stop asks the process to stop and waits for it; it returns the exit status.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.wait(t)
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// wait waits for the process to end and returns its exit status.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.cmd.Process.Kill()
		t.Errorf("sfproxy did not end within a minute:\n%s", p.Log)
		<-p.exited
	}
	return p.cmd.ProcessState.ExitCode()
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	status         int
}

// run runs sfproxy to its end with exactly the environment env.
func run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append([]string{}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
	}
	transcripts.add(stderr.Bytes())
	if !slices.Contains(args, "token") {
		transcripts.add(stdout.Bytes())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// decode returns the JSON text as a T.
func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return v
}

// buildModule builds the program in dir and returns its path. The program is a
// module of its own, so that its dependencies are not ours.
func buildModule(t *testing.T, dir string) string {
	t.Helper()
	need(t, "go")
	download := exec.Command("go", "mod", "download")
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		skip(t, "the modules of "+dir+" cannot be downloaded: "+string(out))
	}
	program := filepath.Join(t.TempDir(), filepath.Base(dir))
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", dir, err, out)
	}
	return program
}
