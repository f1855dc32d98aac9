package upstream

import (
	"net/http"
	"strings"
	"testing"
)

// What is wrong with an answer is told, by net/http's transport too, and not what
// was in it: an answer that is not where it should be may be anybody's.
func TestMalformedAnswerIsNotQuoted(t *testing.T) {
	const secret = "00D-of-somebody-else"
	for _, answer := range []string{
		`{"access_token":"` + secret + `"}` + "\r\n\r\n",
		"HTTP/1.1 " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nSet-Cookie sid=" + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
	} {
		for name, change := range map[string]func(*http.Request){
			"ours": func(*http.Request) {},
			"base": func(r *http.Request) { r.Header.Set("Keep-Alive", "x") },
		} {
			req := newRequest(t, "GET", "http://org.example/", "")
			change(req)
			_, _, err := sendRequest(newTransport(t, through(newScript([]byte(answer), 1<<20, true))), req)
			if err == nil || strings.Contains(err.Error(), secret) || len(err.Error()) < 10 {
				t.Errorf("%s: the error of %q is %v", name, answer, err)
			}
		}
	}
}
