package config_test

import (
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/config"
)

const keyText = "-----BEGIN PRIVATE KEY-----\nplanted-key-text\n-----END PRIVATE KEY-----\n"

// vars are the variables of an environment.
type vars map[string]string

// environ returns the least environment that is valid, with v over it. An
// empty value unsets a variable.
func environ(v vars) []string {
	all := vars{"SF_CLIENT_ID": "consumer", "SF_USERNAME": "user@example.com", "SF_JWT_KEY": keyText}
	maps.Copy(all, v)
	var list []string
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	return list
}

func parse(t *testing.T, v vars) *config.Config {
	t.Helper()
	cfg, err := config.Parse(environ(v))
	if err != nil {
		t.Fatalf("Parse(%v) = %v", v, err)
	}
	return cfg
}

// faults returns the faults of an environment, one a line.
func faults(t *testing.T, v vars) string {
	t.Helper()
	cfg, err := config.Parse(environ(v))
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*config.Error](err); !ok || len(e.Faults) == 0 || cfg != nil {
		t.Errorf("Parse(%v) = %v, %T with %d faults, want nil and an *Error with one at least", v, cfg, err, len(e.Faults))
	}
	return err.Error()
}

// write makes a file that only its owner may read and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestParseDefaults(t *testing.T) {
	got := parse(t, nil)
	want := &config.Config{
		Salesforce: config.Salesforce{
			LoginURL:     parseURL(t, "https://login.salesforce.com"),
			ConsumerKey:  "consumer",
			Username:     "user@example.com",
			Key:          config.NewSecret(keyText),
			KeySource:    "SF_JWT_KEY",
			QueueTimeout: 30 * time.Second,
			TokenTTL:     2 * time.Hour,
		},
		Proxy: config.Proxy{
			Listen:         "127.0.0.1:8080",
			AdminListen:    "127.0.0.1:8081",
			ReplayBuffer:   1 << 20,
			MaxConnections: 10_000, MaxConnectionsPerAddress: 5000, MaxRequests: 5000, MaxRequestsPerClient: 2500,
			MinBodyRate:  240,
			StallTimeout: 2 * time.Minute,
			SessionTTL:   12 * time.Hour,
			DrainTimeout: 30 * time.Second,
		},
		Log: config.Log{Level: slog.LevelInfo, Format: "auto"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse = %+v, want %+v", got, want)
	}
}

// One address and one client leave half to others, however much there is.
func TestParseShares(t *testing.T) {
	for _, tt := range []struct {
		given                      vars
		perAddress, perClient, own int
	}{
		{vars{"PROXY_MAX_CONNECTIONS": "1000", "PROXY_MAX_REQUESTS": "7"}, 500, 4, 4},
		{vars{"PROXY_MAX_CONNECTIONS": "1", "PROXY_MAX_REQUESTS": "1"}, 1, 1, 1},
		{vars{"PROXY_MAX_CONNECTIONS": "0", "PROXY_MAX_REQUESTS": "0"}, 0, 0, 0},
		{vars{"PROXY_MAX_CONNECTIONS_PER_ADDRESS": "9000", "PROXY_MAX_REQUESTS_PER_CLIENT": "0", "PROXY_CLIENT_0_MAX_REQUESTS": "9"}, 9000, 0, 9},
	} {
		maps.Copy(tt.given, vars{"PROXY_CLIENT_0_NAME": "billing", "PROXY_CLIENT_0_API_KEY": "0123456789abcdef"})
		got := parse(t, tt.given)
		if a, c, own := got.Proxy.MaxConnectionsPerAddress, got.Proxy.MaxRequestsPerClient, got.Clients[0].MaxRequests; a != tt.perAddress || c != tt.perClient || own != tt.own {
			t.Errorf("%v: %d connections of one address, %d requests of one client, %d of the first; want %d, %d, %d", tt.given, a, c, own, tt.perAddress, tt.perClient, tt.own)
		}
	}
}

func TestParseEverything(t *testing.T) {
	key, ca := write(t, "sf.key", keyText), writeCertificate(t)
	next := write(t, "next.key", "next")
	got := parse(t, vars{
		"SF_LOGIN_URL":                   " https://Acme.my.site.com/portal// ",
		"SF_JWT_KEY":                     "",
		"SF_JWT_KEY_FILE":                key,
		"SF_JWT_KEY_PASSPHRASE":          " open sesame ",
		"SF_AUDIENCE":                    "https://test.salesforce.com",
		"SF_TOKEN_TTL":                   "10s",
		"SF_INSTANCE_URL":                "https://acme.my.salesforce.com/",
		"SF_TRUSTED_DOMAINS":             "*.Acme.example, .acme.test. ,devorg,,10.0.0.5",
		"SF_CA_FILE":                     ca,
		"SF_ALLOW_HTTP":                  "Yes",
		"SF_ALLOW_PRIVATE":               "Yes",
		"SF_JWT_KEY_ALIAS":               "sfproxy",
		"SF_JWT_KEY_FILE_NEXT":           next,
		"SF_JWT_CERT_FILE":               ca,
		"SF_MIN_API_VERSION":             "60.0",
		"PROXY_LISTEN":                   ":0",
		"PROXY_ADMIN_LISTEN":             "OFF",
		"PROXY_PUBLIC_URL":               "http://sf.example.com:8080/",
		"PROXY_TLS_CERT_FILE":            ca,
		"PROXY_TLS_KEY_FILE":             key,
		"PROXY_TLS_CLIENT_CA_FILE":       ca,
		"PROXY_ALLOW_ANONYMOUS":          "1",
		"PROXY_ALLOW_PATHS":              "/services/data, /x",
		"PROXY_REPLAY_BUFFER":            "512KiB",
		"PROXY_MIN_BODY_RATE":            "1KiB",
		"PROXY_STALL_TIMEOUT":            "1h",
		"PROXY_SESSION_TTL":              "30m",
		"PROXY_SESSION_SECRET":           strings.Repeat("s", 32),
		"PROXY_ALLOW_PLAIN_LOGIN":        "true",
		"PROXY_DRAIN_TIMEOUT":            "1m30s",
		"SF_MAX_CONCURRENT":              "20",
		"SF_QUEUE_TIMEOUT":               "10s",
		"PROXY_API_RESERVE":              "10%",
		"PROXY_CLIENT_1_API_RESERVE":     "500",
		"PROXY_CLIENT_0_NAME":            "billing",
		"PROXY_CLIENT_0_API_KEY":         "0123456789abcdef",
		"PROXY_CLIENT_0_SUBJECT":         "billing@example.com",
		"PROXY_CLIENT_0_READ_ONLY":       "on",
		"PROXY_CLIENT_1_NAME":            "crm",
		"PROXY_CLIENT_1_USERNAME":        "crm@example.com",
		"PROXY_CLIENT_1_PASSWORD":        "pass word",
		"PROXY_CLIENT_1_SECURITY_TOKEN":  "token",
		"PROXY_CLIENT_1_CONSUMER_KEY":    "app",
		"PROXY_CLIENT_1_CONSUMER_SECRET": "app secret",
		"PROXY_CLIENT_1_READ_ONLY":       "no",
		"LOG_LEVEL":                      "WARN",
		"LOG_FORMAT":                     "JSON",
		"HOME":                           "/home/user",
		"SFX":                            "1",
		"PROXY_CLIENT_0_PASSWORD":        "",
		"PROXY_CLIENT_12_READ_ONLY":      "",

		"PROXY_MAX_CONNECTIONS": "20", "PROXY_MAX_CONNECTIONS_PER_ADDRESS": "0",
		"PROXY_MAX_REQUESTS": "10", "PROXY_MAX_REQUESTS_PER_CLIENT": "5", "PROXY_CLIENT_1_MAX_REQUESTS": "0",
	})
	content, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Salesforce: config.Salesforce{
			LoginURL:      parseURL(t, "https://acme.my.site.com/portal"),
			ConsumerKey:   "consumer",
			Username:      "user@example.com",
			Key:           config.NewSecret(keyText),
			KeySource:     "SF_JWT_KEY_FILE (" + key + ")",
			KeyPassphrase: config.NewSecret(" open sesame "),
			KeyAlias:      "sfproxy", NextKeyFile: next, NextKey: config.NewSecret("next"),
			CertificateFile: ca, Certificate: content, MinAPIVersion: "60.0",
			Audience:      "https://test.salesforce.com",
			MaxConcurrent: 20, QueueTimeout: 10 * time.Second,
			TokenTTL:       10 * time.Second,
			InstanceURL:    parseURL(t, "https://acme.my.salesforce.com"),
			TrustedDomains: []string{"acme.example", "acme.test", "devorg", "10.0.0.5"},
			CAFile:         ca,
			CACerts:        content,
			AllowHTTP:      true,
			AllowPrivate:   true,
		},
		Proxy: config.Proxy{
			Listen:          ":0",
			PublicURL:       parseURL(t, "http://sf.example.com:8080"),
			TLSCertFile:     ca,
			TLSKeyFile:      key,
			TLSClientCAFile: ca,
			TLSCert:         content,
			TLSKey:          config.NewSecret(keyText),
			TLSClientCA:     content,
			AllowAnonymous:  true,
			AllowPaths:      []string{"/services/data", "/x"},
			ReplayBuffer:    512 << 10,
			MaxConnections:  20, MaxRequests: 10, MaxRequestsPerClient: 5,
			MinBodyRate:     1 << 10,
			StallTimeout:    time.Hour,
			SessionTTL:      30 * time.Minute,
			SessionSecret:   config.NewSecret(strings.Repeat("s", 32)),
			AllowPlainLogin: true,
			DrainTimeout:    90 * time.Second,
			APIReserve:      "10%",
		},
		Clients: []config.Client{
			{Name: "billing", APIKey: config.NewSecret("0123456789abcdef"), Subject: "billing@example.com", ReadOnly: true, MaxRequests: 5, APIReserve: "10%"},
			{Name: "crm", Username: "crm@example.com", Password: config.NewSecret("pass word"), SecurityToken: config.NewSecret("token"),
				ConsumerKey: "app", ConsumerSecret: config.NewSecret("app secret"), Subject: "user@example.com", APIReserve: "500"},
		},
		Log:   config.Log{Level: slog.LevelWarn, Format: "json"},
		Files: slices.Sorted(slices.Values([]string{key, ca, next})),
	}
	if len(got.Warnings) != 2 { // one for each check that is weakened
		t.Errorf("Warnings = %q, want two", got.Warnings)
	}
	if got.Warnings = nil; !reflect.DeepEqual(got, want) {
		t.Errorf("Parse = %+v, want %+v", got, want)
	}

	client := got.Clients[1].Digest()
	if got.Wipe(); !reflect.DeepEqual(got.Clients[1], client) || reflect.DeepEqual(got.Clients[0], client) {
		t.Error("a client whose secrets were wiped is not the same as its digest")
	}
	secrets := secretsIn(reflect.ValueOf(*got))
	for _, s := range secrets {
		if s.IsZero() || len(s.Reveal()) > 0 {
			t.Errorf("after Wipe a secret reveals %q, IsZero %t; want nothing, false", s.Reveal(), s.IsZero())
		}
	}
	if len(secrets) != 9 {
		t.Errorf("%d secrets are set, want 9", len(secrets))
	}
}

// secretsIn returns the secrets that are set in a Config or a part of one.
func secretsIn(v reflect.Value) []config.Secret {
	if s, ok := v.Interface().(config.Secret); ok {
		if s.IsZero() {
			return nil
		}
		return []config.Secret{s}
	}
	var found []config.Secret
	switch v.Kind() {
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.IsExported() {
				found = append(found, secretsIn(value)...)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, secretsIn(v.Index(i))...)
		}
	}
	return found
}

func TestParseDoesNotReadTheProcess(t *testing.T) {
	t.Setenv("SF_CLIENT_ID", "of the process")
	t.Setenv("PROXY_LISTEN", "127.0.0.1:1")
	if _, err := config.Parse([]string{}); !strings.Contains(err.Error(), "SF_CLIENT_ID: is required") {
		t.Errorf("Parse of an empty environment = %v, want SF_CLIENT_ID missing", err)
	}
	if got := parse(t, nil).Proxy.Listen; got != "127.0.0.1:8080" {
		t.Errorf("Listen = %q, want the default", got)
	}
}

func TestParseTakesEmptyForUnset(t *testing.T) {
	if got, want := parse(t, vars{"SF_LOGIN_URL": "", "SF_TOKEN_TTL": " ", "PROXY_CLIENT_0_SUBJECT": "", "SF_WHATEVER": ""}), parse(t, nil); !reflect.DeepEqual(got.Salesforce, want.Salesforce) || len(got.Clients) > 0 {
		t.Errorf("Parse with empty variables = %+v, want %+v", got, want)
	}
	if got := faults(t, vars{"SF_CLIENT_ID": "", "SF_USERNAME": "\t"}); !strings.Contains(got, "SF_CLIENT_ID: is required") || !strings.Contains(got, "SF_USERNAME: is required") {
		t.Errorf("faults = %q, want both required variables missing", got)
	}
}

func TestParseWarnsOfEmptyClients(t *testing.T) {
	got := parse(t, vars{"PROXY_CLIENT_0_API_KEY": ""}).Warnings
	if len(got) != 1 || !strings.Contains(got[0], "PROXY_CLIENT_0_API_KEY is set but empty") {
		t.Errorf("Warnings = %q, want one of PROXY_CLIENT_0_API_KEY", got)
	}
}

func TestParseReportsAllFaultsAtOnce(t *testing.T) {
	_, err := config.Parse([]string{
		"SF_LOGIN_URL=login.salesforce.com",
		"SF_TOKEN_TTL=1s",
		"PROXY_LISTEN=8080",
		"PROXY_CLIENT_0_API_KEY=short",
		"PROXY_CLIENT_0_READ_ONLY=maybe",
		"PROXY_CLIENT_1_NAME=a b",
		"LOG_LEVEL=loud",
		"LOG_FORMAT=xml",
	})
	e, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("Parse = %v, want an *Error", err)
	}
	var got []string
	for _, f := range e.Faults {
		got = append(got, f.Variable)
	}
	want := []string{
		"LOG_FORMAT", "LOG_LEVEL",
		"PROXY_CLIENT_0_API_KEY", "PROXY_CLIENT_0_NAME", "PROXY_CLIENT_0_READ_ONLY", "PROXY_CLIENT_1_API_KEY", "PROXY_CLIENT_1_NAME",
		"PROXY_LISTEN", "SF_CLIENT_ID", "SF_JWT_KEY_FILE", "SF_LOGIN_URL", "SF_TOKEN_TTL", "SF_USERNAME",
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("faulty variables = %q, want %q", got, want)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(want) {
		t.Errorf("Error() has %d lines, want %d:\n%v", len(lines), len(want), err)
	}
}

func TestFaultPrintsInOneLine(t *testing.T) {
	const want = `SF_LOGIN_URL: "login.salesforce.com" has no scheme (example: https://login.salesforce.com)`
	if got := faults(t, vars{"SF_LOGIN_URL": "login.salesforce.com"}); got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if got, want := (config.Fault{Variable: "X", Problem: "is odd"}).String(), "X: is odd"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
