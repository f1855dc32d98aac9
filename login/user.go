package login

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// user is what Salesforce says of the user behind a subject.
type user struct {
	orgID, userID string // 18 characters
	sandbox       bool
	// info are the children of userInfo in the order of the WSDL.
	info []element
}

// element is a child of userInfo, which are all simple.
type element struct {
	XMLName xml.Name
	Nil     bool   `xml:"http://www.w3.org/2001/XMLSchema-instance nil,attr"`
	Text    string `xml:",chardata"`
}

// users asks Salesforce about users, once a subject and API version. Safe for
// concurrent use.
type users struct {
	tokens    Tokens
	transport http.RoundTripper
	lowest    string   // Config.MinAPIVersion
	known     sync.Map // userKey → *user
}

type userKey struct{ subject, version string }

const (
	askTimeout = 30 * time.Second
	maxAnswer  = 256 << 10 // bytes
)

// get returns the user behind subject with the fields that version has.
func (u *users) get(ctx context.Context, subject, version string) (*user, error) {
	key := userKey{subject, version}
	if known, ok := u.known.Load(key); ok {
		return known.(*user), nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	found, whole, err := u.ask(ctx, subject, version)
	if err != nil {
		return nil, err
	}
	if whole {
		u.known.Store(key, found)
	}
	return found, nil
}

// ask gets a token, asks, and once more with a new token should Salesforce
// have refused the first. whole is false if a later try may learn more.
func (u *users) ask(ctx context.Context, subject, version string) (found *user, whole bool, err error) {
	for attempt := 0; ; attempt++ {
		token, err := u.tokens.Token(ctx, subject)
		if err != nil {
			return nil, false, err
		}
		found, err := u.askSOAPAt(ctx, token, version)
		whole = err == nil || token.JWT()
		if err != nil {
			found, err = u.askIdentity(ctx, token)
		}
		if !errors.Is(err, errTokenRefused) || attempt > 0 {
			return found, whole, err
		}
		u.tokens.Reject(token)
	}
}

var errTokenRefused = errors.New("the token was refused by Salesforce")

// earlyInfo are the children of userInfo that each API version from 21.0 has.
var earlyInfo = []string{
	"accessibilityMode", "currencySymbol", "orgAttachmentFileSizeLimit", "orgDefaultCurrencyIsoCode", "orgDisallowHtmlAttachments",
	"orgHasPersonAccounts", "organizationId", "organizationMultiCurrency", "organizationName", "profileId", "roleId", "sessionSecondsValid",
	"userDefaultCurrencyIsoCode", "userEmail", "userFullName", "userId", "userLanguage", "userLocale", "userName", "userTimeZone", "userType", "userUiSkin",
}

// askSOAPAt asks at an API version. Where Salesforce refuses it and it is below
// the lowest to ask for, that one's answer is cut to what the old one may have:
// a client that is built from an old WSDL may take nothing else.
func (u *users) askSOAPAt(ctx context.Context, token *auth.Token, version string) (*user, error) {
	found, err := u.askSOAP(ctx, token, version)
	if err == nil || errors.Is(err, errTokenRefused) || len(version) != len(u.lowest) || version >= u.lowest {
		return found, err
	}
	if found, err = u.askSOAP(ctx, token, u.lowest); err != nil {
		return nil, err
	}
	found.info = slices.DeleteFunc(found.info, func(e element) bool { return !slices.Contains(earlyInfo, e.XMLName.Local) })
	return found, nil
}

// askSOAP asks by SOAP getUserInfo(), whose answer has what login()'s has.
func (u *users) askSOAP(ctx context.Context, token *auth.Token, version string) (*user, error) {
	if token.JWT() {
		return nil, errors.New("SOAP does not take access tokens in JWT format")
	}
	var session bytes.Buffer
	xml.EscapeText(&session, []byte(token.AccessToken.Reveal()))
	envelope := `<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="` + nsEnvelope + `" xmlns="` + nsPartner + `"><e:Header><SessionHeader><sessionId>` +
		session.String() + `</sessionId></SessionHeader></e:Header><e:Body><getUserInfo/></e:Body></e:Envelope>`
	body, err := u.do(ctx, token, http.MethodPost, "/services/Soap/u/"+version, "text/xml; charset=UTF-8", envelope)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Children struct {
			Elements []element `xml:",any"`
		} `xml:"Body>getUserInfoResponse>result"`
	}
	if err := xml.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("reading getUserInfo's answer: %v", err)
	}
	found := &user{info: answer.Children.Elements}
	found.orgID, found.userID = found.child("organizationId"), found.child("userId")
	if found.orgID == "" || found.userID == "" {
		return nil, errors.New("getUserInfo's answer has no user")
	}
	found.sandbox = isSandbox(token)
	return found, nil
}

// askIdentity asks the identity service, for users whose tokens SOAP does not
// take, and makes of it what it can.
func (u *users) askIdentity(ctx context.Context, token *auth.Token) (*user, error) {
	identity, err := url.Parse(token.IdentityURL)
	if err != nil || identity.Path == "" {
		return nil, errors.New("the token response has no identity URL")
	}
	body, err := u.do(ctx, token, http.MethodGet, identity.Path, "", "")
	if err != nil {
		return nil, err
	}
	var id struct {
		UserID   string `json:"user_id"`
		OrgID    string `json:"organization_id"`
		Username string `json:"username"`
		Name     string `json:"display_name"`
		Email    string `json:"email"`
		Type     string `json:"user_type"`
		Language string `json:"language"`
		Locale   string `json:"locale"`
		Timezone string `json:"timezone"`
	}
	if err := json.Unmarshal(body, &id); err != nil || id.UserID == "" || id.OrgID == "" {
		return nil, errors.New("the identity service's answer has no user")
	}
	found := &user{orgID: id.OrgID, userID: id.UserID, sandbox: isSandbox(token)}
	add := func(name, text string) {
		found.info = append(found.info, element{XMLName: xml.Name{Local: name}, Text: text, Nil: text == ""})
	}
	add("accessibilityMode", "false")
	add("currencySymbol", "")
	add("orgAttachmentFileSizeLimit", "5242880")
	add("orgDefaultCurrencyIsoCode", "")
	add("orgDisallowHtmlAttachments", "false")
	add("orgHasPersonAccounts", "false")
	add("organizationId", id.OrgID)
	add("organizationMultiCurrency", "false")
	add("organizationName", "")
	add("profileId", "")
	add("roleId", "")
	add("sessionSecondsValid", "7200")
	add("userDefaultCurrencyIsoCode", "")
	add("userEmail", id.Email)
	add("userFullName", id.Name)
	add("userId", id.UserID)
	add("userLanguage", id.Language)
	add("userLocale", id.Locale)
	add("userName", id.Username)
	add("userTimeZone", id.Timezone)
	add("userType", cmp.Or(id.Type, "Standard"))
	add("userUiSkin", "Theme3")
	return found, nil
}

// do sends one request with token to its instance and returns the answer.
func (u *users) do(ctx context.Context, token *auth.Token, method, path, contentType, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, token.InstanceURL.String()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken.Reveal())
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("SOAPAction", `""`)
	}
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if bytes.Contains(answer, []byte("INVALID_SESSION_ID")) || bytes.HasPrefix(answer, []byte("Bad_OAuth_Token")) {
		return nil, errTokenRefused
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking Salesforce about the user: it answered %s", resp.Status)
	}
	return answer, nil
}

// child returns the text of a child of userInfo.
func (u *user) child(name string) string {
	for _, e := range u.info {
		if e.XMLName.Local == name {
			return e.Text
		}
	}
	return ""
}

// write writes the children of userInfo. The session is ours, and so is what
// is left of its life.
func (u *user) write(b *bytes.Buffer, sessionLife time.Duration) {
	for _, e := range u.info {
		if e.XMLName.Local == "sessionSecondsValid" {
			e.Text = strconv.Itoa(int(sessionLife.Seconds()))
		}
		if e.Nil {
			fmt.Fprintf(b, `<%s xsi:nil="true"/>`, e.XMLName.Local)
			continue
		}
		fmt.Fprintf(b, "<%s>", e.XMLName.Local)
		xml.EscapeText(b, []byte(e.Text))
		fmt.Fprintf(b, "</%s>", e.XMLName.Local)
	}
}

// isSandbox reports whether a token's instance is that of a sandbox.
func isSandbox(token *auth.Token) bool {
	return auth.Audience(token.InstanceURL) == "https://test.salesforce.com"
}
