package proxy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
	"github.com/sfproxy/sfproxy/proxy"
)

// Salesforce's answers pass as they are, but for what is about its host.
func TestResponsePassesUnchanged(t *testing.T) {
	for _, tt := range []struct {
		status int
		header http.Header
		body   string
	}{
		{200, http.Header{"Content-Type": {"application/json;charset=UTF-8"}, "Sforce-Limit-Info": {"api-usage=1/15000"}, "Warning": {`299 - "old"`}}, `{"url":"https://INSTANCE/x"}`},
		{200, http.Header{"Content-Encoding": {"gzip"}, "Etag": {`"x-gzip"`}}, zipped("text")},
		{200, http.Header{}, "without a type"},
		{201, http.Header{"X-Request-Id": {"salesforce"}}, "{}"},
		{204, http.Header{}, ""},
		{206, http.Header{"Content-Range": {"bytes 0-1/10"}, "Content-Type": {"x/y"}}, "ab"},
		{300, http.Header{"Content-Type": {"application/json"}}, `["/a","/b"]`},
		{304, http.Header{"Etag": {`"x"`}}, ""},
		{403, http.Header{"Content-Type": {"text/plain"}, "Www-Authenticate": {"Token"}}, "no"},
		{412, http.Header{}, ""},
		{500, http.Header{"Content-Type": {"text/html"}}, "<html>"},
		{503, http.Header{"X-Sfdc-Edge-Err": {"true"}}, "busy"},
	} {
		base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
			if tt.header["Content-Type"] == nil {
				w.Header()["Content-Type"] = nil
			}
			for name, values := range tt.header {
				w.Header()[name] = values
			}
			w.Header().Set("Date", "Mon, 01 Jan 2024 00:00:00 GMT")
			w.Header().Set("Strict-Transport-Security", "max-age=1")
			w.Header().Add("Set-Cookie", "sid=session")
			w.Header().Add("Set-Cookie", "BrowserId=b; domain=.salesforce.com")
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		})
		r := start(t, proxy.Config{Tokens: newTokens(base)})
		got := r.send(t, "GET", limitsPath, nil)
		if got.status != tt.status || got.body != tt.body {
			t.Errorf("answer = %d %q, want %d %q", got.status, got.body, tt.status, tt.body)
		}
		want := tt.header.Clone()
		want.Set("Date", "Mon, 01 Jan 2024 00:00:00 GMT")
		id := got.header.Get("X-Request-Id")
		if want.Get("X-Request-Id") != "" && id != "salesforce" || id == "" {
			t.Errorf("%d: X-Request-Id = %q", tt.status, id)
		}
		got.header.Del("Content-Length")
		got.header.Del("X-Request-Id")
		want.Del("X-Request-Id")
		for name := range got.header {
			if !slices.Equal(got.header[name], want[name]) {
				t.Errorf("%d: %s = %q, want %q", tt.status, name, got.header[name], want[name])
			}
			delete(want, name)
		}
		if len(want) > 0 {
			t.Errorf("%d: missing headers %v", tt.status, want)
		}
	}
}

func TestResponseLocation(t *testing.T) {
	var location string
	var base string
	base = upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", strings.ReplaceAll(location, "INSTANCE", base))
		w.WriteHeader(302)
	})
	public, _ := url.Parse("https://sf.example.com")
	near := start(t, proxy.Config{Tokens: newTokens(base)})
	named := start(t, proxy.Config{Tokens: newTokens(base), PublicURL: public})
	for _, tt := range []struct{ sent, near, named string }{
		{"/services/data/x", "/services/data/x", "/services/data/x"},
		{"INSTANCE/services/data/x?y=1#z", near.url + "/services/data/x?y=1#z", "https://sf.example.com/services/data/x?y=1#z"},
		{"INSTANCE", near.url, "https://sf.example.com"},
		{"INSTANCE?x", near.url + "?x", "https://sf.example.com?x"},
		{"INSTANCE1/x", base + "1/x", base + "1/x"},
		{"https://login.salesforce.com/x", "https://login.salesforce.com/x", "https://login.salesforce.com/x"},
		{"HTTP" + strings.TrimPrefix("INSTANCE/x", "http"), "", ""},
	} {
		location = tt.sent
		if strings.HasPrefix(tt.sent, "HTTP") {
			location = "HTTP" + strings.TrimPrefix(base, "http") + "/x"
			tt.near, tt.named = near.url+"/x", "https://sf.example.com/x"
		}
		if got := near.send(t, "GET", limitsPath, nil).header.Get("Location"); got != tt.near {
			t.Errorf("Location %s became %s, want %s", tt.sent, got, tt.near)
		}
		if got := named.send(t, "GET", limitsPath, nil).header.Get("Location"); got != tt.named {
			t.Errorf("Location %s became %s, want %s", tt.sent, got, tt.named)
		}
	}
	r, _ := startOrg(t, nil)
	if got := r.send(t, "GET", "/services/apexrest/absolute-location", nil).header.Get("Location"); got != r.url+echoPath {
		t.Errorf("Location = %s, want the proxy's", got)
	}
}

func TestResponseCookiesOfCometD(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "BAYEUX_BROWSER=x; Domain=.salesforce.com; path=/; SECURE; HttpOnly; SameSite=None; Max-Age=5")
		w.Header().Add("Set-Cookie", "sid=token-secret-1; path=/")
		w.Header().Add("Set-Cookie", "b=2")
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	got := r.send(t, "POST", "/cometd/60.0", nil).header["Set-Cookie"]
	if want := []string{"BAYEUX_BROWSER=x; path=/; HttpOnly; Max-Age=5", "b=2"}; !slices.Equal(got, want) {
		t.Errorf("Set-Cookie = %q, want %q", got, want)
	}
	if got := r.send(t, "GET", limitsPath, nil).header["Set-Cookie"]; got != nil {
		t.Errorf("Set-Cookie of REST = %q, want none", got)
	}
}

func TestResponseIdentityPointsHere(t *testing.T) {
	r, org := startOrg(t, nil)
	r.send(t, "GET", "/services/oauth2/userinfo", nil)
	org.RevokeTokens()
	got := r.send(t, "GET", "/services/oauth2/userinfo?version=60.0&oauth_token=x", nil, "Accept-Encoding: gzip")
	var info struct {
		Sub    string
		UserID string `json:"user_id"`
		URLs   map[string]string
	}
	if err := json.Unmarshal([]byte(got.body), &info); err != nil || got.status != 200 {
		t.Fatalf("userinfo = %d %s (%v)", got.status, got.body, err)
	}
	if info.URLs["rest"] != r.url+"/services/data/v60.0/" || strings.Contains(got.body, org.InstanceURL()+"/") {
		t.Errorf("userinfo has URLs of the instance: %s", got.body)
	}
	sub, err := url.Parse(info.Sub)
	if err != nil || strings.HasPrefix(info.Sub, r.url) {
		t.Fatalf("sub = %q, want the name that Salesforce gave", info.Sub)
	}
	if got := r.send(t, "GET", sub.Path, nil); got.status != 200 || !strings.Contains(got.body, r.url+sub.Path) {
		t.Errorf("%s = %d %s", sub.Path, got.status, got.body)
	}
	if stats := org.Stats(); stats.Leaks > 0 || stats.Grants != 2 {
		t.Errorf("stats = %+v", stats)
	}
}

func TestResponseIdentityToHEAD(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "50") })
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	if got := r.send(t, "HEAD", "/services/oauth2/userinfo", nil); got.status != 200 || got.header.Get("Content-Length") != "50" {
		t.Errorf("answer = %d with Content-Length %s, want Salesforce's 50", got.status, got.header.Get("Content-Length"))
	}
}

func TestCometDThroughProxy(t *testing.T) {
	r, org := startOrg(t, func(cfg *devorg.Config, _ *proxy.Config) { cfg.LongPoll = time.Minute })
	r.client.Jar, _ = cookiejar.New(nil)
	type message struct {
		ClientID   string
		Successful bool
		Channel    string
		Data       json.RawMessage
	}
	read := func(got answer) (messages []message) {
		t.Helper()
		if err := json.Unmarshal([]byte(got.body), &messages); err != nil || len(messages) == 0 {
			t.Fatalf("answer = %d %s", got.status, got.body)
		}
		return messages
	}
	call := func(text string) []message {
		t.Helper()
		return read(r.send(t, "POST", "/cometd/60.0", strings.NewReader(text), "Content-Type: application/json"))
	}
	id := call(`[{"channel":"/meta/handshake","version":"1.0"}]`)[0].ClientID
	if got := call(`[{"channel":"/meta/subscribe","subscription":"/topic/A","clientId":"` + id + `"}]`); !got[0].Successful {
		t.Fatalf("subscribe = %+v", got)
	}
	polled := make(chan answer, 1)
	go func() {
		a, _ := r.try("POST", "/cometd/60.0", strings.NewReader(`[{"channel":"/meta/connect","connectionType":"long-polling","clientId":"`+id+`"}]`))
		polled <- a
	}()
	org.Publish("/topic/A", map[string]string{"Name": "new"})
	got := read(receive(t, polled, "the long poll"))
	if len(got) != 2 || got[0].Channel != "/topic/A" || !strings.Contains(string(got[0].Data), "new") || !got[1].Successful {
		t.Errorf("connect = %+v", got)
	}
}
