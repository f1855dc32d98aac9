package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// OrgConfig is what a grant needs.
type OrgConfig struct {
	// LoginURL is the token host, with the path of an Experience Cloud site if
	// it is one. Required.
	LoginURL *url.URL
	// ConsumerKey is the app's client_id. Required.
	ConsumerKey string
	// Key signs the assertions; an RSA key. Required. If it says what its public
	// key is, a change of key is told from the same key read again.
	Key crypto.Signer
	// NextKey is tried when the org refuses Key. Default: none.
	NextKey crypto.Signer
	// OnKey is told when the current key changes or a new one is refused. It
	// must not block. Default: nobody is.
	OnKey func(KeyEvent)
	// Audience is the claim aud. Default: Audience(LoginURL).
	Audience string
	// TokenTTL is how long a token counts as good where the answer does not
	// say. Default: 2 hours, Salesforce's own default.
	TokenTTL time.Duration
	// InstanceURL is used where an answer has no instance_url. It is trusted
	// whatever its domain; its path is ignored.
	InstanceURL *url.URL
	// TrustedDomains are the domains an instance_url may lie in, besides the
	// login host itself. Default: the package's TrustedDomains.
	TrustedDomains []string
	// AllowHTTP lets the login host and an instance be plain HTTP beyond loopback.
	AllowHTTP bool
	// Transport reaches the token endpoint. Default: http.DefaultTransport.
	Transport http.RoundTripper
	// Logger gets a warning when the clock is off. Default: none.
	Logger *slog.Logger
}

// KeyEvent is what an org has made of a key that was not the current one.
type KeyEvent struct {
	Key crypto.Signer
	// Refusal is why the org does not take the key, a *GrantError, or why it
	// cannot sign. nil says that the key is the current one from now on.
	Refusal error
}

// Org is one Salesforce org as the token flow sees it: a login URL, a consumer
// key and a key. Safe for concurrent use.
type Org struct {
	cfg      OrgConfig
	keys     *keyring
	endpoint string
	clock    clock
}

const (
	grantType     = "urn:ietf:params:oauth:grant-type:jwt-bearer" // RFC 7523 section 2.1
	tokenPath     = "/services/oauth2/token"                      // #nosec G101 -- a path
	grantTimeout  = 15 * time.Second                              // for one exchange
	maxAnswerSize = 64 << 10                                      // bytes; a real answer has under 4 KiB
)

// NewOrg returns an Org, or an error that names the field that is missing or
// wrong.
func NewOrg(cfg OrgConfig) (*Org, error) {
	switch {
	case cfg.LoginURL == nil:
		return nil, errors.New("auth: no LoginURL")
	case cfg.ConsumerKey == "":
		return nil, errors.New("auth: no ConsumerKey")
	case cfg.Key == nil:
		return nil, errors.New("auth: no Key")
	}
	if err := checkUpstream(cfg.LoginURL, cfg.AllowHTTP); err != nil {
		return nil, fmt.Errorf("auth: LoginURL: %v", err)
	}
	if cfg.InstanceURL != nil {
		if err := checkUpstream(cfg.InstanceURL, cfg.AllowHTTP); err != nil {
			return nil, fmt.Errorf("auth: InstanceURL: %v", err)
		}
		cfg.InstanceURL = &url.URL{Scheme: cfg.InstanceURL.Scheme, Host: cfg.InstanceURL.Host}
	}
	if cfg.Audience == "" {
		cfg.Audience = Audience(cfg.LoginURL)
	}
	if cfg.TokenTTL <= 0 {
		cfg.TokenTTL = 2 * time.Hour
	}
	if cfg.TrustedDomains == nil {
		cfg.TrustedDomains = TrustedDomains
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnKey == nil {
		cfg.OnKey = func(KeyEvent) {}
	}
	return &Org{cfg: cfg, keys: newKeyring(cfg.Key, cfg.NextKey), endpoint: strings.TrimRight(cfg.LoginURL.String(), "/") + tokenPath}, nil
}

// Grant exchanges a new assertion for a token that acts for subject. Its error
// is a *GrantError, which wraps ctx's error if ctx ended, unless no key could
// sign. If the org refuses the key, the others that it may know are tried, and
// the one that it takes is the current one from then on. A refusal that comes
// with the news that our clock is off is answered by one more try with the
// corrected clock. Grant remembers nothing else: see [Manager].
func (o *Org) Grant(ctx context.Context, subject string) (*Token, error) {
	keys, began := o.keys.order()
	if len(keys) > 1 {
		keys = append(keys, keys[0]) // which may have become known since it was tried
	}
	logins := 0
	var refusal error
	for _, key := range keys {
		token, err := o.grantWith(ctx, key, subject, &logins)
		if err == nil {
			if o.keys.accepted(key, began) {
				o.cfg.OnKey(KeyEvent{Key: key})
			}
			token.logins = logins
			return token, nil
		}
		mayBeKey := isSigning(err) || IsKeyRefusal(err)
		// A key on trial has to bear any refusal that lasts: the old one stays.
		if (mayBeKey || IsPermanent(err)) && o.keys.refused(key, began) {
			o.cfg.OnKey(KeyEvent{Key: key, Refusal: err})
			mayBeKey = true
		}
		if !mayBeKey {
			refusal = err
			break
		}
		if refusal == nil || isSigning(refusal) { // what the org says counts for more
			refusal = err
		}
	}
	if e, ok := errors.AsType[*GrantError](refusal); ok {
		e.logins = logins
	}
	return nil, refusal
}

// SetKeys replaces the keys of [OrgConfig] while the org is in use. A key that
// is new is tried by the next grant; unless the org takes it, the current one
// stays, and the new one is tried again whenever the org refuses that.
func (o *Org) SetKeys(key, next crypto.Signer) { o.keys.set(key, next) }

// grantWith performs a grant with one of the keys, and adds to logins.
func (o *Org) grantWith(ctx context.Context, key crypto.Signer, subject string, logins *int) (*Token, error) {
	token, clockWasOff, err := o.exchange(ctx, key, subject)
	if isLogin(err) {
		*logins++
	}
	if !clockWasOff || !IsPermanent(err) {
		return token, err
	}
	if token, _, err = o.exchange(ctx, key, subject); isLogin(err) {
		*logins++
	}
	return token, err
}

// exchange sends one assertion to the token endpoint (RFC 7523 section 2.1). It
// reports whether the assertion's time has turned out wrong.
func (o *Org) exchange(ctx context.Context, key crypto.Signer, subject string) (token *Token, clockWasOff bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	correction := o.clock.correction()
	assertion, err := o.newAssertion(ctx, key, subject, time.Now().Add(correction))
	if err != nil {
		return nil, false, err
	}
	form := url.Values{"grant_type": {grantType}, "assertion": {assertion}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, false, fmt.Errorf("building the token request: %v", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	// The transport may repeat a request whose connection broke; an assertion
	// is for one attempt.
	req.GetBody = nil

	sent := time.Now()
	resp, err := o.cfg.Transport.RoundTrip(req)
	if err != nil {
		return nil, false, o.unreachable(subject, err)
	}
	defer resp.Body.Close()
	switch offset, changed := o.clock.learn(resp.Header, sent); {
	case changed && offset == 0:
		o.cfg.Logger.Info("this machine's clock agrees with Salesforce's again")
	case changed:
		o.cfg.Logger.Warn("this machine's clock differs from Salesforce's; assertions are corrected for it", "clock_behind", offset.Round(time.Second).String())
	}
	// Not what learn reports: another subject's answer may have come first.
	clockWasOff = (o.clock.correction() - correction).Abs() >= clockTolerance
	token, err = o.read(subject, resp)
	return token, clockWasOff, err
}

// read turns the token endpoint's answer into a token or a *GrantError.
func (o *Org) read(subject string, resp *http.Response) (*Token, error) {
	fault := &GrantError{subject: subject, endpoint: o.endpoint, Status: resp.StatusCode}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerSize+1))
	switch {
	case err != nil:
		return nil, fault.with(brokenOff, fmt.Errorf("the answer broke off: %w", err))
	case resp.StatusCode != http.StatusOK: // first: a maintenance page may be of any size
		return nil, refused(fault, resp, body)
	case len(body) > maxAnswerSize:
		return nil, fault.with(notTheEndpoint, fmt.Errorf("the answer is larger than %d bytes", maxAnswerSize))
	}
	token, err := o.parse(subject, body)
	if err == nil {
		return token, nil
	}
	if _, ok := errors.AsType[*instanceError](err); ok {
		return nil, fault.with(untrustedInstance, err)
	}
	if errors.Is(err, errNoInstance) {
		return nil, fault.with(noInstance, err)
	}
	return nil, fault.with(notTheEndpoint, err)
}

var errNoInstance = errors.New("the answer has no instance_url, and SF_INSTANCE_URL is not set")

// instanceError says why an answer's instance_url is not used.
type instanceError struct {
	raw    string
	reason error
}

func (e *instanceError) Error() string {
	return fmt.Sprintf("the answer's instance_url %q is refused: %v", Foreign(e.raw), e.reason)
}

// parse returns the token of a successful answer.
func (o *Org) parse(subject string, body []byte) (*Token, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, errors.New("the answer is not the JSON of a token")
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	instance := o.cfg.InstanceURL
	if a.InstanceURL != "" {
		var err error
		if instance, err = o.checkInstance(a.InstanceURL); err != nil {
			return nil, &instanceError{a.InstanceURL, err}
		}
	}
	if instance == nil {
		return nil, errNoInstance
	}
	return newToken(Token{
		AccessToken: NewAccessToken(a.AccessToken),
		InstanceURL: instance,
		IdentityURL: Foreign(a.ID),
		Scope:       Foreign(a.Scope),
		Subject:     subject,
	}, time.Now(), a.life(o.clock.now(), o.cfg.TokenTTL), rand.Float64()), nil // #nosec G404 -- spreads renewals
}

// refused fills fault from an answer other than 200.
func refused(fault *GrantError, resp *http.Response, body []byte) *GrantError {
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && oauth.Error != "" {
		known := explain(oauth.Error, oauth.Description)
		fault.Code, fault.Description = Foreign(oauth.Error), Foreign(oauth.Description)
		fault.Permanent = !known.Passing && known.Clears == 0 && resp.StatusCode < 500
		fault.RetryAfter = known.Clears
		fault.Hint = known.Hint()
		return fault
	}
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout:
		return fault.with(serverFault, fmt.Errorf("it answered %s", Foreign(resp.Status)))
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fault.with(redirected, fmt.Errorf("it redirects to %q", redirectHost(resp)))
	}
	return fault.with(notTheEndpoint, fmt.Errorf("it answered %s without an OAuth error", Foreign(resp.Status)))
}

// redirectHost names where a redirect leads, without path and query.
func redirectHost(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return Foreign(u.Scheme + "://" + u.Host)
}

// unreachable explains an exchange that got no answer.
func (o *Org) unreachable(subject string, err error) error {
	entry, permanent := failureOf(err)
	return &GrantError{subject: subject, endpoint: o.endpoint, cause: err, entry: entry, Permanent: permanent, Hint: entry.Hint()}
}
