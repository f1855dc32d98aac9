package devorg

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Config describes the org to start. ConsumerKey, one of Certificate and PublicKey, and at
// least one user are required; every other field has a default.
type Config struct {
	// ConsumerKey is the client_id of the one app the org knows: the claim iss.
	ConsumerKey string

	// Certificate is the one registered with the app. As in Salesforce its dates do not matter.
	Certificate *x509.Certificate

	// PublicKey may be given instead of a certificate.
	PublicKey *rsa.PublicKey

	// Users are the usernames approved for the app: the claim sub.
	Users []string

	// Audience is the accepted claim aud. Default: the login host's own URL.
	Audience string

	// TokenTTL is the life of a token, counted from its issue and not from its last use.
	// Default: 2 hours.
	TokenTTL time.Duration

	// LoginsPerHour is how many grants a user gets within an hour. Default: 3,600.
	LoginsPerHour int

	// LongPoll is how long a CometD connect waits for a message. Default: 110 seconds.
	LongPoll time.Duration

	// OrgID is the org's 15-character id. Default: a fixed one.
	OrgID string

	// TLS serves both hosts over HTTPS, with certificates of an authority made at start.
	TLS bool

	// AuthorityCertificate and AuthorityKey, in PEM, are of an authority that NewAuthority
	// made earlier, so that clients trust an org that is started again. Default: a new one.
	AuthorityCertificate, AuthorityKey []byte

	// Hosts are further DNS names and addresses for the certificate. Loopback and the
	// hosts of the public URLs are always in it. Without TLS they mean nothing.
	Hosts []string

	// LoginListen and InstanceListen are the addresses of the two hosts. Default: a free
	// port on 127.0.0.1.
	LoginListen, InstanceListen string

	// PublicLoginURL and PublicInstanceURL are the origins by which clients reach the two
	// hosts where these differ from the listeners' own, in a container for example.
	PublicLoginURL, PublicInstanceURL string

	// ControlListen is the address of the test controls, which anyone who reaches it may
	// use; GET / lists them. Default: off.
	ControlListen string

	// Empty starts the org without its sample records.
	Empty bool

	// Logger gets a line for each grant, leak and, at debug level, request; never a token,
	// an assertion or a query. Default: none.
	Logger *slog.Logger

	// Clock is the time before any offset that is set later. Default: time.Now.
	Clock func() time.Time
}

// The origin's path, query and user are what a careless copy of a URL leaves behind.
func checkOrigin(name, raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("devorg: %s must be an origin such as https://org.example:8443", name)
	}
	return nil
}

var orgIDPattern = regexp.MustCompile(`^00D[0-9A-Za-z]{12}$`)

// complete returns the configuration with its defaults filled in, or all of its faults.
func (c Config) complete() (Config, error) {
	var faults []error
	fault := func(text string) { faults = append(faults, errors.New("devorg: "+text)) }
	if c.ConsumerKey == "" {
		fault("ConsumerKey is empty")
	}
	if c.PublicKey == nil && c.Certificate != nil {
		key, ok := c.Certificate.PublicKey.(*rsa.PublicKey)
		if !ok {
			fault("Certificate does not hold an RSA key")
		}
		c.PublicKey = key
	} else if c.PublicKey == nil {
		fault("neither Certificate nor PublicKey is set")
	}
	if c.PublicKey != nil && c.PublicKey.N.BitLen() < 2048 {
		fault("the RSA key is shorter than 2048 bits")
	}
	if len(c.Users) == 0 {
		fault("Users is empty")
	}
	for _, user := range c.Users {
		if strings.TrimSpace(user) == "" {
			fault("Users holds an empty name")
		}
	}
	c.OrgID = cmp.Or(c.OrgID, "00D5g000000DvOr")
	if !orgIDPattern.MatchString(c.OrgID) {
		fault("OrgID must be 00D and 12 letters or digits")
	}
	faults = append(faults, checkOrigin("PublicLoginURL", c.PublicLoginURL),
		checkOrigin("PublicInstanceURL", c.PublicInstanceURL))

	c.TokenTTL = cmp.Or(c.TokenTTL, 2*time.Hour)
	c.LoginsPerHour = cmp.Or(c.LoginsPerHour, 3600)
	c.LongPoll = cmp.Or(c.LongPoll, 110*time.Second)
	c.LoginListen = cmp.Or(c.LoginListen, "127.0.0.1:0")
	c.InstanceListen = cmp.Or(c.InstanceListen, "127.0.0.1:0")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c, errors.Join(faults...)
}
