package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/devorg"
)

// TestLegacyCrowd has a hundred clients at work, 64 at a time, half by SOAP and
// half by REST, as ten users, while the org takes away the tokens, sessions
// expire by the clock and others are ended. Each answer has to be right and about
// the client whose session it is, and each loss costs each user one grant.
func TestLegacyCrowd(t *testing.T) {
	t.Parallel()
	const together, expiries, ttl = 64, 2, time.Second
	l := load{clients: 100, requests: 2000, losses: 20}.scaled()
	users := make([]string, 10)
	for i := range users {
		users[i] = fmt.Sprintf("user%d@example.com", i)
	}
	org := startOrg(t, devorg.Config{Users: users})
	env := with(without(org.env, "SF_USERNAME"), "SF_USERNAME="+users[0], "PROXY_SESSION_TTL="+ttl.String())
	apps := make([]*crowdApp, l.clients)
	for i := range apps {
		a := &crowdApp{name: fmt.Sprintf("app-%d", i), user: users[i%len(users)], password: fmt.Sprintf("%s-%d", passphrase, i), soap: i/len(users)%2 == 0, ttl: ttl}
		prefix := fmt.Sprintf("PROXY_CLIENT_%d_", i)
		env = with(env, prefix+"NAME="+a.name, prefix+"SUBJECT="+a.user, prefix+"USERNAME=login-"+a.name, prefix+"PASSWORD="+a.password)
		apps[i] = a
	}
	p := startProxy(t, env)
	churn := newChurn(l, func(n int) { takeTokens(org, n) })
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var running sync.WaitGroup
	slots := make(chan struct{}, together)
	for i, a := range apps {
		a.url = p.URL
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				epoch, more := churn.next(i)
				if !more && a.expired >= expiries {
					return
				}
				slots <- struct{}{}
				err := a.round(ctx, n, apps[(i+n)%len(apps)])
				<-slots
				if err != nil {
					cancel(fmt.Errorf("%s, round %d: %w", a.name, n, err))
				}
				churn.finished(i, epoch)
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	expired := 0
	for _, a := range apps {
		expired += a.expired
	}
	stats := org.Stats()
	t.Logf("%d rounds by %d clients without a wrong answer, %d sessions expired, %d grants, %d calls met a revoked token",
		churn.requests, len(apps), expired, stats.Grants, stats.Unauthorized)
	if want := int64((l.losses + 1) * len(users)); stats.Grants != want || stats.RefusedGrants != 0 {
		t.Errorf("grants = %d and refused ones = %d, want %d and 0: one a loss for each of %d users", stats.Grants, stats.RefusedGrants, want, len(users))
	}
	if stats.Unauthorized == 0 || stats.Leaks != 0 || stats.Forbidden != 0 {
		t.Errorf("unauthorized = %d, leaks = %d, forbidden = %d, want some, none and none", stats.Unauthorized, stats.Leaks, stats.Forbidden)
	}
}

// crowdApp is one client of a crowd.
type crowdApp struct {
	url, name, user, password string
	soap                      bool
	ttl                       time.Duration
	expired                   int // sessions that ended by the clock

	mu      sync.Mutex // guards session, which others borrow
	session crowdSession
}

// crowdSession is what comes of a login that was asked for and answered at two
// times: it lasts from the one to the other and then for its time, which the
// proxy rounds up to a second.
type crowdSession struct {
	id, userID      string
	asked, answered time.Time
}

// round is what an app does: it creates a record, reads it back, and asks who it
// is. Every tenth time it borrows the session of another, and every tenth time it
// ends its own and sees that it is refused.
func (a *crowdApp) round(ctx context.Context, n int, other *crowdApp) error {
	name := fmt.Sprintf("%s in round %d", a.name, n)
	created, err := a.do(ctx, 201, func(session string) (int, string, error) { return a.create(ctx, session, name) })
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	id := regexp.MustCompile(`001\w{15}`).FindString(created)
	read, err := a.do(ctx, 200, func(session string) (int, string, error) { return a.read(ctx, session, id) })
	if err != nil || !strings.Contains(read, name) || !strings.Contains(read, a.session.userID) {
		return fmt.Errorf("record = %.800s (%v), want %q of %s", read, err, name, a.session.userID)
	}
	who, err := a.do(ctx, 200, func(session string) (int, string, error) { return a.whoami(ctx, session) })
	if err != nil || !strings.Contains(who, a.user) {
		return fmt.Errorf("user = %.800s (%v), want %s", who, err, a.user)
	}
	if err := a.isClient(ctx, a.session.id, a); err != nil {
		return err
	}
	switch n % 10 {
	case 4:
		other.mu.Lock()
		borrowed := other.session.id
		other.mu.Unlock()
		if borrowed != "" {
			return a.isClient(ctx, borrowed, other)
		}
	case 9:
		return a.logout(ctx, name)
	}
	return nil
}

// do makes a call until it meets a session that is good. A session has to be so
// for its time and no longer.
func (a *crowdApp) do(ctx context.Context, want int, call func(session string) (int, string, error)) (string, error) {
	for {
		if a.session.id == "" {
			if err := a.login(ctx); err != nil {
				return "", err
			}
		}
		started := time.Now()
		status, answer, err := call(a.session.id)
		switch {
		case err != nil:
			return "", err
		case isRefusal(answer) && time.Since(a.session.asked) < a.ttl:
			return "", fmt.Errorf("a session %s old was refused: %d %.500s", time.Since(a.session.asked), status, answer)
		case isRefusal(answer):
			a.expired++
			a.forget()
		case started.Sub(a.session.answered) > a.ttl+time.Second:
			return "", fmt.Errorf("a session %s old was taken", started.Sub(a.session.answered))
		case status != want && !(a.soap && status == 200):
			return "", fmt.Errorf("%d %.500s", status, answer)
		default:
			return answer, nil
		}
	}
}

func isRefusal(answer string) bool {
	return strings.Contains(answer, "INVALID_SESSION_ID") || answer == "Bad_OAuth_Token"
}

// isClient checks that the org is told the name of the client whose session it
// is, unless the session is over.
func (a *crowdApp) isClient(ctx context.Context, session string, owner *crowdApp) error {
	status, answer, err := postText(ctx, a.url+echoPath, "", session, nil)
	if err == nil && !isRefusal(answer) && (status != 200 || !strings.Contains(answer, `"client=`+owner.name+`"`)) {
		err = fmt.Errorf("a call with the session of %s = %d %.800s", owner.name, status, answer)
	}
	return err
}

// logout ends the session and makes sure that it is over.
func (a *crowdApp) logout(ctx context.Context, name string) error {
	status, answer, err := postText(ctx, a.url+"/services/oauth2/revoke?token="+url.QueryEscape(a.session.id), "", "", nil)
	if err != nil || status != 200 {
		return fmt.Errorf("revocation = %d %.500s (%v)", status, answer, err)
	}
	if status, answer, err = a.create(ctx, a.session.id, name); err != nil || !isRefusal(answer) {
		return fmt.Errorf("create in an ended session = %d %.500s (%v)", status, answer, err)
	}
	a.forget()
	return nil
}

func (a *crowdApp) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.session.id = ""
}

func (a *crowdApp) login(ctx context.Context) error {
	got := crowdSession{asked: time.Now()}
	username, userID := "login-"+a.name, ""
	if a.soap {
		s, err := soapLogin(ctx, a.url, username, a.password)
		if err != nil {
			return err
		}
		got.id, userID = s.id, s.userID
	} else {
		s, err := oauthLogin(ctx, a.url, username, a.password)
		if err != nil {
			return err
		}
		got.id, userID = s.AccessToken, s.ID[strings.LastIndexByte(s.ID, '/')+1:]
	}
	got.userID, got.answered = userID, time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.session = got
	return nil
}

func (a *crowdApp) create(ctx context.Context, session, name string) (int, string, error) {
	if a.soap {
		return a.call(ctx, session, "<ns1:create><ns1:sObjects><ns2:type>Account</ns2:type><ns2:Name>"+name+"</ns2:Name></ns1:sObjects></ns1:create>")
	}
	body, _ := json.Marshal(map[string]string{"Name": name})
	return postText(ctx, a.url+"/services/data/v60.0/sobjects/Account", "application/json", session, body)
}

func (a *crowdApp) read(ctx context.Context, session, id string) (int, string, error) {
	soql := "SELECT Name, OwnerId FROM Account WHERE Id = '" + id + "'"
	if a.soap {
		return a.call(ctx, session, "<ns1:query><ns1:queryString>"+soql+"</ns1:queryString></ns1:query>")
	}
	return postText(ctx, a.url+"/services/data/v60.0/query?q="+url.QueryEscape(soql), "", session, nil)
}

func (a *crowdApp) whoami(ctx context.Context, session string) (int, string, error) {
	if a.soap {
		return a.call(ctx, session, "<ns1:getUserInfo/>")
	}
	return postText(ctx, a.url+"/services/oauth2/userinfo", "", session, nil)
}

// call makes a SOAP call.
func (a *crowdApp) call(ctx context.Context, session, operation string) (int, string, error) {
	return postText(ctx, a.url+"/services/Soap/u/60.0", "text/xml", "", sampleEnvelope(session, operation))
}
