package devorg

import (
	"io"
	"net/http"
	"strings"
)

// serveIdentity answers for /id/ORG/USER and /services/oauth2/userinfo. These word a bad
// token in a way of their own.
func (o *Org) serveIdentity(w http.ResponseWriter, r *http.Request, h *host) {
	query := r.URL.Query()
	if query.Has("oauth_token") || query.Has("access_token") {
		o.leak(w, r, "a token in the URL")
		return
	}
	session, live := o.authenticate(r, h)
	if !live {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "Bad_OAuth_Token")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		o.answer(w, r, nil, methodNotAllowed(r.Method, "GET, POST"))
		return
	}
	urls := o.identityURLs(h, session.user, query.Get("version"))
	if r.URL.Path == "/services/oauth2/userinfo" {
		o.answer(w, r, jsonResult(http.StatusOK, o.userInfo(h, session.user, urls)), nil)
		return
	}
	if !o.isIdentityOf(session.user, r.URL.Path) {
		o.answer(w, r, nil, notFound())
		return
	}
	o.answer(w, r, jsonResult(http.StatusOK, o.identity(session.user, urls)), nil)
}

func (o *Org) isIdentityOf(u *user, path string) bool {
	parts := strings.Split(strings.TrimPrefix(path, "/id/"), "/")
	if len(parts) != 2 {
		return false
	}
	org, orgValid := normalID(parts[0])
	id, idValid := normalID(parts[1])
	return orgValid && idValid && org == o.id && id == u.id
}

// identityURLs are absolute, and hold {version} unless one was asked for.
func (o *Org) identityURLs(h *host, u *user, version string) object {
	if version == "" || version == "latest" {
		version = "{version}"
	}
	soap, data := h.url+"/services/Soap/", h.url+"/services/data/v"+version+"/"
	return object{
		{"enterprise", soap + "c/" + version + "/" + o.cfg.OrgID},
		{"metadata", soap + "m/" + version + "/" + o.cfg.OrgID},
		{"partner", soap + "u/" + version + "/" + o.cfg.OrgID},
		{"rest", data}, {"sobjects", data + "sobjects/"}, {"search", data + "search/"}, {"query", data + "query/"},
		{"recent", data + "recent/"}, {"tooling_soap", soap + "T/" + version + "/" + o.cfg.OrgID},
		{"tooling_rest", data + "tooling/"}, {"profile", h.url + "/" + u.id}, {"feeds", data + "chatter/feeds"},
		{"groups", data + "chatter/groups"}, {"users", data + "chatter/users"}, {"custom_domain", h.url},
	}
}

func (o *Org) identity(u *user, urls object) object {
	return object{
		{"id", o.LoginURL() + "/id/" + o.id + "/" + u.id}, {"asserted_user", true},
		{"user_id", u.id}, {"organization_id", o.id}, {"username", u.name}, {"nick_name", u.name},
		{"display_name", u.name}, {"email", u.name}, {"email_verified", true}, {"user_type", "STANDARD"},
		{"language", "en_US"}, {"locale", "en_US"}, {"utcOffset", 0}, {"timezone", "GMT"},
		{"active", true}, {"urls", urls}, {"is_app_installed", true},
		{"last_modified_date", o.now().UTC().Format(datetimeLayout)},
	}
}

func (o *Org) userInfo(h *host, u *user, urls object) object {
	return object{
		{"sub", o.LoginURL() + "/id/" + o.id + "/" + u.id}, {"user_id", u.id}, {"organization_id", o.id},
		{"preferred_username", u.name}, {"nickname", u.name}, {"name", u.name}, {"email", u.name},
		{"email_verified", true}, {"zoneinfo", "GMT"}, {"locale", "en_US"}, {"language", "en_US"},
		{"profile", h.url + "/" + u.id}, {"picture", h.url + "/profilephoto/005/F"},
		{"user_type", "STANDARD"}, {"active", true}, {"urls", urls},
	}
}
