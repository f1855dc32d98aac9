package integration_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// keygen runs sfproxy keygen in dir and returns what it printed.
func keygen(t *testing.T, dir string, args ...string) string {
	t.Helper()
	got := run(t, nil, append([]string{"keygen", "--dir", dir}, args...)...)
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("keygen %q = %d, %q; want 0 and silence", args, got.status, got.stderr)
	}
	return got.stdout
}

// settings returns the lines of a command's output that are variables.
func settings(output string) []string {
	return regexp.MustCompile(`(?m)^(SF|PROXY)_[A-Z_]+=.*$`).FindAllString(output, -1)
}

// command runs a program and returns all that it printed.
func command(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	need(t, name)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustCommand(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(t, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// readDir returns the content of each file in dir.
func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil && !e.IsDir() {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

// TestKeygen registers the certificate with an org and logs in with the printed
// settings.
func TestKeygen(t *testing.T) {
	t.Parallel()
	passphraseFile := writeFile(t, "passphrase", []byte(passphrase+"\n"))
	for name, flags := range map[string][]string{
		"plain":     nil,
		"encrypted": {"--passphrase-file", passphraseFile, "--bits", "3072"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			output := keygen(t, dir, flags...)
			checkFiles(t, dir, map[string]fs.FileMode{"server.key": 0o600, "server.crt": 0o644})
			text, err := os.ReadFile(filepath.Join(dir, "server.crt"))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if life := time.Until(certificate.NotAfter).Round(24 * time.Hour); life != 730*24*time.Hour || len(text) > 4096 {
				t.Errorf("certificate of %d bytes for %v, want 4096 at most, and 730 days", len(text), life)
			}

			org, err := devorg.Start(devorg.Config{ConsumerKey: consumerKey, Certificate: certificate, Users: []string{subject}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { org.Close() })
			env := settings(output)
			for placeholder, value := range map[string]string{
				"SF_LOGIN_URL=https://YOURDOMAIN.my.salesforce.com": "SF_LOGIN_URL=" + org.LoginURL(),
				"SF_CLIENT_ID=": "SF_CLIENT_ID=" + consumerKey,
				"SF_USERNAME=":  "SF_USERNAME=" + subject,
			} {
				if !replace(env, placeholder, value) {
					t.Errorf("settings = %q, want %q among them", env, placeholder)
				}
			}
			if got := run(t, env, "token"); got.status != 0 || got.stderr != "" && strings.Contains(got.stderr, "WARN") {
				t.Errorf("token with the printed settings = %d %q, want one", got.status, got.stderr)
			}
		})
	}
}

// replace changes the line old of env, if there is one.
func replace(env []string, old, line string) bool {
	for i, v := range env {
		if v == old {
			env[i] = line
			return true
		}
	}
	return false
}

// TestKeygenAssertion verifies an assertion by openssl and the certificate that
// goes to Salesforce.
func TestKeygenAssertion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keygen(t, dir)
	assertions := make(chan string, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertions <- r.PostFormValue("assertion")
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
	}))
	defer endpoint.Close()
	run(t, []string{"SF_LOGIN_URL=" + endpoint.URL, "SF_CLIENT_ID=" + consumerKey, "SF_USERNAME=" + subject, "SF_JWT_KEY_FILE=" + filepath.Join(dir, "server.key")}, "token")
	assertion := <-assertions
	i := strings.LastIndex(assertion, ".")
	signature, err := base64.RawURLEncoding.DecodeString(assertion[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	public := mustCommand(t, "openssl", "x509", "-in", filepath.Join(dir, "server.crt"), "-noout", "-pubkey")
	out := mustCommand(t, "openssl", "dgst", "-sha256", "-verify", writeFile(t, "public.pem", []byte(public)),
		"-signature", writeFile(t, "signature", signature), writeFile(t, "signed", []byte(assertion[:i])))
	if out != "Verified OK\n" {
		t.Errorf("openssl dgst -verify = %q, want Verified OK", out)
	}
}

// TestKeygenExports reads the further files with the tools that are to read
// them.
func TestKeygenExports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	passphraseFile := writeFile(t, "passphrase", []byte(passphrase))
	p12, jks := filepath.Join(dir, "app.p12"), filepath.Join(dir, "app.jks")
	output := keygen(t, dir, "--p12", p12, "--jks", jks, "--alias", "etl_1", "--passphrase-file", passphraseFile)
	checkFiles(t, dir, map[string]fs.FileMode{"server.key": 0o600, "server.crt": 0o644, "app.p12": 0o600, "app.jks": 0o600})
	if !strings.Contains(output, "Certificate and Key Management") {
		t.Errorf("output = %q, want where the Java keystore goes", output)
	}
	fingerprint := mustCommand(t, "openssl", "x509", "-in", filepath.Join(dir, "server.crt"), "-noout", "-fingerprint", "-sha256")
	_, fingerprint, _ = strings.Cut(strings.TrimSpace(fingerprint), "=")
	for _, store := range []string{p12, jks} {
		if list := mustCommand(t, "keytool", "-list", "-keystore", store, "-storepass", passphrase); !strings.Contains(list, fingerprint) || !strings.Contains(list, "etl_1, ") {
			t.Errorf("keytool lists %s, want %s as etl_1", list, fingerprint)
		}
	}

	run(t, nil, "keygen", "--dir", dir, "--csr").check(t, 2, "server.crt exists already and would not belong to the new key")
	output = keygen(t, dir, "--csr", "--force", "--cn", "etl")
	if _, err := os.Lstat(filepath.Join(dir, "server.crt")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(output, "removed: server.crt") {
		t.Errorf("the certificate of the earlier key: %v, output = %q; want it gone, and said so", err, output)
	}
	request := mustCommand(t, "openssl", "req", "-in", filepath.Join(dir, "server.csr"), "-verify", "-noout", "-subject", "-pubkey")
	public := mustCommand(t, "openssl", "pkey", "-in", filepath.Join(dir, "server.key"), "-pubout")
	if !strings.Contains(request, "verify OK") || !strings.Contains(request, "CN = etl") || !strings.Contains(request, public) {
		t.Errorf("openssl req = %s, want the request of etl for the key in server.key", request)
	}
}

// TestKeygenLeavesFilesAlone has all or nothing written, and nothing over what
// is there.
func TestKeygenLeavesFilesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate := filepath.Join(dir, "server.crt")
	if err := os.WriteFile(certificate, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	passphraseFile := writeFile(t, "passphrase", []byte(passphrase))
	unwritable := filepath.Join(dir, strings.Repeat("x", 300)) // a name too long for any file system
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"one exists", nil, 2, certificate + " exists already: --force replaces it"},
		{"one cannot be written", []string{"--force", "--passphrase-file", passphraseFile, "--jks", unwritable}, 1, "file name too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, nil, append([]string{"keygen", "--dir", dir}, test.args...)...).check(t, test.status, test.want)
			if files := readDir(t, dir); len(files) != 1 || files["server.crt"] != "precious" {
				t.Errorf("files = %q, want the one there was", files)
			}
			checkFiles(t, dir, map[string]fs.FileMode{"server.crt": 0o600})
		})
	}

	keygen(t, dir, "--force")
	checkFiles(t, dir, map[string]fs.FileMode{"server.key": 0o600, "server.crt": 0o644})
	before := readDir(t, dir)
	keygen(t, dir, "--force")
	for name, content := range readDir(t, dir) {
		if content == before[name] {
			t.Errorf("--force left %s as it was", name)
		}
	}
}

// A service that runs as another user reads the new key as it read the old one.
func TestKeygenForceKeepsOwnerAndLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "kept.key")
	if err := os.WriteFile(elsewhere, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	const user, group = 1234, 1235
	owned := os.Geteuid() == 0 // who else may give files away
	if owned {
		if err := os.Chown(elsewhere, user, group); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "server.key")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	keygen(t, dir, "--force")
	info, err := os.Stat(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(elsewhere); !strings.Contains(string(content), "PRIVATE KEY") || info.Mode() != 0o640 {
		t.Errorf("the link's target holds %.20q with mode %v, want the new key with 0640", content, info.Mode())
	}
	if got, err := os.Readlink(link); err != nil || got != elsewhere {
		t.Errorf("server.key links to %q, %v; want the link as it was", got, err)
	}
	if stat := info.Sys().(*syscall.Stat_t); owned && (stat.Uid != user || stat.Gid != group) {
		t.Errorf("the key belongs to %d:%d, want %d:%d", stat.Uid, stat.Gid, user, group)
	}
}

func TestKeygenKeepsItsPassphraseFile(t *testing.T) {
	dir := t.TempDir()
	passphrase := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(passphrase, []byte("correct horse battery"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "keygen", "--dir", dir, "--passphrase-file", passphrase, "--p12", passphrase, "--force").check(t, 2, "holds the passphrase, which would be lost")
	if files := readDir(t, dir); len(files) != 1 || files["passphrase"] != "correct horse battery" {
		t.Errorf("the directory holds %q, want the passphrase alone", files)
	}
}

// TestKeygenUsage has the mistakes that a person makes; nothing is written.
func TestKeygenUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) string { return writeFile(t, "passphrase", []byte(text)) }
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--bits", "1024"}, "--bits: 1024 is not 2048, 3072 or 4096"},
		{[]string{"--days", "0"}, "--days: 0 is not between 1 and 3650"},
		{[]string{"--days", "soon"}, `"soon" for "--days"`},
		{[]string{"--tls", "--days", "398"}, "--days: 398 is not between 1 and 397"},
		{[]string{"--cn", " "}, "--cn: has to have 1 to 64 characters"},
		{[]string{"--cn", "a\nb"}, "--cn: has a character that cannot be printed"},
		{[]string{"proxy.example"}, `"proxy.example": keygen takes names and addresses only with --tls`},
		{[]string{"--csr", "--days", "9"}, "--days and --csr do not go together"},
		{[]string{"--csr", "--p12", "x"}, "--p12 and --csr do not go together"},
		{[]string{"--tls", "--passphrase-file", "x"}, "--passphrase-file and --tls do not go together"},
		{[]string{"--p12", filepath.Join(dir, "x")}, "--p12: needs a passphrase for the file: --passphrase-file"},
		{[]string{"--jks", filepath.Join(dir, "x")}, "--jks: needs a passphrase for the keystore: --passphrase-file"},
		{[]string{"--alias", "x"}, "--alias: names the key in a keystore, for which --p12 or --jks asks"},
		{[]string{"--jks", filepath.Join(dir, "x"), "--alias", "my key"}, `--alias: "my key" is not of letters, digits and single underscores`},
		{[]string{"--p12", filepath.Join(dir, "no", "x"), "--passphrase-file", write(passphrase)}, "--p12: there is no directory"},
		{[]string{"--p12", filepath.Join(dir, "server.key"), "--passphrase-file", write(passphrase)}, "would be written twice"},
		{[]string{"--jks", filepath.Join(dir, "x"), "--passphrase-file", write("short")}, "--passphrase-file: a keystore needs a passphrase of 6 characters or more"},
		{[]string{"--jks", filepath.Join(dir, "x"), "--passphrase-file", write("pässphrase")}, "--passphrase-file: the passphrase of a keystore may have printable ASCII characters only"},
		{[]string{"--passphrase-file", write("\n")}, "is empty"},
		{[]string{"--passphrase-file", write("one\ntwo\n")}, "has several lines"},
		{[]string{"--passphrase-file", filepath.Join(dir, "none")}, "--passphrase-file: open"},
		{[]string{"--dir", ""}, "--dir: names no directory"},
		{[]string{"--dir", filepath.Join(write(""), "x")}, "not a directory"},
		{[]string{"--dir", filepath.Join(dir, "none"), "--bits", "1"}, "--bits: 1 is not"},
		{[]string{"--tls", "https://proxy.example/"}, `"https://proxy.example/": give the host alone`},
		{[]string{"--tls", "proxy.example:8443"}, `"proxy.example:8443": give the host alone`},
		{[]string{"--tls", "proxy example"}, `"proxy example" is no host name and no IP address`},
		{[]string{"--nonsense"}, "unknown flag: --nonsense"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			run(t, nil, append([]string{"keygen", "--dir", dir}, test.args...)...).check(t, 2, test.want)
		})
	}
	checkFiles(t, dir, nil)
}

// httpsClient is a program that prints what a URL answers.
type httpsClient struct {
	name         string
	command      []string
	trustingEnv  []string // what makes it trust the authority
	trustingArgs []string
	args         []string // before the URL
}

// httpsClients returns clients that are told to trust the authority as
// docs/legacy-apps.md has it.
func httpsClients(t *testing.T, authority, truststore string) []httpsClient {
	jsforce := `const jsforce = require(process.argv[1]), url = new URL(process.argv[2]);
new jsforce.Connection({ instanceUrl: url.origin, accessToken: 'any' }).request(url.pathname)
  .then(answer => console.log(JSON.stringify(answer)), e => { console.error(e); process.exit(1); });`
	module, err := filepath.Abs(jsforceScript(t, "node_modules/jsforce"))
	if err != nil {
		t.Fatal(err)
	}
	return []httpsClient{
		{"curl", []string{"curl", "-sSf"}, nil, []string{"--cacert", authority}, nil},
		{"jsforce", []string{"node", "-e", jsforce}, []string{"NODE_EXTRA_CA_CERTS=" + authority}, nil, []string{module}},
		{"requests", []string{python, "-B", "-c", "import requests, sys; print(requests.get(sys.argv[1]).text)"}, []string{"REQUESTS_CA_BUNDLE=" + authority}, nil, nil},
		{"Ruby", []string{"ruby", "-ropen-uri", "-e", "puts URI.parse(ARGV[0]).read"}, []string{"SSL_CERT_FILE=" + authority}, nil, nil},
		{"Java", []string{"java"}, nil, []string{"-Djavax.net.ssl.trustStore=" + truststore, "-Djavax.net.ssl.trustStorePassword=changeit"}, []string{"testdata/clients/java/Get.java"}},
	}
}

// get returns what the client prints of url.
func (c httpsClient) get(t *testing.T, url string, trusting bool) (string, error) {
	t.Helper()
	args := slices.Clone(c.command[1:])
	var env []string
	if trusting {
		args, env = append(args, c.trustingArgs...), c.trustingEnv
	}
	return command(t, env, c.command[0], append(append(args, c.args...), url)...)
}

// TestKeygenTLS serves HTTPS to clients that are told to trust the authority,
// and to no others; a second server certificate needs no new trust.
func TestKeygenTLS(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	dir := t.TempDir()
	authority, truststore := filepath.Join(dir, "ca.crt"), filepath.Join(t.TempDir(), "truststore.jks")
	output := keygen(t, dir, "--tls")
	checkFiles(t, dir, map[string]fs.FileMode{"ca.crt": 0o644, "ca.key": 0o600, "tls.crt": 0o644, "tls.key": 0o600})
	mustCommand(t, "keytool", "-importcert", "-noprompt", "-alias", "sfproxy", "-file", authority, "-keystore", truststore, "-storepass", "changeit")
	// A proxy would take over the second certificate: the first one has its own files.
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	first := startProxy(t, with(org.env, settings(strings.ReplaceAll(output, dir, kept))...))

	before := readDir(t, dir)
	run(t, nil, "keygen", "--dir", dir, "--tls").check(t, 2, "tls.crt exists already", "tls.key exists already")
	again := settings(keygen(t, dir, "--tls", "--force", "LOCALHOST", "localhost"))
	after := readDir(t, dir)
	if before["ca.crt"] != after["ca.crt"] || before["ca.key"] != after["ca.key"] || before["tls.crt"] == after["tls.crt"] {
		t.Error("a second run has changed the authority or kept the server's certificate, want the opposite")
	}
	second := startProxy(t, with(org.env, again...))

	for _, c := range httpsClients(t, authority, truststore) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range []*process{first, second} {
				url := strings.Replace(p.URL, "127.0.0.1", "localhost", 1) + echoPath
				if out, err := c.get(t, url, true); err != nil || !strings.Contains(out, echoPath) {
					t.Errorf("with ca.crt: %v\n%s", err, out)
				}
			}
			if out, err := c.get(t, first.URL+echoPath, true); err != nil {
				t.Errorf("by address: %v\n%s", err, out)
			}
			for url, trusts := range map[string]bool{first.URL + echoPath: false, second.URL + echoPath: true} {
				out, err := c.get(t, url, trusts)
				if _, ok := errors.AsType[*exec.ExitError](err); !ok || !regexp.MustCompile(`(?i)certificate|PKIX|altnames`).MatchString(out) {
					t.Errorf("of another name, or without ca.crt: %v, %s; want a complaint of the certificate", err, out)
				}
			}
		})
	}
}

// TestKeygenTLSNames has names for other machines: the printed settings make
// the proxy listen for these, and the next certificate is for the same names.
func TestKeygenTLSNames(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "tls")
	names := func() []string {
		content, err := os.ReadFile(filepath.Join(dir, "tls.crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(content)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return append(c.DNSNames, c.IPAddresses[0].String())
	}
	got := run(t, nil, "keygen", "--dir", dir, "--tls", "localhost", "my-api.example", "10.1.2.3")
	if got.status != 0 || !strings.Contains(got.stderr, "simple-salesforce cuts -api out of host names, and would call my.example instead") {
		t.Errorf("keygen = %d, stderr = %q; want 0 and a warning of -api", got.status, got.stderr)
	}
	if env := settings(got.stdout); !slices.Contains(env, "PROXY_LISTEN=0.0.0.0:8443") || !slices.Contains(env, "PROXY_PUBLIC_URL=https://my-api.example:8443") {
		t.Errorf("settings = %q, want a listener for other machines and a URL with its port", env)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 || !strings.Contains(got.stdout, "a new directory") {
		t.Errorf("the directory: %v, %v; want it made for its owner alone, and said so", info, err)
	}
	before := names()
	if got := run(t, nil, "keygen", "--dir", dir, "--tls", "--force"); got.status != 0 {
		t.Errorf("keygen --force = %d %s", got.status, got.stderr)
	}
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("names of the next certificate = %q, want those of the first, %q", after, before)
	}
}

// TestKeygenAuthorityIncomplete has half an authority in the directory.
func TestKeygenAuthorityIncomplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keygen(t, dir, "--tls")
	other := t.TempDir()
	keygen(t, other, "--tls")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	certificate, private := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	move(private, private+".away")
	run(t, nil, "keygen", "--dir", dir, "--tls", "--force").check(t, 2, "its key "+private+" is not")
	move(filepath.Join(other, "ca.key"), private)
	run(t, nil, "keygen", "--dir", dir, "--tls", "--force").check(t, 2, "belongs to another key")
	move(private+".away", private)
	move(certificate, certificate+".away")
	run(t, nil, "keygen", "--dir", dir, "--tls", "--force").check(t, 2, "its certificate "+certificate+" is not")
}
