package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/login"
	"github.com/sfproxy/sfproxy/telemetry"
)

// audited returns what tell writes into an audit log, without times.
func audited(tell func(audit)) string {
	var b bytes.Buffer
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	tell(audit{telemetry.NewAudit(slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: withoutTime})))})
	return strings.ReplaceAll(b.String(), `{"level":"INFO","msg":"audit","schema":1,"event":`, "{")
}

func TestAuditOfClients(t *testing.T) {
	before := []config.Client{
		{Name: "billing", Subject: "a@example.com", APIKey: config.NewSecret("planted-one")},
		{Name: "gone", Subject: "b@example.com"},
		{Name: "same", Subject: "a@example.com", Password: config.NewSecret("planted")},
	}
	after := []config.Client{
		{Name: "same", Subject: "a@example.com", Password: config.NewSecret("planted")}, // another number is no change
		{Name: "billing", Subject: "a@example.com", APIKey: config.NewSecret("planted-two"), ReadOnly: true},
		{Name: "new", Subject: "c@example.com"},
	}
	got := audited(func(a audit) { a.clientsChanged(before, after, nil) })
	want := `{"policy_change","outcome":"ok","client":"gone","subject":"b@example.com","change":"removed"}
{"policy_change","outcome":"ok","client":"billing","subject":"a@example.com","change":"changed","changed":["API_KEY","READ_ONLY"],"settings":{"API_KEY":"[redacted]","NAME":"billing","READ_ONLY":true,"SUBJECT":"a@example.com"}}
{"policy_change","outcome":"ok","client":"new","subject":"c@example.com","change":"added","settings":{"NAME":"new","SUBJECT":"c@example.com"}}
`
	if got != want {
		t.Errorf("lines =\n%s, want\n%s", got, want)
	}
	got = audited(func(a audit) { a.clientsChanged(before[2:], nil, errors.New("a fault")) })
	want = `{"policy_change","outcome":"refused","client":"same","subject":"a@example.com","change":"removed","reason":"a fault"}` + "\n"
	if got != want {
		t.Errorf("lines =\n%s, want\n%s", got, want)
	}
}

func TestAuditOfGrants(t *testing.T) {
	instance := &url.URL{Scheme: "https", Host: "acme.my.salesforce.com"}
	for _, tt := range []struct {
		token *auth.Token
		err   error
		want  string
	}{
		{&auth.Token{InstanceURL: instance}, nil, `"outcome":"ok","subject":"a@example.com","instance":"acme.my.salesforce.com"}`},
		{nil, &auth.GrantError{Code: "invalid_grant", Permanent: true}, `"outcome":"refused","subject":"a@example.com","code":"invalid_grant","reason":"`},
		{nil, errors.New("no route"), `"outcome":"failed","subject":"a@example.com","reason":"no route"}`},
	} {
		var token *auth.Token
		var err error
		got := audited(func(a audit) {
			token, err = a.grants(func(context.Context, string) (*auth.Token, error) { return tt.token, tt.err })(t.Context(), "a@example.com")
		})
		if !strings.HasPrefix(got, `{"grant",`+tt.want) || token != tt.token || err != tt.err {
			t.Errorf("grant = %v, %v with the line %s, want %s", token, err, got, tt.want)
		}
	}
}

func TestAuditOfLogins(t *testing.T) {
	r := httptest.NewRequest("POST", "/services/Soap/u/60.0", nil)
	r.RemoteAddr = "[2001:db8::7]:1234"
	for _, tt := range []struct {
		attempt login.Attempt
		want    string
	}{
		{login.Attempt{How: "soap", Outcome: login.Failed, Client: "etl", Subject: "a@example.com", Username: "etl@proxy.local", Reason: errors.New("no route")},
			`{"login","outcome":"failed","client":"etl","subject":"a@example.com","address":"2001:db8::7","how":"soap","username":"etl@proxy.local","reason":"no route"}`},
		{login.Attempt{How: "soap", Outcome: login.Refused, Reason: errors.New("wrong")},
			`{"login","outcome":"refused","address":"2001:db8::7","how":"soap","username":"(unknown)","reason":"wrong"}`},
		{login.Attempt{Logout: true, How: "revoke", Outcome: login.OK, Client: "etl", RequestID: "an-id"},
			`{"logout","outcome":"ok","client":"etl","address":"2001:db8::7","request_id":"an-id","how":"revoke"}`},
	} {
		tt.attempt.Request = r
		if got := audited(func(a audit) { a.attempted(tt.attempt) }); got != tt.want+"\n" {
			t.Errorf("line = %s, want %s", got, tt.want)
		}
	}
}
