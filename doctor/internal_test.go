package doctor

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		login, want string // a part of the name
		advised     bool
		wrong       bool
	}{
		{"https://login.salesforce.com", "generic login host of production", true, false},
		{"https://TEST.salesforce.com", "generic login host of sandboxes", true, false},
		{"https://acme.my.salesforce.com", "My Domain of a production", false, false},
		{"https://acme-dev-ed.develop.my.salesforce.com", "My Domain of a production or Developer Edition", false, false},
		{"https://acme--uat.sandbox.my.salesforce.com", "My Domain of a sandbox", false, false},
		{"https://acme--uat.my.salesforce.com", "My Domain of a sandbox", false, false},
		{"https://acme--uat.cs80.my.salesforce.com", "My Domain of a sandbox", false, false},
		{"https://fun-shark-123.scratch.my.salesforce.com", "My Domain of a scratch org", false, false},
		{"https://acme.my.site.com/customers", "Experience Cloud site", false, false},
		{"https://acme.force.com/partners", "Experience Cloud site", false, false},
		{"https://acme.lightning.force.com", "the browser's", false, true},
		{"https://acme.my.salesforce-setup.com", "the browser's", false, true},
		{"https://na30.salesforce.com", "instance", true, false},
		{"https://acme.my.salesforce.mil", "cloud apart", false, false},
		{"http://localhost:8090", "this machine", false, false},
		{"http://[::1]:8090", "this machine", false, false},
		{"https://login.acme.example", "custom domain", false, false},
		{"https://notsalesforce.com", "custom domain", false, false},
	} {
		login, err := url.Parse(tt.login)
		if err != nil {
			t.Fatal(err)
		}
		got := kindOf(login)
		if !strings.Contains(got.name, tt.want) || (got.advice != "") != tt.advised || (got.wrong != "") != tt.wrong {
			t.Errorf("kindOf(%s) = %+v, want %q, advised %v, wrong %v", tt.login, got, tt.want, tt.advised, tt.wrong)
		}
	}
}

func TestAudiences(t *testing.T) {
	const uat = "https://acme--uat.sandbox.my.salesforce.com"
	for _, tt := range []struct {
		login, tried string
		want         []string
	}{
		{uat, production, []string{sandbox, uat}},
		{uat, sandbox, []string{production, uat}},
		{uat, uat + "/", []string{sandbox, production}},
		{"https://acme.my.site.com/customers", production, []string{"https://acme.my.site.com/customers", sandbox}},
		{"https://login.salesforce.com", production, []string{sandbox}},
	} {
		login, err := url.Parse(tt.login)
		if err != nil {
			t.Fatal(err)
		}
		if got := audiences(login, tt.tried); !slices.Equal(got, tt.want) {
			t.Errorf("audiences(%s, %s) = %q, want %q", tt.login, tt.tried, got, tt.want)
		}
	}
}

// TestGrantOfASilentHost: what takes the connection and says nothing is no
// firewall and no wrong host, which cannot be reached at all.
func TestGrantOfASilentHost(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	host := &url.URL{Scheme: "http", Host: silent.Addr().String()}
	x := &examination{token: &auth.Token{InstanceURL: host}, cfg: Config{
		Org:       auth.OrgConfig{LoginURL: host, ConsumerKey: "consumer"},
		Subject:   "ada@example.com",
		Key:       Key{Signer: key},
		Transport: &http.Transport{},
	}}
	briefly := func(check func(context.Context) Result) Result {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return check(ctx)
	}
	if r := briefly(x.instance); r.Status != Failed || !strings.Contains(r.Detail, "does not answer in time: ") {
		t.Errorf("instance = %+v, want that it does not answer in time", r)
	}
	r := briefly(x.grant)
	if r.Status != Failed || !strings.HasPrefix(r.Detail, "the login host does not answer in time: ") ||
		len(r.Remedies) == 0 || !strings.Contains(r.Remedies[0].Fix, "https://status.salesforce.com") {
		t.Errorf("grant = %+v, want that the host does not answer in time", r)
	}
}
