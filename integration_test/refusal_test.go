package integration_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// setup is a set-up in which no token can be had, and what is said about it.
type setup struct {
	name    string
	tls     bool
	set     []string   // variables
	prepare func(*org) // may be nil
	want    string     // in every message
	hint    string     // of what to change
}

// lastingFaults are those that last until a person changes something.
func lastingFaults(t *testing.T) []setup {
	otherKey := "SF_JWT_KEY_FILE=" + writeFile(t, "other.key", keyPEM(t, newKey(2048)))
	instance := func(url string) func(*org) { return func(o *org) { o.SetInstanceURLInGrants(url) } }
	return []setup{
		{name: "another app's key", set: []string{otherKey},
			want: "invalid_grant: invalid assertion", hint: "the certificate uploaded to the app does not belong to this private key"},
		{name: "unknown consumer key", set: []string{"SF_CLIENT_ID=3MVG9unknown"},
			want: "invalid_client_id: client identifier invalid", hint: "check SF_CLIENT_ID"},
		{name: "user not approved", set: []string{"SF_USERNAME=stranger@example.com"},
			want: "invalid_grant: user hasn't approved this consumer", hint: "has not been approved for the app"},
		{name: "wrong audience", set: []string{"SF_AUDIENCE=https://login.salesforce.com"},
			want: "invalid_grant: audience is invalid", hint: "set SF_LOGIN_URL to the right host, or SF_AUDIENCE"},
		{name: "TLS not trusted", tls: true, set: []string{"SF_CA_FILE="},
			want: "certificate signed by unknown authority", hint: "set SF_CA_FILE"},
		{name: "a page for a token", prepare: func(o *org) { o.FailGrants(-1, devorg.PageFault(http.StatusOK)) },
			want: "the answer is not the JSON of a token", hint: "SF_LOGIN_URL does not seem to lead to Salesforce"},
		{name: "an endless page for a token", prepare: func(o *org) { o.SetTokenEndpoint(tenMegabytes(http.StatusOK)) },
			want: "the answer is larger than", hint: "SF_LOGIN_URL does not seem to lead to Salesforce"},
		{name: "a page that is not there", prepare: func(o *org) { o.FailGrants(-1, devorg.PageFault(http.StatusNotFound)) },
			want: "it answered 404 Not Found without an OAuth error", hint: "SF_LOGIN_URL does not seem to lead to Salesforce"},
		{name: "plain HTTP instance", prepare: instance("http://example.my.salesforce.com"),
			want: "instance_url \"http://example.my.salesforce.com\" is refused: it is not https", hint: "SF_LOGIN_URL"},
		{name: "foreign instance", prepare: instance("https://salesforce.com.evil.example"),
			want: "is refused: it lies in none of the trusted domains", hint: "SF_TRUSTED_DOMAINS"},
		{name: "instance by address", prepare: instance("https://192.0.2.1"),
			want: "is refused: it lies in none of the trusted domains", hint: "SF_TRUSTED_DOMAINS"},
	}
}

// passingFaults are those that may be over at the next attempt.
func passingFaults(t *testing.T) []setup {
	fault := func(f devorg.Fault) func(*org) { return func(o *org) { o.FailGrants(-1, f) } }
	const status = "https://status.salesforce.com"
	return []setup{
		{name: "nobody listens", set: []string{"SF_LOGIN_URL=http://" + closedPort(t)},
			want: "connection refused", hint: "check SF_LOGIN_URL, DNS and the firewall"},
		{name: "500", prepare: fault(devorg.Fault{Status: 500}), want: "it answered 500", hint: status},
		{name: "a maintenance page", prepare: fault(devorg.PageFault(503)), want: "it answered 503", hint: status},
		{name: "an endless maintenance page", prepare: func(o *org) { o.SetTokenEndpoint(tenMegabytes(503)) }, want: "it answered 503", hint: status},
		{name: "no answer", prepare: fault(devorg.Fault{Hang: true}), want: "token endpoint", hint: "does not answer in time"},
		{name: "a closed connection", prepare: fault(devorg.Fault{CloseConn: true}), want: "EOF", hint: "check SF_LOGIN_URL"},
		{name: "half an answer", prepare: fault(devorg.Fault{Status: 200, Body: `{"access_token":`, CloseConn: true}), want: "the answer broke off"},
	}
}

// tenMegabytes answers with so much that nobody should read it whole.
func tenMegabytes(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		io.WriteString(w, strings.Repeat("<p>maintenance</p>\n", 10<<20/19))
	})
}

func (s setup) start(t *testing.T) *org {
	t.Helper()
	org := startOrg(t, devorg.Config{TLS: s.tls})
	if s.prepare != nil {
		s.prepare(org)
	}
	org.env = with(org.env, s.set...)
	return org
}

// TestNoTokenServe runs the proxy where no token can be had: it runs on, and
// says why to everybody who may ask.
func TestNoTokenServe(t *testing.T) {
	t.Parallel()
	lasting, passing := lastingFaults(t), passingFaults(t)
	for _, s := range lasting {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.serve(t, http.StatusBadGateway, "PROXY_GRANT_REFUSED", "")
		})
	}
	for _, s := range passing {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.serve(t, http.StatusServiceUnavailable, "PROXY_GRANT_UNAVAILABLE", "5")
		})
	}
}

func (s setup) serve(t *testing.T, status int, code, retryAfter string) {
	org := s.start(t)
	p := startProxy(t, org.env)
	a := get(t, p.URL+"/services/data/v60.0/limits")
	fault := a.fault(t)
	if a.status != status || fault.ErrorCode != code || a.header.Get("Retry-After") != retryAfter {
		t.Errorf("answer = %d %s, Retry-After %q; want %d %s, %q", a.status, fault.ErrorCode, a.header.Get("Retry-After"), status, code, retryAfter)
	}
	if !strings.Contains(fault.Message, s.want) || !strings.Contains(fault.Message, s.hint) {
		t.Errorf("message = %q, want %q and %q in it", fault.Message, s.want, s.hint)
	}
	ready := p.ask(t, "/readyz")
	report := decode[readiness](t, ready.body)
	if ready.status != http.StatusServiceUnavailable || !strings.Contains(report.Reason, s.want) {
		t.Errorf("/readyz = %d %s, want 503 with %q in the reason", ready.status, ready.body, s.want)
	}
	if f := report.LastFailure; f == nil || !strings.Contains(f.Hint, s.hint) {
		t.Errorf("/readyz = %s, want a hint with %q", ready.body, s.hint)
	}
	if alive := p.ask(t, "/healthz"); alive.status != http.StatusOK {
		t.Errorf("/healthz = %d, want 200", alive.status)
	}
	level := map[bool]string{true: "ERROR", false: "WARN"}[status == http.StatusBadGateway]
	p.Log.waitFor(t, `"level":"`+level+`","msg":"no token granted"`)
	if stats := org.Stats(); stats.Requests != 0 || stats.MaxConcurrentGrants > 1 {
		t.Errorf("requests at the instance = %d, grants at once = %d; want 0, no more than 1", stats.Requests, stats.MaxConcurrentGrants)
	}
	if status := p.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
}

// TestNoTokenCommand is the same for the command that a person tries first: it
// makes one attempt and says what to change.
func TestNoTokenCommand(t *testing.T) {
	t.Parallel()
	for _, s := range append(lastingFaults(t), passingFaults(t)...) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			org := s.start(t)
			started := time.Now()
			got := run(t, org.env, "token")
			want := []string{s.want}
			if s.hint != "" {
				want = append(want, "\nhint: ", s.hint)
			}
			got.check(t, 1, want...)
			if attempts := org.Stats().GrantAttempts; attempts > 1 {
				t.Errorf("attempts at grants = %d, want one", attempts)
			}
			if took := time.Since(started); took > 25*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestClockOff has an org whose clock is an hour off: the first attempt tells,
// the second is right.
func TestClockOff(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			org := startOrg(t, devorg.Config{})
			org.SetClockOffset(offset)
			p := startProxy(t, org.env)
			if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
				t.Errorf("answer = %d %s, want 200", a.status, a.body)
			}
			p.Log.waitFor(t, `"level":"WARN","msg":"this machine's clock differs from Salesforce's`)
			org.RevokeTokens()
			if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
				t.Errorf("answer after a revocation = %d %s, want 200", a.status, a.body)
			}
			if stats := org.Stats(); stats.Grants != 2 || stats.GrantAttempts > 3 {
				t.Errorf("grants = %d in %d attempts, want 2 in 3 at most", stats.Grants, stats.GrantAttempts)
			}
		})
	}
}

// TestMendedSetup mends what the org refused: the proxy works without a restart.
func TestMendedSetup(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	org.RotateKey(&newKey(2048).PublicKey)
	p := startProxy(t, org.env)
	if a := get(t, p.URL+echoPath); a.status != http.StatusBadGateway {
		t.Fatalf("answer = %d %s, want 502", a.status, a.body)
	}
	attempts := org.Stats().GrantAttempts
	if a := get(t, p.URL+echoPath); a.status != http.StatusBadGateway || org.Stats().GrantAttempts != attempts {
		t.Errorf("a second request = %d with %d attempts at grants, want 502 and none: the refusal is remembered", a.status, org.Stats().GrantAttempts-attempts)
	}
	org.RotateKey(&testKey().PublicKey)
	p.waitReady(t) // without a request
	if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
		t.Errorf("answer after the mending = %d %s, want 200", a.status, a.body)
	}
	if stats := org.Stats(); stats.RefusedGrants > 2 {
		t.Errorf("refused grants = %d, want one, or two at most: each is a failed login", stats.RefusedGrants)
	}
}

// TestPassingFault has an org that recovers within a request's patience: the
// client notices nothing.
func TestPassingFault(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	org.FailGrants(3, devorg.PageFault(http.StatusServiceUnavailable))
	p := startProxy(t, org.env)
	if a := get(t, p.URL+echoPath); a.status != http.StatusOK {
		t.Errorf("answer = %d %s, want 200", a.status, a.body)
	}
	p.waitReady(t)
	if stats := org.Stats(); stats.GrantAttempts != 4 || stats.Grants != 1 {
		t.Errorf("grants = %d in %d attempts, want 1 in 4", stats.Grants, stats.GrantAttempts)
	}
}
