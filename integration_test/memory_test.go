package integration_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/sfproxy/sfproxy/devorg"
)

// memory returns how often each of the texts is in the memory of a process,
// which stands still meanwhile. Only root may ask.
func (p *process) memory(t *testing.T, texts map[string][]byte) map[string]int {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	defer p.signal(t, syscall.SIGCONT)
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	regions, err := os.ReadFile(proc + "maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(proc + "mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	found := map[string]int{}
	for line := range strings.Lines(string(regions)) {
		var from, to int64
		var mode string
		if strings.Contains(line, "[v") { // the kernel's own pages
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if mode[0] != 'r' {
			continue
		}
		region, err := io.ReadAll(io.NewSectionReader(mem, from, to-from))
		if err != nil {
			t.Fatalf("reading %s: %v", line, err)
		}
		for name, text := range texts {
			found[name] += bytes.Count(region, text)
		}
	}
	return found
}

// keyTexts are the private key as text and in DER: what is not needed once it is
// parsed.
func keyTexts(t *testing.T, file []byte, key *rsa.PrivateKey) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	for i, line := range slices.Collect(strings.Lines(string(file))) {
		if line = strings.TrimSpace(line); len(line) == 64 {
			texts[fmt.Sprintf("line %d of the key", i)] = []byte(line)
		}
	}
	// What is around the border of two numbers is nowhere but in DER.
	der := x509.MarshalPKCS1PrivateKey(key)
	for name, n := range map[string]*big.Int{"D": key.D, "P": key.Primes[0], "Q": key.Primes[1], "dP": key.Precomputed.Dp} {
		at := bytes.Index(der, n.Bytes()) + len(n.Bytes())
		texts["the key in DER, at the end of "+name] = der[at-12 : at+12]
	}
	return texts
}

// TestKeyIsNotKept looks through the memory of a proxy that has served a
// request for what its secrets were read from.
func TestKeyIsNotKept(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "only root may read the memory of a process")
	}
	program := binary
	if raceDetector { // whose own memory is too much to look through
		program = binary + "-plain"
		build(t, program)
	}
	key, secret := newKey(2048), passphrase+"-"+rand.Text()
	for _, form := range keyForms(t, key, secret) {
		if form.library {
			continue
		}
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			checkMemory(t, program, key, form.set(t, secret), form.texts(t, key, secret))
		})
	}
}

// TestKeyIsErased does the same with a build that also zeroes what the libraries
// leave behind, Go's own among them.
func TestKeyIsErased(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "only root may read the memory of a process")
	}
	program := erasingBuild(t)
	key, secret := newKey(2048), passphrase+"-"+rand.Text()
	for _, form := range keyForms(t, key, secret) {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			texts := form.texts(t, key, secret)
			texts["passphrase in UTF-16"] = []byte("\x00" + strings.Join(strings.Split(secret, ""), "\x00"))
			// In use they are in words, with their lowest byte first.
			texts["D"], texts["P"], texts["Q"] = key.D.Bytes(), key.Primes[0].Bytes(), key.Primes[1].Bytes()
			checkMemory(t, program, key, form.set(t, secret), texts)
		})
	}
}

// erasingBuild returns the build that zeroes what was secret.
func erasingBuild(t *testing.T) string {
	t.Helper()
	if !slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH) {
		skip(t, "the experiment is for amd64 and arm64")
	}
	program := binary + "-erasing"
	building.Lock()
	defer building.Unlock()
	if _, err := os.Stat(program); err != nil {
		build(t, program, "GOEXPERIMENT=runtimesecret")
	}
	return program
}

var building sync.Mutex // held while the build is made that tests share

// build builds sfproxy without the race detector and with more variables.
func build(t *testing.T, program string, env ...string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", program, "..")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building with %q: %v\n%s", env, err, out)
	}
}

// keyForm is a file that a key may be in.
type keyForm struct {
	name    string
	file    []byte
	library bool // one that leaves copies opens it
}

func keyForms(t *testing.T, key *rsa.PrivateKey, secret string) []keyForm {
	t.Helper()
	encrypted, err := pkcs8.MarshalPrivateKey(key, []byte(secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	//lint:ignore SA1019 people still have such keys
	old, err := x509.EncryptPEMBlock(rand.Reader, plain.Type, plain.Bytes, []byte(secret), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "integration"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	store, err := pkcs12.Modern2023.Encode(key, certificate, nil, secret)
	if err != nil {
		t.Fatal(err)
	}
	return []keyForm{
		{"PKCS#8", keyPEM(t, key), false},
		{"PKCS#1", pem.EncodeToMemory(plain), false},
		{"DER", plain.Bytes, false},
		{"base64", []byte(base64.StdEncoding.EncodeToString(keyPEM(t, key))), false},
		{"encrypted PKCS#1", pem.EncodeToMemory(old), false},
		{"encrypted PKCS#8", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: encrypted}), true},
		{"PKCS#12", store, true},
	}
}

// set returns the settings for the key.
func (f keyForm) set(t *testing.T, secret string) []string {
	return []string{"SF_JWT_KEY_FILE=" + writeFile(t, "server.key", f.file), "SF_JWT_KEY_PASSPHRASE_FILE=" + writeFile(t, "passphrase", []byte(secret))}
}

// texts are what is not needed once the key is parsed.
func (f keyForm) texts(t *testing.T, key *rsa.PrivateKey, secret string) map[string][]byte {
	texts := keyTexts(t, keyPEM(t, key), key)
	maps.Copy(texts, keyTexts(t, f.file, key))
	texts["passphrase"] = []byte(secret)
	return texts
}

// checkMemory runs a proxy with a key, and looks for texts and for the credentials
// of clients in its memory.
func checkMemory(t *testing.T, program string, key *rsa.PrivateKey, set []string, texts map[string][]byte) {
	t.Helper()
	tokens := make(chan string, 1)
	instance := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tokens <- strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}))
	t.Cleanup(instance.Close)
	org := startOrg(t, devorg.Config{})
	org.RotateKey(&key.PublicKey)
	org.SetInstanceURLInGrants(instance.URL)

	used := newAPIKey()
	env := with(org.env, append(set, "PROXY_CLIENT_0_NAME=app", "PROXY_CLIENT_0_API_KEY="+used, "PROXY_CLIENT_1_NAME=other", "PROXY_CLIENT_1_USERNAME=other", "PROXY_CLIENT_1_CONSUMER_KEY=other")...)
	for _, name := range []string{"API_KEY", "PASSWORD", "SECURITY_TOKEN", "CONSUMER_SECRET"} {
		secret := passphrase + "-" + rand.Text()
		texts[name] = []byte(secret)
		env = append(env, "PROXY_CLIENT_1_"+name+"_FILE="+writeFile(t, name, []byte(secret+"\n")))
	}
	p := startProxyOf(t, program, env)
	if a := get(t, p.URL+echoPath, "Authorization: Bearer "+used); a.status != http.StatusOK {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	texts["token"] = []byte(<-tokens)
	p.Log.waitFor(t, `"msg":"the files are followed"`) // and have been read again
	found := p.memory(t, texts)
	for name, again := range p.memory(t, texts) {
		found[name] = min(found[name], again) // a look at the files may have been under way
	}
	if found["token"] == 0 {
		t.Error("the search does not find the token, which is in use")
	}
	delete(found, "token")
	for name, times := range found {
		if times > 0 {
			t.Errorf("%s is in memory %d times, want it nowhere", name, times)
		}
	}
}

// TestReplacedKeyIsErased has a key replaced that the org did not take, and looks
// for the numbers that it was.
func TestReplacedKeyIsErased(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "only root may read the memory of a process")
	}
	r := &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir(), program: erasingBuild(t)}
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.start(t, "SF_JWT_KEY_FILE=DIR/server.key")
	key := newKey(2048)
	texts := map[string][]byte{}
	for name, n := range map[string]*big.Int{"D": key.D, "P": key.Primes[0], "Q": key.Primes[1], "dP": key.Precomputed.Dp} {
		texts[name] = n.Bytes()
		inUse := n.Bytes()
		slices.Reverse(inUse)
		texts[name+" in words"] = inUse
	}
	refused := func(key *rsa.PrivateKey) {
		r.replace(t, "server.key", keyPEM(t, key))
		r.Log.waitFor(t, `"msg":"the org refuses the new key; the old key stays in use","key":"`+fingerprint(t, key))
	}
	refused(key)
	if found := r.memory(t, texts); found["P in words"] == 0 {
		t.Errorf("found %v, want the key that is tried", found)
	}
	refused(newKey(2048))
	r.replace(t, "server.key", keyPEM(t, testKey())) // as it is loaded, memory is collected
	r.Log.waitFor(t, `"msg":"the private keys were read again; the one in use is among them"`)
	for name, times := range r.memory(t, texts) {
		if times > 0 {
			t.Errorf("%s of the key that was replaced is in memory %d times, want it nowhere", name, times)
		}
	}
}

// fingerprint is what the log names a key by.
func fingerprint(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}
