package proxy_test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/proxy"
)

// Only an API version that is too low, in its plain form, is not what the
// client sent.
func TestLowVersionsAreRaised(t *testing.T) {
	targets := make(chan string, 1)
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) { targets <- r.RequestURI })
	r := start(t, proxy.Config{Tokens: newTokens(url), MinAPIVersion: "60.0"})
	for _, tt := range []struct{ sent, want string }{
		{"/services/data/v26.0/query?q=a;b%20/v26.0/", "/services/data/v60.0/query?q=a;b%20/v26.0/"},
		{"/services/data/v59.0/sobjects/X/E__c/a%2Fb//v1.0/", "/services/data/v60.0/sobjects/X/E__c/a%2Fb//v1.0/"},
		{"/services/data/v8.0", "/services/data/v60.0"},
		{"/services/data/v59.9/", "/services/data/v60.0/"},
		{"/services/async/29.0/job/750/batch", "/services/async/60.0/job/750/batch"},
		{"/cometd/24.0/handshake", "/cometd/60.0/handshake"},
		{"http://localhost/services/data/v26.0/limits?sid=S", "/services/data/v60.0/limits"},

		{"/services/data/v60.0/limits", ""},
		{"/services/data/v61.0/limits", ""},
		{"/services/data/v20/limits", ""},
		{"/services/data/v020.0/limits", ""},
		{"/services/data/v2%30.0/limits", ""},
		{"/services/data/26.0/limits", ""},
		{"/services/data/v26.01/limits", ""},
		{"/services/data//v26.0/limits", ""},
		{"//services/data/v26.0/limits", ""},
		{"/services/data/v26.0.json", ""},
		{"/services/data/V26.0/", ""},
		{"/services/data", ""},
		{"/services/async/v26.0/job", ""},
		{"/services/apexrest/v26.0/data/v26.0", ""},
		{"/services/Soap/class/25.0", ""},
	} {
		r.wantArrival(t, targets, tt.sent, cmp.Or(tt.want, tt.sent))
	}
	for sent, want := range map[string]string{
		"u/25.0": "u/60.0", "c/25.0/00D5g000000DvOr/0DF5g0000000001": "c/60.0/00D5g000000DvOr/0DF5g0000000001",
		"m/25.0": "m/60.0", "T/25.0": "T/60.0", "s/25.0": "s/60.0", "u/60.0": "u/60.0", "class/25.0": "class/25.0",
	} {
		if got := r.send(t, "POST", "/services/Soap/"+sent, strings.NewReader(envelope("query", "urn:partner.soap.sforce.com"))); got.status != http.StatusOK {
			t.Errorf("%s: answer = %d %s", sent, got.status, got.body)
			continue
		}
		if got := receive(t, targets, "the request"); got != "/services/Soap/"+want {
			t.Errorf("%s arrived as %s, want %s", sent, got, want)
		}
	}
}

// The operator hears once of each client and API, and counts each request; a
// replay goes the same way.
func TestRaisedVersionIsSaid(t *testing.T) {
	var arrived []string
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		arrived = append(arrived, r.RequestURI)
		if len(arrived) == 1 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			w.Write([]byte(`[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`))
		}
	})
	etl, _ := proxy.HashAPIKey("key-of-etl")
	crm, _ := proxy.HashAPIKey("key-of-crm")
	var counted []string
	r := start(t, proxy.Config{Tokens: newTokens(url), MinAPIVersion: "41.0", OnRaised: func(client string) { counted = append(counted, client) },
		Clients: []proxy.Client{{Name: "etl", Subject: username, APIKey: etl}, {Name: "crm", Subject: username, APIKey: crm}}})
	get := func(path, key string) { r.send(t, "GET", path, nil, "Authorization: Bearer "+key) }
	get("/services/data/v26.0/limits", "key-of-etl")
	if want := []string{"/services/data/v41.0/limits", "/services/data/v41.0/limits"}; !slices.Equal(arrived, want) {
		t.Errorf("a request and its replay arrived as %q, want %q", arrived, want)
	}
	get("/services/data/v27.0/limits", "key-of-etl")
	get("/services/async/26.0/job", "key-of-etl")
	get("/services/data/v26.0/limits", "key-of-crm")
	get("/services/data/v41.0/limits", "key-of-crm")
	get("/services/data/v26.0/limits", "wrong")
	if want := []string{"etl", "etl", "etl", "crm"}; !slices.Equal(counted, want) {
		t.Errorf("counted %q, want %q", counted, want)
	}
	lines := r.log.requests(t, 6)
	for i, want := range []any{"26.0", "27.0", "26.0", "26.0", nil, nil} {
		if lines[i]["asked_for"] != want {
			t.Errorf("line %d: asked_for = %v, want %v", i, lines[i]["asked_for"], want)
		}
	}
	if got := strings.Count(r.log.String(), "below SF_MIN_API_VERSION"); got != 3 {
		t.Errorf("%d warnings, want 3: etl's REST and Bulk, crm's REST: %s", got, r.log)
	}
}

// A path that was raised has to be allowed as one that was asked for.
func TestRaisedPathHasToBeAllowed(t *testing.T) {
	url := upstream(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, proxy.Config{Tokens: newTokens(url), MinAPIVersion: "60.0",
		AllowPaths: []string{"/services/data/v20.0", "/services/data/v21.0/limits", "/services/data/v60.0/limits"}})
	for path, allowed := range map[string]bool{
		"/services/data/v20.0/limits": true, "/services/data/v21.0/limits": true, "/services/data/v20.0/query": false, "/services/data/v20.0": false,
	} {
		got := r.send(t, "GET", path, nil)
		if allowed {
			if got.status != http.StatusOK {
				t.Errorf("%s: answer = %d %s", path, got.status, got.body)
			}
			continue
		}
		got.wantFault(t, http.StatusForbidden, "PROXY_PATH_NOT_ALLOWED")
		if raised := strings.Replace(path, "20.0", "60.0", 1); !strings.Contains(got.body, raised) {
			t.Errorf("%s: answer = %s, want %s in it", path, got.body, raised)
		}
	}
}

func TestMinAPIVersionIsPlain(t *testing.T) {
	for _, version := range []string{"60", "v60.0", "60.1", "0.0", "-1.0", "+60.0", "060.0", ".0"} {
		if _, err := proxy.New(proxy.Config{Tokens: newTokens(""), Transport: http.DefaultTransport, Subject: username, MinAPIVersion: version}); err == nil {
			t.Errorf("MinAPIVersion %q was taken", version)
		}
	}
}
