package integration_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

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
	key := newKey(2048)
	secret := passphrase + "-" + rand.Text()
	forms := keyForms(t, key, secret)
	for name, file := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texts := keyTexts(t, forms["PKCS#8"], key)
			maps.Copy(texts, keyTexts(t, file, key))
			texts["passphrase"] = []byte(secret)
			checkMemory(t, key, []string{"SF_JWT_KEY_FILE=" + writeFile(t, "server.key", file), "SF_JWT_KEY_PASSPHRASE_FILE=" + writeFile(t, "passphrase", []byte(secret))}, texts)
		})
	}
}

// keyForms are the files that a key may be in.
func keyForms(t *testing.T, key *rsa.PrivateKey, secret string) map[string][]byte {
	t.Helper()
	pkcs1 := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	//lint:ignore SA1019 people still have such keys
	old, err := x509.EncryptPEMBlock(rand.Reader, pkcs1.Type, pkcs1.Bytes, []byte(secret), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"PKCS#8":           keyPEM(t, key),
		"PKCS#1":           pem.EncodeToMemory(pkcs1),
		"DER":              pkcs1.Bytes,
		"base64":           []byte(base64.StdEncoding.EncodeToString(keyPEM(t, key))),
		"encrypted PKCS#1": pem.EncodeToMemory(old),
	}
}

// checkMemory runs a proxy with a key, and looks for texts and for the credentials
// of clients in its memory.
func checkMemory(t *testing.T, key *rsa.PrivateKey, set []string, texts map[string][]byte) {
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
	p := startProxy(t, env)
	if a := get(t, p.URL+echoPath, "Authorization: Bearer "+used); a.status != http.StatusOK {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	texts["token"] = []byte(<-tokens)
	found := p.memory(t, texts)
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
