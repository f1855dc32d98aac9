package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sfproxy/sfproxy/proxy"
)

func envelope(operation, namespace string) string {
	return `<?xml version="1.0" encoding="ISO-8859-1"?><!-- x --><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="` + namespace + `">` +
		`<e:Header><p:SessionHeader><p:sessionId>x</p:sessionId></p:SessionHeader></e:Header><e:Body><p:` + operation + `/></e:Body></e:Envelope>`
}

func inUTF16(text string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// The login behind the proxy is nobody's to end, however the call is written.
func TestSOAPLogoutEndsHere(t *testing.T) {
	arrived := 0
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { arrived++; io.WriteString(w, "forwarded") })
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	const partner, class = "urn:partner.soap.sforce.com", "http://soap.sforce.com/schemas/class/X"
	for _, tt := range []struct {
		name, path, body, coding, want string
	}{
		{"logout", "u/60.0", envelope("logout", partner), "", `xmlns="urn:partner.soap.sforce.com"><soapenv:Body><logoutResponse/>`},
		{"enterprise", "c/60.0/00D", envelope("logout", "urn:enterprise.soap.sforce.com"), "", `xmlns="urn:enterprise.soap.sforce.com"><soapenv:Body><logoutResponse/>`},
		{"gzip", "u/60.0", zipped(envelope("logout", partner)), "gzip", "<logoutResponse/>"},
		{"deflate", "u/60.0", deflated(envelope("logout", partner)), "deflate", "<logoutResponse/>"},
		{"UTF-16", "u/60.0", inUTF16(strings.Replace(envelope("logout", partner), "ISO-8859-1", "UTF-16", 1)), "", "PROXY_BAD_ENVELOPE"},
		{"invalidateSessions", "u/60.0", envelope("invalidateSessions", partner), "", "PROXY_LOGIN_IS_SHARED"},
		{"query", "u/60.0", envelope("query", partner), "", "forwarded"},
		{"logout in a header", "u/60.0", strings.Replace(envelope("query", partner), "SessionHeader", "logout", -1), "", "forwarded"},
		{"a class's own", "class/X", envelope("logout", class), "", "forwarded"},
		{"login", "u/60.0", envelope("login", partner), "", "PROXY_CLIENT_"},
		{"no XML", "u/60.0", "logout", "", "PROXY_BAD_ENVELOPE"},
		{"unknown coding", "u/60.0", envelope("query", partner), "br", "PROXY_BAD_ENVELOPE"},
		{"empty", "u/60.0", "", "", "PROXY_BAD_ENVELOPE"},
	} {
		before := arrived
		got := r.send(t, "POST", "/services/Soap/"+tt.path, strings.NewReader(tt.body), "Content-Type: text/xml", "Content-Encoding: "+tt.coding)
		if !strings.Contains(got.body, tt.want) || (tt.want == "forwarded") != (arrived > before) {
			t.Errorf("%s: answer = %d %s, want %s", tt.name, got.status, got.body, tt.want)
		}
	}
}

// A compressed envelope arrives in the clear and to its end, however much larger
// it is than what was announced.
func TestSOAPCodedBodyArrivesWhole(t *testing.T) {
	bodies := make(chan string, 1)
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		bodies <- r.Header.Get("Content-Encoding") + string(text)
	})
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	text := envelope("query", "urn:partner.soap.sforce.com") + "<!--" + strings.Repeat("x", 200<<10) + "-->"
	for coding, body := range map[string]string{"gzip": zipped(text), "deflate": deflated(text)} {
		got := r.send(t, "POST", "/services/Soap/u/60.0", strings.NewReader(body), "Content-Type: text/xml", "Content-Encoding: "+coding)
		if got.status != http.StatusOK {
			t.Errorf("%s: answer = %d %s", coding, got.status, got.body)
			continue
		}
		if arrived := receive(t, bodies, "the request"); !strings.HasPrefix(arrived, "<?xml") || !strings.HasSuffix(arrived, text[len(text)-200<<10:]) {
			t.Errorf("%s: %d bytes arrived, %.20q to %.20q, want the envelope in the clear", coding, len(arrived), arrived, arrived[max(0, len(arrived)-20):])
		}
	}
}

// What follows the Body is refused wherever it stands, with the same words.
func TestSOAPEndsWithItsBody(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	r := start(t, proxy.Config{Tokens: newTokens(base), ReplayBuffer: 1 << 20})
	for _, size := range []int{0, 100 << 10, 5 << 20} {
		text := envelope("query", "urn:partner.soap.sforce.com")
		text = strings.Replace(text, "</e:Body>", strings.Repeat(" ", size)+"</e:Body><x/>", 1)
		for _, body := range []io.Reader{strings.NewReader(text), unsized{strings.NewReader(text)}} {
			got := r.send(t, "POST", "/services/Soap/u/60.0", body, "Content-Type: text/xml")
			got.wantFault(t, http.StatusInternalServerError, "PROXY_BAD_ENVELOPE")
			if !strings.Contains(got.body, "an element after its Body, which sfproxy does not pass on") {
				t.Errorf("%d bytes, %T: answer = %s", size, body, got.body)
			}
		}
	}
}

// Only a POST is looked into, so nothing else with a body passes.
func TestSOAPIsPOST(t *testing.T) {
	arrived := 0
	base := upstream(t, func(http.ResponseWriter, *http.Request) { arrived++ })
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	for _, method := range []string{"PUT", "post", "DELETE"} {
		if got := r.send(t, method, "/services/Soap/u/60.0", strings.NewReader(envelope("logout", "urn:partner.soap.sforce.com"))); !strings.Contains(got.body, "PROXY_METHOD_NOT_ALLOWED") {
			t.Errorf("%s = %d %s", method, got.status, got.body)
		}
	}
	if r.send(t, "GET", "/services/Soap/u/60.0", nil); arrived != 1 {
		t.Errorf("%d requests arrived, want the GET alone", arrived)
	}
}

// A body that is decoded is read to its own end, or the connection's next
// request would be lost.
func TestSOAPDeflateKeepsConnection(t *testing.T) {
	base := upstream(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	r := start(t, proxy.Config{Tokens: newTokens(base)})
	text := envelope("query", "urn:partner.soap.sforce.com") + strings.Repeat(" ", 300<<10) // over what is kept
	for i := range 20 {
		req, _ := http.NewRequest("POST", r.url+"/services/Soap/u/60.0", io.MultiReader(strings.NewReader(deflated(text))))
		req.Header.Set("Content-Type", "text/xml")
		req.Header.Set("Content-Encoding", "deflate")
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %s", i, resp.Status)
		}
		if got := r.send(t, "GET", limitsPath, nil); got.status != http.StatusOK {
			t.Fatalf("after request %d: %d", i, got.status)
		}
	}
}
