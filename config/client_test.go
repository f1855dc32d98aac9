package config_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"
	"testing"
)

// clients returns two valid clients with v over them.
func clients(v vars) vars {
	all := vars{
		"PROXY_CLIENT_0_NAME": "a", "PROXY_CLIENT_0_API_KEY": "key-of-the-first-client",
		"PROXY_CLIENT_1_NAME": "b", "PROXY_CLIENT_1_USERNAME": "b@example.com", "PROXY_CLIENT_1_PASSWORD": "p",
	}
	maps.Copy(all, v)
	return all
}

func TestParseRefusesClients(t *testing.T) {
	sum := sha256.Sum256([]byte("key-of-the-first-client"))
	hash := "sha256:" + strings.ToUpper(hex.EncodeToString(sum[:]))
	short := write(t, "short.key", "123456789012345\n")
	same := write(t, "same.key", "key-of-the-first-client\n")
	runRefusals(t, []refusal{
		{"gap", clients(vars{"PROXY_CLIENT_3_NAME": "d", "PROXY_CLIENT_3_API_KEY": "key-of-the-fourth-client"}),
			[]string{"PROXY_CLIENT_2_NAME: is missing", "PROXY_CLIENT_3"}},
		{"counted from 1", vars{"PROXY_CLIENT_1_NAME": "a", "PROXY_CLIENT_1_API_KEY": "key-of-the-first-client"}, []string{"PROXY_CLIENT_0_NAME: is missing"}},
		{"no number", vars{"PROXY_CLIENT_NAME": "a"}, []string{"PROXY_CLIENT_NAME: ", "number"}},
		{"letter for a number", vars{"PROXY_CLIENT_O_API_KEY_FILE": "/x"}, []string{"PROXY_CLIENT_O_API_KEY_FILE: ", "number"}},
		{"zero before the number", vars{"PROXY_CLIENT_00_NAME": "a"}, []string{"PROXY_CLIENT_00_NAME: ", "number"}},
		{"no name", clients(vars{"PROXY_CLIENT_0_NAME": ""}), []string{"PROXY_CLIENT_0_NAME: is required"}},
		{"misspelt name", clients(vars{"PROXY_CLIENT_0_NAME": "", "PROXY_CLIENT_0_NMAE": "a"}), []string{"PROXY_CLIENT_0_NAME: is required; is PROXY_CLIENT_0_NMAE a misspelling"}},
		{"odd name", clients(vars{"PROXY_CLIENT_0_NAME": "a b"}), []string{"PROXY_CLIENT_0_NAME: is not 1 to 64"}},
		{"long name", clients(vars{"PROXY_CLIENT_0_NAME": strings.Repeat("a", 65)}), []string{"PROXY_CLIENT_0_NAME: is not 1 to 64"}},
		{"same name", clients(vars{"PROXY_CLIENT_1_NAME": "a"}), []string{"PROXY_CLIENT_1_NAME: has the same value as PROXY_CLIENT_0_NAME"}},
		{"no credential", clients(vars{"PROXY_CLIENT_0_API_KEY": ""}), []string{"PROXY_CLIENT_0_API_KEY: is required", "PROXY_CLIENT_0_PASSWORD"}},
		{"no password", clients(vars{"PROXY_CLIENT_1_PASSWORD": ""}), []string{"PROXY_CLIENT_1_PASSWORD: is required with PROXY_CLIENT_1_USERNAME"}},
		{"no username", clients(vars{"PROXY_CLIENT_1_USERNAME": ""}), []string{"PROXY_CLIENT_1_USERNAME: is required with PROXY_CLIENT_1_PASSWORD"}},
		{"half a login beside a key", clients(vars{"PROXY_CLIENT_0_USERNAME": "u"}), []string{"PROXY_CLIENT_0_PASSWORD: is required with"}},
		{"consumer key without a login", clients(vars{"PROXY_CLIENT_0_CONSUMER_KEY": "app"}), []string{"PROXY_CLIENT_0_USERNAME: is required with PROXY_CLIENT_0_CONSUMER_KEY"}},
		{"consumer secret alone", clients(vars{"PROXY_CLIENT_1_CONSUMER_SECRET": "s"}), []string{"PROXY_CLIENT_1_CONSUMER_KEY: is required with PROXY_CLIENT_1_CONSUMER_SECRET"}},
		{"short key", clients(vars{"PROXY_CLIENT_0_API_KEY": "123456789012345"}), []string{"PROXY_CLIENT_0_API_KEY: is shorter than 16"}},
		{"short key in a file", clients(vars{"PROXY_CLIENT_0_API_KEY": "", "PROXY_CLIENT_0_API_KEY_FILE": short}), []string{"PROXY_CLIENT_0_API_KEY_FILE: " + strconv.Quote(short) + " is shorter than 16 characters"}},
		{"key with a space", clients(vars{"PROXY_CLIENT_0_API_KEY": "12345678 0123456"}), []string{"PROXY_CLIENT_0_API_KEY: holds a space"}},
		{"key beyond ASCII", clients(vars{"PROXY_CLIENT_0_API_KEY": "1234567890123456é"}), []string{"PROXY_CLIENT_0_API_KEY: holds a space"}},
		{"short hash", clients(vars{"PROXY_CLIENT_0_API_KEY": "sha256:0123456789abcdef"}), []string{"PROXY_CLIENT_0_API_KEY: begins with sha256:"}},
		{"odd hash", clients(vars{"PROXY_CLIENT_0_API_KEY": "sha256:" + strings.Repeat("xy", 32)}), []string{"PROXY_CLIENT_0_API_KEY: begins with sha256:"}},
		{"same key", clients(vars{"PROXY_CLIENT_1_API_KEY": "key-of-the-first-client"}), []string{"PROXY_CLIENT_1_API_KEY: has the same value as PROXY_CLIENT_0_API_KEY"}},
		{"same key as a hash", clients(vars{"PROXY_CLIENT_1_API_KEY": hash}), []string{"PROXY_CLIENT_1_API_KEY: has the same value as PROXY_CLIENT_0_API_KEY"}},
		{"same key in a file", clients(vars{"PROXY_CLIENT_1_API_KEY_FILE": same}), []string{"PROXY_CLIENT_1_API_KEY_FILE: has the same value as PROXY_CLIENT_0_API_KEY"}},
		{"same username", clients(vars{"PROXY_CLIENT_0_USERNAME": "B@Example.com", "PROXY_CLIENT_0_PASSWORD": "q"}), []string{"PROXY_CLIENT_1_USERNAME: has the same value as PROXY_CLIENT_0_USERNAME"}},
		{"boolean of a client", clients(vars{"PROXY_CLIENT_1_READ_ONLY": "si"}), []string{`PROXY_CLIENT_1_READ_ONLY: "si" is neither`}},
	})
}

func TestParseAcceptsClients(t *testing.T) {
	cfg := parse(t, clients(vars{
		"PROXY_CLIENT_0_API_KEY": "sha256:" + strings.Repeat("0aF1", 16),
		"PROXY_CLIENT_1_NAME":    strings.Repeat("aZ9._-", 10) + "abcd",
		"PROXY_CLIENT_1_API_KEY": "!key~with$signs%",
	}))
	if len(cfg.Clients) != 2 || len(cfg.Warnings) > 0 {
		t.Errorf("Parse = %+v, want two clients and no warning", cfg)
	}
}

func TestParseRefusesCertificateNames(t *testing.T) {
	mutual := func(v vars) vars {
		all := clients(v)
		all["PROXY_TLS_CERT_FILE"], all["PROXY_TLS_KEY_FILE"], all["PROXY_TLS_CLIENT_CA_FILE"] = writeCertificate(t), write(t, "tls.key", keyText), writeCertificate(t)
		return all
	}
	runRefusals(t, []refusal{
		{"without an authority", clients(vars{"PROXY_CLIENT_0_CERT_NAME": "a.example"}), []string{"PROXY_CLIENT_0_CERT_NAME: needs PROXY_TLS_CLIENT_CA_FILE"}},
		{"same in another case", mutual(vars{"PROXY_CLIENT_0_CERT_NAME": "a.example", "PROXY_CLIENT_1_CERT_NAME": "A.example"}),
			[]string{"PROXY_CLIENT_1_CERT_NAME: has the same value as PROXY_CLIENT_0_CERT_NAME"}},
		{"of many", mutual(vars{"PROXY_CLIENT_0_CERT_NAME": "*.example"}), []string{"PROXY_CLIENT_0_CERT_NAME: holds a *"}},
		{"a whole subject", mutual(vars{"PROXY_CLIENT_0_CERT_NAME": "CN=a,O=b"}), []string{"PROXY_CLIENT_0_CERT_NAME: is not one name"}},
		{"too long", mutual(vars{"PROXY_CLIENT_0_CERT_NAME": strings.Repeat("a", 256)}), []string{"PROXY_CLIENT_0_CERT_NAME: is longer than 255"}},
	})
	cfg := parse(t, mutual(vars{"PROXY_CLIENT_0_API_KEY": "", "PROXY_CLIENT_0_CERT_NAME": "spiffe://example.com/a?b"}))
	if got := cfg.Clients[0]; got.CertName != "spiffe://example.com/a?b" || !got.APIKey.IsZero() {
		t.Errorf("Parse = %+v, want a client with a certificate's name and no key", got)
	}
}

func TestParseKeepsTheOrderOfClients(t *testing.T) {
	v := vars{}
	for i := range 12 {
		n := string("0123456789AB"[i])
		name := "PROXY_CLIENT_" + map[string]string{"A": "10", "B": "11"}[n]
		if i < 10 {
			name += n
		}
		v[name+"_NAME"], v[name+"_API_KEY"] = "c"+n, "a-key-that-is-long-"+n
	}
	cfg := parse(t, v)
	var got string
	for _, c := range cfg.Clients {
		got += c.Name
	}
	if want := "c0c1c2c3c4c5c6c7c8c9cAcB"; got != want {
		t.Errorf("clients = %s, want %s", got, want)
	}
}

func TestParseWarnsOfUnknownVariables(t *testing.T) {
	for _, tt := range []struct {
		name string
		vars vars
		want string
	}{
		{"swapped letters", vars{"SF_LOGIN_ULR": "x"}, "SF_LOGIN_ULR is not a variable of sfproxy: did you mean SF_LOGIN_URL?"},
		{"missing letter", vars{"PROXY_LISTE": "x"}, "PROXY_LISTE is not a variable of sfproxy: did you mean PROXY_LISTEN?"},
		{"file of a secret", vars{"SF_JWT_KEY_PASSPHRASE_FIEL": "x"}, "SF_JWT_KEY_PASSPHRASE_FIEL is not a variable of sfproxy: did you mean SF_JWT_KEY_PASSPHRASE_FILE?"},
		{"beginning of a name", vars{"SF_USER": "x"}, "SF_USER is not a variable of sfproxy: did you mean SF_USERNAME?"},
		{"beginning of a secret and its file", vars{"SF_JWT_KEY_PASS": "x"}, "SF_JWT_KEY_PASS is not a variable of sfproxy: did you mean SF_JWT_KEY_PASSPHRASE?"},
		{"beginning of several", vars{"PROXY_TLS": "x"}, "PROXY_TLS is not a variable of sfproxy"},
		{"log level", vars{"LOG_LEVL": "x"}, "LOG_LEVL is not a variable of sfproxy: did you mean LOG_LEVEL?"},
		{"far from all", vars{"SF_ORG_MAX_QUERY_LIMIT_OF_ANOTHER_TOOL": "x"}, "SF_ORG_MAX_QUERY_LIMIT_OF_ANOTHER_TOOL is not a variable of sfproxy"},
		{"of a client", clients(vars{"PROXY_CLIENT_1_SUBJCET": "x"}), "PROXY_CLIENT_1_SUBJCET is not a variable of sfproxy: did you mean PROXY_CLIENT_1_SUBJECT?"},
		{"FOO of a client", clients(vars{"PROXY_CLIENT_0_FOO": "x"}), "PROXY_CLIENT_0_FOO is not a variable of sfproxy: did you mean PROXY_CLIENT_0_NAME?"},
		{"clients of no client", vars{"PROXY_CLIENTS_0_NAME": "x"}, "PROXY_CLIENTS_0_NAME is not a variable of sfproxy: did you mean PROXY_CLIENT_0_NAME?"},
		{"a service's address", vars{"PROXY_CLIENT_SERVICE_HOST": "10.0.0.1"}, "PROXY_CLIENT_SERVICE_HOST is not a variable of sfproxy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.vars).Warnings; len(got) != 1 || got[0] != tt.want {
				t.Errorf("Warnings = %q, want %q", got, tt.want)
			}
		})
	}
	if got := parse(t, vars{"LOG_COLOUR": "x", "LOG_FILE": "x", "LOG_FORMATTER": "x", "SFPROXY": "x", "HTTP_PROXY": "x", "PROXYCHAINS": "x"}).Warnings; len(got) > 0 {
		t.Errorf("Warnings of others' variables = %q, want none", got)
	}
}

func TestParseWarnsOfSubjectsWithoutAt(t *testing.T) {
	got := parse(t, clients(vars{"SF_USERNAME": "integration", "PROXY_CLIENT_0_SUBJECT": "billing"})).Warnings
	if len(got) != 2 || !strings.HasPrefix(got[0], `SF_USERNAME: "integration" has no @`) || !strings.HasPrefix(got[1], `PROXY_CLIENT_0_SUBJECT: "billing" has no @`) {
		t.Errorf("Warnings = %q, want one for each", got)
	}
}

func TestParsePointsAtMisspelling(t *testing.T) {
	runRefusals(t, []refusal{
		{"consumer key", vars{"SF_CLIENT_ID": "", "SF_CLEINT_ID": "x"}, []string{"SF_CLIENT_ID: is required; is SF_CLEINT_ID a misspelling of it?"}},
		{"key file", vars{"SF_JWT_KEY": "", "SF_JWT_KEY_FIEL": "x"}, []string{"SF_JWT_KEY_FILE: is required", "is SF_JWT_KEY_FIEL a misspelling of it?"}},
	})
}
