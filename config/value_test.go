package config_test

import (
	"slices"
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
		{"short stall", vars{"PROXY_STALL_TIMEOUT": "0s"}, []string{"PROXY_STALL_TIMEOUT: 0s is not between 1s and 1h0m0s; to let clients be as slow as they like, set PROXY_MIN_BODY_RATE=0"}},
		{"rate without a unit that is known", vars{"PROXY_MIN_BODY_RATE": "1kbps"}, []string{"PROXY_MIN_BODY_RATE: \"1kbps\" is not a size"}},
		{"short session", vars{"PROXY_SESSION_TTL": "500ms"}, []string{"PROXY_SESSION_TTL: 500ms is not between 1s and 720h0m0s"}},
		{"short session secret", vars{"PROXY_SESSION_SECRET": "0123456789012345678901234567890"}, []string{"PROXY_SESSION_SECRET: is shorter than 32 characters"}},
		{"profiles without an admin port", vars{"PROXY_PPROF": "true", "PROXY_ADMIN_LISTEN": "off"}, []string{"PROXY_PPROF: needs the admin port"}},
		{"negative duration", vars{"PROXY_DRAIN_TIMEOUT": "-1s"}, []string{"PROXY_DRAIN_TIMEOUT: -1s is negative"}},

		{"no number", vars{"PROXY_MAX_REQUESTS": "many"}, []string{`PROXY_MAX_REQUESTS: "many" is no whole number`}},
		{"negative number", vars{"PROXY_MAX_CONNECTIONS": "-1"}, []string{`PROXY_MAX_CONNECTIONS: "-1" is no whole number`}},
		{"number without an end", vars{"PROXY_MAX_CONNECTIONS_PER_ADDRESS": "2000000000"}, []string{`PROXY_MAX_CONNECTIONS_PER_ADDRESS: "2000000000" is more than a billion; no limit is 0`}},
		{"number of a client", clients(vars{"PROXY_CLIENT_0_MAX_REQUESTS": "1.5"}), []string{`PROXY_CLIENT_0_MAX_REQUESTS: "1.5" is no whole number`}},

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

		{"no count", vars{"SF_MAX_CONCURRENT": "-1"}, []string{`SF_MAX_CONCURRENT: "-1" is no whole number`}},
		{"a path for an address", vars{"PROXY_LISTEN": "/run/sfproxy.sock"}, []string{`PROXY_LISTEN: "/run/sfproxy.sock" is a path`, "(example: unix:/run/sfproxy.sock)"}},
		{"a URL of a socket", vars{"PROXY_LISTEN": "unix:///run/sfproxy.sock"}, []string{"PROXY_LISTEN: ", "is not the path of a file", "(example: unix:/run/sfproxy.sock)"}},
		{"a receiver without a scheme", vars{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT: ", "no scheme", "(example: http://localhost:4318)"}},
		{"no wait", vars{"SF_QUEUE_TIMEOUT": "0s"}, []string{"SF_QUEUE_TIMEOUT: 0s is not positive"}},
		{"no reserve", vars{"PROXY_API_RESERVE": "a tenth"}, []string{`PROXY_API_RESERVE: "a tenth" is neither a percentage`}},
		{"reserve of all and more", vars{"PROXY_API_RESERVE": "101%"}, []string{`PROXY_API_RESERVE: "101%" is neither a percentage`}},

		{"two keepers of the key", vars{"SF_JWT_KEY": "", "SF_JWT_SIGNER_COMMAND": "/bin/sign", "SF_JWT_PKCS11_URI": "pkcs11:token=a"},
			[]string{"SF_JWT_PKCS11_URI: is set, and so is SF_JWT_SIGNER_COMMAND"}},
		{"key's file and a keeper of it", vars{"SF_JWT_KEY": "", "SF_JWT_KEY_FILE": write(t, "server.key", keyText), "SF_JWT_SIGNER_COMMAND": "/bin/sign"},
			[]string{"SF_JWT_SIGNER_COMMAND: is set, and so is SF_JWT_KEY_FILE: set one"}},
		{"key and a keeper of it", vars{"SF_JWT_SIGNER_COMMAND": "/bin/sign"}, []string{"SF_JWT_SIGNER_COMMAND: is set, and so is SF_JWT_KEY: set one"}},
		{"no URI of a token", vars{"SF_JWT_KEY": "", "SF_JWT_PKCS11_URI": "/usr/lib/libsofthsm2.so"}, []string{"SF_JWT_PKCS11_URI: does not begin with pkcs11:"}},

		{"boolean", vars{"SF_ALLOW_HTTP": "ture"}, []string{`SF_ALLOW_HTTP: "ture" is neither true nor false`}},
		{"relative path", vars{"PROXY_ALLOW_PATHS": "/a,services"}, []string{`PROXY_ALLOW_PATHS: "services" does not begin with a slash`}},
		{"a client's path outside the forwarded ones", clients(vars{"PROXY_ALLOW_PATHS": "/services/data", "PROXY_CLIENT_0_ALLOW_PATHS": "/services/data/v60.0,/services/database"}),
			[]string{`PROXY_CLIENT_0_ALLOW_PATHS: "/services/database" does not lie in PROXY_ALLOW_PATHS`}},
		{"a client's relative path", clients(vars{"PROXY_CLIENT_0_ALLOW_PATHS": "services"}), []string{`PROXY_CLIENT_0_ALLOW_PATHS: "services" does not begin with a slash`}},
		{"objects with spaces between them", clients(vars{"PROXY_CLIENT_0_READ_OBJECTS": "Account Contact"}), []string{`PROXY_CLIENT_0_READ_OBJECTS: "Account Contact" is not the API name of an object`}},
		{"relationship to write", clients(vars{"PROXY_CLIENT_0_WRITE_OBJECTS": "Contact.Account"}), []string{`PROXY_CLIENT_0_WRITE_OBJECTS: "Contact.Account" is not the API name`}},
		{"objects to write of a reader", clients(vars{"PROXY_CLIENT_0_WRITE_OBJECTS": "Contact", "PROXY_CLIENT_0_READ_ONLY": "true"}), []string{`PROXY_CLIENT_0_WRITE_OBJECTS: is set, and PROXY_CLIENT_0_READ_ONLY lets the client write nothing`}},
		{"API version without its zero", clients(vars{"PROXY_CLIENT_0_API_VERSIONS": "58.0-62.0,63"}), []string{`PROXY_CLIENT_0_API_VERSIONS: "63" is neither an API version`}},
		{"API versions backwards", clients(vars{"PROXY_CLIENT_0_API_VERSIONS": "62.0-58.0"}), []string{`PROXY_CLIENT_0_API_VERSIONS: "62.0-58.0" is neither an API version`}},
		{"path pattern", vars{"PROXY_ALLOW_PATHS": "/services/*"}, []string{`PROXY_ALLOW_PATHS: "/services/*" is not a plain path`}},
		{"host with a port", vars{"PROXY_ALLOW_HOSTS": "proxy:8080"}, []string{`PROXY_ALLOW_HOSTS: "proxy:8080" is not a bare host name`}},
		{"host pattern", vars{"PROXY_ALLOW_HOSTS": "*.acme.example"}, []string{`PROXY_ALLOW_HOSTS: "*.acme.example" stands for`, "list each"}},
		{"no host", vars{"PROXY_ALLOW_HOSTS": "a b"}, []string{`PROXY_ALLOW_HOSTS: "a b" is not a host name`}},
		{"any origin", vars{"PROXY_CORS_ORIGINS": "*"}, []string{`PROXY_CORS_ORIGINS: "*" would let in`}},
		{"origin pattern", vars{"PROXY_CORS_ORIGINS": "https://*.acme.example"}, []string{`PROXY_CORS_ORIGINS: "https://*.acme.example" would let in`}},
		{"opaque origin", vars{"PROXY_CORS_ORIGINS": "null"}, []string{`PROXY_CORS_ORIGINS: "null" would let in`}},
		{"origin without a scheme", vars{"PROXY_CORS_ORIGINS": "acme.example"}, []string{`PROXY_CORS_ORIGINS: "acme.example" has no scheme`}},
		{"origin with a path", vars{"PROXY_CORS_ORIGINS": "https://acme.example/app"}, []string{"PROXY_CORS_ORIGINS: ", "has a path"}},
		{"origin with a name as people write it", vars{"PROXY_CORS_ORIGINS": "https://b\u00fccher.example"}, []string{"PROXY_CORS_ORIGINS: ", "xn--"}},
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
		{vars{"SF_LOGIN_URL": "http://devorg", "SF_INSTANCE_URL": "http://devorg", "SF_ALLOW_HTTP": "true"}, 2},
		{vars{"SF_ALLOW_HTTP": "true"}, 1},
	} {
		if got := parse(t, tt.vars).Warnings; len(got) != tt.warnings {
			t.Errorf("Warnings for %v = %q, want %d", tt.vars, got, tt.warnings)
		} else if len(got) > 0 && !strings.Contains(strings.Join(got, " "), "SF_ALLOW_HTTP") {
			t.Errorf("Warnings for %v = %q, want SF_ALLOW_HTTP in them", tt.vars, got)
		}
	}
}

func TestParseWarnsOfPrivateAddresses(t *testing.T) {
	cfg := parse(t, vars{"SF_ALLOW_PRIVATE": "true"})
	if got := cfg.Warnings; !cfg.Salesforce.AllowPrivate || len(got) != 1 || !strings.HasPrefix(got[0], "SF_ALLOW_PRIVATE: ") {
		t.Errorf("AllowPrivate = %t, Warnings = %q, want a warning of SF_ALLOW_PRIVATE", cfg.Salesforce.AllowPrivate, got)
	}
	if cfg := parse(t, nil); cfg.Salesforce.AllowPrivate || len(cfg.Warnings) != 0 {
		t.Errorf("by default AllowPrivate = %t with the warnings %q, want none", cfg.Salesforce.AllowPrivate, cfg.Warnings)
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
		{"socket without a path", vars{"PROXY_LISTEN": "unix:"}, []string{"PROXY_LISTEN: ", "no absolute path", "(example: unix:/run/sfproxy/sfproxy.sock)"}},
		{"socket in a relative place", vars{"PROXY_LISTEN": "unix:sfproxy.sock"}, []string{"PROXY_LISTEN: ", "no absolute path"}},
		{"socket as a URL", vars{"PROXY_LISTEN": "unix:///run/sfproxy.sock"}, []string{"PROXY_LISTEN: ", "not the path of a file"}},
		{"socket that is a directory", vars{"PROXY_LISTEN": "unix:/run/"}, []string{"PROXY_LISTEN: ", "not the path of a file"}},
		{"long socket", vars{"PROXY_LISTEN": "unix:/" + strings.Repeat("a", 103)}, []string{"PROXY_LISTEN: ", "longer than the 103 bytes"}},
		{"admin port as a socket", vars{"PROXY_ADMIN_LISTEN": "unix:/run/admin.sock"}, []string{"PROXY_ADMIN_LISTEN: "}},
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

func TestParseWarnsOfProfiles(t *testing.T) {
	cfg := parse(t, vars{"PROXY_PPROF": "true"})
	if got := cfg.Warnings; !cfg.Proxy.Profiles || len(got) != 1 || !strings.HasPrefix(got[0], "PROXY_PPROF: whoever reaches the admin port") {
		t.Errorf("Profiles = %t, Warnings = %q, want a warning of PROXY_PPROF", cfg.Proxy.Profiles, got)
	}
}

// What net/http cannot read it goes without, and does not say so.
func TestParseWarnsOfCompanyProxy(t *testing.T) {
	for _, tt := range []struct{ upper, lower, want string }{
		{"http://user:50%planted@proxy.example:3128", "", "HTTPS_PROXY"},
		{"", "http://user:50%planted@proxy.example:3128", "https_proxy"},
		{" http://planted.example:3128", "", "HTTPS_PROXY"},
		{"http://proxy.example:3128", "50%planted", ""},
		{"http://user:50%25planted@proxy.example:3128", "", ""},
		{"proxy.example:3128", "", ""},
		{"10.0.0.1:3128", "", ""},
		{"", "", ""},
	} {
		v := vars{"HTTPS_PROXY": tt.upper, "https_proxy": tt.lower}
		switch got := parse(t, v).Warnings; {
		case tt.want == "" && len(got) > 0:
			t.Errorf("%v: Warnings = %q, want none", v, got)
		case tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want+" cannot be read") || strings.Contains(got[0], "planted")):
			t.Errorf("%v: Warnings = %q, want one of %s that does not show the value", v, got, tt.want)
		}
	}
}

func TestParseHostsAndOrigins(t *testing.T) {
	cfg := parse(t, vars{"PROXY_ALLOW_HOSTS": "Proxy, sf.Acme.example,10.0.0.1,[FD00::1]",
		"PROXY_CORS_ORIGINS": "https://App.acme.example:443/,http://localhost:3000,http://[::1]:80,http://intranet"})
	if got, want := cfg.Proxy.AllowHosts, []string{"proxy", "sf.acme.example", "10.0.0.1", "fd00::1"}; !slices.Equal(got, want) {
		t.Errorf("AllowHosts = %q, want %q", got, want)
	}
	if got, want := cfg.Proxy.CORSOrigins, []string{"https://app.acme.example", "http://localhost:3000", "http://[::1]", "http://intranet"}; !slices.Equal(got, want) {
		t.Errorf("CORSOrigins = %q, want %q", got, want)
	}
	if got := cfg.Warnings; len(got) != 1 || !strings.Contains(got[0], `"http://intranet" is not https`) {
		t.Errorf("Warnings = %q, want one of http://intranet", got)
	}
}

func TestParseTraces(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, test := range []struct {
		set     vars
		on      bool
		warning string // beginning
	}{
		{vars{}, false, ""},
		{vars{endpoint: "http://127.0.0.1:4318"}, true, ""},
		{vars{endpoint: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, false, ""},
		{vars{endpoint: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{vars{endpoint: "http://127.0.0.1:4317"}, true, endpoint + ": port 4317"},
		{vars{endpoint: "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, "OTEL_EXPORTER_OTLP_PROTOCOL: "},
		{vars{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, false, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is not read"},
		{vars{endpoint: "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.2:4318/v1/traces"}, true, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is not read"},
		{vars{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.2:4318/v1/traces", "OTEL_SDK_DISABLED": "true"}, false, ""},
	} {
		cfg := parse(t, test.set)
		if on := cfg.Traces.Endpoint != nil; on != test.on {
			t.Errorf("%v: traces are on: %v", test.set, on)
		}
		if warned := len(cfg.Warnings) == 1 && strings.HasPrefix(cfg.Warnings[0], test.warning); warned != (test.warning != "") || len(cfg.Warnings) > 1 {
			t.Errorf("%v: Warnings = %q, want %q", test.set, cfg.Warnings, test.warning)
		}
	}
}
