// Package config turns the environment into one validated Config. No other
// package names a variable that it reads.
//
// The struct tags are the whole list of variables: env, envPrefix and
// envDefault are those of caarlos0/env, help is the meaning, shown is a default
// that is found elsewhere, and example is a value that would do. [Parse], the
// help and the table in the README all come from them.
package config

import (
	"log/slog"
	"net/url"
	"slices"
	"time"
)

// Config is the configuration of the program. It is not to be changed after
// [Parse], but for [Config.Wipe].
type Config struct {
	Salesforce Salesforce
	Proxy      Proxy
	Clients    []Client `envPrefix:"PROXY_CLIENT"`
	Log        Log
	Traces     Traces
	// Warnings are to be logged at start: unknown variables, those of others
	// that cannot be read, and what is allowed but risky. They hold no secrets.
	Warnings []string `env:"-"`
	// Files are the paths of the files that were read or looked for: Parse may
	// give another Config once one of them has changed.
	Files []string `env:"-"`
}

// Salesforce is the side of the org.
type Salesforce struct {
	// LoginURL is the token host: an origin, and for an Experience Cloud site
	// a path without a slash at its end.
	LoginURL    *url.URL `env:"SF_LOGIN_URL" envDefault:"https://login.salesforce.com" help:"token host: best the org's own My Domain, else login or test, or an Experience Cloud site" example:"https://login.salesforce.com"`
	ConsumerKey string   `env:"SF_CLIENT_ID,required" help:"consumer key of the Connected App or External Client App" example:"3MVG9..."`
	Username    string   `env:"SF_USERNAME,required" help:"default subject: the user that tokens act for" example:"integration@example.com"`
	// Key is the text or, from a file, the content of the private key.
	Key Secret `env:"SF_JWT_KEY" shown:"one required" help:"private key: the text itself (PEM, or any form in base64), or with _FILE the path of a file"`
	// KeySource is where Key comes from, for messages: "SF_JWT_KEY" or
	// "SF_JWT_KEY_FILE (/path)".
	KeySource     string `env:"-"`
	KeyPassphrase Secret `env:"SF_JWT_KEY_PASSPHRASE" help:"passphrase of an encrypted key or keystore, or PIN of a token"`
	KeyAlias      string `env:"SF_JWT_KEY_ALIAS" shown:"the only one" help:"which key of a keystore" example:"sfproxy"`
	// NextKeyFile names the key that is tried when the org refuses the first,
	// NextKey is its content, empty while there is no such file or while
	// NextKeyFault says why it cannot be read.
	NextKeyFile  string `env:"SF_JWT_KEY_FILE_NEXT" help:"file of a second private key, tried when the org refuses the first: for a rotation without a gap" example:"/run/secrets/next.key"`
	NextKey      Secret `env:"-"`
	NextKeyFault error  `env:"-"`
	// CertificateFile names the certificate that the org trusts, Certificate is
	// its content, empty while CertificateFault says why it cannot be read.
	CertificateFile  string `env:"SF_JWT_CERT_FILE" shown:"from the key's file" help:"certificate of the private key, to be told before it expires or if it is another key's" example:"/etc/sfproxy/server.crt"`
	Certificate      []byte `env:"-"`
	CertificateFault error  `env:"-"`
	// SignerCommand and PKCS11URI stand in the place of Key.
	SignerCommand string `env:"SF_JWT_SIGNER_COMMAND" help:"instead of a key: command that reads a SHA-256 digest and writes its RSA signature (PKCS #1 v1.5); parts with spaces between them, no shell" example:"/usr/local/bin/sign --key sfproxy"`
	PKCS11URI     string `env:"SF_JWT_PKCS11_URI" help:"instead of a key: RFC 7512 URI of one in a PKCS #11 token, with its module-path; needs a build with the tag pkcs11" example:"pkcs11:token=sfproxy;object=key?module-path=/usr/lib/softhsm/libsofthsm2.so"`
	Audience      string `env:"SF_AUDIENCE" shown:"from SF_LOGIN_URL" help:"claim aud of the assertion" example:"https://login.salesforce.com"` // "" = derived
	// TokenTTL is 10 seconds to 24 hours.
	TokenTTL    time.Duration `env:"SF_TOKEN_TTL" envDefault:"2h" help:"how long a token counts as good where the response does not say" example:"2h"`
	InstanceURL *url.URL      `env:"SF_INSTANCE_URL" help:"instance URL where the token response has none" example:"https://example.my.salesforce.com"` // an origin; nil = none
	// TrustedDomains are in lower case, without dots at their ends. nil stands
	// for Salesforce's own.
	TrustedDomains []string `env:"SF_TRUSTED_DOMAINS" shown:"Salesforce's own" help:"domains, with commas between them, that an instance URL may lie in besides the login host" example:"salesforce.com,force.com"`
	CAFile         string   `env:"SF_CA_FILE" shown:"system roots" help:"PEM file of further roots for TLS to the org" example:"/etc/ssl/corporate-ca.pem"`
	CACerts        []byte   `env:"-"` // content of CAFile, nil for none
	AllowHTTP      bool     `env:"SF_ALLOW_HTTP" envDefault:"false" help:"lets the org be plain HTTP beyond loopback" example:"true"`
	AllowPrivate   bool     `env:"SF_ALLOW_PRIVATE" envDefault:"false" help:"lets names of Salesforce's lead to addresses that are not public, as with AWS PrivateLink" example:"true"`
	HTTP2          bool     `env:"SF_HTTP2" envDefault:"false" help:"speaks HTTP/2 to the org where that offers it: fewer connections, and more CPU time a request" example:"true"`
	// MaxConcurrent is not negative; 0 = any number.
	MaxConcurrent int           `env:"SF_MAX_CONCURRENT" envDefault:"0" shown:"any number" help:"requests that run in the org at a time; others wait, and the clients take turns" example:"20"`
	QueueTimeout  time.Duration `env:"SF_QUEUE_TIMEOUT" envDefault:"30s" help:"how long a request waits for SF_MAX_CONCURRENT before it is refused" example:"30s"` // positive
	MinAPIVersion string        `env:"SF_MIN_API_VERSION" shown:"off" help:"API version that requests for a lower one go to" example:"60.0"`                       // such as "60.0"; "" = off
}

// Wipe zeroes the texts of all secrets. It is for when everything has been made
// that is made of them; whether they are the same as others can still be told, by
// their digests.
func (c *Config) Wipe() {
	sf, proxy := &c.Salesforce, &c.Proxy
	for _, s := range []Secret{sf.Key, sf.KeyPassphrase, sf.NextKey, proxy.TLSKey, proxy.SessionSecret} {
		s.Wipe()
	}
	for i := range c.Clients {
		for _, s := range c.Clients[i].secrets() {
			s.Wipe()
		}
	}
}

// Proxy is the side of the clients.
type Proxy struct {
	Listen      string   `env:"PROXY_LISTEN" envDefault:"127.0.0.1:8080" help:"host:port for clients; without a host, all interfaces; unix:/path is a socket for this user alone" example:"127.0.0.1:8080"`
	AdminListen string   `env:"PROXY_ADMIN_LISTEN" envDefault:"127.0.0.1:8081" help:"host:port for /healthz, /readyz and /metrics; off for none" example:"127.0.0.1:8081"` // "" = none
	PublicURL   *url.URL `env:"PROXY_PUBLIC_URL" shown:"from the request" help:"how clients reach the proxy, for URLs in answers" example:"https://sfproxy.example.com"`   // an origin; nil = from the request
	// TLSCertFile and TLSKeyFile are both set or both empty, and both are set
	// if TLSClientCAFile is.
	TLSCertFile     string `env:"PROXY_TLS_CERT_FILE" help:"PEM certificate chain: serve HTTPS" example:"/etc/sfproxy/tls.crt"`
	TLSKeyFile      string `env:"PROXY_TLS_KEY_FILE" help:"PEM key of that certificate" example:"/etc/sfproxy/tls.key"`
	TLSClientCAFile string `env:"PROXY_TLS_CLIENT_CA_FILE" help:"PEM roots: require client certificates" example:"/etc/sfproxy/clients.crt"`
	// TLSCert, TLSKey and TLSClientCA are the contents of those files.
	TLSCert        []byte `env:"-"`
	TLSKey         Secret `env:"-"`
	TLSClientCA    []byte `env:"-"`
	AllowAnonymous bool   `env:"PROXY_ALLOW_ANONYMOUS" envDefault:"false" help:"needed to listen beyond loopback without clients" example:"true"`
	// AllowHosts are in lower case, without a port; IP addresses as netip.Addr
	// writes them.
	AllowHosts []string `env:"PROXY_ALLOW_HOSTS" shown:"none" help:"host names, with commas between them, that requests may name a proxy without clients by, besides localhost and PROXY_PUBLIC_URL's, and the admin port, besides any IP address and name without a dot" example:"sfproxy.example.com,sfproxy.internal"`
	// CORSOrigins are as browsers write them: no slash at the end, no default port.
	CORSOrigins []string `env:"PROXY_CORS_ORIGINS" shown:"none" help:"origins, with commas between them, whose web pages may send requests and read the answers" example:"https://app.example.com,http://localhost:3000"`
	// AllowPaths each begin with a slash. nil stands for the API paths.
	AllowPaths []string `env:"PROXY_ALLOW_PATHS" shown:"the API paths" help:"path prefixes, with commas between them, that are forwarded" example:"/services/data,/services/apexrest"`
	APIReserve string   `env:"PROXY_API_RESERVE" shown:"nothing" help:"what each client leaves of the org's daily API requests to others, in percent of them or as a number: when less is left, its requests are refused" example:"10%"`
	// ReplayBuffer is in bytes, 0 to 64 MiB; 0 keeps nothing.
	ReplayBuffer int64 `env:"PROXY_REPLAY_BUFFER" envDefault:"1MiB" help:"how much of a request body is kept for a replay, 64MiB at most" example:"512KiB"`
	// MaxConnections to MaxRequestsPerClient are not negative; 0 is no limit. Of
	// one address and of one client it is half of that in all unless it is set.
	MaxConnections           int `env:"PROXY_MAX_CONNECTIONS" envDefault:"10000" help:"client connections at a time; 0 for no limit" example:"10000"`
	MaxConnectionsPerAddress int `env:"PROXY_MAX_CONNECTIONS_PER_ADDRESS" shown:"half of all" help:"client connections at a time of one address (IPv6: of one /64); 0 for no limit" example:"5000"`
	MaxRequests              int `env:"PROXY_MAX_REQUESTS" envDefault:"5000" help:"requests at a time; 0 for no limit" example:"5000"`
	MaxRequestsPerClient     int `env:"PROXY_MAX_REQUESTS_PER_CLIENT" shown:"half of all" help:"requests at a time of one client; 0 for no limit" example:"2500"`
	// MinBodyRate is in bytes a second, 0 to 64 MiB; 0 is no limit. StallTimeout
	// is a second to an hour.
	MinBodyRate  int64         `env:"PROXY_MIN_BODY_RATE" envDefault:"240B" help:"bytes a second that a client sends of a request's body, and takes of an answer, at least; 0 for no limit" example:"240B"`
	StallTimeout time.Duration `env:"PROXY_STALL_TIMEOUT" envDefault:"2m" help:"how long a client may fall behind that rate: waiting for the client uses this up, and each byte gives back a second divided by the rate, up to all of it" example:"2m"`
	// SessionTTL is a second to 30 days.
	SessionTTL time.Duration `env:"PROXY_SESSION_TTL" envDefault:"12h" help:"how long a login of a client with a username lasts" example:"12h"`
	// SessionSecret has 32 characters or more, or none.
	SessionSecret   Secret `env:"PROXY_SESSION_SECRET" shown:"from the private key" help:"signs the sessions of those logins; the same for all replicas"`
	AllowPlainLogin bool   `env:"PROXY_ALLOW_PLAIN_LOGIN" envDefault:"false" help:"lets clients log in with a password over plain HTTP from other machines" example:"true"`
	// Profiles is true only with an AdminListen.
	Profiles     bool          `env:"PROXY_PPROF" envDefault:"false" help:"serves Go's profiles under /debug/pprof on the admin port" example:"true"`
	DrainTimeout time.Duration `env:"PROXY_DRAIN_TIMEOUT" envDefault:"30s" help:"how long a stop waits for requests in flight; 0s cuts them" example:"30s"` // not negative
}

// Client is an app that may use the proxy. It has one or more of: an API key, a
// username with a password, a certificate's name.
type Client struct {
	Name   string `env:"NAME" help:"name of client n, for logs; n counts from 0" example:"billing"`
	APIKey Secret `env:"API_KEY" help:"its API key, or sha256: and the key's hash in hex" example:"the output of: openssl rand -hex 24"`
	// CertName is set only if TLSClientCAFile is; no two clients' differ in case alone.
	CertName string `env:"CERT_NAME" help:"the name in its client certificate (DNS, URI or e-mail SAN, or CN), which is enough to let it in; needs PROXY_TLS_CLIENT_CA_FILE" example:"billing.example.com"`
	Username string `env:"USERNAME" help:"its username for login calls" example:"billing@example.com"`
	Password Secret `env:"PASSWORD" help:"its password for login calls"`
	// SecurityToken may be appended to the password.
	SecurityToken Secret `env:"SECURITY_TOKEN" help:"what its login calls may append to the password, as a Salesforce security token is"`
	// ConsumerKey and ConsumerSecret, if set, have to come with its password grants.
	ConsumerKey    string `env:"CONSUMER_KEY" shown:"any" help:"the client_id that its password grants have to bring" example:"billing-app"`
	ConsumerSecret Secret `env:"CONSUMER_SECRET" shown:"any" help:"the client_secret that its password grants have to bring"`
	Subject        string `env:"SUBJECT" shown:"SF_USERNAME" help:"the user that its requests act for" example:"billing@example.com"`
	ReadOnly       bool   `env:"READ_ONLY" envDefault:"false" help:"lets it only read" example:"true"`
	// AllowPaths each begin with a slash; nil stands for all that are forwarded.
	AllowPaths []string `env:"ALLOW_PATHS" shown:"PROXY_ALLOW_PATHS" help:"path prefixes, with commas between them, that its requests may go to" example:"/services/data"`
	// ReadObjects and WriteObjects are names of objects; nil stands for any.
	ReadObjects  []string `env:"READ_OBJECTS" shown:"any" help:"objects, with commas between them, that it may read, and relationships that its queries may follow" example:"Account,Contact,Contact.Account"`
	WriteObjects []string `env:"WRITE_OBJECTS" shown:"any" help:"objects, with commas between them, that it may write" example:"Contact"`
	// MaxRequests is not negative; 0 is no limit. It is the Proxy's unless it is set.
	MaxRequests int    `env:"MAX_REQUESTS" shown:"PROXY_MAX_REQUESTS_PER_CLIENT" help:"its requests at a time; 0 for no limit" example:"100"`
	APIVersions string `env:"API_VERSIONS" shown:"any" help:"API versions and ranges of them, with commas between them, that it may use" example:"58.0-62.0"`
	APIReserve  string `env:"API_RESERVE" shown:"PROXY_API_RESERVE" help:"what it leaves of the org's daily API requests to others; 0 for nothing" example:"5%"`
}

// secrets returns those of the client, to be changed in place.
func (c *Client) secrets() []*Secret {
	return []*Secret{&c.APIKey, &c.Password, &c.SecurityToken, &c.ConsumerSecret}
}

// Digest returns the client with the digests of its secrets, see
// [Secret.Digest].
func (c Client) Digest() Client {
	for _, s := range c.secrets() {
		*s = s.Digest()
	}
	return c
}

// Log is how the program logs.
type Log struct {
	Level  slog.Level `env:"LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error" example:"info"`
	Format string     `env:"LOG_FORMAT" envDefault:"auto" help:"json, text, or auto: text on a terminal, else json" example:"json"`
	// AuditFile names the file that audit lines are appended to; "" has them in the log.
	AuditFile string `env:"LOG_AUDIT_FILE" shown:"the log" help:"file of the audit log: JSON lines about logins, denials, key and policy changes, see docs/audit.md" example:"/var/log/sfproxy/audit.log"`
}

// Traces is where the program sends traces.
type Traces struct {
	// Endpoint is an origin, perhaps with a path; nil = none.
	Endpoint *url.URL `env:"OTEL_EXPORTER_OTLP_ENDPOINT" shown:"off" help:"OTLP/HTTP receiver that traces are sent to; the other OTEL_* variables of OpenTelemetry count then" example:"http://127.0.0.1:4318"`
	// Upstream is whether Salesforce is told.
	Upstream bool `env:"SF_TRACEPARENT" envDefault:"false" help:"tells Salesforce which trace a request is part of (traceparent)" example:"true"`
}

// Parse returns the configuration in environ, which has the form of
// [os.Environ], and reads the files that it names. Spaces around a value do not
// count (but in a secret), and an empty variable is an unset one. The error is
// an [*Error] with every fault there is; it holds no secret. It may be called again when one of the Files has changed.
func Parse(environ []string) (*Config, error) {
	p := newParser(environ)
	p.findUnknown()
	p.unquote()
	p.readSecrets()
	cfg := p.decode()
	p.checkSalesforce(&cfg.Salesforce)
	p.checkProxy(&cfg.Proxy)
	p.checkClients(cfg)
	p.checkExposure(cfg)
	p.checkLog(&cfg.Log)
	p.checkCompanyProxy()
	p.checkTraces(&cfg.Traces)
	if len(p.faults) > 0 {
		cfg.Wipe()
		return nil, &Error{p.faults}
	}
	cfg.Warnings, cfg.Files = p.warnings, slices.Compact(slices.Sorted(slices.Values(p.files)))
	return cfg, nil
}
