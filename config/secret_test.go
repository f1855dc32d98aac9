package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
)

const planted = "planted-5ecret"

type holder struct {
	Exported config.Secret
	Pointer  *config.Secret
	Map      map[string]config.Secret
	Keys     map[config.Secret]int
	Slice    []config.Secret
	Any      any
	hidden   config.Secret
	nested   struct{ deep []config.Secret }
}

func holderOf(s config.Secret) holder {
	h := holder{s, &s, map[string]config.Secret{"k": s}, map[config.Secret]int{s: 1}, []config.Secret{s}, s, s, struct{ deep []config.Secret }{}}
	h.nested.deep = []config.Secret{s}
	return h
}

// leaks reports whether text holds the planted secret in a usual encoding.
func leaks(text, secret string) bool {
	lower := strings.ToLower(text)
	decimal := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
	return strings.Contains(text, secret) || strings.Contains(lower, fmt.Sprintf("%x", secret)) ||
		strings.Contains(lower, fmt.Sprintf("% x", secret)) || strings.Contains(text, decimal)
}

func TestSecretIsRedactedByEveryVerb(t *testing.T) {
	s := config.NewSecret(planted)
	h := holderOf(s)
	for _, value := range []any{s, &s, h, &h, []any{h}, map[string]holder{"h": h}} {
		for verb := '!'; verb <= '~'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "40", ".3", "+#40.30"} {
				format := "%" + flags + string(verb)
				if got := fmt.Sprintf(format, value); leaks(got, planted) {
					t.Fatalf("Sprintf(%q, %T) = %s", format, value, got)
				}
			}
		}
		if got := fmt.Sprint(value) + fmt.Sprintln(value) + fmt.Errorf("e: %w", errors.New(fmt.Sprint(value))).Error(); leaks(got, planted) {
			t.Errorf("Sprint(%T) = %s", value, got)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(format, s); got != "[redacted]" {
			t.Errorf("Sprintf(%q) = %s, want [redacted]", format, got)
		}
	}
}

func TestSecretIsRedactedByEncoders(t *testing.T) {
	s := config.NewSecret(planted)
	h := holderOf(s)
	for _, value := range []any{s, &s, h, &h} {
		got, err := json.Marshal(value)
		if err != nil || leaks(string(got), planted) || !strings.Contains(string(got), "[redacted]") {
			t.Errorf("json.Marshal(%T) = %s, %v", value, got, err)
		}
	}
	if got, err := xml.Marshal(s); err != nil || leaks(string(got), planted) {
		t.Errorf("xml.Marshal = %s, %v", got, err)
	}
	if got, err := s.MarshalText(); err != nil || string(got) != "[redacted]" {
		t.Errorf("MarshalText = %s, %v", got, err)
	}
}

func TestSecretIsRedactedInLogs(t *testing.T) {
	s := config.NewSecret(planted)
	h := holderOf(s)
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		logger := slog.New(handler)
		logger.With("w", s).WithGroup("g").Info("m", "secret", s, "pointer", &s, "holder", h, "to_holder", &h, slog.Group("g", "any", []any{s}))
	}
	if got := out.String(); leaks(got, planted) || !strings.Contains(got, "secret=[redacted]") || !strings.Contains(got, `"secret":"[redacted]"`) {
		t.Errorf("log = %s", got)
	}
	if got := s.LogValue().String(); got != "[redacted]" {
		t.Errorf("LogValue = %s, want [redacted]", got)
	}
}

func TestSecretReveals(t *testing.T) {
	if got := config.NewSecret(planted); string(got.Reveal()) != planted || got.IsZero() {
		t.Errorf("NewSecret(%q) reveals %q, IsZero %t", planted, got.Reveal(), got.IsZero())
	}
	for _, none := range []config.Secret{{}, config.NewSecret("")} {
		if none.Reveal() != nil || !none.IsZero() || none.String() != "[none]" {
			t.Errorf("no secret reveals %q, IsZero %t, prints %s", none.Reveal(), none.IsZero(), none)
		}
	}
}

// What fmt prints does not depend on the secret, but for the address that %p
// leads to.
func FuzzSecretIsRedacted(f *testing.F) {
	address := regexp.MustCompile("(0[xX])?[0-9a-fA-F]{8,}")
	f.Add(planted, "%v")
	f.Add(planted, "%#[1]*.3x")
	f.Add(planted, "%p")
	f.Fuzz(func(t *testing.T, value, format string) {
		got := address.ReplaceAllString(fmt.Sprintf(format, config.NewSecret("x"+value)), "")
		want := address.ReplaceAllString(fmt.Sprintf(format, config.NewSecret("another")), "")
		if got != want {
			t.Errorf("Sprintf(%q) = %q, with another secret %q", format, got, want)
		}
	})
}

func TestSecretDigest(t *testing.T) {
	a, b := config.NewSecret(planted), config.NewSecret(planted+"x")
	text := a.Reveal()
	a.Wipe()
	if len(a.Reveal()) != 0 || a.IsZero() || bytes.ContainsFunc(text, func(r rune) bool { return r != 0 }) {
		t.Errorf("after Wipe the text is %q and reveals %q, IsZero %t; want zeros, nothing, false", text, a.Reveal(), a.IsZero())
	}
	if !reflect.DeepEqual(a.Digest(), config.NewSecret(planted).Digest()) || reflect.DeepEqual(a.Digest(), b.Digest()) || reflect.DeepEqual(a.Digest(), config.Secret{}) {
		t.Error("digests do not tell the same text from another and from none")
	}
	if got := b.Digest(); got.IsZero() || len(got.Reveal()) != 0 {
		t.Errorf("a digest reveals %q, IsZero %t; want nothing, false", got.Reveal(), got.IsZero())
	}
	config.Secret{}.Wipe()
	if !(config.Secret{}).Digest().IsZero() {
		t.Error("the digest of no secret is one")
	}
}
