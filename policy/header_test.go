package policy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
)

// TestHeaders judges reads that headers of HTTP make more of.
func TestHeaders(t *testing.T) {
	const readOnly, readObjects = policy.ReadOnly, policy.ReadObjects
	for _, tt := range []struct {
		name, value string
		want        policy.Rule
	}{
		{"Sforce-Call-Options", "client=app", ""},
		{"Sforce-Call-Options", "client=app, defaultNamespace=ns", readObjects},
		{"Sforce-Call-Options", "DEFAULTNAMESPACE = ns", readObjects},
		{"X-HTTP-Method-Override", "GET", readOnly},
		{"X-Http-Method", "DELETE", readOnly},
		{"Sforce-Mru", "updateMru=true", readOnly},
		{"Sforce-Mru", "UPDATEMRU = TRUE", readOnly},
		{"Sforce-Mru", "updateMru=false", ""},
		{"Sforce-Mru", "updateMru=false, updateMru=true", readOnly},
		{"Sforce-Query-Options", "batchSize=200", ""},
	} {
		p, err := policy.New(policy.Config{ReadOnly: true, ReadObjects: []string{"Account"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range []policy.Request{
			{Method: "GET", Path: data + "/sobjects/Account/001000000000001AAA", Header: http.Header{tt.name: {tt.value}}},
			{Method: "POST", Path: data + "/composite", Header: http.Header{"Content-Type": {"application/json"}}, HasBody: true,
				Body: func() ([]byte, error) {
					return []byte(composite(`{"method":"GET","url":"` + data + `/sobjects/Account/001000000000001AAA","httpHeaders":{"` +
						strings.ToLower(tt.name) + `":"` + tt.value + `"}}`)), nil
				}},
		} {
			request.Resolve = resolve
			if got := p.Decide(&request); got.Rule != tt.want {
				t.Errorf("%s: %s with %s: denied by %q, want %q: %s", tt.name, tt.value, request.Path, got.Rule, tt.want, got.Reason)
			}
		}
	}
}

// TestSOAPMostRecentlyUsed refuses to readers what would count a read as a use.
func TestSOAPMostRecentlyUsed(t *testing.T) {
	with := func(header, operation string) string {
		return strings.Replace(partner(operation), "<e:Header>", "<e:Header>"+header, 1)
	}
	const soap, query = "/services/Soap/u/60.0", `<query><queryString>SELECT Id FROM Account</queryString></query>`
	mru := func(value string) string {
		return `<MruHeader xmlns="urn:partner.soap.sforce.com"><updateMru>` + value + `</updateMru></MruHeader>`
	}
	check(t, policy.Config{ReadOnly: true}, []example{
		{"POST", soap, with(mru("true"), query), policy.ReadOnly},
		{"POST", soap, with(mru("1"), query), policy.ReadOnly},
		{"POST", soap, with(mru("false")+mru("true"), query), policy.ReadOnly},
		{"POST", soap, with(mru(" false "), query), ""},
		{"POST", soap, with(mru("0"), query), ""},
		{"POST", soap, with(mru("true"), `<retrieve><fieldList>Id</fieldList><sObjectType>Account</sObjectType><ids>001000000000001AAA</ids></retrieve>`), policy.ReadOnly},
	})
}
