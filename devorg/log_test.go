package devorg_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// A page is a log that several goroutines write.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(line)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestLogHoldsNoSecret(t *testing.T) {
	var log page
	org := start(t, func(cfg *devorg.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	refused := sign(newKey(), goodHeader(), goodClaims(org))
	send(t, grantRequest(t, org, refused))
	s := open(t, org)
	s.do("GET", data+"/query?q=SELECT+Name+FROM+Account", "")
	s.do("GET", "/services/oauth2/userinfo?access_token="+s.token, "")
	text := log.String()
	for _, want := range []string{`msg="grant refused"`, "msg=grant ", "msg=request method=GET path=" + data + "/query", "msg=leak"} {
		if !strings.Contains(text, want) {
			t.Errorf("log lacks %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{s.token, refused, "SELECT"} {
		if strings.Contains(text, secret) {
			t.Errorf("log holds %.20q…", secret)
		}
	}
}
