package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/listen"
	"github.com/sfproxy/sfproxy/process"
	"github.com/sfproxy/sfproxy/telemetry"
	"github.com/sfproxy/sfproxy/watch"
)

const (
	// retryInterval is how often a new key that the org does not take is tried
	// during [auth.Propagation], and slowRetryInterval how often after it: Salesforce
	// counts each try as a failed login.
	retryInterval     = time.Minute
	slowRetryInterval = 15 * time.Minute
	// checkInterval is how often the files are read whether or not a change was
	// seen: what was read again after one may have been something else.
	checkInterval = 30 * time.Second
	// expiryInterval is how often a certificate that expires is warned of.
	expiryInterval = 24 * time.Hour
)

// reloader takes over, while the proxy runs, what changes in the files that the
// configuration names: keys, certificates, those of the listener among them, and
// the credentials of clients. Everything else is read at start only.
type reloader struct {
	environ []string
	cfg     *config.Config // what is in use, but for the secrets, which are wiped
	signals
	tokenFlow
	mainFlow
	handshakes *listen.Handshakes // nil if the listener has no TLS

	fault    string         // why the configuration as it is now is not used; "" if it is
	refused  watch.Contents // of the files, when fault was found
	tried    keyText
	unusable bool // something in tried is not in use
	triedTLS tlsText
	renewals sync.WaitGroup
}

// run reloads until ctx ends: after a change to a file, at once after a hangup,
// and every checkInterval if there is something to reload.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	r.tried, r.triedTLS = keyTextOf(r.cfg.Salesforce), tlsTextOf(r.cfg.Proxy)
	r.checkCertificate(r.cfg.Salesforce)
	defer r.renewals.Wait()
	watcher := watch.New(watch.Config{Files: r.cfg.Files, Logger: r.logger})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		watcher.Run(ctx)
	}()
	defer func() { <-watching }()
	retry, check, expiry := time.NewTicker(retryInterval), time.NewTicker(checkInterval), time.NewTicker(expiryInterval)
	defer retry.Stop()
	defer check.Stop()
	defer expiry.Stop()
	why := unasked // they may have changed before they were watched
	for {
		select {
		case <-watcher.Changes():
			r.reload(ctx, why)
			if why == unasked {
				r.logger.Info("the files are followed")
			}
			why = onChange
		case <-hangup:
			r.audit.Reopen()
			r.reload(ctx, onDemand)
		case <-retry.C:
			if r.rotation.due() {
				r.tryPending(ctx)
			}
		case <-check.C:
			r.reload(ctx, unasked)
		case <-expiry.C:
			r.checkCertificate(r.cfg.Salesforce)
		case <-r.rotation.changed:
			r.checkCertificate(r.cfg.Salesforce)
		case <-ctx.Done():
			return
		}
	}
}

// cause is why the files are read again.
type cause int

const (
	unasked  cause = iota // they may have changed; nothing is said if they have not
	onChange              // one of them has another content
	onDemand              // an operator asks for it
)

// reload reads the configuration again and takes over what has changed. What
// cannot be used leaves everything as it was.
func (r *reloader) reload(ctx context.Context, why cause) {
	files := watch.ContentsOf(r.cfg.Files) // first, so that a later change is not taken for one that was refused
	cfg, err := r.parse()
	if err != nil {
		if !r.isTold(err, files, why) {
			r.refuse(err)
			r.refused = files
		}
		return
	}
	defer cfg.Wipe()
	if r.fault != "" {
		r.fault = ""
		r.logger.Info("the configuration can be used again")
	}
	known := warningsOf(r.cfg)
	for _, warning := range warningsOf(cfg) {
		if !slices.Contains(known, warning) {
			r.logger.Warn(warning)
		}
	}
	results := []telemetry.ReloadResult{r.takeKeys(ctx, cfg, why), r.takeClients(cfg), r.takeTLS(cfg.Proxy)}
	r.cfg = cfg
	switch {
	case slices.Contains(results, telemetry.ReloadRefused):
		r.metrics.Reloaded(telemetry.ReloadRefused)
	case slices.Contains(results, telemetry.ReloadApplied):
		r.metrics.Reloaded(telemetry.ReloadApplied)
	case why != unasked:
		r.metrics.Reloaded(telemetry.ReloadUnchanged)
		r.logger.Info("the files were read again; no key and no credential has changed (what else they hold is read at start only)")
	}
	if why == onDemand {
		r.tryPending(ctx)
	}
}

// isTold reports whether err is no news. An operator who asks is answered each
// time; the change of a file is often seen only after a hangup that was about it.
func (r *reloader) isTold(err error, files watch.Contents, why cause) bool {
	switch why {
	case unasked:
		return errors.Is(err, errReadOnce) || err.Error() == r.fault
	case onChange:
		return err.Error() == r.fault && files.Equal(r.refused)
	}
	return false
}

// errReadOnce says that a file gives its content away once only.
var errReadOnce = errors.New("is a pipe or a device, which can be read once only: a change needs a restart")

// parse returns the configuration of now, if the program could run with it.
func (r *reloader) parse() (*config.Config, error) {
	for _, file := range r.cfg.Files {
		if info, err := os.Stat(file); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeDevice) != 0 {
			return nil, fmt.Errorf("%q %w", file, errReadOnce)
		}
	}
	cfg, err := config.Parse(r.environ)
	if err == nil && len(cfg.Clients) == 0 && len(r.cfg.Clients) > 0 {
		cfg.Wipe()
		return nil, errors.New("there are no clients any more, so that the proxy would be open to everybody")
	}
	if err != nil {
		return nil, err
	}
	return cfg.WithinOpenFiles(process.OpenFiles()), nil
}

// refuse says why the configuration as it is now is not used.
func (r *reloader) refuse(err error) {
	r.fault = err.Error()
	r.metrics.Reloaded(telemetry.ReloadRefused)
	faults := []string{err.Error()}
	if list, ok := errors.AsType[*config.Error](err); ok {
		faults = nil
		for _, f := range list.Faults {
			faults = append(faults, f.String())
		}
	}
	for _, fault := range faults {
		r.logger.Warn("the configuration as it is now is not used; all stays as it was", "error", fault)
		r.audit.filesRefused(fault)
	}
}

// keyText stands for all that keys are made of, to tell whether it has changed.
type keyText struct {
	key, passphrase, next       config.Secret
	certificate                 []byte
	nextFault, certificateFault error
}

func keyTextOf(sf config.Salesforce) keyText {
	return keyText{sf.Key.Digest(), sf.KeyPassphrase.Digest(), sf.NextKey.Digest(), sf.Certificate, sf.NextKeyFault, sf.CertificateFault}
}

// takeKeys takes over what the keys and their certificate are made of.
func (r *reloader) takeKeys(ctx context.Context, cfg *config.Config, why cause) telemetry.ReloadResult {
	text := keyTextOf(cfg.Salesforce)
	if reflect.DeepEqual(text, r.tried) && !(r.unusable && why == onDemand) {
		return telemetry.ReloadUnchanged
	}
	k, err := r.rotation.configured().reload(cfg.Salesforce)
	oldPIN := err == nil && k.hasOldPIN(cfg.Salesforce)
	_, certificateErr := givenCertificate(cfg.Salesforce)
	r.tried, r.unusable = text, err != nil || k.nextFault != nil || certificateErr != nil || oldPIN
	if err != nil {
		r.metrics.KeyChanged(telemetry.KeyUnreadable)
		r.audit.keyChanged("unusable", nil, err)
		r.logger.Warn("the private key as it is now is not used; the old key stays in use", "error", err)
		return telemetry.ReloadRefused
	}
	if oldPIN {
		r.logger.Warn("the PIN is another now, which is used from the next start of sfproxy on; the token stays open with the old one")
	}
	r.useKeys(ctx, k)
	r.checkCertificate(cfg.Salesforce)
	if r.unusable {
		return telemetry.ReloadRefused
	}
	return telemetry.ReloadApplied
}

// useKeys puts keys in the place of those that were configured before. The org
// is asked at once about one that is new.
func (r *reloader) useKeys(ctx context.Context, k keys) {
	before := r.rotation.configured()
	newNext := k.next != nil && (before.next == nil || !auth.SameKey(k.next, before.next))
	if newNext || k.next == nil && before.next != nil || !auth.SameKey(k.first, before.first) {
		r.audit.keysConfigured(k)
	}
	r.rotation.set(k) // first, since it is told what the org makes of them
	r.org.SetKeys(k.first, k.nextSigner())
	text := "the private keys were read again; the one in use is among them"
	pending := r.rotation.pending()
	if pending {
		text = "there is a new private key; the org is asked to take it"
	}
	attrs := []any{"key", fingerprintOf(k.first)}
	if k.next != nil {
		attrs = append(attrs, "next_key", fingerprintOf(k.next))
	}
	r.logger.Info(text, attrs...)
	if pending || newNext {
		r.renew(ctx)
	}
}

// takeClients takes over the credentials of the clients.
func (r *reloader) takeClients(cfg *config.Config) telemetry.ReloadResult {
	var changed []string
	for i, c := range cfg.Clients {
		if i >= len(r.cfg.Clients) || !reflect.DeepEqual(c.Digest(), r.cfg.Clients[i].Digest()) {
			changed = append(changed, c.Name)
		}
	}
	if len(changed) == 0 && len(cfg.Clients) == len(r.cfg.Clients) {
		return telemetry.ReloadUnchanged
	}
	clients, clientsErr := newClients(cfg.Clients)
	accounts, accountsErr := newAccounts(cfg.Clients)
	err := errors.Join(clientsErr, accountsErr)
	r.audit.clientsChanged(r.cfg.Clients, cfg.Clients, err)
	if err != nil {
		r.logger.Warn("the clients' credentials as they are now are not used; the old ones stay", "error", err)
		return telemetry.ReloadRefused
	}
	if r.logins != nil {
		r.logins.SetAccounts(accounts)
	}
	r.proxy.SetClients(clients)
	r.logger.Info("clients have new credentials, which are in use", "clients", changed)
	return telemetry.ReloadApplied
}

// tlsText stands for all that the listener's TLS settings are made of, to tell
// whether it has changed.
type tlsText struct {
	certificate, clientCA []byte
	key                   config.Secret
}

func tlsTextOf(cfg config.Proxy) tlsText {
	return tlsText{cfg.TLSCert, cfg.TLSClientCA, cfg.TLSKey.Digest()}
}

// takeTLS takes over the listener's certificate, its key and the authority of
// clients. What cannot be used, such as a certificate whose key is still to come,
// leaves the settings as they were.
func (r *reloader) takeTLS(cfg config.Proxy) telemetry.ReloadResult {
	text := tlsTextOf(cfg)
	if r.handshakes == nil || reflect.DeepEqual(text, r.triedTLS) {
		return telemetry.ReloadUnchanged
	}
	r.triedTLS = text
	settings, err := listenerTLS(cfg)
	if err != nil {
		r.logger.Warn("the listener's certificate as it is now is not used; the old one stays", "error", err)
		r.audit.certificateChanged("", err)
		return telemetry.ReloadRefused
	}
	r.handshakes.Use(settings)
	leaf := r.handshakes.Certificate()
	serial := leaf.SerialNumber.Text(16)
	r.audit.certificateChanged(serial, nil)
	r.logger.Info("the listener's certificate was read again and is in use", "serial", serial, "expires", leaf.NotAfter.UTC().Format(time.RFC3339))
	return telemetry.ReloadApplied
}

// tryPending has the org asked again about a new key that it has not taken.
func (r *reloader) tryPending(ctx context.Context) {
	if r.rotation.pending() {
		k := r.rotation.configured()
		r.org.SetKeys(k.first, k.nextSigner())
		r.renew(ctx)
	}
}

// renew gets a new token in the background, by which the org judges the keys.
// What comes of it the rotation and the manager tell.
func (r *reloader) renew(ctx context.Context) {
	subject := r.cfg.Salesforce.Username
	r.renewals.Go(func() { r.manager.Renew(ctx, subject) })
}

func (r *reloader) checkCertificate(sf config.Salesforce) {
	checkCertificate(sf, r.rotation.configured(), r.rotation.used(), r.metrics, r.logger)
}
