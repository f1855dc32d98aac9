package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const keyVariable = "SF_JWT_KEY"

// Bounds of SF_TOKEN_TTL.
const (
	minTokenTTL = 10 * time.Second
	maxTokenTTL = 24 * time.Hour
)

// Bounds of PROXY_STALL_TIMEOUT.
const (
	minStallTimeout = time.Second
	maxStallTimeout = time.Hour
)

// Bounds of PROXY_SESSION_TTL and the least of PROXY_SESSION_SECRET.
const (
	minSessionTTL    = time.Second
	maxSessionTTL    = 30 * 24 * time.Hour
	minSessionSecret = 32
)

func (p *parser) checkSalesforce(sf *Salesforce) {
	p.checkLoginURL(sf)
	p.checkKey(sf)
	p.checkKeyCompanions(sf)
	p.checkAPIVersion(sf)
	p.checkSubject("SF_USERNAME", sf.Username)
	if sf.InstanceURL != nil {
		p.checkUpstreamScheme("SF_INSTANCE_URL", sf.InstanceURL, sf.AllowHTTP)
		p.checkOrigin("SF_INSTANCE_URL", sf.InstanceURL)
	}
	if sf.TokenTTL < minTokenTTL || sf.TokenTTL > maxTokenTTL {
		p.fault("SF_TOKEN_TTL", "%s is not between %s and %s", sf.TokenTTL, minTokenTTL, maxTokenTTL)
	}
	if sf.QueueTimeout <= 0 {
		p.fault("SF_QUEUE_TIMEOUT", "%s is not positive", sf.QueueTimeout)
	}
	p.checkDomains(sf)
	p.checkWeakened(sf)
	if sf.CAFile == "" {
		return
	}
	sf.CACerts = p.readFile("SF_CA_FILE", sf.CAFile)
	if sf.CACerts != nil && !holdsCertificate(sf.CACerts) {
		p.fault("SF_CA_FILE", "%s holds no PEM certificate", shownPath(sf.CAFile))
	}
}

// checkWeakened warns of what takes a check of the org's side away. Domains
// beyond Salesforce's own are not known here.
func (p *parser) checkWeakened(sf *Salesforce) {
	if sf.AllowHTTP && !p.isWarnedOf("SF_ALLOW_HTTP") {
		p.warn("SF_ALLOW_HTTP: a token may go to an instance without TLS, so that others on the way can read it: unset it where the org has TLS")
	}
	if sf.AllowPrivate {
		p.warn("SF_ALLOW_PRIVATE: whoever answers DNS queries here may lead names of Salesforce's into this network: unset it unless the way to the org is a private one")
	}
}

// checkKey finds out where the private key is from. What it is good for is not
// known here.
func (p *parser) checkKey(sf *Salesforce) {
	path, fromFile := p.env[keyVariable+"_FILE"]
	elsewhere := p.isElsewhere(sf)
	switch {
	case p.isFaulty(keyVariable, keyVariable+"_FILE"):
	case elsewhere != "":
		sf.KeySource = elsewhere
	case fromFile:
		sf.KeySource = keyVariable + "_FILE (" + path + ")"
	case sf.Key.IsZero() && p.misspelt[keyVariable] != "":
		p.missing(keyVariable, "is required, or %s_FILE is", keyVariable)
	case sf.Key.IsZero():
		p.missing(keyVariable+"_FILE", "is required: the path of the private key (or set %s to its PEM text)", keyVariable)
	case isPath(strings.TrimSpace(string(sf.Key.Reveal()))):
		p.faultLike(keyVariable, "", "holds a path, not the text of a key: set %s_FILE to it instead", keyVariable)
	default:
		sf.KeySource = keyVariable
	}
}

// isElsewhere returns the variable that names a keeper of the key other than a
// file or the environment, "" if there is none.
func (p *parser) isElsewhere(sf *Salesforce) string {
	keeper := ""
	for _, name := range []string{"SF_JWT_SIGNER_COMMAND", "SF_JWT_PKCS11_URI"} {
		if p.env[name] == "" {
			continue
		}
		// The file first: what it holds stands under keyVariable by now.
		for _, other := range []string{keyVariable + "_FILE", keyVariable, keeper} {
			if p.env[other] != "" && other != "" {
				p.faultLike(name, "", "is set, and so is %s: set one of them", other)
				return name
			}
		}
		keeper = name
	}
	if uri := sf.PKCS11URI; uri != "" && !strings.HasPrefix(uri, "pkcs11:") {
		p.fault("SF_JWT_PKCS11_URI", "does not begin with pkcs11:")
	}
	return keeper
}

// checkKeyCompanions reads the files beside the key. A fault in one of them is
// kept for later, since the key is good without them.
func (p *parser) checkKeyCompanions(sf *Salesforce) {
	const next = "SF_JWT_KEY_FILE_NEXT"
	if _, err := os.Stat(sf.NextKeyFile); sf.NextKeyFile != "" && errors.Is(err, fs.ErrNotExist) {
		p.files = append(p.files, sf.NextKeyFile)
		if _, err := os.Stat(filepath.Dir(sf.NextKeyFile)); err != nil { // the file may well come later
			p.warn("%s: the directory of %s does not exist", next, shownPath(sf.NextKeyFile))
		}
	} else if sf.NextKeyFile != "" {
		content, err := p.readOptional(next, sf.NextKeyFile)
		sf.NextKey, sf.NextKeyFault = secretOf(content), err
		p.checkMode(next, sf.NextKeyFile)
	}
	if sf.CertificateFile != "" {
		sf.Certificate, sf.CertificateFault = p.readOptional("SF_JWT_CERT_FILE", sf.CertificateFile)
	}
}

// checkSubject warns of what no org has for a username: one has the form of an
// e-mail address. A client's own username is not of this kind.
func (p *parser) checkSubject(variable, subject string) {
	if subject != "" && !strings.Contains(subject, "@") && !p.isFaulty(variable) {
		p.warn("%s: %s has no @, and every Salesforce username has the form of an e-mail address, such as %s", variable, shown(subject), p.known[variable].example)
	}
}

var apiVersion = regexp.MustCompile(`^[1-9][0-9]\.0$`)

func (p *parser) checkAPIVersion(sf *Salesforce) {
	if sf.MinAPIVersion != "" && (!apiVersion.MatchString(sf.MinAPIVersion) || sf.MinAPIVersion < "21.0") {
		p.fault("SF_MIN_API_VERSION", "%s is no API version from 21.0 to 99.0", shown(sf.MinAPIVersion))
	}
}

func holdsCertificate(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return true
		}
	}
	return false
}

func (p *parser) checkProxy(proxy *Proxy) {
	if strings.EqualFold(proxy.AdminListen, "off") {
		proxy.AdminListen = ""
	}
	p.checkAddresses(proxy)
	if proxy.PublicURL != nil {
		p.checkOrigin("PROXY_PUBLIC_URL", proxy.PublicURL)
	}
	p.checkTLS(proxy)
	p.checkHosts(proxy)
	p.checkCORS(proxy)
	p.checkPaths("PROXY_ALLOW_PATHS", proxy.AllowPaths)
	p.leaveHalf("PROXY_MAX_CONNECTIONS_PER_ADDRESS", &proxy.MaxConnectionsPerAddress, proxy.MaxConnections)
	p.leaveHalf("PROXY_MAX_REQUESTS_PER_CLIENT", &proxy.MaxRequestsPerClient, proxy.MaxRequests)
	if proxy.StallTimeout < minStallTimeout || proxy.StallTimeout > maxStallTimeout {
		p.fault("PROXY_STALL_TIMEOUT", "%s is not between %s and %s; to let clients be as slow as they like, set PROXY_MIN_BODY_RATE=0", proxy.StallTimeout, minStallTimeout, maxStallTimeout)
	}
	if proxy.SessionTTL < minSessionTTL || proxy.SessionTTL > maxSessionTTL {
		p.fault("PROXY_SESSION_TTL", "%s is not between %s and %s", proxy.SessionTTL, minSessionTTL, maxSessionTTL)
	}
	if secret := proxy.SessionSecret; !secret.IsZero() && len(secret.Reveal()) < minSessionSecret {
		p.faultOfSecret("PROXY_SESSION_SECRET", "is shorter than %d characters", minSessionSecret)
	}
	p.checkReserve("PROXY_API_RESERVE", proxy.APIReserve)
	if proxy.DrainTimeout < 0 {
		p.fault("PROXY_DRAIN_TIMEOUT", "%s is negative", proxy.DrainTimeout)
	}
}

// leaveHalf sets the share that one may have of a limit to half of it, unless the
// variable says how much it is.
func (p *parser) leaveHalf(variable string, share *int, limit int) {
	if p.env[variable] == "" {
		*share = (limit + 1) / 2
	}
}

// checkPaths refuses what is no path prefix.
func (p *parser) checkPaths(variable string, paths []string) {
	for _, path := range paths {
		switch {
		case !strings.HasPrefix(path, "/"):
			p.fault(variable, "%s does not begin with a slash", shown(path))
		case strings.ContainsAny(path, "*?#"):
			p.fault(variable, "%s is not a plain path: a prefix stands for all below it", shown(path))
		}
	}
}

func (p *parser) checkTLS(proxy *Proxy) {
	cert, key := proxy.TLSCertFile, proxy.TLSKeyFile
	switch {
	case cert != "" && key == "":
		p.missing("PROXY_TLS_KEY_FILE", "is required with PROXY_TLS_CERT_FILE")
	case cert == "" && key != "":
		p.missing("PROXY_TLS_CERT_FILE", "is required with PROXY_TLS_KEY_FILE")
	case cert == "" && proxy.TLSClientCAFile != "":
		p.faultLike("PROXY_TLS_CLIENT_CA_FILE", "", "needs PROXY_TLS_CERT_FILE and PROXY_TLS_KEY_FILE beside it")
	}
	if cert != "" {
		proxy.TLSCert = p.readFile("PROXY_TLS_CERT_FILE", cert)
	}
	if key != "" {
		content := p.readFile("PROXY_TLS_KEY_FILE", key)
		if content != nil {
			p.checkMode("PROXY_TLS_KEY_FILE", key)
		}
		proxy.TLSKey = secretOf(content)
	}
	if proxy.TLSClientCAFile != "" {
		proxy.TLSClientCA = p.readFile("PROXY_TLS_CLIENT_CA_FILE", proxy.TLSClientCAFile)
	}
}

// checkTraces warns of a receiver that is not asked, or spoken to in the wrong
// language.
func (p *parser) checkTraces(t *Traces) {
	const endpoint, ofTraces, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
	if strings.EqualFold(p.env["OTEL_SDK_DISABLED"], "true") || p.env["OTEL_TRACES_EXPORTER"] == "none" {
		t.Endpoint = nil
		return
	}
	if p.env[ofTraces] != "" {
		p.warn("%s: is not read: traces go where %s says, which is set without /v1/traces", ofTraces, endpoint)
	}
	switch set := p.env[protocol]; {
	case t.Endpoint == nil:
	case set != "" && set != "http/protobuf":
		p.warn("%s: traces are sent by http/protobuf all the same: %s has to be a receiver of that, mostly on port 4318", protocol, endpoint)
	case t.Endpoint.Port() == "4317":
		p.warn("%s: port 4317 is gRPC's, most of the time, and traces are sent by http/protobuf, which is mostly on port 4318", endpoint)
	}
}

func (p *parser) checkLog(log *Log) {
	log.Format = strings.ToLower(log.Format)
	if !slices.Contains([]string{"auto", "json", "text"}, log.Format) {
		p.fault("LOG_FORMAT", "%s is none of: auto, json, text", shown(log.Format))
	}
	if !slices.Contains([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}, log.Level) {
		p.fault("LOG_LEVEL", "%s is none of: debug, info, warn, error", shown(p.env["LOG_LEVEL"]))
	}
}
