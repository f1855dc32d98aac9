package auth_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

func TestAccessTokenIsNeverPrinted(t *testing.T) {
	const secret = "00D000planted!AQsecret"
	access := auth.NewAccessToken(secret)
	token := auth.MakeToken(auth.Token{AccessToken: access, InstanceURL: acme, Subject: ada}, time.Now(), life, 0)
	type holder struct {
		Exported auth.AccessToken
		hidden   auth.AccessToken // fmt prints what it holds by reflection
		token    auth.Token
		pointer  *auth.Token
		anything any
	}
	values := map[string]any{
		"access token":   access,
		"pointer to it":  &access,
		"token":          *token,
		"token pointer":  token,
		"struct":         holder{access, access, *token, token, access},
		"struct pointer": &holder{access, access, *token, token, access},
		"slice":          []auth.AccessToken{access},
		"slice of token": []*auth.Token{token},
		"array":          [1]auth.Token{*token},
		"map":            map[string]auth.AccessToken{"a": access},
		"map key":        map[auth.AccessToken]bool{access: true},
		"outcome":        auth.Outcome{Token: token, Failure: refusal()},
		"grant error":    &auth.GrantError{Code: "x", Description: "y"},
		"budget error":   &auth.BudgetError{Subject: ada, RetryAfter: time.Second},
		"wrapped":        fmt.Errorf("token %v: %w", token, io.EOF),
	}
	hexed := fmt.Sprintf("%x", secret)
	noVerb := strings.Clone("x") // not a constant, which vet would refuse
	leaks := func(text string) bool {
		return strings.Contains(text, "planted") || strings.Contains(strings.ToLower(text), hexed)
	}
	for name, value := range values {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw%!zZ" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "20", ".3", "200.100"} {
				format := "%" + flags + string(verb)
				if got := fmt.Sprintf(format, value); leaks(got) {
					t.Errorf("Sprintf(%q, %s) = %s, want no secret", format, name, got)
				}
				if got := fmt.Errorf(format, value).Error(); leaks(got) {
					t.Errorf("Errorf(%q, %s) = %s, want no secret", format, name, got)
				}
			}
		}
		for what, got := range map[string]string{"Sprint": fmt.Sprint(value), "Sprintln": fmt.Sprintln(value), "extra argument": fmt.Sprintf(noVerb, value)} {
			if leaks(got) {
				t.Errorf("%s(%s) = %s, want no secret", what, name, got)
			}
		}
		if got, err := json.Marshal(value); leaks(string(got)) || err != nil && leaks(err.Error()) {
			t.Errorf("json.Marshal(%s) = %s, %v, want no secret", name, got, err)
		}
		if got, err := xml.Marshal(value); leaks(string(got)) || err != nil && leaks(err.Error()) {
			t.Errorf("xml.Marshal(%s) = %s, %v, want no secret", name, got, err)
		}
		var log bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(handler).With("with", value).WithGroup("g").Info("x", "value", value, slog.Group("group", "value", value), "list", []any{value})
		}
		if leaks(log.String()) {
			t.Errorf("slog of %s = %s, want no secret", name, log.String())
		}
	}
	if got := access.Reveal(); got != secret {
		t.Errorf("Reveal() = %q, want %q", got, secret)
	}
	if got := fmt.Sprintf("%v %s %q", access, &access, []auth.AccessToken{access}); got != "REDACTED REDACTED [REDACTED]" {
		t.Errorf("Sprintf = %q, want REDACTED", got)
	}
	if got, err := json.Marshal(token); err != nil || !strings.Contains(string(got), `"AccessToken":"REDACTED"`) {
		t.Errorf("json.Marshal(token) = %s, %v, want REDACTED in it", got, err)
	}
	if got := (auth.AccessToken{}).Reveal(); got != "" {
		t.Errorf("Reveal() of the zero value = %q, want none", got)
	}
}

// An endpoint that echoes what it was sent, or answers with a token that is
// not usable, must not get it into an error.
func TestGrantErrorsHoldNoSecret(t *testing.T) {
	const planted = "00D!planted"
	for _, tt := range []struct{ name, body string }{
		{"token of a wrong type", `{"access_token":"` + planted + `","token_type":"MAC"}`},
		{"token with a line break", `{"access_token":"` + planted + `\n"}`},
		{"token without instance", `{"access_token":"` + planted + `"}`},
		{"token for a foreign host", `{"access_token":"` + planted + `","instance_url":"https://evil.example"}`},
		{"broken JSON", `{"access_token":"` + planted},
		{"text", planted},
	} {
		for _, status := range []int{200, 400, 404, 500} {
			var assertion string
			org := newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Key: rsaKey(), Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				assertion = r.PostFormValue("assertion")
				return answers(status, tt.body+assertion)(r)
			})})
			for range 2 { // the second time without the echo, which makes the JSON whole
				_, err := org.Grant(t.Context(), ada)
				e, ok := errors.AsType[*auth.GrantError](err)
				if !ok {
					t.Fatalf("Grant after %s = %v, want a *GrantError", tt.name, err)
				}
				signature := assertion[strings.LastIndex(assertion, ".")+1:]
				for _, got := range []string{fmt.Sprintf("%v %+v %#v %q", err, err, err, err), fmt.Sprintf("%+v %#v", *e, *e), e.Hint} {
					if strings.Contains(got, "planted") || assertion != "" && strings.Contains(got, signature) {
						t.Errorf("error after %s, %d = %s, want no secret", tt.name, status, got)
					}
				}
				org = newOrg(t, "https://acme.my.salesforce.com", auth.OrgConfig{Transport: answers(status, tt.body)})
			}
		}
	}
}
