package devorg_test

import (
	"strings"
	"testing"
)

const accountAndContact = `{"allOrNone":ALL,"compositeRequest":[
	{"method":"POST","url":"/services/data/v60.0/sobjects/Account","referenceId":"acc","body":{"Name":"Fir"}},
	{"method":"POST","url":"/services/data/v60.0/sobjects/Contact","referenceId":"con","body":{"LastName":"LAST","AccountId":"@{acc.id}"}},
	{"method":"GET","url":"/services/data/v60.0/query?q=SELECT Account.Name FROM Contact WHERE Id = '@{con.id}'","referenceId":"read"}]}`

func TestCompositeRefersBack(t *testing.T) {
	s := trees(t)
	got := s.do("POST", data+"/composite", strings.NewReplacer("ALL", "true", "LAST", "Fir").Replace(accountAndContact))
	if got.status != 200 || !strings.Contains(got.body, `"Account":{"attributes"`) || strings.Count(got.body, `"httpStatusCode":201`) != 2 {
		t.Errorf("composite = %d %s", got.status, got.body)
	}
}

func TestCompositeAllOrNone(t *testing.T) {
	s := trees(t)
	got := s.do("POST", data+"/composite", strings.NewReplacer("ALL", "true", "LAST", "").Replace(accountAndContact))
	if strings.Count(got.body, "PROCESSING_HALTED") != 2 || strings.Count(got.body, "REQUIRED_FIELD_MISSING") != 1 {
		t.Errorf("composite = %d %s", got.status, got.body)
	}
	if got := s.query("SELECT COUNT() FROM Account").json(t)["totalSize"]; got != 4.0 {
		t.Errorf("%v accounts after the rollback, want 4", got)
	}
	got = s.do("POST", data+"/composite", strings.NewReplacer("ALL", "false", "LAST", "").Replace(accountAndContact))
	if !strings.Contains(got.body, "No value for con.id found") {
		t.Errorf("composite = %d %s", got.status, got.body)
	}
	if got := s.query("SELECT COUNT() FROM Account").json(t)["totalSize"]; got != 5.0 {
		t.Errorf("%v accounts without allOrNone, want 5", got)
	}
}

func TestBatch(t *testing.T) {
	s := trees(t)
	got := s.do("POST", data+"/composite/batch", `{"haltOnError":true,"batchRequests":[
		{"method":"GET","url":"v60.0/limits"},
		{"method":"POST","url":"v60.0/sobjects/Account","richInput":{}},
		{"method":"GET","url":"v60.0/limits"}]}`)
	if answer := got.json(t); answer["hasErrors"] != true || len(answer["results"].([]any)) != 3 ||
		!strings.Contains(got.body, "BATCH_PROCESSING_HALTED") || !strings.Contains(got.body, "REQUIRED_FIELD_MISSING") {
		t.Errorf("batch = %d %s", got.status, got.body)
	}
	if got := s.do("POST", data+"/composite/batch", `{"batchRequests":[{"method":"POST","url":"v60.0/composite/batch"}]}`); !strings.Contains(got.body, "cannot hold another") {
		t.Errorf("nested batch = %d %s", got.status, got.body)
	}
}

func TestCollections(t *testing.T) {
	s := trees(t)
	path := data + "/composite/sobjects"
	const twoRecords = `{"allOrNone":ALL,"records":[{"attributes":{"type":"Account"},"Name":"Ash"},{"attributes":{"type":"Contact"}}]}`
	count := func() any { return s.query("SELECT COUNT() FROM Account WHERE Name = 'Ash'").json(t)["totalSize"] }

	if got := s.do("POST", path, strings.Replace(twoRecords, "ALL", "true", 1)); !strings.Contains(got.body, "ALL_OR_NONE_OPERATION_ROLLED_BACK") || count() != 0.0 {
		t.Errorf("all or none = %d %s, leaves %v", got.status, got.body, count())
	}
	got := s.do("POST", path, strings.Replace(twoRecords, "ALL", "false", 1))
	if !strings.Contains(got.body, `"success":true`) || !strings.Contains(got.body, `"statusCode":"REQUIRED_FIELD_MISSING"`) || count() != 1.0 {
		t.Errorf("each for itself = %d %s, leaves %v", got.status, got.body, count())
	}
	id := got.body[strings.Index(got.body, "001"):][:18]
	if got := s.do("PATCH", path, `{"records":[{"attributes":{"type":"Account"},"id":"`+id+`","Industry":"Timber"}]}`); !strings.Contains(got.body, `"success":true`) {
		t.Errorf("update = %d %s", got.status, got.body)
	}
	got = s.do("GET", path+"/Account?ids="+id+",0015g00000000zz&fields=Name,Industry", "")
	if !strings.Contains(got.body, `"Name":"Ash","Industry":"Timber"},null]`) {
		t.Errorf("retrieve = %d %s", got.status, got.body)
	}
	if got := s.do("DELETE", path+"?ids="+id, ""); !strings.Contains(got.body, `"success":true`) || count() != 0.0 {
		t.Errorf("delete = %d %s", got.status, got.body)
	}
}
