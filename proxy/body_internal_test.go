package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// openBody returns an attempt to send b.
func openBody(t *testing.T, b *body) io.Reader {
	t.Helper()
	r, err := b.reader(0)
	if err != nil {
		t.Fatal("the body cannot be opened")
	}
	return r
}

func readN(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Once the handler has returned, the client's body is not read: neither one that
// keep took over itself, nor one that a stage before it did.
func TestKeepReleasesBody(t *testing.T) {
	for _, taken := range []bool{false, true} {
		r := httptest.NewRequest("POST", "/services/data/v60.0/limits", struct{ io.Reader }{strings.NewReader("0123456789")})
		ex := newExchange(r)
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, ex))
		if taken {
			ex.body = newBody(r, r.Body, 4)
		}
		var attempt io.Reader
		(&Proxy{cfg: Config{ReplayBuffer: 4}}).keep(func(http.ResponseWriter, *http.Request) { attempt = openBody(t, ex.body) })(httptest.NewRecorder(), r)
		if _, err := attempt.Read(make([]byte, 10)); err != errStaleAttempt {
			t.Errorf("taken over before: %t; an attempt goes on with %v, want errStaleAttempt", taken, err)
		}
	}
}

// An attempt that is over gets nothing more, so that it can neither take bytes
// from the next nor look whole to whom it was sent.
func TestBodyClaimEndsAttempt(t *testing.T) {
	b := &body{source: strings.NewReader("0123456789"), limit: 8}
	first := openBody(t, b)
	if got := readN(t, first, 5); got != "01234" {
		t.Errorf("first attempt = %q", got)
	}
	if !b.claim() {
		t.Fatal("the body is not claimed")
	}
	if n, err := first.Read(make([]byte, 1)); n != 0 || err != errStaleAttempt {
		t.Errorf("first attempt after the claim = %d bytes, %v; want errStaleAttempt", n, err)
	}
	second := openBody(t, b)
	if got, err := io.ReadAll(iotest.OneByteReader(second)); string(got) != "0123456789" || err != nil {
		t.Errorf("second attempt = %q, %v", got, err)
	}
	if _, err := first.Read(make([]byte, 1)); err != errStaleAttempt {
		t.Errorf("first attempt at the end = %v, want errStaleAttempt", err)
	}
}

// Of a body that was read past the limit nothing is kept; who was sending it
// goes on.
func TestBodySpills(t *testing.T) {
	b := &body{source: strings.NewReader("0123456789"), limit: 8}
	first := openBody(t, b)
	readN(t, first, 8)
	if len(b.kept) != 8 {
		t.Errorf("%d bytes are kept, want 8", len(b.kept))
	}
	readN(t, first, 1)
	if b.claim() || b.kept != nil {
		t.Errorf("the body is claimed, or %d bytes of it are kept", len(b.kept))
	}
	if _, err := b.reader(0); err == nil {
		t.Error("the body is opened again")
	}
	if got, err := io.ReadAll(first); string(got) != "9" || err != nil {
		t.Errorf("the rest = %q, %v", got, err)
	}
}

// A read that is large does not pass the limit at once: a refusal may come yet.
func TestBodyReachesLimitFirst(t *testing.T) {
	b := &body{source: strings.NewReader("0123456789"), limit: 8}
	if n, _ := openBody(t, b).Read(make([]byte, 100)); n != 8 || !b.claim() {
		t.Errorf("the first read took %d bytes of a limit of 8", n)
	}
}

func TestBodyReleaseEndsAttempt(t *testing.T) {
	b := &body{source: strings.NewReader("0123456789"), limit: 8}
	r := openBody(t, b)
	b.release()
	if _, err := r.Read(make([]byte, 1)); err != errStaleAttempt {
		t.Errorf("Read = %v, want errStaleAttempt", err)
	}
}

// gate is a source that gives a byte each time it is let through.
type gate struct{ entered, pass chan bool }

func (g gate) Read(p []byte) (int, error) {
	g.entered <- true
	<-g.pass
	p[0] = 'x'
	return 1, nil
}

// A claim waits for the read that is under way and for no other.
func TestBodyClaimComesNext(t *testing.T) {
	for range 100 {
		g := gate{make(chan bool), make(chan bool)}
		b := &body{source: g, limit: 8}
		ended, claimed := make(chan error, 1), make(chan bool, 1)
		first := openBody(t, b)
		go func() {
			_, err := io.Copy(io.Discard, first)
			ended <- err
		}()
		<-g.entered
		go func() { claimed <- b.claim() }()
		for b.turn.TryLock() { // until the claim has taken it
			b.turn.Unlock()
			runtime.Gosched()
		}
		g.pass <- true
		select {
		case ok := <-claimed:
			if err := <-ended; !ok || err != errStaleAttempt {
				t.Fatalf("claim = %t, the attempt ended with %v", ok, err)
			}
		case <-g.entered:
			t.Fatal("another read began before the claim")
		}
	}
}

func TestBodyFill(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		source io.Reader
		limit  int64
		whole  bool
		err    error
		kept   string
	}{
		{"empty", strings.NewReader(""), 4, true, nil, ""},
		{"less", strings.NewReader("abc"), 4, true, nil, "abc"},
		{"the limit", strings.NewReader("abcd"), 4, true, nil, "abcd"},
		{"more", strings.NewReader("abcdef"), 4, false, nil, "abcde"},
		{"no limit to speak of, empty", strings.NewReader(""), 0, true, nil, ""},
		{"no limit to speak of", strings.NewReader("abc"), 0, false, nil, "a"},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("abcd")), 4, true, nil, "abcd"},
		{"end with the data", iotest.DataErrReader(strings.NewReader("abcd")), 4, true, nil, "abcd"},
		{"large", strings.NewReader(strings.Repeat("x", 1<<20)), 1 << 20, true, nil, strings.Repeat("x", 1<<20)},
		{"broken", io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 4, false, broken, "ab"},
		{"broken at the limit", io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(broken)), 4, false, broken, "abcd"},
	} {
		b := &body{source: tt.source, limit: tt.limit}
		whole, err := b.fill(-1, tt.limit)
		if whole != tt.whole || err != tt.err || string(b.kept) != tt.kept || b.broken.Load() != (tt.err != nil) {
			t.Errorf("%s: fill = %t, %v with %d bytes kept; want %t, %v and %d", tt.name, whole, err, len(b.kept), tt.whole, tt.err, len(tt.kept))
		}
	}
}
