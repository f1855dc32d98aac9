package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
)

// grant asks for a token as the proxy does, with the next key where the first
// does not serve. A refusal is explained, and where it is about the audience,
// the others are tried: if one is accepted, the checks that follow go on with
// its token.
func (x *examination) grant(ctx context.Context) Result {
	cfg := x.cfg.Org
	cfg.Key, cfg.NextKey, cfg.Transport = x.cfg.Key.Signer, x.cfg.NextKey.Signer, x.cfg.Transport
	isNext := false
	cfg.OnKey = func(e auth.KeyEvent) { isNext = e.Refusal == nil }
	err := x.grantWith(ctx, cfg)
	switch {
	case err == nil && isNext:
		return warning("%s got a token with the key of %s, since that of %s does not serve", x.cfg.Subject, x.cfg.NextKey.Source, x.cfg.Key.Source).
			fix("put the next key in the place of the first: that ends the rotation")
	case err == nil:
		return passed("%s got a token with the consumer key %s", x.cfg.Subject, shortened(cfg.ConsumerKey))
	}
	r, id := refused(err)
	switch id {
	case "user-not-approved":
		return x.approvals(r, x.cfg.Subject)
	case "audience-invalid":
		if audience := x.findAudience(ctx, cfg); audience != "" {
			r.Remedies, r.usable = nil, true
			return r.fix("set SF_AUDIENCE=" + audience + ", which the org accepts: the checks below go on with it")
		}
	}
	return r
}

// grantWith asks for a token, and keeps it and the org that granted it.
func (x *examination) grantWith(ctx context.Context, cfg auth.OrgConfig) error {
	org, err := auth.NewOrg(cfg)
	if err != nil {
		return err
	}
	token, err := org.Grant(ctx, x.cfg.Subject)
	if err == nil {
		x.org, x.token = org, token
	}
	return err
}

// refused explains why a grant gave no token, and returns the ID of the
// catalogue's entry, "" if there is none.
func refused(err error) (r Result, id string) {
	entry, explained := auth.Explain(err)
	if !explained {
		return failed("%s", auth.Foreign(err.Error())).fix("see that what keeps the key can sign with it: the command, the token or its PIN"), ""
	}
	return failed("%s: %s", entry.Meaning, auth.Foreign(err.Error())).explained(entry), entry.ID
}

// findAudience tries the other audiences and returns the one that gets a token.
func (x *examination) findAudience(ctx context.Context, cfg auth.OrgConfig) string {
	tried := cmp.Or(cfg.Audience, auth.Audience(cfg.LoginURL))
	for _, audience := range audiences(cfg.LoginURL, tried) {
		cfg.Audience = audience
		if x.grantWith(ctx, cfg) == nil {
			return audience
		}
	}
	return ""
}

// approvals fills in both ways to approve the user: the admin's, which the
// catalogue has, and the user's own, by a URL that holds the consumer key.
func (x *examination) approvals(r Result, subject string) Result {
	for i, remedy := range r.Remedies {
		if remedy.Cause == auth.SelfApproval {
			r.Remedies[i].Fix = fmt.Sprintf("approve the app once in a browser, logged in as %s: %s", auth.Foreign(subject), x.approvalURL())
			r.Remedies[i].Where = []string{
				"The redirect_uri must be one of the app's callback URLs (another one: --callback URL); the page that it ends on does not matter.",
				"The app must have the scope \"Perform requests at any time (refresh_token, offline_access)\".",
			}
		}
	}
	return r
}

// approvalURL is where a user approves the app (web server flow, RFC 6749
// section 4.1.1). The code that it ends with is not used.
func (x *examination) approvalURL() string {
	return strings.TrimRight(x.cfg.Org.LoginURL.String(), "/") + "/services/oauth2/authorize?response_type=code" +
		"&client_id=" + url.QueryEscape(x.cfg.Org.ConsumerKey) + "&redirect_uri=" + url.QueryEscape(x.cfg.Callback)
}

// shortened returns enough of a consumer key to tell it from others.
func shortened(consumerKey string) string {
	r := []rune(consumerKey)
	return auth.Foreign(string(r[:min(8, len(r)/2)])) + "…"
}
