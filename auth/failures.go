package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// IDs of the entries that have no OAuth error.
const (
	serverFault       = "server-fault"
	redirected        = "redirected"
	notTheEndpoint    = "not-the-token-endpoint"
	noInstance        = "no-instance-url"
	untrustedInstance = "instance-url-not-trusted"
	unknownName       = "name-not-found"
	privateAddress    = "private-address"
	companyProxy      = "company-proxy"
	noConnection      = "no-connection"
	noAnswer          = "no-answer"
	untrustedIssuer   = "certificate-not-trusted"
	wrongName         = "certificate-for-another-host"
	expiredCert       = "certificate-expired"
	notTLS            = "no-tls"
	brokenOff         = "answer-broke-off"
)

// failures are the ways in which a grant fails without an OAuth error.
var failures = []Entry{
	{ID: serverFault, Seen: "5xx, 429 or 408", Passing: true,
		Meaning: "Salesforce has a fault or is under maintenance",
		Causes: []Cause{
			{Cause: "an outage or a maintenance window", Fix: "see https://status.salesforce.com; sfproxy tries again by itself"},
			{Cause: "a gateway between sfproxy and Salesforce is at fault", Fix: "ask whoever runs the way out of your network"},
		}},
	{ID: redirected, Seen: "3xx",
		Meaning: "the login host has moved",
		Causes:  []Cause{{Cause: "the My Domain was renamed, or the host is an old one", Fix: "set SF_LOGIN_URL to the new one", Where: myDomainPath}}},
	{ID: notTheEndpoint, Seen: "an HTML page, or JSON that is no token",
		Meaning: "SF_LOGIN_URL does not seem to lead to Salesforce",
		Causes: []Cause{
			{Cause: "SF_LOGIN_URL is an address of the browser's (a page, a Lightning or a site's page) or has a path too many",
				Fix: "set it to the login host alone, best the org's My Domain, such as https://example.my.salesforce.com", Where: myDomainPath},
			{Cause: "a gateway or a captive portal answers in the place of Salesforce", Fix: "let this machine reach the login host unhindered, or set HTTPS_PROXY"},
		}},
	{ID: noInstance, Seen: "a token without instance_url",
		Meaning: "the answer does not say where the token is good for",
		Causes:  []Cause{{Cause: "an unusual kind of site or gateway", Fix: "set SF_INSTANCE_URL to the org's My Domain, such as https://example.my.salesforce.com", Where: myDomainPath}}},
	{ID: untrustedInstance, Seen: "a token for a foreign instance_url",
		Meaning: "the token is for a host that is not trusted",
		Causes: []Cause{
			{Cause: "the org has a domain of its own", Fix: "if this is your org's own domain, add it to SF_TRUSTED_DOMAINS; otherwise check SF_LOGIN_URL"},
			{Cause: "SF_LOGIN_URL leads to somebody else's host", Fix: "check SF_LOGIN_URL", Where: myDomainPath},
		}},
	{ID: brokenOff, Seen: "half an answer", Passing: true,
		Meaning: "the connection broke off in the middle of the answer",
		Causes:  []Cause{{Cause: "an unsteady network, or a gateway that restarts", Fix: "nothing, if it passes; sfproxy tries again by itself"}}},
	{ID: unknownName, Seen: "no such host", Passing: true,
		Meaning: "DNS does not know the login host",
		Causes: []Cause{
			{Cause: "SF_LOGIN_URL is misspelt", Fix: "check SF_LOGIN_URL, DNS and the firewall; where the way out is a company proxy, set HTTPS_PROXY", Where: myDomainPath},
			{Cause: "this machine or container has no working DNS", Fix: "try nslookup with the host's name here, and mend the resolver (/etc/resolv.conf)"},
			{Cause: "the way out is a company proxy that resolves names itself", Fix: "set HTTPS_PROXY to it"},
		}},
	{ID: privateAddress, Seen: "a private address of a Salesforce host",
		Meaning: "a host of Salesforce's resolves to an address that is not public, and nothing was sent there",
		Causes: []Cause{
			{Cause: "the resolver, a hosts file or a captive portal leads the name elsewhere",
				Fix: "compare what DNS says here and on another machine; where the way to the org is a private one (AWS PrivateLink, a VPN), set SF_ALLOW_PRIVATE=true"},
			{Cause: "the way to the org is a private one: AWS PrivateLink, a VPN, an agent of the company's that answers DNS queries with addresses of its own",
				Fix: "set SF_ALLOW_PRIVATE=true"},
		}},
	{ID: companyProxy, Seen: "an error of the proxy in HTTPS_PROXY", Passing: true,
		Meaning: "the company proxy in HTTPS_PROXY cannot be reached or refuses",
		Causes: []Cause{
			{Cause: "HTTPS_PROXY has a wrong address or no credentials", Fix: "check HTTPS_PROXY: http://host:port, or http://user:password@host:port where it wants a login"},
			{Cause: "the proxy does not allow this host", Fix: "ask whoever runs it to allow the login host and the org's My Domain, port 443"},
			{Cause: "the proxy is reached by https, and its certificate is not trusted here", Fix: "set SF_CA_FILE to the CA certificate (PEM) of the proxy; your network team has it"},
			{Cause: "the host is to be reached without the proxy", Fix: "add it to NO_PROXY"},
		}},
	{ID: noAnswer, Seen: "no answer in time, once connected", Passing: true,
		Meaning: "the login host does not answer in time",
		Causes: []Cause{
			{Cause: "an outage or a maintenance window", Fix: "see https://status.salesforce.com; sfproxy tries again by itself"},
			{Cause: "a gateway or a company proxy takes the connection and holds the request", Fix: "ask whoever runs the way out of your network"},
		}},
	{ID: noConnection, Seen: "connection refused, no connection in time and the like", Passing: true,
		Meaning: "the login host cannot be reached",
		Causes: []Cause{
			{Cause: "a firewall, or a wrong host", Fix: "check SF_LOGIN_URL, DNS and the firewall; where the way out is a company proxy, set HTTPS_PROXY"},
			{Cause: "the network is down", Fix: "try again once it works"},
		}},
	{ID: wrongName, Seen: "certificate is valid for another name",
		Meaning: "the certificate is for another host",
		Causes: []Cause{
			{Cause: "SF_LOGIN_URL has a misspelt host, or one label too many", Fix: "check SF_LOGIN_URL", Where: myDomainPath},
			{Cause: "DNS or a hosts file leads the name elsewhere", Fix: "compare what DNS says here and on another machine"},
		}},
	{ID: expiredCert, Seen: "certificate has expired or is not yet valid",
		Meaning: "the host's certificate is not valid at this machine's time",
		Causes: []Cause{
			{Cause: "this machine's clock is off", Fix: "set its clock (NTP), or check SF_LOGIN_URL"},
			{Cause: "a company proxy that inspects TLS uses an expired certificate", Fix: "ask whoever runs it"},
		}},
	{ID: untrustedIssuer, Seen: "certificate signed by unknown authority",
		Meaning: "the certificate's issuer is not trusted",
		Causes: []Cause{
			{Cause: "a company proxy inspects TLS and signs with a CA of its own", Fix: "where a company proxy inspects TLS, set SF_CA_FILE to its CA certificate (PEM); your network team has it"},
			{Cause: "this machine or image has no system roots", Fix: "install ca-certificates, or set SF_CA_FILE"},
			{Cause: "the host is not Salesforce's", Fix: "check SF_LOGIN_URL"},
		}},
	{ID: notTLS, Seen: "first record does not look like a TLS handshake",
		Meaning: "the host does not speak TLS on this port",
		Causes: []Cause{
			{Cause: "the port in SF_LOGIN_URL or HTTPS_PROXY is one of plain HTTP", Fix: "check SF_LOGIN_URL and HTTPS_PROXY"},
		}},
}

// failureOf returns the entry of an exchange that got no answer, and whether
// trying again is of no use. A caller that left is no failure: it has no entry.
func failureOf(err error) (e Entry, permanent bool) {
	_, name := errors.AsType[x509.HostnameError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, lookup := errors.AsType[*net.DNSError](err)
	_, private := errors.AsType[*PrivateAddressError](err)
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	operation, _ := errors.AsType[*net.OpError](err)
	timeout, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return Entry{}, false
	case operation != nil && operation.Op == "proxyconnect": // whose certificate may be the fault
		return failure(companyProxy), false
	case private:
		return failure(privateAddress), true
	case name:
		return failure(wrongName), true
	case invalid.Reason == x509.Expired:
		return failure(expiredCert), true
	case untrusted:
		return failure(untrustedIssuer), true
	case plain:
		return failure(notTLS), true
	case lookup:
		return failure(unknownName), false
	case timeout != nil && timeout.Timeout() && (operation == nil || operation.Op != "dial"):
		return failure(noAnswer), false
	}
	return failure(noConnection), false
}

// ExplainTransport returns the entry of a request that got no answer, for
// requests other than grants. It has no ID if the caller itself gave up.
func ExplainTransport(err error) Entry {
	e, _ := failureOf(err)
	return e
}
