package doctor

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/sfproxy/sfproxy/auth"
)

// expiryWarning is how long before its end a certificate is warned of.
const expiryWarning = 30 * 24 * time.Hour

const dateLayout = "2006-01-02"

func (x *examination) key(context.Context) Result { return describeKey(x.cfg.Key) }

// nextKey reports on the key that is tried when the first does not serve. The
// proxy does without one that it cannot use.
func (x *examination) nextKey(context.Context) Result {
	r := describeKey(x.cfg.NextKey)
	if r.Status == Failed {
		r.Status = Warning
		r.Detail += "; it counts as none"
	}
	return r
}

// describeKey says what a private key is, and whether its certificate fits.
func describeKey(k Key) Result {
	if k.Signer == nil {
		r := failed("%s", auth.Printable(k.Fault.Error()))
		if k.Unsuitable {
			r = r.fix("give the RSA private key whose certificate is uploaded to the app, or make a new pair with sfproxy keygen")
		}
		return r
	}
	public, isRSA := k.Signer.Public().(*rsa.PublicKey)
	switch {
	case k.Signer.Public() == nil && k.CertificateFault != nil:
		return describeCertificate(fmt.Sprintf("%s, from %s", k.Format, k.Source), nil, k)
	case k.Signer.Public() == nil:
		return passed("%s, from %s; its keeper does not tell the public key, so whether it fits shows in the grant", k.Format, k.Source)
	case !isRSA:
		return failed("%s: a %T, which cannot sign with RS256", k.Source, k.Signer.Public()).
			fix("make an RSA key with sfproxy keygen, and upload its certificate to the app")
	}
	about := []string{fmt.Sprintf("RSA, %d bits", public.N.BitLen())}
	if k.Format != "" {
		about = append(about, k.Format)
	}
	about = append(about, "fingerprint "+k.Fingerprint, "from "+k.Source)
	return describeCertificate(strings.Join(about, ", "), public, k)
}

// describeCertificate goes on with the certificate of a key. One that does not
// fit keeps nobody from signing: which one counts is known to the org alone.
func describeCertificate(detail string, public *rsa.PublicKey, k Key) Result {
	switch {
	case k.CertificateFault != nil:
		return warning("%s; %s", detail, auth.Printable(k.CertificateFault.Error())).
			fix("give the certificate that was made with this key: if the one that is uploaded to the app is another key's, the grant below is refused")
	case k.Certificate == nil:
		return passed("%s; no certificate in its file and no SF_JWT_CERT_FILE, so whether the uploaded one fits shows in the grant", detail)
	}
	whose := "its certificate fits"
	if certified, ok := k.Certificate.PublicKey.(*rsa.PublicKey); !ok || !certified.Equal(public) {
		whose = "the certificate given is the next key's"
	}
	return expiry(detail+"; "+whose, k.Certificate, time.Now())
}

// expiry reports when a certificate is good. Salesforce goes on accepting a key
// whose certificate has ended, so that is a warning at most.
func expiry(detail string, c *x509.Certificate, now time.Time) Result {
	end := c.NotAfter.UTC().Format(dateLayout)
	const renew = "make a new pair with sfproxy keygen and upload its certificate: Salesforce goes on with an expired one, but audits and other tools do not"
	switch {
	case now.Before(c.NotBefore):
		return warning("%s, and is not good before %s", detail, c.NotBefore.UTC().Format(dateLayout)).
			fix("see that this machine's clock is set (NTP), or give a certificate that is good from today on: audits and other tools refuse one before its time")
	case now.After(c.NotAfter):
		return warning("%s, and expired on %s", detail, end).fix(renew)
	case now.Add(expiryWarning).After(c.NotAfter):
		return warning("%s, and expires on %s", detail, end).fix(renew)
	}
	return passed("%s, until %s", detail, end)
}
