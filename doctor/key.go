package doctor

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// expiryWarning is how long before its end a certificate is warned of.
const expiryWarning = 30 * 24 * time.Hour

const dateLayout = "2006-01-02"

func (x *examination) key(context.Context) Result { return describeKey(x.cfg.Key) }

// describeKey says what a private key is, and whether its certificate fits.
func describeKey(k Key) Result {
	if k.Signer == nil {
		return failed("%s", foreign(k.Fault.Error())).
			fix("give the RSA private key whose certificate is uploaded to the app, or make a new pair with sfproxy keygen")
	}
	public, isRSA := k.Signer.Public().(*rsa.PublicKey)
	switch {
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
	detail := strings.Join(about, ", ")
	if len(k.Certificates) == 0 {
		return passed("%s; no certificate beside it, so whether the uploaded one fits shows in the grant", detail)
	}
	certificate := certificateOf(public, k.Certificates)
	if certificate == nil {
		return failed("%s; the certificate beside it (%s) is another key's", detail, foreign(k.Certificates[0].Subject.String())).
			fix("give the certificate that was made with this key, or the key of that certificate: the org would refuse the one for the other")
	}
	return expiry(detail, certificate, time.Now())
}

// certificateOf returns the certificate that belongs to the key.
func certificateOf(public *rsa.PublicKey, certificates []*x509.Certificate) *x509.Certificate {
	for _, c := range certificates {
		if certified, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && certified.Equal(public) {
			return c
		}
	}
	return nil
}

// expiry reports when the key's certificate ends. Salesforce goes on accepting
// a key whose certificate has ended, so that is a warning at most.
func expiry(detail string, c *x509.Certificate, now time.Time) Result {
	end := c.NotAfter.UTC().Format(dateLayout)
	const renew = "make a new pair with sfproxy keygen and upload its certificate: Salesforce goes on with an expired one, but audits and other tools do not"
	switch {
	case now.After(c.NotAfter):
		return warning("%s; its certificate fits, and expired on %s", detail, end).fix(renew)
	case now.Add(expiryWarning).After(c.NotAfter):
		return warning("%s; its certificate fits, and expires on %s", detail, end).fix(renew)
	}
	return passed("%s; its certificate fits, until %s", detail, end)
}
