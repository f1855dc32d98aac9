package policy_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
)

// readingPosts are the POSTs that may read, below the API version.
var readingPosts = regexp.MustCompile(`(?i)/(?:composite(?:/batch|/graph|/sobjects/[A-Za-z0-9_]+)?|parameterizedSearch|jobs/query|graphql)(?:\.json|\.xml)?/*$`)

// FuzzComposite holds that whatever a read-only policy lets pass is a read to
// another reader as well: one that takes keys in any case, and the last of two.
func FuzzComposite(f *testing.F) {
	get := request("GET", data+"/sobjects/Account/@{a.id}?fields=Id")
	for _, seed := range []string{
		composite(get), composite(get, request("DELETE", data+"/sobjects/Account/1")), composite(request("POST", data+"/composite/sobjects/Account")),
		composite(`{"method":"GET","Method":"PATCH","url":"` + data + `/limits"}`), composite(request("GET", data+"/tooling/executeAnonymous?x")),
		`{"batchRequests":[{"method":"GET","url":"v60.0/limits","richInput":{}}]}`, `{"graphs":[{"graphId":"1",` + composite(get)[1:] + `]}`,
		composite(`{"method":"POST","url":"` + data + `/composite/batch","body":{"batchRequests":[{"method":"GET","url":"v60.0/limits"}]}}`),
		composite(`{"method":"POST","url":"` + data + `/graphql","body":` + graphQL("query { a }") + `}`),
	} {
		for kind := range uint8(3) {
			f.Add(kind, seed)
		}
	}
	p, err := policy.New(policy.Config{ReadOnly: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		path := data + "/composite" + []string{"", "/batch", "/graph"}[kind%3]
		decision := p.Decide(&policy.Request{Method: "POST", Path: path, HasBody: true, Resolve: resolve,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: func() ([]byte, error) { return []byte(text), nil }})
		if !decision.Allowed {
			return
		}
		var lenient group
		if err := json.Unmarshal([]byte(text), &lenient); err != nil {
			t.Fatalf("%s lets pass what is no JSON: %q: %v", path, text, err)
		}
		lenient.check(t, path)
	})
}

// group is a body that holds requests, as a lenient reader has it.
type group struct {
	CompositeRequest, BatchRequests []struct {
		Method, URL     string
		HTTPHeaders     map[string]string
		Body, RichInput json.RawMessage
	}
	Graphs []group
}

func (g group) check(t *testing.T, path string) {
	t.Helper()
	for _, graph := range g.Graphs {
		graph.check(t, path)
	}
	requests := g.CompositeRequest
	if strings.HasSuffix(path, "batch") {
		requests = g.BatchRequests
	}
	for _, one := range requests {
		rawPath, rawQuery, _ := strings.Cut(one.URL, "?")
		target, err := url.PathUnescape(rawPath)
		if err != nil {
			t.Fatalf("the path %q of a request that passes cannot be decoded", rawPath)
		}
		query, _ := url.PathUnescape(rawQuery)
		lower := strings.ToLower(target)
		switch {
		case strings.Contains(lower, "tooling/executeanonymous"), strings.Contains(lower, "tooling/runtests"), strings.Contains(lower, "apexrest"),
			strings.Contains(lower, ".."), strings.Contains(strings.ToLower(query), "_httpmethod"):
			t.Errorf("a request for %q passes", one.URL)
		case one.Method == "GET" || one.Method == "HEAD":
		case one.Method == "POST" && (readingPosts.MatchString(target) || strings.HasPrefix(lower, "/cometd")):
		default:
			t.Errorf("a %q of %q passes", one.Method, one.URL)
		}
		for name := range one.HTTPHeaders {
			if strings.Contains(strings.ToLower(name), "method-override") {
				t.Errorf("a request with the header %q passes", name)
			}
		}
	}
}

var (
	soqlText = regexp.MustCompile(`'(?:[^'\\]|\\[\s\S])*'`)
	fromText = regexp.MustCompile(`(?i)\bfrom\b\s*([a-z0-9_.]*)`)
	dotted   = regexp.MustCompile(`(?i)\b([a-z_][a-z0-9_]*)\s*\.`)
)

// FuzzSOQL holds that a query which passes names no object and no relationship
// that is not listed, to a reader that only looks for words.
func FuzzSOQL(f *testing.F) {
	for _, seed := range []string{
		"SELECT Id, a.Name FROM Account a WHERE Name = 'FROM User \\' x' AND Id IN (SELECT AccountId FROM Contact)",
		"SELECT Id, (SELECT Id FROM Contacts WHERE X > 1.5) FROM Account ORDER BY Name LIMIT 1",
		"SELECT Owner.Name FROM Account", "SELECT TYPEOF What WHEN User THEN Name END FROM Account", "SELECT Id FROM Account, User u",
	} {
		f.Add(seed)
	}
	p, err := policy.New(policy.Config{ReadObjects: []string{"Account", "Contact", "Account.Contacts"}})
	if err != nil {
		f.Fatal(err)
	}
	names := map[string]bool{"account": true, "contact": true, "contacts": true}
	f.Fuzz(func(t *testing.T, text string) {
		decision := p.Decide(&policy.Request{Method: "GET", Path: data + "/query", RawQuery: "q=" + url.QueryEscape(text), Resolve: resolve})
		if !decision.Allowed {
			return
		}
		bare := soqlText.ReplaceAllString(text, " '' ")
		for _, match := range fromText.FindAllStringSubmatch(bare, -1) {
			if !names[strings.ToLower(match[1])] {
				t.Errorf("%q passes, with FROM %q", text, match[1])
			}
		}
		for _, match := range dotted.FindAllStringSubmatch(bare, -1) {
			if name := strings.ToLower(match[1]); !names[name] && len(name) > 1 {
				t.Errorf("%q passes, with %q before a dot", text, match[1])
			}
		}
	})
}
