package login

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testOrg = "00D5g000000DvOr"

func testSessions() *sessions { return newSessions(bytes.Repeat([]byte{1}, 32), time.Hour) }

func TestSessionLastsItsTimeAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSessions()
		text := s.issue(testOrg, "etl", fingerprint{1})
		time.Sleep(time.Hour - 2*time.Second)
		if got, err := s.open(text); err != nil || got.client != "etl" || got.fingerprint != (fingerprint{1}) {
			t.Errorf("open = %+v, %v, want etl's session", got, err)
		}
		time.Sleep(2 * time.Second)
		if _, err := s.open(text); err != ErrSession {
			t.Errorf("open after an hour = %v, want ErrSession", err)
		}
	})
}

func TestSessionsDiffer(t *testing.T) {
	s := testSessions()
	if a, b := s.issue(testOrg, "etl", fingerprint{}), s.issue(testOrg, "etl", fingerprint{}); a == b {
		t.Error("two sessions are the same")
	}
}

func TestBentSessionsAreRefused(t *testing.T) {
	s := testSessions()
	good := s.issue(testOrg, "etl", fingerprint{})
	for i := range good {
		for _, c := range []byte("A0._!") {
			bent := []byte(good)
			if bent[i] == c {
				continue
			}
			bent[i] = c
			if _, err := s.open(string(bent)); err == nil {
				t.Fatalf("a session with character %d changed was opened", i)
			}
		}
		if _, err := s.open(good[:i]); err == nil {
			t.Fatalf("a session cut to %d characters was opened", i)
		}
	}
	for _, text := range []string{"", "!", testOrg + "!", good + "A", " " + good, strings.Repeat("A", 1<<20)} {
		if _, err := s.open(text); err == nil {
			t.Errorf("open(%.20q) = nil, want ErrSession", text)
		}
	}
	if _, err := newSessions(bytes.Repeat([]byte{2}, 32), time.Hour).open(good); err == nil {
		t.Error("a session was opened with another key")
	}
}

func TestEndedSessionsAreForgottenOnceExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSessions()
		for range 100 {
			if _, err := s.end(s.issue(testOrg, "etl", fingerprint{})); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		s.end(s.issue(testOrg, "etl", fingerprint{}))
		if got := len(s.ended); got != 1 {
			t.Errorf("%d ended sessions are remembered, want 1", got)
		}
	})
}

func TestThrottleForgetsAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		for range 4 {
			throttle.failed("192.0.2.1")
		}
		if got := throttle.wait("192.0.2.1"); got != 0 {
			t.Errorf("after four failures wait = %v, want 0", got)
		}
		time.Sleep(30 * time.Second)
		throttle.failed("192.0.2.1")
		if got := throttle.wait("192.0.2.1"); got != 30*time.Second {
			t.Errorf("after five failures wait = %v, want 30s", got)
		}
		if got := throttle.wait("192.0.2.2"); got != 0 {
			t.Errorf("another address waits %v, want 0", got)
		}
		time.Sleep(30 * time.Second)
		if got := throttle.wait("192.0.2.1"); got != 0 {
			t.Errorf("after a minute wait = %v, want 0", got)
		}
	})
}

// FuzzOpenSession: nothing that was not issued is opened.
func FuzzOpenSession(f *testing.F) {
	s := testSessions()
	f.Add(newSessions(bytes.Repeat([]byte{2}, 32), time.Hour).issue(testOrg, "etl", fingerprint{})) // of another key
	f.Add(testOrg + "!")
	f.Fuzz(func(t *testing.T, text string) {
		if opened, err := s.open(text); err == nil {
			t.Fatalf("open(%q) = %+v", text, opened)
		}
	})
}
