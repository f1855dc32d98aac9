// A thin shell around an authorization server that nobody here wrote: the OAuth
// library fosite with its RFC 7523 handler, told of one app, one user and one
// certificate. All judgement about an assertion is the library's.
//
//	authserver -certificate FILE -issuer KEY -subject USER -audience URL -instance URL
//
// Listens on a free port of the loopback and prints its URL.
package main

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

const scope = "api"

// registration is what an org knows of an app, and what it tells about itself.
type registration struct {
	certificate string // path of a PEM file
	issuer      string // consumer key
	subject     string
	audience    string
	instance    string // instance_url of the answers
}

func main() {
	var r registration
	flag.StringVar(&r.certificate, "certificate", "", "PEM `file` of the certificate whose key signs")
	flag.StringVar(&r.issuer, "issuer", "", "the only issuer: a consumer `key`")
	flag.StringVar(&r.subject, "subject", "", "the only subject: a `user`")
	flag.StringVar(&r.audience, "audience", "", "the audience that names this server, a `URL`")
	flag.StringVar(&r.instance, "instance", "", "instance `URL` of the answers")
	flag.Parse()
	log.SetFlags(0)
	if err := r.serve(); err != nil {
		log.Fatal(err)
	}
}

func (r registration) serve() error {
	provider, err := r.provider()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/services/oauth2/token", func(w http.ResponseWriter, req *http.Request) {
		r.answer(provider, w, req)
	})
	fmt.Println("http://" + listener.Addr().String())
	return (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// provider returns the library's server, with its checks on: an assertion needs
// a jti, which counts once, and must not live longer than Salesforce allows.
// Only iat is optional, since neither RFC 7523 nor Salesforce asks for it.
func (r registration) provider() (fosite.OAuth2Provider, error) {
	store, err := r.store()
	if err != nil {
		return nil, err
	}
	config := &fosite.Config{
		GlobalSecret:                         []byte(rand.Text() + rand.Text())[:32],
		TokenURL:                             r.audience,
		GrantTypeJWTBearerCanSkipClientAuth:  true,
		GrantTypeJWTBearerIssuedDateOptional: true,
		GrantTypeJWTBearerMaxDuration:        3 * time.Minute,
	}
	return compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config), compose.RFC7523AssertionGrantFactory), nil
}

// store knows the app's key under its issuer and its subject.
func (r registration) store() (*storage.MemoryStore, error) {
	text, err := os.ReadFile(r.certificate)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(r.certificate + " is not PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key := &jose.JSONWebKey{Key: certificate.PublicKey}
	keys := map[string]storage.PublicKeyScopes{key.KeyID: {Key: key, Scopes: []string{scope}}}
	store := storage.NewMemoryStore()
	store.IssuerPublicKeys[r.issuer] = storage.IssuerPublicKeys{
		Issuer:    r.issuer,
		KeysBySub: map[string]storage.SubjectPublicKeys{r.subject: {Subject: r.subject, Keys: keys}},
	}
	return store, nil
}

// answer is the token endpoint.
func (r registration) answer(provider fosite.OAuth2Provider, w http.ResponseWriter, req *http.Request) {
	ctx := req.Context()
	grant, err := provider.NewAccessRequest(ctx, req, &fosite.DefaultSession{})
	if err != nil {
		provider.WriteAccessError(ctx, w, grant, err)
		return
	}
	response, err := provider.NewAccessResponse(ctx, grant)
	if err != nil {
		provider.WriteAccessError(ctx, w, grant, err)
		return
	}
	// RFC 6749 has no such field: it is Salesforce's, and a proxy needs it.
	response.SetExtra("instance_url", r.instance)
	provider.WriteAccessResponse(ctx, w, grant, response)
}
