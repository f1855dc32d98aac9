package doctor

import (
	"net/url"
	"slices"
	"strings"
	"testing"
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
