package auth

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
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
	// Key signs the assertions; an RSA key, see [ParseKey]. Required.
	Key crypto.Signer
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

// Org is one Salesforce org as the token flow sees it: a login URL, a consumer
// key and a key. Safe for concurrent use.
type Org struct {
	cfg      OrgConfig
	endpoint string
	clock    clock
}

const (
	grantType     = "urn:ietf:params:oauth:grant-type:jwt-bearer" // RFC 7523 section 2.1
	tokenPath     = "/services/oauth2/token"
	grantTimeout  = 15 * time.Second // for one exchange
	maxAnswerSize = 64 << 10         // bytes; a real answer has under 4 KiB
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
	return &Org{cfg: cfg, endpoint: strings.TrimRight(cfg.LoginURL.String(), "/") + tokenPath}, nil
}

// Grant exchanges a new assertion for a token that acts for subject. Its error
// is a *GrantError, which wraps ctx's error if ctx ended, unless the key
// failed. A refusal that comes with the news that our clock is off is answered
// by one more try with the corrected clock. Grant remembers nothing else: see
// [Manager].
func (o *Org) Grant(ctx context.Context, subject string) (*Token, error) {
	token, clockWasOff, err := o.exchange(ctx, subject)
	if clockWasOff && IsPermanent(err) {
		token, _, err = o.exchange(ctx, subject)
	}
	return token, err
}

// exchange sends one assertion to the token endpoint (RFC 7523 section 2.1). It
// reports whether the assertion's time has turned out wrong.
func (o *Org) exchange(ctx context.Context, subject string) (token *Token, clockWasOff bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	correction := o.clock.correction()
	assertion, err := o.newAssertion(subject, time.Now().Add(correction))
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
		fault.cause = fmt.Errorf("the answer broke off: %w", err)
		return nil, fault
	case resp.StatusCode != http.StatusOK: // first: a maintenance page may be of any size
		return nil, refused(fault, resp, body)
	case len(body) > maxAnswerSize:
		fault.Permanent = true
		fault.cause = fmt.Errorf("the answer is larger than %d bytes", maxAnswerSize)
		fault.Hint = notTheEndpoint
		return nil, fault
	}
	token, err := o.parse(subject, body)
	if err != nil {
		fault.Permanent = true
		fault.cause = err
		fault.Hint = notTheEndpoint
		if _, ok := errors.AsType[*instanceError](err); ok {
			fault.Hint = "if this is your org's own domain, add it to SF_TRUSTED_DOMAINS; otherwise check SF_LOGIN_URL"
		}
		if errors.Is(err, errNoInstance) {
			fault.Hint = "set SF_INSTANCE_URL to the org's My Domain, such as https://example.my.salesforce.com"
		}
		return nil, fault
	}
	return token, nil
}

const notTheEndpoint = "SF_LOGIN_URL does not seem to lead to Salesforce: it is the login host alone, best the org's My Domain, such as https://example.my.salesforce.com"

var errNoInstance = errors.New("the answer has no instance_url, and SF_INSTANCE_URL is not set")

// instanceError says why an answer's instance_url is not used.
type instanceError struct {
	raw    string
	reason error
}

func (e *instanceError) Error() string {
	return fmt.Sprintf("the answer's instance_url %q is refused: %v", bound(e.raw), e.reason)
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
		IdentityURL: bound(a.ID),
		Scope:       bound(a.Scope),
		Subject:     subject,
	}, time.Now(), a.life(o.clock.now(), o.cfg.TokenTTL), rand.Float64()), nil
}

// refused fills fault from an answer other than 200.
func refused(fault *GrantError, resp *http.Response, body []byte) *GrantError {
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && oauth.Error != "" {
		known := explain(oauth.Error, oauth.Description)
		fault.Code, fault.Description = bound(oauth.Error), bound(oauth.Description)
		fault.Permanent = !known.passing && resp.StatusCode < 500
		fault.Hint = known.hint
		return fault
	}
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout:
		fault.cause = fmt.Errorf("it answered %s", bound(resp.Status))
		fault.Hint = "Salesforce has a fault or is under maintenance: see https://status.salesforce.com"
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		fault.Permanent = true
		fault.cause = fmt.Errorf("it redirects to %q", redirectHost(resp))
		fault.Hint = "the login host has moved: set SF_LOGIN_URL to the new one"
	default:
		fault.Permanent = true
		fault.cause = fmt.Errorf("it answered %s without an OAuth error", bound(resp.Status))
		fault.Hint = notTheEndpoint
	}
	return fault
}

// redirectHost names where a redirect leads, without path and query.
func redirectHost(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return bound(u.Scheme + "://" + u.Host)
}

// unreachable explains an exchange that got no answer.
func (o *Org) unreachable(subject string, err error) error {
	fault := &GrantError{subject: subject, endpoint: o.endpoint, cause: err,
		Hint: "check SF_LOGIN_URL, DNS and the firewall; where the way out is a company proxy, set HTTPS_PROXY"}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	_, wrongName := errors.AsType[x509.HostnameError](err)
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case errors.Is(err, context.Canceled):
		fault.Hint = "" // the caller left
	case wrongName:
		fault.Permanent = true
		fault.Hint = "the certificate is for another host: check SF_LOGIN_URL"
	case invalid.Reason == x509.Expired:
		fault.Permanent = true
		fault.Hint = "the host's certificate is not valid at this machine's time: set its clock (NTP), or check SF_LOGIN_URL"
	case untrusted:
		fault.Permanent = true
		fault.Hint = "the certificate's issuer is not trusted: where a company proxy inspects TLS, set SF_CA_FILE to its CA certificate"
	case notTLS:
		fault.Permanent = true
		fault.Hint = "the host does not speak TLS on this port: check SF_LOGIN_URL and HTTPS_PROXY"
	}
	return fault
}
