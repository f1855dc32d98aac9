package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// tokenForm says what kind of token was granted and what it may be used for.
func (x *examination) tokenForm(context.Context) Result {
	scopes := strings.Fields(x.token.Scope)
	detail := "opaque"
	if x.token.JWT() {
		detail = "in JWT format"
	}
	if len(scopes) > 0 {
		detail += "; scopes " + auth.Foreign(strings.Join(scopes, " "))
	}
	r := passed("%s", detail)
	if x.token.JWT() {
		r = warning("%s: SOAP does not take it, and so neither do apps that use SOAP", detail)
		r.Remedies = []Remedy{{Fix: "if an app needs SOAP, turn off \"Issue JSON Web Token (JWT)-based access tokens for named users\"", Where: []string{
			"External Client App: Setup → External Client App Manager → (app) → Edit Settings → OAuth Settings → Security",
			"Connected App: Setup → App Manager → (app) → Edit → API (Enable OAuth Settings)",
		}}}
	}
	if len(scopes) > 0 && !slices.Contains(scopes, "api") && !slices.Contains(scopes, "full") {
		r.Status = Warning
		r.Remedies = append(r.Remedies, Remedy{Cause: "neither of the scopes api and full is granted, so the APIs will refuse the token",
			Fix: "add the scope \"Manage user data via APIs (api)\"", Where: []string{
				"External Client App: Setup → External Client App Manager → (app) → Edit Settings → OAuth Settings → OAuth Scopes",
				"Connected App: Setup → App Manager → (app) → Edit → API (Enable OAuth Settings) → Selected OAuth Scopes",
			}})
	}
	return r
}

// identity asks whom the token speaks for.
func (x *examination) identity(ctx context.Context) Result {
	path := "/services/oauth2/userinfo"
	if id, err := url.Parse(x.token.IdentityURL); err == nil && strings.HasPrefix(id.Path, "/id/") {
		path = id.Path
	}
	a := x.ask(ctx, path)
	var who struct {
		Organization string `json:"organization_id"`
		User         string `json:"user_id"`
		Username     string `json:"username"`
		Preferred    string `json:"preferred_username"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &who) != nil || who.User == "" {
		return warning("the org does not tell whom the token is for: %s", a.about()).
			fix("nothing, as long as the APIs work; the app may lack the scope \"Access the identity URL service (id, profile, email, address, phone)\"")
	}
	if who.Username == "" {
		who.Username = who.Preferred
	}
	detail := fmt.Sprintf("org %s, user %s, %s", auth.Foreign(who.Organization), auth.Foreign(who.User), auth.Foreign(who.Username))
	if who.Username != "" && !strings.EqualFold(who.Username, x.cfg.Subject) {
		return warning("%s, and SF_USERNAME is %s", detail, x.cfg.Subject).fix("see that this is the user whom requests are to act for")
	}
	return passed("%s", detail)
}

const soapVersion = "60.0" // of the call that asks for the session; any living one does

// session asks how long a session may idle, which SOAP alone tells, and compares
// it with how long the proxy counts a token as good.
func (x *examination) session(ctx context.Context) Result {
	if x.token.JWT() {
		return skipped("the org tells its session policy by SOAP alone, which takes no token in JWT format")
	}
	var session bytes.Buffer
	xml.EscapeText(&session, []byte(x.token.AccessToken.Reveal()))
	a := x.do(ctx, http.MethodPost, "/services/Soap/u/"+soapVersion,
		`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"><e:Header><SessionHeader><sessionId>`+
			session.String()+`</sessionId></SessionHeader></e:Header><e:Body><getUserInfo/></e:Body></e:Envelope>`)
	var answer struct {
		Seconds string `xml:"Body>getUserInfoResponse>result>sessionSecondsValid"`
	}
	err := xml.Unmarshal(a.body, &answer)
	seconds, notNumber := strconv.Atoi(answer.Seconds)
	if a.status != http.StatusOK || err != nil || notNumber != nil || seconds <= 0 {
		return skipped("the org does not tell its session policy: %s", a.about())
	}
	valid, ttl := time.Duration(seconds)*time.Second, x.cfg.Org.TokenTTL
	if ttl > valid {
		return warning("a session ends after %s without use, and SF_TOKEN_TTL is %s", inWords(valid), inWords(ttl)).
			fix("set SF_TOKEN_TTL=" + inWords(valid) + ": as it is, the first request after a pause needs a detour")
	}
	return passed("ends after %s without use; SF_TOKEN_TTL is %s", inWords(valid), inWords(ttl))
}

// inWords returns a duration without the zeros at its end: 2h and not 2h0m0s.
func inWords(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
