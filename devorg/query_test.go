package devorg_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

func (s session) query(soql string) reply {
	s.t.Helper()
	return s.do("GET", data+"/query?q="+url.QueryEscape(soql), "")
}

// trees is an org with four accounts and two contacts.
func trees(t *testing.T) session {
	t.Helper()
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	s.create("Account", `{"Name":"Fir","Industry":"Energy","NumberOfEmployees":3,"AnnualRevenue":2.5}`)
	larch := s.create("Account", `{"Name":"larch 100%","Industry":"Energy","NumberOfEmployees":10}`)
	s.create("Account", `{"Name":"O'Neill & Söhne","NumberOfEmployees":7}`)
	s.create("Account", `{"Name":"Oak_wood","Industry":"Timber"}`)
	s.create("Contact", fmt.Sprintf(`{"LastName":"Weber","AccountId":"%s"}`, larch))
	s.create("Contact", `{"LastName":"Alone"}`)
	return s
}

func TestQueryFilters(t *testing.T) {
	s := trees(t)
	tests := []struct{ where, want string }{
		{"", "Fir|larch 100%|O'Neill & Söhne|Oak_wood"},
		{"WHERE Name = 'FIR'", "Fir"},
		{"WHERE Name != 'Fir'", "larch 100%|O'Neill & Söhne|Oak_wood"},
		{"WHERE Name <> 'Fir' AND Industry = 'energy'", "larch 100%"},
		{`WHERE Name = 'O\'Neill & S\u00f6hne'`, "O'Neill & Söhne"},
		{"WHERE Name LIKE 'O%'", "O'Neill & Söhne|Oak_wood"},
		{"WHERE Name LIKE '_ir'", "Fir"},
		{`WHERE Name LIKE '%\%'`, "larch 100%"},
		{`WHERE Name LIKE '%k\_w%'`, "Oak_wood"},
		{`WHERE Name LIKE '%.%'`, ""},
		{"WHERE Name LIKE '%SÖHNE'", "O'Neill & Söhne"},
		{"WHERE Industry = null", "O'Neill & Söhne"},
		{"WHERE Industry = ''", "O'Neill & Söhne"},
		{"WHERE Industry != null", "Fir|larch 100%|Oak_wood"},
		{"WHERE Industry != 'Energy'", "O'Neill & Söhne|Oak_wood"},
		{"WHERE Industry IN ('Timber', 'energy')", "Fir|larch 100%|Oak_wood"},
		{"WHERE Industry NOT IN ('Timber', 'Energy')", "O'Neill & Söhne"},
		{"WHERE Industry IN (null)", "O'Neill & Söhne"},
		{"WHERE NumberOfEmployees > 3", "larch 100%|O'Neill & Söhne"},
		{"WHERE NumberOfEmployees >= 3 AND NumberOfEmployees<=7", "Fir|O'Neill & Söhne"},
		{"WHERE NumberOfEmployees < 100", "Fir|larch 100%|O'Neill & Söhne"},
		{"WHERE NOT NumberOfEmployees < 100", "Oak_wood"},
		{"WHERE AnnualRevenue = 2.50", "Fir"},
		{"WHERE Name < 'g'", "Fir"},
		{"WHERE IsDeleted = false AND (Name = 'Fir' OR (NOT Industry != 'Timber'))", "Fir|Oak_wood"},
		{"WHERE CreatedDate > 2020-01-01T00:00:00Z", "Fir|larch 100%|O'Neill & Söhne|Oak_wood"},
		{"WHERE CreatedDate < 2020-01-01T00:00:00.000+0200", ""},
		{"where account.name = 'Fir'", "Fir"},
		{"WHERE Owner.Username = '" + username + "' LIMIT 1", "Fir"},
		{"ORDER BY Name", "Fir|larch 100%|O'Neill & Söhne|Oak_wood"},
		{"ORDER BY Name DESC LIMIT 2", "Oak_wood|O'Neill & Söhne"},
		{"ORDER BY NumberOfEmployees", "Oak_wood|Fir|O'Neill & Söhne|larch 100%"},
		{"ORDER BY NumberOfEmployees NULLS LAST", "Fir|O'Neill & Söhne|larch 100%|Oak_wood"},
		{"ORDER BY Industry DESC NULLS LAST, NumberOfEmployees DESC", "Oak_wood|larch 100%|Fir|O'Neill & Söhne"},
		{"LIMIT 2 OFFSET 1", "larch 100%|O'Neill & Söhne"},
		{"LIMIT 0", ""},
		{"OFFSET 9", ""},
	}
	for _, tt := range tests {
		got := s.query("SELECT Name FROM Account " + tt.where)
		if got.status != 200 {
			t.Errorf("%s = %d %s", tt.where, got.status, got.body)
			continue
		}
		var names []string
		for _, record := range got.json(t)["records"].([]any) {
			names = append(names, record.(fields)["Name"].(string))
		}
		if joined := strings.Join(names, "|"); joined != tt.want {
			t.Errorf("%s = %q, want %q", tt.where, joined, tt.want)
		}
	}
}

func TestQueryRefusals(t *testing.T) {
	s := trees(t)
	tests := []struct{ soql, code string }{
		{"", "MALFORMED_QUERY"},
		{"SELECT", "MALFORMED_QUERY"},
		{"SELECT FROM Account", "MALFORMED_QUERY"},
		{"SELECT Name Account", "MALFORMED_QUERY"},
		{"SELECT Name, FROM Account", "MALFORMED_QUERY"},
		{"SELECT Name, Name FROM Account", "MALFORMED_QUERY"},
		{"SELECT FIELDS(ALL) FROM Account LIMIT 1", "MALFORMED_QUERY"},
		{"SELECT COUNT(Id) FROM Account", "MALFORMED_QUERY"},
		{"SELECT MAX(Name) FROM Account", "MALFORMED_QUERY"},
		{"SELECT Name, COUNT() FROM Account", "MALFORMED_QUERY"},
		{"SELECT Name, (SELECT Id FROM Contacts) FROM Account", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account a", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account GROUP BY Name", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE Name", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE Name = Fir", "MALFORMED_QUERY"},
		{`SELECT Name FROM Account WHERE Name = "Fir"`, "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE Name = 'Fir", "MALFORMED_QUERY"},
		{`SELECT Name FROM Account WHERE Name = 'a\q'`, "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE (Name = 'a'", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE Name IN ()", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE Id IN (SELECT AccountId FROM Contact)", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE CreatedDate = TODAY", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE NumberOfEmployees < null", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account LIMIT -1", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account LIMIT 1 WHERE Name = 'x'", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account LIMIT 1;", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account FOR VIEW", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account ORDER BY Name NULLS", "MALFORMED_QUERY"},
		{"SELECT COUNT() FROM Account ORDER BY Name", "MALFORMED_QUERY"},
		{"SELECT Name FROM Account WHERE " + strings.Repeat("(", 99) + "Name = 'x'" + strings.Repeat(")", 99), "MALFORMED_QUERY"},
		{"SELECT Nope FROM Account", "INVALID_FIELD"},
		{"SELECT Nope.Name FROM Account", "INVALID_FIELD"},
		{"SELECT Account.Nope FROM Contact", "INVALID_FIELD"},
		{"SELECT Account.Owner.Name FROM Contact", "INVALID_FIELD"},
		{"SELECT Name FROM Account WHERE Name = 7", "INVALID_FIELD"},
		{"SELECT Name FROM Account WHERE NumberOfEmployees = '7'", "INVALID_FIELD"},
		{"SELECT Name FROM Account WHERE IsDeleted = 'false'", "INVALID_FIELD"},
		{"SELECT Name FROM Account WHERE NumberOfEmployees LIKE '7'", "INVALID_FIELD"},
		{"SELECT Name FROM Account WHERE Description = 'x'", "INVALID_FIELD"},
		{"SELECT Name FROM Account ORDER BY Description", "INVALID_FIELD"},
		{"SELECT Name FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"},
		{"SELECT Name FROM Nope", "INVALID_TYPE"},
		{"SELECT Name FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"},
	}
	for _, tt := range tests {
		wantError(t, tt.soql, s.query(tt.soql), 400, tt.code)
	}
}

func TestQueryThroughReference(t *testing.T) {
	s := trees(t)
	got := s.query("SELECT lastname, Account.Name, Account.Industry FROM Contact ORDER BY Account.Name NULLS LAST")
	if !strings.Contains(got.body, `"LastName":"Weber","Account":{"attributes":{"type":"Account","url":"/services/data/v60.0/sobjects/Account/001`) ||
		!strings.Contains(got.body, `"Name":"larch 100%","Industry":"Energy"}`) || !strings.Contains(got.body, `"LastName":"Alone","Account":null}`) {
		t.Errorf("answer = %s", got.body)
	}
}

func TestQueryCount(t *testing.T) {
	s := trees(t)
	if got := s.query("SELECT COUNT() FROM Account WHERE Industry = 'Energy'"); got.body != `{"totalSize":2,"done":true,"records":[]}`+"\n" {
		t.Errorf("answer = %s", got.body)
	}
}

func TestQueryAllShowsDeleted(t *testing.T) {
	s := trees(t)
	id := s.create("Account", `{"Name":"Gone"}`)
	s.do("DELETE", data+"/sobjects/Account/"+id, "")
	soql := "SELECT Id FROM Account WHERE Name = 'Gone'"
	if got := s.query(soql).json(t)["totalSize"]; got != 0.0 {
		t.Errorf("query finds %v, want 0", got)
	}
	if got := s.do("GET", data+"/queryAll?q="+url.QueryEscape(soql), "").json(t)["totalSize"]; got != 1.0 {
		t.Errorf("queryAll finds %v, want 1", got)
	}
}

func TestQueryMore(t *testing.T) {
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Empty = true }))
	s.org.AddAccounts(4500)
	next := data + "/query?q=" + url.QueryEscape("SELECT Name FROM Account")
	var sizes []int
	last := ""
	for next != "" {
		page := s.do("GET", next, "").json(t)
		records := page["records"].([]any)
		sizes = append(sizes, len(records))
		last = records[len(records)-1].(fields)["Name"].(string)
		next, _ = page["nextRecordsUrl"].(string)
		if (next == "") != (page["done"] == true) || page["totalSize"] != 4500.0 {
			t.Fatalf("page: done %v, next %q, totalSize %v", page["done"], next, page["totalSize"])
		}
		s.do("DELETE", records[len(records)-1].(fields)["attributes"].(fields)["url"].(string), "")
	}
	if fmt.Sprint(sizes) != "[2000 2000 500]" || last != "Bulk Account 04500" {
		t.Errorf("pages of %v up to %q", sizes, last)
	}
	wantError(t, "unknown locator", s.do("GET", data+"/query/01g5g0000000zzzAAA-2000", ""), 400, "INVALID_QUERY_LOCATOR")

	request := s.request("GET", data+"/query?q="+url.QueryEscape("SELECT Name FROM Account"), "")
	request.Header.Set("Sforce-Query-Options", "batchSize=200")
	if got := len(send(t, request).json(t)["records"].([]any)); got != 200 {
		t.Errorf("batchSize=200 gives %d", got)
	}
	request.Header.Set("Sforce-Query-Options", "batchSize=100")
	wantError(t, "batchSize=100", send(t, request), 400, "INVALID_BATCH_SIZE")
}

func TestQueryMoreIsForItsUser(t *testing.T) {
	const colleague = "colleague@devorg.example"
	s := open(t, start(t, func(cfg *devorg.Config) { cfg.Users = append(cfg.Users, colleague) }))
	s.org.AddAccounts(2500)
	next := s.query("SELECT Name FROM Account").json(t)["nextRecordsUrl"].(string)
	claims := goodClaims(s.org)
	claims["sub"] = colleague
	answer := send(t, grantRequest(t, s.org, sign(appKey(), goodHeader(), claims))).json(t)
	other := session{t, s.org, answer["access_token"].(string)}
	wantError(t, "a colleague's page", other.do("GET", next, ""), 400, "INVALID_QUERY_LOCATOR")
	if got := s.do("GET", next, ""); got.status != 200 {
		t.Errorf("one's own page = %d %s", got.status, got.body)
	}
}
