package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

const minAPIKeyLength = 16

var (
	validName   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	subjectText = regexp.MustCompile(`^[A-Za-z]{1,20} ?=`)
	visibleText = regexp.MustCompile(`^[!-~]+$`)
)

// checkClients checks each client by itself and against the others, and gives
// those without a subject or a limit the default one.
func (p *parser) checkClients(cfg *Config) {
	for i, n := range p.numbers {
		if i != n {
			p.faultLike(clientVariable(i, "NAME"), "", "is missing: clients are numbered from 0 without a gap, and there is a PROXY_CLIENT_%d", n)
			break
		}
	}
	names, keys, usernames, certNames := map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}
	for i := range cfg.Clients {
		c := &cfg.Clients[i]
		p.checkName(clientVariable(i, "NAME"), c.Name)
		p.checkCertName(clientVariable(i, "CERT_NAME"), c.CertName, &cfg.Proxy)
		p.checkCredentials(i, c)
		p.checkUnique(names, clientVariable(i, "NAME"), c.Name)
		p.checkUnique(keys, p.sourceOf(clientVariable(i, "API_KEY")), hashOf(c.APIKey))
		p.checkUnique(usernames, clientVariable(i, "USERNAME"), strings.ToLower(c.Username))
		p.checkUnique(certNames, clientVariable(i, "CERT_NAME"), strings.ToLower(c.CertName))
		p.checkSubject(clientVariable(i, "SUBJECT"), c.Subject)
		p.checkPolicy(i, c, cfg.Proxy.AllowPaths)
		p.checkReserve(clientVariable(i, "API_RESERVE"), c.APIReserve)
		c.APIReserve = cmp.Or(c.APIReserve, cfg.Proxy.APIReserve)
		if c.Subject == "" {
			c.Subject = cfg.Salesforce.Username
		}
		if p.env[clientVariable(i, "MAX_REQUESTS")] == "" {
			c.MaxRequests = cfg.Proxy.MaxRequestsPerClient
		}
	}
}

// clientVariable returns the name of a variable of client n.
func clientVariable(n int, name string) string { return fmt.Sprintf("PROXY_CLIENT_%d_%s", n, name) }

func (p *parser) checkName(variable, name string) {
	switch {
	case name == "":
		p.missing(variable, "is required")
	case !validName.MatchString(name):
		p.fault(variable, "is not 1 to 64 letters, digits, dots, underscores and hyphens")
	}
}

func (p *parser) checkCredentials(n int, c *Client) {
	key, username, password := clientVariable(n, "API_KEY"), clientVariable(n, "USERNAME"), clientVariable(n, "PASSWORD")
	if !c.APIKey.IsZero() {
		p.checkAPIKey(key, c.APIKey.Reveal())
	}
	switch {
	case p.isFaulty(key, key+"_FILE", username, password, password+"_FILE"):
	case c.Username != "" && c.Password.IsZero():
		p.missing(password, "is required with %s", username)
	case c.Username == "" && !c.Password.IsZero():
		p.missing(username, "is required with %s", password)
	case c.Username == "" && (c.ConsumerKey != "" || !c.ConsumerSecret.IsZero()):
		p.missing(username, "is required with %s and %s", clientVariable(n, "CONSUMER_KEY"), clientVariable(n, "CONSUMER_SECRET"))
	case c.ConsumerKey == "" && !c.ConsumerSecret.IsZero():
		p.missing(clientVariable(n, "CONSUMER_KEY"), "is required with %s", clientVariable(n, "CONSUMER_SECRET"))
	case c.APIKey.IsZero() && c.Username == "" && c.CertName == "":
		p.missing(key, "is required (or %s with %s, or %s)", username, password, clientVariable(n, "CERT_NAME"))
	}
}

const maxCertName = 255 // characters

// checkCertName refuses what no certificate could name, and a name that nothing
// vouches for.
func (p *parser) checkCertName(variable, name string, proxy *Proxy) {
	switch {
	case name == "":
	case proxy.TLSClientCAFile == "":
		p.faultLike(variable, "", "needs PROXY_TLS_CLIENT_CA_FILE, which says whose certificates are trusted")
	case len(name) > maxCertName || strings.ContainsFunc(name, unicode.IsControl):
		p.fault(variable, "is longer than %d characters or holds a control character", maxCertName)
	case strings.Contains(name, "*"):
		p.fault(variable, "holds a *, which stands for nothing here: each client has a name of its own")
	case subjectText.MatchString(name):
		p.fault(variable, "is not one name: of a subject such as CN=billing,O=Example give the CN alone, billing")
	}
}

func (p *parser) checkAPIKey(variable string, key []byte) {
	digits, isHash := bytes.CutPrefix(key, []byte("sha256:"))
	switch {
	case isHash:
		if sum, err := hex.DecodeString(string(digits)); err != nil || len(sum) != sha256.Size {
			p.faultOfSecret(variable, "begins with sha256: but does not go on with 64 hexadecimal digits")
		}
	case !visibleText.Match(key):
		p.faultOfSecret(variable, "holds a space, a line break or what is not ASCII, which a header cannot carry")
	case len(key) < minAPIKeyLength:
		p.faultOfSecret(variable, "is shorter than %d characters", minAPIKeyLength)
	}
}

// hashOf returns the SHA-256 of an API key in hexadecimal digits, "" if there
// is none. A key and its hash are the same credential.
func hashOf(key Secret) string {
	if key.IsZero() {
		return ""
	}
	if digits, isHash := bytes.CutPrefix(key.Reveal(), []byte("sha256:")); isHash {
		return strings.ToLower(string(digits))
	}
	sum := sha256.Sum256(key.Reveal())
	return hex.EncodeToString(sum[:])
}

// checkUnique records a fault if another variable has the same value, which is
// not shown. seen holds variables by value.
func (p *parser) checkUnique(seen map[string]string, variable, value string) {
	if value == "" {
		return
	}
	if other, ok := seen[value]; ok {
		p.faultLike(variable, "", "has the same value as %s", other)
		return
	}
	seen[value] = variable
}
