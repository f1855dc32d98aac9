package devorg_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

func soapRequest(t *testing.T, s session, api, envelope string) reply {
	t.Helper()
	request := newRequest(t, "POST", s.org.InstanceURL()+"/services/Soap/"+api+"/60.0", envelope)
	request.Header.Set("Content-Type", "text/xml; charset=UTF-8")
	return send(t, request)
}

func partnerEnvelope(token, call string) string {
	return `<x:Envelope xmlns:x="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="urn:partner.soap.sforce.com">` +
		`<x:Header><p:SessionHeader><p:sessionId>` + token + `</p:sessionId></p:SessionHeader></x:Header>` +
		`<x:Body><p:` + call + `/></x:Body></x:Envelope>`
}

func TestSOAP(t *testing.T) {
	s := open(t, start(t, nil))
	const illegal = "<faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session</faultstring><detail>"
	tests := []struct {
		name, api, envelope string
		status              int
		want                string
	}{
		{"unknown session", "u", partnerEnvelope("x", "getUserInfo"), 500, illegal},
		{"partner session on enterprise", "c", partnerEnvelope(s.token, "getUserInfo"), 500, illegal},
		{"session in the body", "u", strings.ReplaceAll(partnerEnvelope(s.token, "getUserInfo"), "Header>", "Body>"), 500, illegal},
		{"DTD", "u", "<!DOCTYPE x>" + partnerEnvelope(s.token, "getUserInfo"), 500, "DTD"},
		{"two session ids", "u", strings.Replace(partnerEnvelope(s.token, "getUserInfo"), "<p:sessionId>", "<p:sessionId/><p:sessionId>", 1), 500, "more than one sessionId"},
		{"unknown call", "u", partnerEnvelope(s.token, "query"), 500, "sf:INVALID_OPERATION"},
		{"getUserInfo", "u", partnerEnvelope(s.token, "getUserInfo"), 200, "<userName>" + username + "</userName>"},
		{"logout", "u", partnerEnvelope(s.token, "logout"), 200, "<logoutResponse/>"},
		{"after logout", "u", partnerEnvelope(s.token, "getUserInfo"), 500, illegal},
	}
	for _, tt := range tests {
		if got := soapRequest(t, s, tt.api, tt.envelope); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s = %d %s, want %d %s", tt.name, got.status, got.body, tt.status, tt.want)
		}
	}
}

func TestSOAPLoginIsOff(t *testing.T) {
	org := start(t, nil)
	got := send(t, newRequest(t, "POST", org.LoginURL()+"/services/Soap/u/60.0", "<x/>"))
	if got.status != 500 || !strings.Contains(got.body, "sf:INVALID_OPERATION") {
		t.Errorf("login = %d %s", got.status, got.body)
	}
}

func TestBulk(t *testing.T) {
	s := open(t, start(t, nil))
	ask := func(token, contentType string) reply {
		request := newRequest(t, "POST", s.org.InstanceURL()+"/services/async/60.0/job", "x")
		request.Header.Set("X-SFDC-Session", token)
		request.Header.Set("Content-Type", contentType)
		return send(t, request)
	}
	if got := ask("x", "application/xml"); got.status != 400 || !strings.Contains(got.body, "<exceptionCode>InvalidSessionId</exceptionCode>") {
		t.Errorf("XML = %d %s", got.status, got.body)
	}
	if got := ask("x", "application/json"); got.status != 400 || got.json(t)["exceptionCode"] != "InvalidSessionId" {
		t.Errorf("JSON = %d %s", got.status, got.body)
	}
	if got := ask(s.token, "application/json"); got.status != 400 || got.json(t)["exceptionCode"] != "FeatureNotEnabled" {
		t.Errorf("live token = %d %s", got.status, got.body)
	}
}

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
