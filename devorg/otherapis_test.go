package devorg_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

func TestForbiddenPlaces(t *testing.T) {
	s := open(t, start(t, nil))
	if got := s.do("GET", "/secur/frontdoor.jsp", ""); got.status != 200 || !strings.Contains(got.body, "browser session") {
		t.Errorf("frontdoor = %d %s", got.status, got.body)
	}
	s.do("POST", "/services/oauth2/token", "")
	s.do("POST", "/services/oauth2/revoke?token=x", "")
	if got := s.org.Stats().Forbidden; got != 3 {
		t.Errorf("Forbidden = %d, want 3", got)
	}
}

// A listener is a CometD client.
type listener struct {
	session
	id     string
	cookie string
}

func (l *listener) send(message string) fields {
	l.t.Helper()
	request := l.request("POST", "/cometd/60.0", strings.Replace(message, "ID", l.id, 1))
	if l.cookie != "" {
		request.Header.Set("Cookie", l.cookie)
	}
	got := send(l.t, request)
	var replies []fields
	if err := json.Unmarshal([]byte(got.body), &replies); err != nil || got.status != http.StatusOK || len(replies) == 0 {
		l.t.Fatalf("%s = %d %s", message, got.status, got.body)
	}
	for _, cookie := range got.header.Values("Set-Cookie") {
		if strings.HasPrefix(cookie, "BAYEUX_BROWSER=") {
			l.cookie, _, _ = strings.Cut(cookie, ";")
		}
	}
	return replies[0]
}

func TestCometD(t *testing.T) {
	l := &listener{session: open(t, start(t, func(cfg *devorg.Config) { cfg.LongPoll = 50 * time.Millisecond }))}
	shake := l.send(`[{"channel":"/meta/handshake","version":"1.0"}]`)
	if shake["successful"] != true || l.cookie == "" {
		t.Fatalf("handshake = %v, cookie %q", shake, l.cookie)
	}
	l.id = shake["clientId"].(string)
	const connect = `[{"channel":"/meta/connect","clientId":"ID"}]`
	if got := l.send(`[{"channel":"/meta/subscribe","clientId":"ID","subscription":"/topic/Trees"}]`); got["successful"] != true {
		t.Errorf("subscribe = %v", got)
	}
	if got := l.send(connect); got["channel"] != "/meta/connect" || got["successful"] != true {
		t.Errorf("connect without messages = %v", got)
	}
	l.org.Publish("/topic/Other", fields{})
	l.org.Publish("/topic/Trees", fields{"Name": "Fir"})
	if got := l.send(connect); got["channel"] != "/topic/Trees" || got["data"].(fields)["sobject"].(fields)["Name"] != "Fir" {
		t.Errorf("connect with a message = %v", got)
	}
	cookie := l.cookie
	l.cookie = "BAYEUX_BROWSER=other"
	if got := l.send(connect); got["error"] != "403::Unknown client" {
		t.Errorf("without the cookie = %v", got)
	}
	l.cookie = cookie
	l.org.ExpireTokens()
	if got := l.send(connect); got["error"] != "401::Authentication invalid" || got["advice"].(fields)["reconnect"] != "none" {
		t.Errorf("with an expired token = %v", got)
	}
	if got := l.send(`[{"channel":"/meta/handshake"}]`); got["error"] != "403::Handshake denied" {
		t.Errorf("handshake with an expired token = %v", got)
	}
}
