package integration_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// browse opens a page in a Chromium of its own and returns what its body says
// once its title is "done". All names in .example lead to this machine.
func browse(t *testing.T, program, url string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(program, "user-data-dir="+filepath.Join(dir, "user"), "host-resolver-rules=MAP *.example 127.0.0.1", url)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, &stderr)
	}
	return string(out)
}

// attackPage tries each way by which a page can make a browser send a request,
// each to a path of its own, and says what it got to see.
const attackPage = `<!doctype html><title>trying</title><iframe name=frame></iframe><script>
const target = TARGET + "/services/apexrest/echo/";
const text = answer => answer.text();
const element = (name, attributes) => new Promise((resolve, reject) => {
  const e = Object.assign(document.createElement(name), attributes);
  e.onload = () => resolve("loaded");
  e.onerror = () => reject("error");
  document.body.append(e);
});
const attempts = {
  "fetch": u => fetch(u).then(text),
  "preflight": u => fetch(u, {method: "POST", headers: {"Content-Type": "application/json", "X-Custom": "a"}, body: "{}"}).then(text),
  "key": u => fetch(u, {headers: {Authorization: "Bearer " + KEY}}).then(text),
  "credentials": u => fetch(u, {credentials: "include"}).then(text),
  "no-cors": u => fetch(u, {mode: "no-cors"}).then(text),
  "post": u => fetch(u, {mode: "no-cors", method: "POST", body: "a=b"}).then(text),
  "beacon": u => navigator.sendBeacon(u, "a=b"),
  "image": u => element("img", {src: u}),
  "script": u => element("script", {src: u}),
  "style": u => element("link", {rel: "stylesheet", href: u}),
  "frame": u => element("iframe", {src: u}),
  "window": u => String(window.open(u) !== null),
  "form": u => {
    const form = Object.assign(document.createElement("form"), {method: "POST", action: u, target: "frame"});
    document.body.append(form);
    form.submit();
  },
  "events": u => new Promise((resolve, reject) => {
    const e = new EventSource(u);
    e.onopen = resolve;
    e.onerror = () => { e.close(); reject("error"); };
  }),
  "websocket": u => new Promise((resolve, reject) => {
    const s = new WebSocket(u.replace("http:", "ws:"));
    s.onopen = resolve;
    s.onerror = () => reject("error");
  }),
};
onload = async () => {
  const seen = {};
  for (const name in attempts)
    try { seen[name] = String(await attempts[name](target + name)); } catch (e) { seen[name] = "failed: " + e; }
  await fetch("/settled?attempts=" + Object.keys(attempts));
  document.body.textContent = JSON.stringify(seen);
  document.title = "done";
};
</script>`

// site is where the attack page is from.
type site struct {
	server *httptest.Server
	origin string
}

func newSite(host string) *site {
	server := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	return &site{server, "http://" + net.JoinHostPort(host, port)}
}

// attack opens the attack page, whose requests go to the proxy by the name
// target, and returns what each attempt got to see. It ends when the proxy has
// logged every attempt: one that was only late, or that the browser itself did
// not make, would show nothing.
func (s *site) attack(t *testing.T, program string, proxy *process, target, key string) map[string]string {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(proxy.URL, "http://"), ":")
	page := strings.NewReplacer("TARGET", fmt.Sprintf("%q", "http://"+target+":"+port), "KEY", fmt.Sprintf("%q", key)).Replace(attackPage)
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
	})
	mux.HandleFunc("/settled", func(w http.ResponseWriter, r *http.Request) {
		for name := range strings.SplitSeq(r.FormValue("attempts"), ",") {
			for !strings.Contains(proxy.Log.String(), `"path":"/services/apexrest/echo/`+name+`"`) {
				select {
				case <-time.After(20 * time.Millisecond):
				case <-r.Context().Done(): // the browser has given up
					t.Errorf("the attempt %q never got to the proxy", name)
					return
				}
			}
		}
	})
	s.server.Config.Handler = mux
	s.server.Start()
	t.Cleanup(s.server.Close)
	return decode[map[string]string](t, []byte(browse(t, program, s.origin)))
}

// wantNothing checks that an attack had no success.
func wantNothing(t *testing.T, seen map[string]string, org *org) {
	t.Helper()
	if len(seen) < 10 {
		t.Errorf("the page made %d attempts: %q", len(seen), seen)
	}
	for name, text := range seen {
		if strings.Contains(text, "errorCode") || strings.Contains(text, "URI") {
			t.Errorf("%s: the page has read %q", name, text)
		}
	}
	if got := org.Stats().Requests; got != 0 {
		t.Errorf("the org got %d requests", got)
	}
}

// TestBrowser has a page in a real browser try what it can to use the proxy.
func TestBrowser(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	program := buildModule(t, filepath.Join("testdata", "browser"))

	for _, tt := range []struct{ name, page, target string }{
		{"another site", "evil.example", "127.0.0.1"},
		{"another port of this machine", "localhost", "localhost"},
		{"another name for this machine", "evil.example", "rebound.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			org := startOrg(t, devorg.Config{})
			p := startProxy(t, with(org.env, "LOG_LEVEL=debug"))
			wantNothing(t, newSite(tt.page).attack(t, program, p, tt.target, "any"), org)
		})
	}
	t.Run("rebound", func(t *testing.T) {
		org := startOrg(t, devorg.Config{})
		p := startProxy(t, org.env)
		seen := browse(t, program, rebind(t, "rebound.example", p.URL, `"/services/apexrest/echo", {method: "POST", body: "a=b"}`))
		if !strings.Contains(seen, "PROXY_WRONG_HOST") {
			t.Errorf("the page has read %s, want the proxy's refusal", seen)
		}
		if got := org.Stats().Requests; got != 0 {
			t.Errorf("the org got %d requests", got)
		}
		seen = browse(t, program, rebind(t, "rebound.example", p.Admin, `"/readyz"`))
		if !strings.Contains(seen, "PROXY_ALLOW_HOSTS") || strings.Contains(seen, subject) {
			t.Errorf("the page has read %s from the admin port, want its refusal", seen)
		}
	})
	t.Run("redirected from an address that a person typed", func(t *testing.T) {
		org := startOrg(t, devorg.Config{})
		p := startProxy(t, org.env)
		site := httptest.NewServer(http.RedirectHandler(p.URL+echoPath+"?q=1", http.StatusFound))
		t.Cleanup(site.Close)
		seen := mustCommand(t, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
			"--user-data-dir="+t.TempDir(), "--dump-dom", site.URL)
		if !strings.Contains(seen, "PROXY_CROSS_SITE") {
			t.Errorf("the browser shows %s, want the proxy's refusal", seen)
		}
		if got := org.Stats().Requests; got != 0 {
			t.Errorf("the org got %d requests", got)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		org, site := startOrg(t, devorg.Config{}), newSite("app.example")
		p := startProxy(t, with(org.env, "LOG_LEVEL=debug", "PROXY_CORS_ORIGINS="+site.origin))
		wantAnswers(t, site.attack(t, program, p, "127.0.0.1", "any"), "fetch", "preflight", "key")
	})
	t.Run("allowed, with clients", func(t *testing.T) {
		const key = "key-of-a-page-in-a-browser"
		org, site := startOrg(t, devorg.Config{}), newSite("app.example")
		p := startProxy(t, with(org.env, "LOG_LEVEL=debug", "PROXY_CORS_ORIGINS="+site.origin,
			"PROXY_CLIENT_0_NAME=page", "PROXY_CLIENT_0_API_KEY="+key))
		seen := site.attack(t, program, p, "127.0.0.1", key)
		wantAnswers(t, seen, "key")
		if !strings.Contains(seen["fetch"], "PROXY_UNAUTHORIZED") {
			t.Errorf("without a key the page has read %q, want a refusal", seen["fetch"])
		}
		if got := org.Stats().Requests; got != 1 {
			t.Errorf("the org got %d requests, want that with the key", got)
		}
	})
}

// wantAnswers checks that the named attempts, and no others, have read answers
// of the org.
func wantAnswers(t *testing.T, seen map[string]string, names ...string) {
	t.Helper()
	for name, text := range seen {
		if got, want := strings.Contains(text, `"uri":"/services/apexrest/echo/`+name), slices.Contains(names, name); got != want {
			t.Errorf("%s has read %q; want an answer of the org: %t", name, text, want)
		}
	}
}

// rebind returns the URL of a page whose host leads to target from the moment on
// that the page has been loaded. request is what the page fetches from it.
func rebind(t *testing.T, host, target, request string) string {
	t.Helper()
	page := `<!doctype html><title>trying</title><script>
onload = async () => {
  let answer;
  do answer = await fetch(` + request + `); while (answer.headers.has("X-Page"));
  document.body.textContent = await answer.text();
  document.title = "done";
};
</script>`
	var loaded atomic.Bool
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Page", "1")
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
		loaded.Store(true)
	}))
	t.Cleanup(pages.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			to := pages.Listener.Addr().String()
			if loaded.Load() {
				to = strings.TrimPrefix(target, "http://")
			}
			go splice(conn, to)
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "http://" + net.JoinHostPort(host, port)
}

// splice joins a connection with one to an address until either ends.
func splice(conn net.Conn, address string) {
	defer conn.Close()
	other, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer other.Close()
	go func() {
		defer conn.Close()
		io.Copy(conn, other)
	}()
	io.Copy(other, conn)
}
