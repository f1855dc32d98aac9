package integration_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestLargeBodies sends a gigabyte each way, with a declared length and
// without, and looks at the memory that this took.
func TestLargeBodies(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() || raceDetector {
		size = 64 << 20
	}
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, org.env)
	for _, length := range []struct {
		name     string
		declared bool
	}{{"Content-Length", true}, {"chunked", false}} {
		t.Run("upload "+length.name, func(t *testing.T) { upload(t, p, size, length.declared) })
		t.Run("download "+length.name, func(t *testing.T) { download(t, p, size, length.declared) })
	}
	peak := p.peakMemory(t)
	t.Logf("peak memory of sfproxy: %.1f MB for four bodies of %d MB", float64(peak)/(1<<20), size>>20)
	if limit := int64(64 << 20); peak > limit && !raceDetector {
		t.Errorf("peak memory = %d bytes, want under %d: bodies are to stream", peak, limit)
	}
}

// upload sends size bytes to the org's echo and compares the hashes.
func upload(t *testing.T, p *process, size int64, declared bool) {
	sum := sha256.New()
	source := io.TeeReader(io.LimitReader(newRepeated(t), size), sum)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+echoPath, source)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	if declared {
		req.ContentLength = size
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := decode[echoed](t, text)
	if got.Length != size || got.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("%d bytes of hash %s arrived, want %d of %x", got.Length, got.SHA256, size, sum.Sum(nil))
	}
	if got.ContentLength != req.ContentLength || slices.Contains(got.TransferEncoding, "chunked") == declared {
		t.Errorf("the length arrived as %d %q, want it as it was sent: %d", got.ContentLength, got.TransferEncoding, req.ContentLength)
	}
}

// download gets size bytes and compares the hashes.
func download(t *testing.T, p *process, size int64, declared bool) {
	url := fmt.Sprintf("%s/services/apexrest/bytes/%d", p.URL, size)
	if declared {
		url += "?length=1"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if want := map[bool]int64{true: size, false: -1}[declared]; resp.ContentLength != want {
		t.Errorf("Content-Length = %d, want %d", resp.ContentLength, want)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := hashOfPattern(size); n != size || !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes of hash %x arrived, want %d of %x", n, sum.Sum(nil), size, want.Sum(nil))
	}
}

// hashOfPattern hashes what the org's bytes class sends: 0 to 250 again and again.
func hashOfPattern(size int64) hash.Hash {
	var period [251]byte
	for i := range period {
		period[i] = byte(i)
	}
	sum := sha256.New()
	io.Copy(sum, io.LimitReader(&repeated{block: bytes.Repeat(period[:], 512)}, size))
	return sum
}

// repeated reads as a block again and again.
type repeated struct {
	block []byte
	at    int
}

func newRepeated(t *testing.T) *repeated {
	t.Helper()
	r := &repeated{block: make([]byte, 1<<20-7)} // of no buffer's size
	rand.Read(r.block)
	return r
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}

var peakLine = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peakMemory returns the most memory that the process has had so far, in bytes.
func (p *process) peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		skip(t, "this system does not tell a process's peak memory")
	}
	match := peakLine.FindSubmatch(status)
	if match == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// TestSlowDownload has a client that leaves its answer lying for a while.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := startProxy(t, org.env)
	const size = 32 << 20 // more than all buffers on the way
	download := openDownload(t, p, size)
	first := make([]byte, 4<<10)
	if _, err := io.ReadFull(download, first); err != nil {
		t.Fatal(err)
	}
	// Others are served while this one waits for its client.
	for range 20 {
		if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
			t.Fatalf("answer beside a slow download = %d %s", a.status, a.body)
		}
	}
	if n, err := io.Copy(io.Discard, download); err != nil || n != size-int64(len(first)) {
		t.Errorf("the rest = %d bytes and %v, want %d", n, err, size-len(first))
	}
}

// openDownload begins to download size bytes, of which more than a few have to
// wait until they are read.
func openDownload(t *testing.T, p *process, size int) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/services/apexrest/bytes/%d?length=1", p.URL, size), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("download = %s", resp.Status)
	}
	return bufio.NewReader(resp.Body)
}

// TestLongPoll holds a CometD connect: until its time is up, and until
// something is published.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	const wait = 3 * time.Second
	org := startOrg(t, devorg.Config{LongPoll: wait})
	p := startProxy(t, org.env)
	c := &cometClient{t: t, url: p.URL + "/cometd/60.0"}
	c.id = c.send(`{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}`)[0].ClientID
	c.send(`{"channel":"/meta/subscribe","subscription":"/topic/Accounts"}`)

	started := time.Now()
	if replies := c.connect(); len(replies) != 1 || time.Since(started) < wait {
		t.Errorf("a connect without news = %+v after %v, want one reply after %v", replies, time.Since(started), wait)
	}
	arrived := org.Stats().Requests + 1
	go func() {
		for org.Stats().Requests < arrived {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		org.Publish("/topic/Accounts", map[string]string{"Name": "Acme"})
	}()
	replies := c.connect()
	if len(replies) != 2 || replies[0].Channel != "/topic/Accounts" || replies[0].Data.SObject.Name != "Acme" {
		t.Errorf("a connect with news = %+v, want the news and the reply", replies)
	}
}

// cometClient is a client of the streaming API.
type cometClient struct {
	t               *testing.T
	url, id, cookie string
}

type cometReply struct {
	Channel, ClientID, Error string
	Successful               *bool
	Data                     struct{ SObject struct{ Name string } }
}

func (c *cometClient) connect() []cometReply {
	c.t.Helper()
	return c.send(`{"channel":"/meta/connect","connectionType":"long-polling"}`)
}

// send sends one message and returns the replies, which must all be successes.
func (c *cometClient) send(message string) []cometReply {
	c.t.Helper()
	if c.id != "" {
		message = strings.Replace(message, "{", `{"clientId":"`+c.id+`",`, 1)
	}
	a := fetch(c.t, http.MethodPost, c.url, "["+message+"]", "Content-Type: application/json", "Cookie: "+c.cookie)
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == "BAYEUX_BROWSER" {
			c.cookie = cookie.String()
		}
	}
	replies := decode[[]cometReply](c.t, a.body)
	for _, r := range replies {
		if r.Successful != nil && !*r.Successful {
			c.t.Fatalf("%s: %s", r.Channel, r.Error)
		}
	}
	return replies
}
