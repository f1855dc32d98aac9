package config_test

import (
	"strings"
	"testing"
)

// A value that Parse refuses, with what the one fault's line begins with and
// what else is in it.
type refusal struct {
	name string
	vars vars
	want []string
}

func runRefusals(t *testing.T, tests []refusal) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := faults(t, tt.vars)
			if strings.Contains(got, "\n") || !strings.HasPrefix(got, tt.want[0]) {
				t.Fatalf("faults = %q, want one that begins with %q", got, tt.want[0])
			}
			for _, want := range tt.want[1:] {
				if !strings.Contains(got, want) {
					t.Errorf("faults = %q, want %q in it", got, want)
				}
			}
		})
	}
}

func TestParseRefusesValues(t *testing.T) {
	loginURL := func(u string) vars { return vars{"SF_LOGIN_URL": u} }
	runRefusals(t, []refusal{
		{"no scheme but a port", loginURL("acme.example:8443"), []string{"SF_LOGIN_URL: ", "no scheme", "https://acme.example:8443"}},
		{"other scheme", loginURL("ftp://acme.example"), []string{"SF_LOGIN_URL: ", "not an https URL"}},
		{"no URL", loginURL("https://acme example"), []string{"SF_LOGIN_URL: ", "not a URL"}},
		{"no host", loginURL("https://:8443"), []string{"SF_LOGIN_URL: ", "no host"}},
		{"scheme twice", loginURL("https://https://acme.example"), []string{"SF_LOGIN_URL: ", "colon without a port"}},
		{"port too large", loginURL("https://acme.example:99999"), []string{"SF_LOGIN_URL: ", "no port"}},
		{"userinfo", loginURL("https://user@acme.example"), []string{"SF_LOGIN_URL: ", "username or password"}},
		{"query", loginURL("https://acme.example?x=1"), []string{"SF_LOGIN_URL: ", "query"}},
		{"empty query", loginURL("https://acme.example?"), []string{"SF_LOGIN_URL: ", "query"}},
		{"fragment", loginURL("https://acme.example#x"), []string{"SF_LOGIN_URL: ", "fragment"}},
		{"token endpoint", loginURL("https://acme.my.site.com/portal/services/oauth2/token"), []string{"SF_LOGIN_URL: ", "leave out /services/oauth2", "(example: https://acme.my.site.com/portal)"}},
		{"plain HTTP", loginURL("http://acme.example/p"), []string{"SF_LOGIN_URL: ", "SF_ALLOW_HTTP=true", "https://acme.example/p"}},
		{"HTTP to a loopback look-alike", loginURL("http://127.0.0.1.acme.example"), []string{"SF_LOGIN_URL: ", "not https"}},
		{"quotes", loginURL(`"https://login.salesforce.com"`), []string{"SF_LOGIN_URL: ", "quotes"}},
		{"instance URL with a path", vars{"SF_INSTANCE_URL": "https://acme.example/x"}, []string{"SF_INSTANCE_URL: ", "path", "(example: https://acme.example)"}},
		{"instance URL over HTTP", vars{"SF_INSTANCE_URL": "http://acme.example"}, []string{"SF_INSTANCE_URL: ", "not https"}},
		{"public URL with a path", vars{"PROXY_PUBLIC_URL": "https://acme.example/x"}, []string{"PROXY_PUBLIC_URL: ", "path"}},
		{"public URL without scheme", vars{"PROXY_PUBLIC_URL": "acme.example"}, []string{"PROXY_PUBLIC_URL: ", "(example: https://acme.example)"}},

		{"TTL too short", vars{"SF_TOKEN_TTL": "9.9s"}, []string{"SF_TOKEN_TTL: 9.9s is not between 10s and 24h"}},
		{"TTL too long", vars{"SF_TOKEN_TTL": "24h1s"}, []string{"SF_TOKEN_TTL: 24h0m1s is not between"}},
		{"duration without unit", vars{"SF_TOKEN_TTL": "7200"}, []string{"SF_TOKEN_TTL: ", "unit", "(example: 7200s)"}},
		{"short session", vars{"PROXY_SESSION_TTL": "500ms"}, []string{"PROXY_SESSION_TTL: 500ms is not between 1s and 720h0m0s"}},
		{"short session secret", vars{"PROXY_SESSION_SECRET": "0123456789012345678901234567890"}, []string{"PROXY_SESSION_SECRET: is shorter than 32 characters"}},
		{"negative duration", vars{"PROXY_DRAIN_TIMEOUT": "-1s"}, []string{"PROXY_DRAIN_TIMEOUT: -1s is negative"}},

		{"bare TLD", vars{"SF_TRUSTED_DOMAINS": "acme.example,com"}, []string{`SF_TRUSTED_DOMAINS: "com" would trust everybody`}},
		{"bare TLD behind a star", vars{"SF_TRUSTED_DOMAINS": "*.com"}, []string{`SF_TRUSTED_DOMAINS: "*.com" would`}},
		{"country", vars{"SF_TRUSTED_DOMAINS": "uk"}, []string{`SF_TRUSTED_DOMAINS: "uk" would`}},
		{"below a country", vars{"SF_TRUSTED_DOMAINS": "co.uk"}, []string{`SF_TRUSTED_DOMAINS: "co.uk" would`}},
		{"domain with a scheme", vars{"SF_TRUSTED_DOMAINS": "https://acme.example"}, []string{"SF_TRUSTED_DOMAINS: ", "bare domain"}},
		{"domain with a path", vars{"SF_TRUSTED_DOMAINS": "acme.example/x"}, []string{"SF_TRUSTED_DOMAINS: ", "bare domain"}},
		{"star alone", vars{"SF_TRUSTED_DOMAINS": "*"}, []string{"SF_TRUSTED_DOMAINS: ", "not a domain"}},
		{"star within", vars{"SF_TRUSTED_DOMAINS": "a.*.example"}, []string{"SF_TRUSTED_DOMAINS: ", "not a domain"}},
		{"commas alone", vars{"SF_TRUSTED_DOMAINS": " , "}, []string{"SF_TRUSTED_DOMAINS: holds nothing but commas"}},

		{"API version with a v", vars{"SF_MIN_API_VERSION": "v60.0"}, []string{`SF_MIN_API_VERSION: "v60.0" is no API version`}},
		{"API version without its zero", vars{"SF_MIN_API_VERSION": "60"}, []string{`SF_MIN_API_VERSION: "60" is no API version`}},
		{"API version that is retired", vars{"SF_MIN_API_VERSION": "20.0"}, []string{`SF_MIN_API_VERSION: "20.0" is no API version from 21.0`}},

		{"two keepers of the key", vars{"SF_JWT_KEY": "", "SF_JWT_SIGNER_COMMAND": "/bin/sign", "SF_JWT_PKCS11_URI": "pkcs11:token=a"},
			[]string{"SF_JWT_PKCS11_URI: is set, and so is SF_JWT_SIGNER_COMMAND"}},
		{"key and a keeper of it", vars{"SF_JWT_SIGNER_COMMAND": "/bin/sign"}, []string{"SF_JWT_SIGNER_COMMAND: is set, and so is SF_JWT_KEY: set one"}},
		{"no URI of a token", vars{"SF_JWT_KEY": "", "SF_JWT_PKCS11_URI": "/usr/lib/libsofthsm2.so"}, []string{"SF_JWT_PKCS11_URI: does not begin with pkcs11:"}},

		{"boolean", vars{"SF_ALLOW_HTTP": "ture"}, []string{`SF_ALLOW_HTTP: "ture" is neither true nor false`}},
		{"relative path", vars{"PROXY_ALLOW_PATHS": "/a,services"}, []string{`PROXY_ALLOW_PATHS: "services" does not begin with a slash`}},
		{"path pattern", vars{"PROXY_ALLOW_PATHS": "/services/*"}, []string{`PROXY_ALLOW_PATHS: "/services/*" is not a plain path`}},
		{"log level", vars{"LOG_LEVEL": "loud"}, []string{`LOG_LEVEL: "loud" is none of: debug, info, warn`}},
		{"odd log level", vars{"LOG_LEVEL": "info+2"}, []string{`LOG_LEVEL: "info+2" is none of`}},
		{"log format", vars{"LOG_FORMAT": "xml"}, []string{`LOG_FORMAT: "xml" is none of: auto, json, text`}},
	})
}

func TestParseAcceptsHTTP(t *testing.T) {
	for _, tt := range []struct {
		vars     vars
		warnings int
	}{
		{vars{"SF_LOGIN_URL": "http://127.9.9.9:1234"}, 0},
		{vars{"SF_LOGIN_URL": "http://[::1]:1234"}, 0},
		{vars{"SF_LOGIN_URL": "http://LocalHost"}, 0},
		{vars{"SF_LOGIN_URL": "http://devorg", "SF_ALLOW_HTTP": "true"}, 1},
		{vars{"SF_INSTANCE_URL": "http://devorg", "SF_ALLOW_HTTP": "true"}, 1},
	} {
		if got := parse(t, tt.vars).Warnings; len(got) != tt.warnings {
			t.Errorf("Warnings for %v = %q, want %d", tt.vars, got, tt.warnings)
		}
	}
}

func TestParseBooleans(t *testing.T) {
	for text, want := range map[string]bool{
		"true": true, "TRUE": true, "1": true, "yes": true, "On": true,
		"false": false, "False": false, "0": false, "no": false, "OFF": false,
	} {
		if got := parse(t, vars{"SF_ALLOW_HTTP": text}).Salesforce.AllowHTTP; got != want {
			t.Errorf("SF_ALLOW_HTTP=%s gives %t, want %t", text, got, want)
		}
	}
}

func TestParseSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "12B": 12, "512KiB": 512 << 10, "512kib": 512 << 10, "3KB": 3000,
		"1MB": 1e6, "1 MiB": 1 << 20, "64MiB": 64 << 20,
	} {
		if got := parse(t, vars{"PROXY_REPLAY_BUFFER": text}).Proxy.ReplayBuffer; got != want {
			t.Errorf("PROXY_REPLAY_BUFFER=%s gives %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"65MiB": "more than 64MiB", "67108865": "more than 64MiB", "1GiB": "more than 64MiB", "99999999999999999999": "more than 64MiB",
		"18014398509481984KiB": "more than 64MiB", // 2^64 bytes
		"-1":                   "not a size", "1.5MiB": "not a size", "MiB": "not a size", "1XB": "not a size", "1M": "not a size", "1 2": "not a size",
	} {
		if got := faults(t, vars{"PROXY_REPLAY_BUFFER": text}); !strings.HasPrefix(got, "PROXY_REPLAY_BUFFER: ") || !strings.Contains(got, want) {
			t.Errorf("PROXY_REPLAY_BUFFER=%s gives %q, want %q", text, got, want)
		}
	}
}

func TestParseRefusesAddresses(t *testing.T) {
	runRefusals(t, []refusal{
		{"port alone", vars{"PROXY_LISTEN": "8080"}, []string{"PROXY_LISTEN: ", "no host", "(example: 127.0.0.1:8080)"}},
		{"no port", vars{"PROXY_LISTEN": "127.0.0.1"}, []string{"PROXY_LISTEN: ", "not host:port"}},
		{"port too large", vars{"PROXY_LISTEN": "127.0.0.1:65536"}, []string{"PROXY_LISTEN: ", "no port"}},
		{"named port", vars{"PROXY_ADMIN_LISTEN": "127.0.0.1:http"}, []string{"PROXY_ADMIN_LISTEN: ", "no port"}},
		{"URL", vars{"PROXY_LISTEN": "http://127.0.0.1:8080"}, []string{"PROXY_LISTEN: ", "a URL"}},
		{"star", vars{"PROXY_LISTEN": "*:8080"}, []string{"PROXY_LISTEN: ", "no host name"}},
		{"same address", vars{"PROXY_ADMIN_LISTEN": "127.0.0.1:8080"}, []string{"PROXY_ADMIN_LISTEN: ", "taken by PROXY_LISTEN"}},
		{"same by name", vars{"PROXY_ADMIN_LISTEN": "localhost:8080"}, []string{"PROXY_ADMIN_LISTEN: ", "taken by PROXY_LISTEN"}},
		{"same port on all", vars{"PROXY_ADMIN_LISTEN": ":8080"}, []string{"PROXY_ADMIN_LISTEN: ", "taken by PROXY_LISTEN"}},
		{"proxy is off", vars{"PROXY_LISTEN": "off"}, []string{"PROXY_LISTEN: ", "not host:port"}},

		{"all interfaces without clients", vars{"PROXY_LISTEN": ":8080"}, []string{"PROXY_LISTEN: other machines", "PROXY_CLIENT_0_API_KEY", "PROXY_ALLOW_ANONYMOUS=true"}},
		{"0.0.0.0 without clients", vars{"PROXY_LISTEN": "0.0.0.0:8080"}, []string{"PROXY_LISTEN: other machines"}},
		{"IPv6 without clients", vars{"PROXY_LISTEN": "[::]:8080"}, []string{"PROXY_LISTEN: other machines"}},
		{"a host without clients", vars{"PROXY_LISTEN": "sf.example.com:8080"}, []string{"PROXY_LISTEN: other machines"}},
		{"anonymous is false", vars{"PROXY_LISTEN": ":8080", "PROXY_ALLOW_ANONYMOUS": "false"}, []string{"PROXY_LISTEN: other machines"}},
		{"clients are empty", vars{"PROXY_LISTEN": ":8080", "PROXY_CLIENT_0_NAME": "", "PROXY_CLIENT_0_API_KEY": ""}, []string{"PROXY_LISTEN: other machines"}},
		{"client is at fault", vars{"PROXY_LISTEN": ":8080", "PROXY_CLIENT_0_NAME": "a"}, []string{"PROXY_CLIENT_0_API_KEY: is required"}},
	})
}

func TestParseAcceptsAddresses(t *testing.T) {
	cert, key := writeCertificate(t), write(t, "tls.key", keyText)
	for name, v := range map[string]vars{
		"IPv6 loopback":  {"PROXY_LISTEN": "[::1]:8080"},
		"127.0.0.0/8":    {"PROXY_LISTEN": "127.1.2.3:8080"},
		"localhost":      {"PROXY_LISTEN": "LOCALHOST:9090"},
		"two free ports": {"PROXY_LISTEN": "127.0.0.1:0", "PROXY_ADMIN_LISTEN": "127.0.0.1:0"},
		"anonymous":      {"PROXY_LISTEN": "0.0.0.0:8080", "PROXY_ALLOW_ANONYMOUS": "true"},
		"clients":        {"PROXY_LISTEN": ":8080", "PROXY_CLIENT_0_NAME": "a", "PROXY_CLIENT_0_API_KEY": "0123456789abcdef"},
		"client certificates": {"PROXY_LISTEN": ":8443", "PROXY_TLS_CERT_FILE": cert, "PROXY_TLS_KEY_FILE": key,
			"PROXY_TLS_CLIENT_CA_FILE": cert},
	} {
		if got := parse(t, v).Warnings; len(got) > 0 {
			t.Errorf("%s: Warnings = %q, want none", name, got)
		}
	}
}

func TestParseWarnsOfOpenAdminPort(t *testing.T) {
	got := parse(t, vars{"PROXY_ADMIN_LISTEN": ":8081"}).Warnings
	if len(got) != 1 || !strings.HasPrefix(got[0], "PROXY_ADMIN_LISTEN: other machines can reach :8081") {
		t.Errorf("Warnings = %q, want one of PROXY_ADMIN_LISTEN", got)
	}
}
