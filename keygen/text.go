package keygen

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/sfproxy/sfproxy/key"
)

// appText is what keygen prints about the key of an app. The words are those of
// Setup.
var appText = template.Must(template.New("app").Parse(`Made in {{.Dir}}{{if .MadeDir}}, a new directory that only you may enter{{end}}:
  server.key  the private key{{if .Passphrase}}, encrypted{{end}}: only sfproxy may read it
{{- if .Request}}
  server.csr  the certificate signing request: have your CA sign it
{{- if .Removed}}
and removed: server.crt, which belonged to another key
{{- end}}
{{- else}}
  server.crt  the certificate, for Salesforce; valid until {{.Until}} ({{.Days}} days)
{{- end}}
{{- range .Keystores}}
{{.}}
{{- end}}
{{if .Request}}
Below, server.crt stands for the certificate that the CA makes of the request. It has
to be one certificate in PEM or DER, without its chain, and of 4 KB at most.
{{end}}
In Salesforce, with a new External Client App:
  1. Setup → Apps → External Client Apps → External Client App Manager
     → New External Client App; Distribution State: Local
  2. API (Enable OAuth Settings) → Enable OAuth
     Callback URL: https://login.salesforce.com/services/oauth2/success (it is not used)
     OAuth Scopes: Manage user data via APIs (api)
                   Perform requests at any time (refresh_token, offline_access)
  3. Flow Enablement → Enable JWT Bearer Flow → Upload Files: server.crt; then Create
  4. Policies tab → Edit
     OAuth Policies → Permitted Users: Admin approved users are pre-authorized
     App Policies → Select Permission Sets (or Profiles): one that the user of SF_USERNAME has
  5. Settings tab → OAuth Settings → Consumer Key and Secret: the key is SF_CLIENT_ID

In Salesforce, with a Connected App that exists:
  1. Setup → Apps → App Manager → the app's menu → Edit → API (Enable OAuth Settings)
     Use digital signatures → Choose File: server.crt
     Selected OAuth Scopes: the two above
  2. App Manager → the app's menu → Manage → Edit Policies
     Permitted Users: Admin approved users are pre-authorized
  3. Manage → Manage Permission Sets (or Manage Profiles): one that this user has
  4. App Manager → the app's menu → View → Manage Consumer Details: the key is SF_CLIENT_ID

A change takes Salesforce 2 to 10 minutes.
{{- if .JKS}}

The Java keystore, where Salesforce itself is to have the key: Setup → Security
→ Certificate and Key Management → Import from Keystore.
{{- end}}

For sfproxy, for example in .env:

SF_LOGIN_URL=https://YOURDOMAIN.my.salesforce.com
SF_CLIENT_ID=
SF_USERNAME=
SF_JWT_KEY_FILE={{.KeyFile}}
{{- if .Passphrase}}
SF_JWT_KEY_PASSPHRASE_FILE={{.Passphrase}}
{{- end}}
{{- if not .Request}}
SF_JWT_CERT_FILE={{.CertificateFile}}

(docker-compose.yml mounts the key's file alone: in place of SF_JWT_CERT_FILE put the
certificate into it, cat server.crt >> server.key)
{{- end}}
`))

// printApp says what was made for the app and what to do with it.
func printApp(w io.Writer, m *maker, k *key.Key) error {
	var keystores []string
	for _, path := range []string{m.PKCS12, m.JKS} {
		if path != "" {
			keystores = append(keystores, "and "+path)
		}
	}
	return appText.Execute(w, map[string]any{
		"Dir":             m.Dir,
		"MadeDir":         m.madeDir,
		"Removed":         m.removed,
		"Request":         m.Request,
		"Until":           lastDay(k),
		"Days":            m.Days,
		"Keystores":       keystores,
		"JKS":             m.JKS,
		"KeyFile":         m.keyFile(),
		"CertificateFile": m.certificateFile(),
		"Passphrase":      m.PassphraseFile,
	})
}

// serverText is what keygen prints about a server certificate.
var serverText = template.Must(template.New("server").Parse(`Made in {{.Dir}}{{if .MadeDir}}, a new directory that only you may enter{{end}}:
  tls.key  the server's private key: only sfproxy may read it
  tls.crt  its certificate, for {{.Names}}; valid until {{.Until}} ({{.Days}} days,
           of the 397 that clients accept)
{{- if .NewAuthority}}
  ca.crt   the certificate authority, for the machines of the apps; valid until {{.AuthorityUntil}}
  ca.key   its private key: whoever has it can pose as any server to who trusts ca.crt.
           sfproxy does not need it; keep it elsewhere
{{- else}}
and signed by the authority that was there, ca.crt, valid until {{.AuthorityUntil}}: who trusts
it needs nothing new.
{{- end}}

For sfproxy, for example in .env:

PROXY_TLS_CERT_FILE={{.CertificateFile}}
PROXY_TLS_KEY_FILE={{.KeyFile}}
{{- if .Listen}}
PROXY_LISTEN={{.Listen}}
{{- end}}
PROXY_PUBLIC_URL={{.PublicURL}}

{{if .Listen -}}
(any port, the same in both, and any of the names; what other machines can reach needs
clients: PROXY_CLIENT_0_NAME and so on, see README.md)
{{- else -}}
(with the port of PROXY_LISTEN, and any of the names)
{{- end}}

Where apps are to trust it, ca.crt and nothing else is needed:

  curl      curl --cacert ca.crt {{.PublicURL}}/
  Node      NODE_EXTRA_CA_CERTS=/path/to/ca.crt
  Python    REQUESTS_CA_BUNDLE=/path/to/ca.crt
  Ruby      SSL_CERT_FILE=/path/to/ca.crt
  Java      keytool -importcert -noprompt -alias sfproxy -file ca.crt -keystore truststore.jks -storepass changeit
            java -Djavax.net.ssl.trustStore=truststore.jks -Djavax.net.ssl.trustStorePassword=changeit …
  Windows   certutil -addstore Root ca.crt
  Debian    cp ca.crt /usr/local/share/ca-certificates/sfproxy.crt && update-ca-certificates
  Red Hat   cp ca.crt /etc/pki/ca-trust/source/anchors/sfproxy.crt && update-ca-trust

Before {{.Until}}, and for other names: sfproxy keygen --tls --force {{.Arguments}}
`))

// printServer says what was made for HTTPS and what to do with it.
func printServer(w io.Writer, m *maker, authority, server *key.Key, isNew bool) error {
	names := namesOf(server.Certificate())
	listen, publicURL := listenerFor(names)
	return serverText.Execute(w, map[string]any{
		"Dir":             m.Dir,
		"MadeDir":         m.madeDir,
		"Names":           strings.Join(names, ", "),
		"Arguments":       strings.Join(names, " "),
		"Until":           lastDay(server),
		"Days":            m.Days,
		"NewAuthority":    isNew,
		"AuthorityUntil":  lastDay(authority),
		"CertificateFile": m.serverCertificateFile(),
		"KeyFile":         m.serverKeyFile(),
		"Listen":          listen,
		"PublicURL":       publicURL,
	})
}

// listenerFor returns the PROXY_LISTEN and PROXY_PUBLIC_URL of a server with
// these names: on all interfaces where a name is for other machines, and else
// "" for the default.
func listenerFor(names []string) (listen, publicURL string) {
	others := slices.IndexFunc(names, func(name string) bool { return !slices.Contains(localNames, name) })
	if others < 0 {
		return "", "https://" + urlHost(names[0]) + ":8080"
	}
	host := strings.Replace(names[others], "*", "sfproxy", 1) // any name will do for a wildcard
	return "0.0.0.0:8443", "https://" + urlHost(host) + ":8443"
}

// lastDay returns the day on which the key's certificate expires.
func lastDay(k *key.Key) string { return k.Certificate().NotAfter.Format(time.DateOnly) }

// urlHost returns a name or address as a URL has it.
func urlHost(name string) string {
	if strings.Contains(name, ":") {
		return fmt.Sprintf("[%s]", name)
	}
	return name
}
