package config_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/config"
)

func TestSettings(t *testing.T) {
	client := config.Client{Name: "billing", APIKey: config.NewSecret("planted-5ecret"), ReadOnly: true, ReadObjects: []string{"Account"}}
	got, err := json.Marshal(config.Settings(client))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"API_KEY":"[redacted]","NAME":"billing","READ_OBJECTS":["Account"],"READ_ONLY":true}`; string(got) != want {
		t.Errorf("settings = %s, want %s", got, want)
	}
	proxy := config.Proxy{Listen: ":8080", PublicURL: &url.URL{Scheme: "https", Host: "sf.example.com"}, SessionTTL: time.Hour,
		SessionSecret: config.NewSecret("planted-5ecret"), TLSKey: config.NewSecret("planted-5ecret"), TLSCert: []byte("text")}
	got, err = json.Marshal(config.Settings(proxy))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"PROXY_LISTEN":":8080","PROXY_PUBLIC_URL":"https://sf.example.com","PROXY_SESSION_SECRET":"[redacted]","PROXY_SESSION_TTL":"1h0m0s"}`; string(got) != want {
		t.Errorf("settings = %s, want %s", got, want)
	}
	if text := fmt.Sprintf("%v %#v", config.Settings(client), config.Settings(proxy)); strings.Contains(text, "planted") {
		t.Errorf("settings print as %s", text)
	}
}

func TestChanged(t *testing.T) {
	before := config.Client{Name: "billing", APIKey: config.NewSecret("one"), Password: config.NewSecret("same"), ReadObjects: []string{"Account"}}
	after := config.Client{Name: "billing", APIKey: config.NewSecret("two"), Password: config.NewSecret("same"), ReadObjects: []string{"Account", "Contact"}}
	if got, want := config.Changed(before, after), []string{"API_KEY", "READ_OBJECTS"}; !slices.Equal(got, want) {
		t.Errorf("changed = %q, want %q", got, want)
	}
	if got := config.Changed(before, before); got != nil {
		t.Errorf("changed = %q, want nothing", got)
	}
}
