package integration_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"github.com/sfproxy/sfproxy/devorg"
)

// rotated is a proxy whose files change while it runs.
type rotated struct {
	*process
	org     *org
	dir     string // of the files
	program string // that runs; "" for binary
}

// startRotated runs a proxy with server.key in a directory of its own, and the
// settings in env, in which DIR stands for the directory.
func startRotated(t *testing.T, env ...string) *rotated {
	t.Helper()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.start(t, append([]string{"SF_JWT_KEY_FILE=DIR/server.key"}, env...)...)
	return r
}

func (r *rotated) start(t *testing.T, env ...string) {
	t.Helper()
	for i := range env {
		env[i] = strings.ReplaceAll(env[i], "DIR", r.dir)
	}
	r.process = startProxyOf(t, cmp.Or(r.program, binary), with(without(r.org.env, "SF_JWT_KEY_FILE"), env...))
	r.Log.waitFor(t, `"msg":"token granted"`)
	r.Log.waitFor(t, `"msg":"the files are followed"`) // and SIGHUP, which would have ended it, is heeded
}

// replace puts another file in the place of one, in one step.
func (r *rotated) replace(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// metric returns the line of a metric on /metrics, "" if there is none.
func (r *rotated) metric(t *testing.T, name string) string {
	t.Helper()
	for line := range strings.Lines(string(r.ask(t, "/metrics").body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// waitMetric waits until a metric has a value.
func (r *rotated) waitMetric(t *testing.T, name, want string) {
	t.Helper()
	eventually(t, name+" is "+want, func() bool { return r.metric(t, name) == want })
}

// waitCount waits until a counter has reached a number.
func (r *rotated) waitCount(t *testing.T, name string, least int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %d", name, least), func() bool {
		n, err := strconv.Atoi(r.metric(t, name))
		return err == nil && n >= least
	})
}

// issuedAt returns when the token in use was issued, as /readyz has it.
func (r *rotated) issuedAt(t *testing.T) string {
	t.Helper()
	var ready struct {
		Token struct {
			IssuedAt string `json:"issued_at"`
		}
	}
	if err := json.Unmarshal(r.ask(t, "/readyz").body, &ready); err != nil {
		t.Fatal(err)
	}
	return ready.Token.IssuedAt
}

// awaitToken waits for the token that the proxy asks for at once when there is a
// new key. One that were taken away on its way to the proxy would be the second
// loss for a request.
func (r *rotated) awaitToken(t *testing.T, before string) {
	t.Helper()
	eventually(t, "there is a token issued after "+before, func() bool { return r.issuedAt(t) != before })
}

// Metrics of the rotation.
const (
	keysAccepted   = `sfproxy_key_changes_total{result="accepted"}`
	keysRefused    = `sfproxy_key_changes_total{result="refused"}`
	keysUnreadable = `sfproxy_key_changes_total{result="unreadable"}`
	reloadsApplied = `sfproxy_config_reloads_total{result="applied"}`
	reloadsSame    = `sfproxy_config_reloads_total{result="unchanged"}`
	reloadsRefused = `sfproxy_config_reloads_total{result="refused"}`
	keyPending     = `sfproxy_key_pending`
	certExpiry     = `sfproxy_certificate_expiry_timestamp_seconds`
)

// checkGrant has the proxy get a new token with the key that it uses, which has
// to be the one that the org trusts.
func (r *rotated) checkGrant(t *testing.T) {
	t.Helper()
	before := r.org.Stats().Grants
	r.org.RevokeTokens()
	if a := get(t, r.URL+echoPath); a.status != http.StatusOK {
		t.Errorf("answer = %d %s, want 200", a.status, a.body)
	}
	if got := r.org.Stats().Grants; got != before+1 {
		t.Errorf("grants = %d more, want 1", got-before)
	}
}

// TestRotationUnderLoad replaces the key ten times while 64 clients work and
// tokens are lost, in the right order and in the wrong one by turns.
func TestRotationUnderLoad(t *testing.T) {
	const rotations = 10
	for _, size := range []int{0, 10 << 10} {
		t.Run(map[bool]string{true: "GET", false: "POST"}[size == 0], func(t *testing.T) {
			l := load{clients: 64, requests: 4000, losses: 3 * rotations, bodySize: size}
			keys := make([]*rsa.PrivateKey, rotations+1)
			keys[0] = testKey()
			for i := 1; i <= rotations; i++ {
				keys[i] = newKey(2048)
			}
			started := time.Now()
			r := startRotated(t, "SF_JWT_KEY_FILE_NEXT=DIR/next.key")
			// Each rotation has three steps, each followed by a loss of all tokens.
			l.run(t, r.URL, func(n int) {
				i := n/3 + 1
				if i%2 == 0 {
					r.rightOrder(t, n%3, i, keys[i])
				} else {
					r.wrongOrder(t, n%3, i, keys[i])
				}
				takeTokens(r.org, n)
			})
			r.waitMetric(t, keysAccepted, fmt.Sprint(rotations))
			r.waitCount(t, keysRefused, rotations/2)
			r.waitMetric(t, keyPending, "0")
			stats := r.org.Stats()
			t.Logf("%d rotations, %d losses, %d grants, %d refused", rotations, l.losses, stats.Grants, stats.RefusedGrants)
			// One at start, one for each loss, one for each key that the org is asked about at once, and one a minute while a key waits.
			if least, most := int64(l.losses+1), int64(l.losses+1+rotations)+int64(time.Since(started)/time.Minute); stats.Grants < least || stats.Grants > most {
				t.Errorf("grants = %d, want %d to %d", stats.Grants, least, most)
			}
			if stats.MaxConcurrentGrants != 1 {
				t.Errorf("grants at once = %d, want 1", stats.MaxConcurrentGrants)
			}
		})
	}
}

// rightOrder is a step of the ith rotation: the new key beside the old one, its
// certificate to the org, the new key in the place of the old one.
func (r *rotated) rightOrder(t *testing.T, step, i int, key *rsa.PrivateKey) {
	applied, before := r.metric(t, reloadsApplied), r.issuedAt(t)
	switch step {
	case 0:
		r.replace(t, "next.key", keyPEM(t, key))
		r.awaitToken(t, before)
	case 1:
		r.org.RotateKey(&key.PublicKey)
	case 2:
		r.waitMetric(t, keysAccepted, fmt.Sprint(i))
		r.replace(t, "server.key", keyPEM(t, key))
		eventually(t, "the key is known", func() bool { return r.metric(t, reloadsApplied) != applied })
	}
}

// wrongOrder replaces the key before the org knows its certificate.
func (r *rotated) wrongOrder(t *testing.T, step, i int, key *rsa.PrivateKey) {
	switch step {
	case 0:
		before := r.issuedAt(t)
		r.replace(t, "server.key", keyPEM(t, key))
		r.waitCount(t, keysRefused, (i+1)/2)
		r.waitMetric(t, keyPending, "1")
		r.awaitToken(t, before)
	case 1:
		r.org.RotateKey(&key.PublicKey)
	case 2:
		r.waitMetric(t, keysAccepted, fmt.Sprint(i))
		r.waitMetric(t, keyPending, "0")
	}
}

// TestRefusedKey has a new key whose certificate the org does not know: the old
// one stays, everybody is told, and a SIGHUP after the upload ends it.
func TestRefusedKey(t *testing.T) {
	t.Parallel()
	r := startRotated(t)
	key := newKey(2048)
	r.replace(t, "server.key", keyPEM(t, key))
	r.Log.waitFor(t, `"level":"WARN","msg":"the org refuses the new key; the old key stays in use","key":"[0-9a-f]{16}","error":"[^"]*invalid assertion","hint":"upload the certificate`)
	r.waitMetric(t, keysRefused, "1")
	r.waitMetric(t, keyPending, "1")
	r.checkGrant(t)

	r.org.RotateKey(&key.PublicKey)
	asked := time.Now()
	r.signal(t, syscall.SIGHUP)
	r.Log.waitFor(t, `"level":"INFO","msg":"the new key is in use"`)
	if took := time.Since(asked); took > 30*time.Second { // by itself the proxy tries again after a minute
		t.Errorf("the new key was in use %v after the SIGHUP, want at once", took)
	}
	r.waitMetric(t, keysAccepted, "1")
	r.waitMetric(t, keyPending, "0")
	r.checkGrant(t)
}

// TestKubernetesSecret swaps a volume as Kubernetes does.
func TestKubernetesSecret(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	mount := func(version string, key *rsa.PrivateKey) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(r.dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		r.replace(t, version+"/server.key", keyPEM(t, key))
		if err := os.Symlink(version, filepath.Join(r.dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(r.dir, "..data_tmp"), filepath.Join(r.dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", testKey())
	if err := os.Symlink("..data/server.key", filepath.Join(r.dir, "server.key")); err != nil {
		t.Fatal(err)
	}
	r.start(t, "SF_JWT_KEY_FILE=DIR/server.key")
	for i, version := range []string{"..2", "..3"} {
		key := newKey(2048)
		r.org.RotateKey(&key.PublicKey)
		mount(version, key)
		if err := os.RemoveAll(filepath.Join(r.dir, fmt.Sprintf("..%d", i+1))); err != nil {
			t.Fatal(err)
		}
		r.waitMetric(t, keysAccepted, fmt.Sprint(i+1))
		r.checkGrant(t)
	}
}

// TestHangup has SIGHUP read the files, also where nothing is new.
func TestHangup(t *testing.T) {
	t.Parallel()
	r := startRotated(t)
	r.signal(t, syscall.SIGHUP)
	r.Log.waitFor(t, `"msg":"the files were read again; no key and no credential has changed`)
	r.waitMetric(t, reloadsSame, "1")
	key := newKey(2048)
	r.org.RotateKey(&key.PublicKey)
	r.replace(t, "server.key", keyPEM(t, key))
	r.signal(t, syscall.SIGHUP)
	r.waitMetric(t, reloadsSame, "2") // one of the signal and of the notification takes the key, and for the other nothing is new
	r.waitMetric(t, keysAccepted, "1")
	r.checkGrant(t)
	if status := r.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
}

// TestHangupDuringDrain has SIGHUP come after SIGTERM, as systemd may send it:
// and more than once: an answer that is under way is finished.
func TestHangupDuringDrain(t *testing.T) {
	t.Parallel()
	r := startRotated(t, "PROXY_DRAIN_TIMEOUT=5m")
	const size = 64 << 20 // more than all buffers on the way
	running := openDownload(t, r.process, size)
	r.signal(t, syscall.SIGTERM)
	r.Log.waitFor(t, `"msg":"stopping"`)
	for i := range size >> 20 {
		r.signal(t, syscall.SIGHUP)
		if _, err := io.CopyN(io.Discard, running, 1<<20); err != nil {
			t.Fatalf("the running download ended with %v after %d MiB, want all %d", err, i, size>>20)
		}
	}
	if status := r.wait(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
}

// TestHangupAtStart has SIGHUP come while the start waits for a slow keeper of
// the key, which signs the secret of the sessions.
func TestHangupAtStart(t *testing.T) {
	t.Parallel()
	need(t, "sh", "openssl")
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	asked, hungUp := filepath.Join(r.dir, "asked"), filepath.Join(r.dir, "hung-up")
	script := fmt.Sprintf("touch %s; until [ -e %s ]; do sleep 0.1; done; openssl pkeyutl -sign -inkey %s -pkeyopt digest:sha256\n",
		asked, hungUp, writeFile(t, "kept.key", keyPEM(t, testKey())))
	env := with(without(r.org.env, "SF_JWT_KEY_FILE"), "PATH="+os.Getenv("PATH"), "PROXY_LISTEN=127.0.0.1:0", "PROXY_ADMIN_LISTEN=off", "LOG_FORMAT=json",
		"SF_JWT_SIGNER_COMMAND=sh "+writeFile(t, "sign.sh", []byte(script)),
		"PROXY_CLIENT_0_NAME=legacy", "PROXY_CLIENT_0_USERNAME="+legacyUsername, "PROXY_CLIENT_0_PASSWORD="+passphrase)
	r.process = start(t, env)
	eventually(t, "the keeper is asked", func() bool { _, err := os.Stat(asked); return err == nil })
	r.signal(t, syscall.SIGHUP)
	r.replace(t, "hung-up", nil)
	r.Log.waitFor(t, `"msg":"token granted"`)
	if status := r.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
}

// TestMissedChange has the files be as they were by the time that somebody looks
// for a change, while a SIGHUP saw them otherwise: it is found out all the same.
func TestMissedChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string) error
		says  string
		ends  func(t *testing.T, r *rotated)
	}{
		{"another key", func(t *testing.T, path string) error { return os.WriteFile(path, keyPEM(t, newKey(2048)), 0o600) }, `there is a new private key`,
			func(t *testing.T, r *rotated) { r.waitMetric(t, keyPending, "0") }},
		{"no key", func(_ *testing.T, path string) error { return os.Remove(path) }, `the configuration as it is now is not used`,
			func(t *testing.T, r *rotated) { r.Log.waitFor(t, `"msg":"the configuration can be used again"`) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startRotated(t)
			if err := test.spoil(t, filepath.Join(r.dir, "server.key")); err != nil {
				t.Fatal(err)
			}
			r.signal(t, syscall.SIGHUP)
			r.Log.waitFor(t, `"msg":"`+test.says)
			r.replace(t, "server.key", keyPEM(t, testKey()))
			test.ends(t, r)
		})
	}
}

// TestKeyFromPipe has a key that can be read once: a SIGHUP neither waits for
// another nor takes the first one away.
func TestKeyFromPipe(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	pipe, key := filepath.Join(r.dir, "server.key"), keyPEM(t, testKey())
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, key, 0o600) }()
	r.start(t, "SF_JWT_KEY_FILE=DIR/server.key")
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	r.signal(t, syscall.SIGHUP)
	r.Log.waitFor(t, `"level":"WARN","msg":"the configuration as it is now is not used; all stays as it was","error":"[^}]*can be read once only`)
	r.checkGrant(t)
	if status := r.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
}

// TestUnusableKeyFile spoils the key's file in several ways: the old key works
// on, and a good file is taken afterwards.
func TestUnusableKeyFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spoil  func(t *testing.T, r *rotated)
		metric string
		warns  string
	}{
		{"garbage", func(t *testing.T, r *rotated) { r.replace(t, "server.key", []byte("garbage")) },
			keysUnreadable, `the private key as it is now is not used; the old key stays in use","error":"SF_JWT_KEY_FILE`},
		{"certificate", func(t *testing.T, r *rotated) { r.replace(t, "server.key", certificatePEM(t)) },
			keysUnreadable, `the old key stays in use","error":"[^"]*this is a certificate`},
		{"deleted", func(t *testing.T, r *rotated) {
			if err := os.Remove(filepath.Join(r.dir, "server.key")); err != nil {
				t.Fatal(err)
			}
		}, reloadsRefused, `the configuration as it is now is not used; all stays as it was","error":"SF_JWT_KEY_FILE: [^}]*does not exist`},
		{"empty", func(t *testing.T, r *rotated) { r.replace(t, "server.key", nil) },
			reloadsRefused, `all stays as it was","error":"SF_JWT_KEY_FILE: [^}]*is empty`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startRotated(t)
			test.spoil(t, r)
			r.Log.waitFor(t, `"level":"WARN","msg":".*`+test.warns)
			r.waitMetric(t, test.metric, "1")
			r.checkGrant(t)
			key := newKey(2048)
			r.org.RotateKey(&key.PublicKey)
			r.replace(t, "server.key", keyPEM(t, key))
			r.waitMetric(t, keysAccepted, "1")
			r.checkGrant(t)
		})
	}
}

// encrypted returns a key in PEM under a passphrase.
func encrypted(t *testing.T, key *rsa.PrivateKey, passphrase string) []byte {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(key, []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
}

// TestUnusableNextKey has a next key under another passphrase than the first: it
// is said, and keeps neither the proxy from its start nor a new first key from
// its place. One without encryption is as good as one under the passphrase.
func TestUnusableNextKey(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.key", encryptedKey(t))
	next := newKey(2048)
	r.replace(t, "next.key", encrypted(t, next, passphrase+"-2"))
	env := []string{"SF_JWT_KEY_FILE=DIR/server.key", "SF_JWT_KEY_FILE_NEXT=DIR/next.key", "SF_JWT_KEY_PASSPHRASE=" + passphrase}
	r.start(t, env...)
	const warning = `"level":"WARN","msg":"the next private key cannot be used and counts as none","error":"SF_JWT_KEY_FILE_NEXT [^"]*the passphrase does not open`
	r.Log.waitFor(t, warning)
	r.waitMetric(t, keysUnreadable, "1")
	if got := run(t, with(with(r.org.env, env...), "LOG_FORMAT=json"), "token"); got.status != 0 || !strings.Contains(got.stderr, "counts as none") {
		t.Errorf("token = %d, %s; want 0 and the warning", got.status, got.stderr)
	}

	key := newKey(2048)
	r.org.RotateKey(&key.PublicKey)
	r.replace(t, "server.key", encrypted(t, key, passphrase))
	r.waitMetric(t, keysAccepted, "1")
	r.waitMetric(t, keysUnreadable, "2")
	r.waitMetric(t, reloadsRefused, "1")
	r.checkGrant(t)

	r.signal(t, syscall.SIGHUP) // says it once more
	r.waitMetric(t, keysUnreadable, "3")
	issued := r.issuedAt(t)
	r.replace(t, "next.key", keyPEM(t, next))
	r.waitMetric(t, reloadsApplied, "1")
	eventually(t, "a token granted since", func() bool { return r.issuedAt(t) != issued }) // a reload asks for one, which is not to be lost on its way
	r.org.RotateKey(&next.PublicKey)
	r.checkGrant(t)
	r.waitMetric(t, keysAccepted, "2")
}

// TestUselessCompanions has files beside the key that are of no use, which keep
// neither the proxy from its start nor a new key from its place.
func TestUselessCompanions(t *testing.T) {
	t.Parallel()
	for name, content := range map[string][]byte{"empty": {}, "garbage": []byte("garbage"), "missing": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
			r.replace(t, "server.key", keyPEM(t, testKey()))
			unreadable := "0"
			if content != nil {
				r.replace(t, "next.key", content)
				r.replace(t, "server.crt", content)
				unreadable = "1"
			}
			r.start(t, "SF_JWT_KEY_FILE=DIR/server.key", "SF_JWT_KEY_FILE_NEXT=DIR/next.key", "SF_JWT_CERT_FILE=DIR/server.crt")
			r.Log.waitFor(t, `"level":"WARN","msg":"the certificate of the private key is of no use","error":"SF_JWT_CERT_FILE`)
			r.waitMetric(t, keysUnreadable, unreadable)
			if got := r.metric(t, certExpiry); got != "" {
				t.Errorf("%s = %s, want none", certExpiry, got)
			}
			if content != nil {
				r.Log.waitFor(t, `"level":"WARN","msg":"the next private key cannot be used and counts as none","error":"SF_JWT_KEY_FILE_NEXT`)
			}
			key := newKey(2048)
			r.org.RotateKey(&key.PublicKey)
			r.replace(t, "server.key", keyPEM(t, key))
			r.waitMetric(t, keysAccepted, "1")
			r.waitMetric(t, reloadsRefused, "1")
			r.checkGrant(t)
		})
	}
}

// TestUselessCertificateOfSigner has a certificate by which a signer command
// cannot be checked, at the start and later on.
func TestUselessCertificateOfSigner(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.crt", []byte("garbage"))
	env := []string{"PATH=" + os.Getenv("PATH"), "SF_JWT_SIGNER_COMMAND=" + signerCommand(t, testKey()), "SF_JWT_CERT_FILE=" + filepath.Join(r.dir, "server.crt")}
	const warning = "the certificate of the private key is of no use"
	r.start(t, env...)
	r.Log.waitFor(t, `"level":"WARN","msg":"`+warning)
	if got := run(t, with(without(r.org.env, "SF_JWT_KEY_FILE"), env...), "token"); got.status != 0 || !strings.Contains(got.stderr, warning) {
		t.Errorf("token = %d, %s; want 0 and the warning", got.status, got.stderr)
	}
	r.replace(t, "server.crt", certificatePEM(t))
	r.waitMetric(t, reloadsApplied, "1")
	r.replace(t, "server.crt", nil)
	r.waitMetric(t, reloadsRefused, "1")
	r.checkGrant(t)
}

// TestPassphraseAndKey replaces a key and its passphrase, one after the other.
func TestPassphraseAndKey(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"server.key", "passphrase"}, {"passphrase", "server.key"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			t.Parallel()
			r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
			r.replace(t, "server.key", encryptedKey(t))
			r.replace(t, "passphrase", []byte(passphrase+"\n"))
			r.start(t, "SF_JWT_KEY_FILE=DIR/server.key", "SF_JWT_KEY_PASSPHRASE_FILE=DIR/passphrase")

			key := newKey(2048)
			files := map[string][]byte{
				"server.key": encrypted(t, key, passphrase+"-2"),
				"passphrase": []byte(passphrase + "-2\n"),
			}
			r.org.RotateKey(&key.PublicKey)
			r.replace(t, order[0], files[order[0]])
			r.Log.waitFor(t, `the old key stays in use","error":"[^"]*the passphrase does not open`)
			r.replace(t, order[1], files[order[1]])
			r.waitMetric(t, keysAccepted, "1")
			r.waitMetric(t, keysUnreadable, "1")
			r.checkGrant(t)
		})
	}
}

// TestAPIKeyFile replaces a client's API key; another client notices nothing.
func TestAPIKeyFile(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.key", keyPEM(t, testKey()))
	old, other := newAPIKey(), newAPIKey()
	r.replace(t, "api-key", []byte(old))
	r.start(t, "SF_JWT_KEY_FILE=DIR/server.key", "PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY_FILE=DIR/api-key",
		"PROXY_CLIENT_1_NAME=sales", "PROXY_CLIENT_1_API_KEY="+other)
	check := func(key string, want int) {
		t.Helper()
		if a := get(t, r.URL+echoPath, "Authorization: Bearer "+key); a.status != want {
			t.Errorf("answer to %.24s… = %d %s, want %d", key, a.status, a.body, want)
		}
	}
	check(old, http.StatusOK)
	renewed := newAPIKey()
	r.replace(t, "api-key", []byte(renewed+"\n"))
	r.Log.waitFor(t, `"msg":"clients have new credentials, which are in use","clients":\["billing"\]`)
	check(old, http.StatusUnauthorized)
	check(renewed, http.StatusOK)
	check(other, http.StatusOK)

	// What is no API key, or no key at all, changes nothing.
	for i, content := range []string{"short", "", other} {
		r.replace(t, "api-key", []byte(content))
		r.waitMetric(t, reloadsRefused, fmt.Sprint(i+1))
		check(renewed, http.StatusOK)
		check("", http.StatusUnauthorized)
	}
}

// TestPasswordFile replaces a client's password: its session is over, and the
// new password opens another.
func TestPasswordFile(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.replace(t, "password", []byte(passphrase+"\n"))
	r.start(t, "SF_JWT_KEY_FILE=DIR/server.key", "PROXY_CLIENT_0_NAME=legacy", "PROXY_CLIENT_0_USERNAME="+legacyUsername,
		"PROXY_CLIENT_0_PASSWORD_FILE=DIR/password")
	session, err := soapLogin(t.Context(), r.URL, legacyUsername, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	checkAccepted(t, r.URL, session.id)
	r.replace(t, "password", []byte(passphrase+"-2\n"))
	r.Log.waitFor(t, `"msg":"clients have new credentials, which are in use"`)
	checkRefused(t, r.URL, session.id)
	if _, err := soapLogin(t.Context(), r.URL, legacyUsername, passphrase); err == nil {
		t.Error("the old password opened a session")
	}
	renewed, err := soapLogin(t.Context(), r.URL, legacyUsername, passphrase+"-2")
	if err != nil {
		t.Fatal(err)
	}
	checkAccepted(t, r.URL, renewed.id)

	// The sessions live on when the private key is replaced.
	key := newKey(2048)
	r.org.RotateKey(&key.PublicKey)
	r.replace(t, "server.key", keyPEM(t, key))
	r.waitMetric(t, keysAccepted, "1")
	checkAccepted(t, r.URL, renewed.id)
}

// certificateUntil returns a certificate for a key that expires then, in PEM.
func certificateUntil(t *testing.T, key *rsa.PrivateKey, expires time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "integration"}, NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestCertificateExpiry has a certificate that is to be renewed soon, beside the
// key and in its file, and one of another key.
func TestCertificateExpiry(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(20*24*time.Hour + time.Hour).Truncate(time.Second)
	late := soon.AddDate(1, 0, 0)
	for _, test := range []struct {
		name string
		file string
		key  *rsa.PrivateKey
	}{{"beside the key", "server.crt", testKey()}, {"in the key's file", "server.key", testKey()}, {"of another key", "server.crt", newKey(2048)}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
			place := func(expires time.Time) {
				content := certificateUntil(t, test.key, expires)
				if test.file == "server.key" {
					content = bytes.Join([][]byte{content, keyPEM(t, testKey())}, nil)
				}
				r.replace(t, test.file, content)
			}
			r.replace(t, "server.key", keyPEM(t, testKey()))
			place(soon)
			env := []string{"SF_JWT_KEY_FILE=DIR/server.key"}
			if test.file == "server.crt" {
				env = append(env, "SF_JWT_CERT_FILE=DIR/server.crt")
			}
			r.start(t, env...)
			if test.key != testKey() {
				r.Log.waitFor(t, `"level":"WARN","msg":"the certificate of the private key is of no use","error":"SF_JWT_CERT_FILE [^}]*another key`)
				if got := r.metric(t, certExpiry); got != "" {
					t.Errorf("%s = %s, want none", certExpiry, got)
				}
				return
			}
			r.Log.waitFor(t, `"level":"WARN","msg":"the certificate of the private key expires soon","expires":"`+soon.UTC().Format(time.RFC3339)+`","days_left":20,"hint":"[^"]*SF_JWT_KEY_FILE_NEXT[^"]*upload`)
			r.waitMetric(t, certExpiry, exposition(soon))
			place(late)
			r.waitMetric(t, certExpiry, exposition(late))
			r.checkGrant(t)
		})
	}
}

// TestCertificateOfKeyInUse replaces the key before the certificate: as long as
// the org does not take the new key, the certificate is that of the one in use.
func TestCertificateOfKeyInUse(t *testing.T) {
	t.Parallel()
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	before := time.Now().AddDate(1, 0, 0).Truncate(time.Second)
	after := before.AddDate(1, 0, 0)
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.replace(t, "server.crt", certificateUntil(t, testKey(), before))
	r.start(t, "SF_JWT_KEY_FILE=DIR/server.key", "SF_JWT_CERT_FILE=DIR/server.crt")
	key := newKey(2048)
	r.replace(t, "server.key", keyPEM(t, key))
	r.waitMetric(t, keyPending, "1")
	r.waitMetric(t, reloadsApplied, "1")
	const warning = "the certificate of the private key is of no use"
	if got := r.metric(t, certExpiry); got != exposition(before) || strings.Contains(r.Log.String(), warning) {
		t.Errorf("%s = %s, want %s and no warning", certExpiry, got, exposition(before))
	}
	r.org.RotateKey(&key.PublicKey)
	r.signal(t, syscall.SIGHUP)
	r.Log.waitFor(t, warning)
	r.waitMetric(t, certExpiry, "")
	r.replace(t, "server.crt", certificateUntil(t, key, after))
	r.waitMetric(t, certExpiry, exposition(after))
}

// exposition is a time as /metrics shows it.
func exposition(at time.Time) string { return fmt.Sprint(float64(at.Unix())) }
