package integration_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// transcript is what processes have printed.
type transcript struct {
	sync.Mutex
	bytes.Buffer
}

func (r *transcript) add(text []byte) {
	r.Lock()
	defer r.Unlock()
	r.Write(text)
	r.WriteByte('\n') // what comes next is another text
}

// secrets names what the transcript should not hold, with its beginning.
func (r *transcript) secrets() []string {
	r.Lock()
	defer r.Unlock()
	var found []string
	for _, name := range slices.Sorted(maps.Keys(secretPatterns)) {
		if secret := secretPatterns[name].Find(r.Bytes()); secret != nil {
			found = append(found, fmt.Sprintf("%s: %.12s…", name, secret))
		}
	}
	return found
}

// secretPatterns match what must be in no log and no output.
var secretPatterns = map[string]*regexp.Regexp{
	"an access token": regexp.MustCompile(`00D[0-9A-Za-z]{12}![0-9A-Za-z._]{8,}`),
	"an assertion":    regexp.MustCompile(`eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.`),
	"a private key":   regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(\\n|\s)*M[A-Za-z0-9+/]{20}`),
	"an API key":      regexp.MustCompile(`integration-api-key-[0-9a-f]+`),
	"a query's value": regexp.MustCompile(`integration-query-value`),
	"a passphrase":    regexp.MustCompile(`integration-passphrase`),
}

// Secrets of tests; each has a form that the search knows.
const (
	apiKeyPrefix = "integration-api-key-"
	queryValue   = "integration-query-value"
	passphrase   = "integration-passphrase"
)

func newAPIKey() string {
	var random [16]byte
	rand.Read(random[:])
	return apiKeyPrefix + hex.EncodeToString(random[:])
}

// TestTranscriptSearchFindsSecrets proves that the search at the end of the run
// can fail: it finds real secrets where a process has printed them.
func TestTranscriptSearchFindsSecrets(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	key := string(keyPEM(t, testKey()))
	escaped, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, printed, want string }{
		{"token", run(t, org.env, "token").stdout, "an access token"},
		{"assertion", stealAssertion(t, org), "an assertion"},
		{"key", key, "a private key"},
		{"key in JSON", string(escaped), "a private key"},
		{"API key", newAPIKey(), "an API key"},
		{"query", "q=" + queryValue, "a query's value"},
		{"passphrase", passphrase, "a passphrase"},
	} {
		var r transcript
		output := newLines(&r)
		output.follow(strings.NewReader("a line before\n{\"x\":\"" + test.printed + "\"}\nand after\n"))
		if found := r.secrets(); len(found) != 1 || !strings.HasPrefix(found[0], test.want+": ") {
			t.Errorf("%s: found %q, want %s", test.name, found, test.want)
		}
	}
	var clean transcript
	clean.add([]byte("nothing but 00D, eyJ and -----BEGIN PRIVATE KEY-----"))
	if found := clean.secrets(); found != nil {
		t.Errorf("found %q in a text without secrets", found)
	}
}

// TestTranscriptHoldsOutputs shows that what the search looks at is what the
// processes print, on both outputs.
func TestTranscriptHoldsOutputs(t *testing.T) {
	t.Parallel()
	planted := "planted-" + rand.Text()
	run(t, nil, planted) // an unknown command, named on stderr
	start(t, nil, planted).wait(t)
	if n := transcripts.count(planted); n < 2 {
		t.Errorf("the transcript holds stderr %d times, want 2 or more", n)
	}
	before := transcripts.count(versionLine)
	run(t, nil, "version")
	start(t, nil, "version").wait(t)
	if n := transcripts.count(versionLine) - before; n < 2 {
		t.Errorf("the transcript holds stdout %d times, want 2 or more", n)
	}
}

const versionLine = " (go1." // a part of what sfproxy version prints

func (r *transcript) count(text string) int {
	r.Lock()
	defer r.Unlock()
	return bytes.Count(r.Bytes(), []byte(text))
}

// stealAssertion returns an assertion as the binary makes it.
func stealAssertion(t *testing.T, org *org) string {
	t.Helper()
	stolen := make(chan string, 1)
	org.SetTokenEndpoint(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen <- r.FormValue("assertion")
		w.WriteHeader(http.StatusTeapot)
	}))
	defer org.SetTokenEndpoint(nil)
	if got := run(t, org.env, "token"); got.status != 1 {
		t.Fatalf("token = %+v, want exit status 1", got)
	}
	return <-stolen
}
