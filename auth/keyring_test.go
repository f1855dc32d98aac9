package auth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/sfproxy/sfproxy/auth"
)

// namedKey signs with its name, and has a public key of its own.
type namedKey struct {
	name   string
	public *rsa.PublicKey
	broken error         // what keeps it from signing
	slow   chan struct{} // if not nil, it signs once this is closed
	signed int           // how often it was asked
}

func (k *namedKey) Public() crypto.PublicKey { return k.public }
func (k *namedKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	k.signed++
	if k.slow != nil {
		<-k.slow
	}
	return []byte(k.name), k.broken
}

// namedKeys returns keys by name, each with a public key of its own.
func namedKeys(t *testing.T, names ...string) []*namedKey {
	t.Helper()
	var keys []*namedKey
	for _, name := range names {
		n, err := rand.Prime(rand.Reader, 64) // no key at all, but equal to itself only
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, &namedKey{name: name, public: &rsa.PublicKey{N: n, E: 65537}})
	}
	return keys
}

// trusting is a token endpoint that trusts one key by its name. Change trusted
// between grants only.
type trusting struct {
	trusted string
	refusal string   // for other keys; default: invalid assertion
	replace string   // what is trusted once another key has been refused
	tried   []string // names of keys since the last look
	events  []string
}

func (e *trusting) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	_, signature, _ := strings.Cut(strings.TrimLeft(r.Form.Get("assertion"), "."), ".")
	_, signature, _ = strings.Cut(signature, ".")
	name, err := jwt.NewParser().DecodeSegment(signature)
	if err != nil {
		return nil, err
	}
	e.tried = append(e.tried, string(name))
	if string(name) == e.trusted {
		return answers(200, goodAnswer)(r)
	}
	if e.replace != "" {
		e.trusted, e.replace = e.replace, ""
	}
	if e.refusal != "" {
		return answers(400, e.refusal)(r)
	}
	return answers(400, `{"error":"invalid_grant","error_description":"invalid assertion"}`)(r)
}

func (e *trusting) org(t *testing.T, key, next *namedKey) *auth.Org {
	t.Helper()
	cfg := auth.OrgConfig{Key: key, Transport: e, OnKey: func(event auth.KeyEvent) {
		made := "accepted"
		if event.Refusal != nil {
			made = "refused"
		}
		e.events = append(e.events, event.Key.(*namedKey).name+" "+made)
	}}
	if next != nil {
		cfg.NextKey = next
	}
	return newOrg(t, "http://127.0.0.1:1", cfg)
}

// grant makes one grant and checks which keys it tried, and what was said of
// keys.
func (e *trusting) grant(t *testing.T, org *auth.Org, tried string, events ...string) {
	t.Helper()
	e.tried, e.events = nil, nil
	if _, err := org.Grant(t.Context(), ada); err != nil {
		t.Errorf("Grant = %v, want a token", err)
	}
	if got := strings.Join(e.tried, " "); got != tried {
		t.Errorf("keys tried: %s; want %s", got, tried)
	}
	if !slices.Equal(e.events, events) {
		t.Errorf("said of keys: %q, want %q", e.events, events)
	}
}

func TestGrantTriesNewKeyAndKeepsOldOneIfItIsRefused(t *testing.T) {
	keys := namedKeys(t, "old", "new")
	e := &trusting{trusted: "old"}
	org := e.org(t, keys[0], nil)
	e.grant(t, org, "old")

	org.SetKeys(keys[1], nil)
	e.grant(t, org, "new old", "new refused")
	e.grant(t, org, "old")
	org.SetKeys(keys[1], nil)
	e.grant(t, org, "new old", "new refused")

	e.trusted = "new" // its certificate has been uploaded
	e.grant(t, org, "old new", "new accepted")
	e.grant(t, org, "new")
}

func TestGrantTakesNewKeyThatIsTrustedAtOnce(t *testing.T) {
	keys := namedKeys(t, "old", "new")
	e := &trusting{trusted: "new"}
	org := e.org(t, keys[0], nil)
	org.SetKeys(keys[1], nil)
	e.grant(t, org, "new", "new accepted")
}

func TestGrantTriesNextKey(t *testing.T) {
	keys := namedKeys(t, "first", "next")
	e := &trusting{trusted: "first"}
	org := e.org(t, keys[0], keys[1])
	e.grant(t, org, "first")
	e.trusted = "next"
	e.grant(t, org, "first next", "next accepted")
	e.grant(t, org, "next")
	e.trusted = "first"
	e.grant(t, org, "next first", "first accepted")

	e.trusted = "next"
	org.SetKeys(keys[1], nil) // the next key has become the key
	e.grant(t, org, "next", "next accepted")
}

// While a certificate is on its way through Salesforce, some of its hosts trust
// the new one and some the old.
func TestGrantFallsBackToFormerKeyForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := namedKeys(t, "old", "new")
		e := &trusting{trusted: "new"}
		org := e.org(t, keys[0], nil)
		org.SetKeys(keys[1], nil)
		e.grant(t, org, "new", "new accepted")
		<-time.After(14 * time.Minute)
		e.trusted = "old"
		e.grant(t, org, "new old", "old accepted")
		e.trusted = "new"
		e.grant(t, org, "old new", "new accepted")

		<-time.After(16 * time.Minute)
		e.trusted, e.tried = "old", nil
		if _, err := org.Grant(t.Context(), ada); !auth.IsPermanent(err) || !slices.Equal(e.tried, []string{"new"}) {
			t.Errorf("Grant = %v after trying %q, want a refusal of the new key alone", err, e.tried)
		}
	})
}

// Whatever the org has against a new key, the old one stays.
func TestGrantKeepsOldKeyWhateverTheNewOneIsRefusedFor(t *testing.T) {
	for _, code := range []string{"invalid_client", "invalid_request", "a_code_of_tomorrow", "invalid_grant"} {
		keys := namedKeys(t, "old", "new")
		e := &trusting{trusted: "old", refusal: `{"error":"` + code + `","error_description":"the user's key"}`}
		org := e.org(t, keys[0], nil)
		org.SetKeys(keys[1], nil)
		e.grant(t, org, "new old", "new refused")
		e.grant(t, org, "old")
	}
}

// A certificate may arrive just between the attempts with the two keys.
func TestGrantTriesNewKeyOnceMoreAfterTheOldOne(t *testing.T) {
	keys := namedKeys(t, "old", "new")
	e := &trusting{trusted: "old", replace: "new"}
	org := e.org(t, keys[0], nil)
	org.SetKeys(keys[1], nil)
	e.grant(t, org, "new old new", "new refused", "new accepted")
}

// A fault that passes says nothing of a key: the next attempt begins anew.
func TestGrantReportsAFaultAfterARefusedKey(t *testing.T) {
	keys := namedKeys(t, "first", "next")
	n := 0
	org := newOrg(t, "http://127.0.0.1:1", auth.OrgConfig{Key: keys[0], NextKey: keys[1], Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if n++; n == 1 {
			return answers(400, `{"error":"invalid_grant","error_description":"invalid assertion"}`)(r)
		}
		return answers(503, "")(r)
	})})
	if _, err := org.Grant(t.Context(), ada); wantGrantError(t, err).Status != 503 || auth.IsPermanent(err) {
		t.Errorf("Grant = %v, want the 503 of the second key", err)
	}
}

func TestGrantKnowsTheSameKeyReadAgain(t *testing.T) {
	keys := namedKeys(t, "key")
	e := &trusting{trusted: "key"}
	org := e.org(t, keys[0], nil)
	again := *keys[0]
	org.SetKeys(&again, nil)
	e.grant(t, org, "key")
}

func TestGrantTriesOtherKeysOnlyWhereTheKeyMayBeTheReason(t *testing.T) {
	keys := namedKeys(t, "old", "new")
	e := &trusting{refusal: `{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`}
	org := e.org(t, keys[0], keys[1])
	if _, err := org.Grant(t.Context(), ada); !auth.IsPermanent(err) || !slices.Equal(e.tried, []string{"old"}) {
		t.Errorf("Grant = %v after trying %q, want a refusal of the first key alone", err, e.tried)
	}
	e.refusal, e.tried = "", nil
	if _, err := org.Grant(t.Context(), ada); wantGrantError(t, err).Description != "invalid assertion" || !slices.Equal(e.tried, []string{"old", "new", "old"}) {
		t.Errorf("Grant = %v after trying %q, want a refusal of both keys", err, e.tried)
	}
}

func TestGrantTriesOtherKeyIfOneCannotSign(t *testing.T) {
	keys := namedKeys(t, "old", "new")
	keys[1].broken = errors.New("the token is gone")
	e := &trusting{trusted: "old"}
	org := e.org(t, keys[0], nil)
	org.SetKeys(keys[1], nil)
	e.grant(t, org, "old", "new refused")

	keys[0].broken = errors.New("the token is gone")
	if _, err := org.Grant(t.Context(), ada); err == nil || !strings.Contains(err.Error(), "the token is gone") {
		t.Errorf("Grant = %v, want that the token is gone", err)
	}
}

// A grant of another subject may take its time and come back with a token for
// a key that has been replaced meanwhile.
func TestGrantOfTheFormerKeyDoesNotUndoARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := namedKeys(t, "old", "new")
		keys[0].slow = make(chan struct{})
		e := &trusting{trusted: "old"}
		org := e.org(t, keys[0], nil)
		slow := make(chan error)
		go func() {
			_, err := org.Grant(t.Context(), grace)
			slow <- err
		}()
		synctest.Wait()
		org.SetKeys(keys[1], nil)
		e.trusted = "new"
		e.grant(t, org, "new", "new accepted")

		e.trusted = "old" // as some of Salesforce's hosts still do
		close(keys[0].slow)
		if err := <-slow; err != nil {
			t.Errorf("Grant = %v, want a token", err)
		}
		e.trusted = "new"
		e.grant(t, org, "new")
	})
}

func TestManagerMakesOneGrantWhereNoKeyIsOfUse(t *testing.T) {
	for broken, attempts := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			keys := namedKeys(t, "first", "next")
			keys[broken].broken = errors.New("the token is gone")
			e := &trusting{}
			m := auth.NewManager(e.org(t, keys[0], keys[1]).Grant, nil)
			defer m.Close()
			for range 500 {
				if _, err := m.Token(t.Context(), ada); !auth.IsPermanent(err) {
					t.Fatalf("Token = %v, want what the org says of the key that signs", err)
				}
			}
			if len(e.tried) != attempts {
				t.Errorf("the org was asked %d times, want %d", len(e.tried), attempts)
			}
		})
	}
}

func TestManagerRemembersThatNoKeySigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := namedKeys(t, "key")
		keys[0].broken = errors.New("the token is gone")
		e := &trusting{trusted: "key"}
		m := auth.NewManager(e.org(t, keys[0], nil).Grant, nil)
		defer m.Close()
		for range 100 {
			if _, err := m.Token(t.Context(), ada); err == nil || !strings.Contains(err.Error(), "the token is gone") {
				t.Fatalf("Token = %v, want that the token is gone", err)
			}
		}
		if keys[0].signed != 1 {
			t.Errorf("the key was asked %d times, want once", keys[0].signed)
		}
		keys[0].broken = nil
		advance(5 * time.Second)
		if _, err := m.Token(t.Context(), ada); err != nil {
			t.Errorf("Token = %v, want one after 5 seconds", err)
		}
	})
}

func TestManagerClosesWhileAKeyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := namedKeys(t, "key")
		keys[0].slow = make(chan struct{})
		defer close(keys[0].slow)
		m := auth.NewManager((&trusting{}).org(t, keys[0], nil).Grant, nil)
		failed := make(chan error)
		go func() {
			_, err := m.Token(t.Context(), ada)
			failed <- err
		}()
		synctest.Wait()
		go m.Close()
		if err := <-failed; !errors.Is(err, auth.ErrClosed) {
			t.Errorf("Token = %v, want ErrClosed", err)
		}
	})
}

// Each exchange may be a login, also those with a key that the org refuses.
func TestManagerBudgetCountsEachKeyThatIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := namedKeys(t, "old", "new")
		e := &trusting{trusted: "old"}
		org := e.org(t, keys[0], nil)
		m := auth.NewManager(org.Grant, nil)
		defer m.Close()
		start := time.Now()
		for range 40 {
			org.SetKeys(keys[1], nil)
			token, err := m.Token(t.Context(), ada)
			if err != nil {
				t.Fatal(err)
			}
			m.Reject(token)
		}
		// 80 exchanges of which 60 are free; the others are 1.2 s apart.
		if took := time.Since(start); took < 18*time.Second {
			t.Errorf("80 exchanges took %v, want them bounded by the budget", took)
		}
	})
}

func TestManagerStaysAwayAfterTooManyLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := namedKeys(t, "key")
		e := &trusting{refusal: `{"error":"invalid_grant","error_description":"login rate exceeded"}`}
		m := auth.NewManager(e.org(t, keys[0], nil).Grant, nil)
		defer m.Close()
		for range 100 {
			_, err := m.Token(t.Context(), ada)
			if g := wantGrantError(t, err); g.Permanent || g.RetryAfter != 5*time.Minute {
				t.Fatalf("Token = %v, permanent %v, retry after %v; want a refusal that passes in 5 minutes", err, g.Permanent, g.RetryAfter)
			}
		}
		advance(5*time.Minute - time.Nanosecond)
		m.Token(t.Context(), ada)
		if len(e.tried) != 1 {
			t.Errorf("the org was asked %d times, want once in 5 minutes", len(e.tried))
		}
		e.trusted = "key"
		advance(time.Nanosecond)
		if _, err := m.Token(t.Context(), ada); err != nil {
			t.Errorf("Token = %v after 5 minutes, want a token", err)
		}
	})
}

func TestManagerRenewReplacesAFreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{answer: func(ctx context.Context, n int) error {
			if n == 1 {
				return nil
			}
			return held(release)(ctx, n)
		}}
		m := newManager(t, f)
		wantToken(t, m, ada, ada+"-1")
		renewed := make(chan string)
		go func() {
			token, err := m.Renew(t.Context(), ada)
			renewed <- fmt.Sprint(token.AccessToken.Reveal(), err)
		}()
		synctest.Wait()
		wantToken(t, m, ada, ada+"-1") // good until the new one is there
		close(release)
		if got, want := <-renewed, ada+"-2<nil>"; got != want {
			t.Errorf("Renew = %s, want %s", got, want)
		}
		wantToken(t, m, ada, ada+"-2")
	})
}

func TestManagerRenewIsNotServedByAnEarlierFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeOrg{answer: func(ctx context.Context, n int) error {
			if n == 1 {
				<-release
				return refusal()
			}
			return nil
		}}
		m := newManager(t, f)
		go m.Token(t.Context(), ada)
		synctest.Wait()
		renewed := make(chan error)
		go func() {
			_, err := m.Renew(t.Context(), ada)
			renewed <- err
		}()
		synctest.Wait()
		close(release)
		if err := <-renewed; err != nil {
			t.Errorf("Renew = %v, want the token of a flight of its own", err)
		}
		wantGrants(t, f, 2)
	})
}

func TestManagerRenewForgetsRefusalsOfAllSubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeOrg{answer: func(_ context.Context, n int) error {
			if n <= 2 {
				return refusal()
			}
			return nil
		}}
		m := newManager(t, f)
		for _, subject := range []string{ada, grace} {
			if _, err := m.Token(t.Context(), subject); !auth.IsPermanent(err) {
				t.Fatalf("Token = %v, want the refusal", err)
			}
		}
		if _, err := m.Renew(t.Context(), ada); err != nil {
			t.Errorf("Renew = %v, want a token", err)
		}
		wantToken(t, m, grace, grace+"-4")
	})
}

func TestManagerRenewAfterClose(t *testing.T) {
	m := auth.NewManager((&fakeOrg{}).grant, nil)
	m.Close()
	if _, err := m.Renew(t.Context(), ada); !errors.Is(err, auth.ErrClosed) {
		t.Errorf("Renew = %v, want ErrClosed", err)
	}
}
