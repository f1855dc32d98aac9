package devorg

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const (
	bearerGrant     = "urn:ietf:params:oauth:grant-type:jwt-bearer" // #nosec G101 -- a name
	maxGrantRequest = 16 << 10                                      // bytes
)

// An oauthError is a refusal by the token endpoint.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func refusal(code, description string) error {
	return &oauthError{Code: code, Description: description}
}

func invalidGrant(description string) error { return refusal("invalid_grant", description) }

// A tokenAnswer has the fields of a JWT grant: neither expires_in nor issued_at.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	Scope       string `json:"scope"`
	InstanceURL string `json:"instance_url"`
	ID          string `json:"id"`
	TokenType   string `json:"token_type"`
}

// serveLogin answers for the login host.
func (o *Org) serveLogin(w http.ResponseWriter, r *http.Request) {
	o.stamp(w)
	switch {
	case r.URL.Path == "/services/oauth2/token":
		o.serveToken(w, r)
	case r.URL.Path == "/services/oauth2/revoke":
		o.serveRevoke(w, r)
	case strings.HasPrefix(r.URL.Path, "/id/"):
		o.serveIdentity(w, r, o.currentInstance())
	case strings.HasPrefix(r.URL.Path, "/services/Soap/"):
		writeLoginGone(w, partnerNamespace)
	default:
		http.Error(w, "URL No Longer Exists", http.StatusNotFound)
	}
}

// serveToken answers one grant: what a test has asked for, or the org's own judgement.
func (o *Org) serveToken(w http.ResponseWriter, r *http.Request) {
	defer o.stats.grantStarted()()
	delay, fault, faulty, replacement := o.grantControls()
	if !o.pause(r, delay) {
		panic(http.ErrAbortHandler)
	}
	if faulty {
		o.stats.refusedGrants.Add(1)
		fault.serve(w, r)
		return
	}
	if replacement != nil {
		replacement.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer, err := o.grant(w, r)
	if err != nil {
		o.stats.refusedGrants.Add(1)
		var refused *oauthError
		if !errors.As(err, &refused) {
			panic(http.ErrAbortHandler) // the request itself broke off
		}
		o.cfg.Logger.Info("grant refused", "error", refused.Code, "error_description", refused.Description)
		writeJSON(w, http.StatusBadRequest, refused)
		return
	}
	o.stats.grants.Add(1)
	writeJSON(w, http.StatusOK, answer)
}

func (o *Org) grant(w http.ResponseWriter, r *http.Request) (*tokenAnswer, error) {
	assertion, err := readGrantRequest(w, r)
	if err != nil {
		return nil, err
	}
	subject, err := o.judge(assertion)
	if err != nil {
		return nil, err
	}
	o.cfg.Logger.Info("grant", "subject", subject.name)
	instance := o.currentInstance()
	token := o.sessions.issue(o.cfg.OrgID, session{user: subject, instance: instance, expires: o.now().Add(o.cfg.TokenTTL)})
	return &tokenAnswer{
		AccessToken: token,
		Scope:       "id api",
		InstanceURL: o.announcedInstance(instance),
		ID:          o.LoginURL() + "/id/" + o.id + "/" + subject.id,
		TokenType:   "Bearer",
	}, nil
}

// readGrantRequest returns the assertion of a request that is exactly what the JWT bearer
// flow asks for: two form parameters in the body and nothing else.
func readGrantRequest(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.Method != http.MethodPost {
		return "", refusal("invalid_request", "must use HTTP POST")
	}
	if name := leakedHeader(r); name != "" {
		return "", refusal("invalid_request", "header "+name+" must not reach the token endpoint")
	}
	if r.Header.Get("Authorization") != "" {
		return "", refusal("invalid_request", "the assertion is the only credential of this flow")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", refusal("unsupported_grant_type", "grant type not supported")
	}
	if r.URL.RawQuery != "" {
		return "", refusal("invalid_request", "parameters belong in the body, not in the URL")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGrantRequest))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			return "", refusal("invalid_request", "request is too long")
		}
		return "", err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", refusal("invalid_request", "body is not form-encoded")
	}
	return grantParameters(form)
}

func grantParameters(form url.Values) (string, error) {
	for name, values := range form {
		if name != "grant_type" && name != "assertion" {
			return "", refusal("invalid_request", "unexpected parameter")
		}
		if len(values) != 1 {
			return "", refusal("invalid_request", "parameter "+name+" is given more than once")
		}
	}
	if form.Get("grant_type") != bearerGrant {
		return "", refusal("unsupported_grant_type", "grant type not supported")
	}
	if form.Get("assertion") == "" {
		return "", invalidGrant("invalid assertion")
	}
	return form.Get("assertion"), nil
}

// serveRevoke really ends the session, so that a test can tell that nobody forwards to it.
func (o *Org) serveRevoke(w http.ResponseWriter, r *http.Request) {
	o.stats.forbidden.Add(1)
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		http.Error(w, "must use HTTP GET or POST", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxGrantRequest)
	if !o.sessions.end(r.FormValue("token")) {
		writeJSON(w, http.StatusBadRequest, &oauthError{"unsupported_token_type", "this token type is not supported"})
		return
	}
	w.WriteHeader(http.StatusOK)
}

const jsonType = "application/json;charset=UTF-8"

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}
