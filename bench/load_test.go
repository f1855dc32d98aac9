package main

import (
	"bufio"
	"strings"
	"testing"
)

// What the upstream sends, the load takes for right; what a proxy may make of
// it, too.
func TestAnswers(t *testing.T) {
	record, _ := shapeNamed("record")
	body := string(record.answer)
	for _, test := range []struct{ name, answer, want string }{
		{"upstream's", string(record.response()), ""},
		{"sized", "HTTP/1.1 200 OK\r\ncontent-length: 350\r\nX: y\r\n\r\n" + body, ""},
		{"in other chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n" + body[:10] + "\r\n154\r\n" + body[10:] + "\r\n0\r\n\r\n", ""},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", errShort.Error()},
		{"refused", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "status 401 instead of 200"},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 350\r\n\r\nx", "EOF"},
	} {
		w := &worker{load: &load{shape: record}, r: bufio.NewReader(strings.NewReader(test.answer))}
		got := ""
		if err := w.receive(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if left, _ := w.r.Peek(1); got == "" && (len(left) > 0 || w.moved.Load() != 350) {
			t.Errorf("%s: %d bytes of the body, left %q", test.name, w.moved.Load(), left)
		}
	}
}

// The upstream answers who brings the token and nobody else.
func TestUpstream(t *testing.T) {
	u := &upstream{responses: map[string][]byte{}}
	for _, s := range shapes {
		u.responses[s.method+" "+s.path] = s.response()
	}
	for _, s := range shapes {
		for authorization, want := range map[string]string{
			"Bearer " + accessToken:        string(s.response()),
			"Bearer " + accessToken + ".1": string(s.response()),
			"Bearer " + clientKey:          string(statusOnly(401)),
		} {
			r := bufio.NewReader(strings.NewReader(string(s.request("localhost", authorization))))
			h, err := readHead(r)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := h.discardBody(r, nil); err != nil || n != int64(len(s.body)) || r.Buffered() > 0 {
				t.Errorf("%s: body of %d bytes, %v, %d left", s.name, n, err, r.Buffered())
			}
			if got := string(u.responseTo(h)); got != want {
				t.Errorf("%s as %.30s: %.60q, want %.60q", s.name, authorization, got, want)
			}
		}
	}
}

func TestShapesAreAsLargeAsTheySay(t *testing.T) {
	for name, want := range map[string][2]int{"record": {0, 350}, "create": {1024, 54}, "down": {0, 10 << 20}, "up": {10 << 20, 54}} {
		s, err := shapeNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{len(s.body), len(s.answer)}; got != want {
			t.Errorf("%s: %v bytes, want %v", name, got, want)
		}
	}
	if page, _ := shapeNamed("page"); len(page.answer) < 130<<10 || len(page.answer) > 132<<10 {
		t.Errorf("page: %d bytes", len(page.answer))
	}
}
