package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Paths that ServeOAuth answers.
const (
	TokenPath  = "/services/oauth2/token" // #nosec G101 -- a path
	RevokePath = "/services/oauth2/revoke"
)

// ServeOAuth answers the token endpoint and the revocation endpoint. public is
// the proxy's origin as the client knows it. Parameters may be in the body or,
// as old toolkits have them, in the query.
func (l *Logins) ServeOAuth(w http.ResponseWriter, r *http.Request, public string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxEnvelope)
	if err := r.ParseForm(); errors.Is(err, os.ErrDeadlineExceeded) {
		writeOAuthError(w, http.StatusRequestTimeout, "invalid_request", "the parameters came too slowly, or not at all, and were given up")
		return
	} else if err != nil {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", "the parameters cannot be read")
		return
	}
	if r.URL.Path == RevokePath {
		// RFC 7009 section 2.2: a token that is none of ours is as good as revoked.
		if ended, err := l.sessions.end(r.Form.Get("token")); err == nil {
			l.tell(w, r, Attempt{Logout: true, How: "revoke", Client: ended.client, Outcome: OK})
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	if r.Method != http.MethodPost {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", "must use HTTP POST")
		return
	}
	switch r.Form.Get("grant_type") {
	case "password":
		l.oauthLogin(w, r, public, r.Form.Get("username"), func() (*Account, error) {
			key, secret := clientCredentials(r)
			return byConsumer(l.accounts(), r.Form.Get("username"), r.Form.Get("password"), key, secret)
		})
	case "client_credentials":
		name, key := clientCredentials(r)
		l.oauthLogin(w, r, public, name, func() (*Account, error) {
			return byAPIKey(l.accounts(), name, key)
		})
	default:
		writeOAuthError(w, http.StatusBadRequest, "unsupported_grant_type", "grant type not supported")
	}
}

// clientCredentials returns client_id and client_secret, from the parameters or
// from Basic authentication (RFC 6749 section 2.3.1).
func clientCredentials(r *http.Request) (id, secret string) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return r.Form.Get("client_id"), r.Form.Get("client_secret")
	}
	if decoded, err := url.QueryUnescape(id); err == nil {
		id = decoded
	}
	if decoded, err := url.QueryUnescape(secret); err == nil {
		secret = decoded
	}
	return id, secret
}

func (l *Logins) oauthLogin(w http.ResponseWriter, r *http.Request, public, name string, check func() (*Account, error)) {
	attempt := Attempt{How: r.Form.Get("grant_type")}
	account, err := l.authenticate(w, r, &attempt, name, check)
	if err != nil {
		refuseGrant(w, attempt.How, err)
		return
	}
	who, err := l.userOf(w, r, &attempt, account, "60.0")
	if err != nil {
		writeOAuthError(w, http.StatusServiceUnavailable, "temporarily_unavailable", unavailable(err))
		return
	}
	_, secret := clientCredentials(r)
	id, issuedAt := public+"/id/"+who.orgID+"/"+who.userID, strconv.FormatInt(time.Now().UnixMilli(), 10)
	writeJSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		InstanceURL string `json:"instance_url"`
		ID          string `json:"id"`
		TokenType   string `json:"token_type"`
		IssuedAt    string `json:"issued_at"`
		Signature   string `json:"signature"`
		Scope       string `json:"scope"`
	}{l.issue(account, who), public, id, "Bearer", issuedAt, sign(secret, id+issuedAt), "api"})
}

// refuseGrant says why a grant was refused, as Salesforce does.
func refuseGrant(w http.ResponseWriter, grant string, err error) {
	throttled, isThrottled := errors.AsType[*throttledError](err)
	switch {
	case isThrottled:
		setRetryAfter(w, throttled.wait)
		writeOAuthError(w, http.StatusTooManyRequests, "invalid_grant", "login rate exceeded")
	case errors.Is(err, errConsumerKey):
		writeOAuthError(w, http.StatusBadRequest, "invalid_client_id", "client identifier invalid")
	case errors.Is(err, errConsumerSecret), errors.Is(err, errCredentials) && grant == "client_credentials":
		writeOAuthError(w, http.StatusBadRequest, "invalid_client", "invalid client credentials")
	case errors.Is(err, errCredentials):
		writeOAuthError(w, http.StatusBadRequest, "invalid_grant", "authentication failure")
	default:
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", err.Error())
	}
}

// sign returns the signature that clients check with their client secret.
func sign(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func writeOAuthError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
