package integration_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestCurlCRUD is the README's promise: sObject CRUD with curl alone, over TLS
// upstream.
func TestCurlCRUD(t *testing.T) {
	need(t, "curl")
	for _, setting := range []string{"SF_HTTP2=false", "SF_HTTP2=true"} {
		t.Run(setting, func(t *testing.T) { curlCRUD(t, setting) })
	}
}

func curlCRUD(t *testing.T, setting string) {
	org := startOrg(t, devorg.Config{TLS: true})
	p := startProxy(t, with(org.env, setting))
	api := p.URL + "/services/data/v60.0"

	created := decode[struct {
		ID      string
		Success bool
	}](t, curl(t, api+"/sobjects/Account", "-H", "Content-Type: application/json", "-d", `{"Name":"Acme Rockets"}`))
	if !created.Success || !strings.HasPrefix(created.ID, "001") {
		t.Fatalf("create = %+v, want an id of an Account", created)
	}
	row := api + "/sobjects/Account/" + created.ID
	if read := decode[struct{ Name string }](t, curl(t, row)); read.Name != "Acme Rockets" {
		t.Errorf("read Name = %q, want %q", read.Name, "Acme Rockets")
	}
	status := []string{"-o", "/dev/null", "-w", "%{http_code}"}
	if got := curl(t, row, append(status, "-X", "PATCH", "-H", "Content-Type: application/json", "-d", `{"Phone":"555-0100"}`)...); string(got) != "204" {
		t.Errorf("update = %s, want 204", got)
	}
	found := decode[struct {
		Records []struct{ Phone string }
	}](t, curl(t, api+"/query", "-G", "--data-urlencode", "q=SELECT Phone FROM Account WHERE Name = 'Acme Rockets'"))
	if len(found.Records) != 1 || found.Records[0].Phone != "555-0100" {
		t.Errorf("query = %+v, want the updated record", found)
	}
	if got := curl(t, row, append(status, "-X", "DELETE")...); string(got) != "204" {
		t.Errorf("delete = %s, want 204", got)
	}
	if got := curl(t, row, status...); string(got) != "404" {
		t.Errorf("read after delete = %s, want 404", got)
	}
	if stats := org.Stats(); stats.Grants != 1 {
		t.Errorf("grants = %d, want 1", stats.Grants)
	}
}

func curl(t *testing.T, url string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"-sS", "--max-time", "60", url}, args...)...).Output()
	if err != nil {
		t.Fatalf("curl %s: %v", url, err)
	}
	return out
}
