package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
)

// Secrets of several looks, none of which may come back in a message.
var plantedSecrets = []string{
	"planted-5ecret", "p1anted", "planted/with/slashes==", "/planted+base64/and==", "//planted", "planted with spaces and a colon: x",
	keyText, strings.TrimSpace(keyText), "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t", "sha256:planted", "\"planted in quotes\"", strings.Repeat("planted", 60),
	"planted\nin two lines", "plänted", "$planted%s%d", "~planted",
}

// everything returns what Parse says and what it returns as text.
func everything(v vars) string {
	cfg, err := config.Parse(environ(v))
	text := fmt.Sprintf("%+v %#v ", cfg, cfg)
	if cfg != nil {
		text += fmt.Sprintf("%q %+v %+v", cfg.Warnings, cfg.Salesforce, cfg.Clients)
	}
	if err != nil {
		text += fmt.Sprintf("%v %+v %#v", err, err, err)
	}
	return text
}

func TestParseNeverShowsSecret(t *testing.T) {
	variables := []string{
		"SF_JWT_KEY", "SF_JWT_KEY_PASSPHRASE", "PROXY_CLIENT_0_API_KEY", "PROXY_CLIENT_0_PASSWORD",
		"SF_JWT_KEY_FILE", "SF_JWT_KEY_PASSPHRASE_FILE", "PROXY_CLIENT_0_API_KEY_FILE", "PROXY_CLIENT_0_PASSWORD_FILE", "PROXY_TLS_KEY_FILE", // in the place of a path
		"SF_JWT_KYE", "SF_CLIENT_SECRET", "SF_PASSWORD", "PROXY_API_KEY", "PROXY_CLIENT_API_KEY", "PROXY_CLIENT_0_API_KYE", "PROXY_CLIENT_0_SECRET", // unknown
		"PROXY_CLIENT_2_PASSWORD", // after a gap
	}
	for _, secret := range plantedSecrets {
		for _, variable := range variables {
			for _, v := range []vars{
				{variable: secret},
				{variable: secret, "SF_JWT_KEY": "", "SF_CLIENT_ID": "", "PROXY_LISTEN": ":1", "PROXY_CLIENT_1_READ_ONLY": "x"},
				{variable: secret, "PROXY_CLIENT_0_NAME": "a", "PROXY_CLIENT_1_API_KEY": secret, "PROXY_CLIENT_1_NAME": "a"},
				{variable: secret, variable + "_FILE": "/no/such", "PROXY_CLIENT_0_NAME": "a b"},
				{variable: secret, strings.TrimSuffix(variable, "_FILE"): secret},
			} {
				v[variable] = secret
				if got := everything(v); shows(got, secret) {
					t.Errorf("Parse with %s=%q shows it: %s", variable, secret, got)
				}
			}
		}
	}
}

// shows reports whether text holds the secret, or its telling part, as it is
// or quoted.
func shows(text, secret string) bool {
	return strings.Contains(text, secret) || strings.Contains(text, strings.Trim(fmt.Sprintf("%q", secret), `"`)) ||
		strings.Contains(text, "planted") || strings.Contains(text, "p1anted")
}

func TestParseNeverShowsSecretFromFile(t *testing.T) {
	for _, secret := range plantedSecrets {
		for _, variable := range []string{"SF_JWT_KEY_FILE", "SF_JWT_KEY_PASSPHRASE_FILE", "PROXY_CLIENT_0_API_KEY_FILE", "PROXY_CLIENT_0_PASSWORD_FILE", "SF_CA_FILE", "PROXY_TLS_KEY_FILE"} {
			path := write(t, "content", secret)
			for _, v := range []vars{{variable: path}, {variable: path, "SF_JWT_KEY": ""}, {variable: path, "SF_USERNAME": "", "PROXY_CLIENT_0_NAME": "a"}} {
				if got := everything(v); shows(got, secret) {
					t.Errorf("Parse with %q in the file of %s shows it: %s", secret, variable, got)
				}
			}
		}
	}
}

func TestParseNeverShowsCredentialInURL(t *testing.T) {
	for _, variable := range []string{"SF_LOGIN_URL", "SF_INSTANCE_URL", "PROXY_PUBLIC_URL", "PROXY_LISTEN", "PROXY_ADMIN_LISTEN", "SF_TRUSTED_DOMAINS", "PROXY_ALLOW_PATHS"} {
		for _, value := range []string{
			"https://user:planted@acme.example", "http://user:planted@acme.example", "user:planted@acme.example", "https://user:planted@acme example",
			"https://acme.example/?token=planted", "https://acme.example/#planted", "ftp://planted@acme.example", "https://u:planted@acme.example:99999",
		} {
			if got := everything(vars{variable: value}); shows(got, "planted") {
				t.Errorf("Parse with %s=%s shows the password: %s", variable, value, got)
			}
		}
	}
}

func FuzzParseNeverShowsSecret(f *testing.F) {
	f.Add("planted-5ecret")
	f.Add(keyText)
	f.Fuzz(func(t *testing.T, secret string) {
		if len(secret) < 12 || strings.ContainsRune(secret, 0) {
			t.Skip()
		}
		v := vars{"SF_JWT_KEY": secret, "SF_JWT_KEY_PASSPHRASE": secret, "PROXY_CLIENT_0_API_KEY": secret, "PROXY_CLIENT_0_PASSWORD": secret, "PROXY_CLIENT_0_NAME": "a"}
		plain := everything(vars{"SF_JWT_KEY": "x", "SF_JWT_KEY_PASSPHRASE": "x", "PROXY_CLIENT_0_API_KEY": "x", "PROXY_CLIENT_0_PASSWORD": "x", "PROXY_CLIENT_0_NAME": "a"})
		if got := everything(v); strings.Contains(got, secret) && !strings.Contains(plain, secret) {
			t.Errorf("Parse shows %q: %s", secret, got)
		}
	})
}
