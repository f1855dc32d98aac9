package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/login"
	"github.com/sfproxy/sfproxy/peer"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/telemetry"
)

// Outcomes of audit events.
const (
	outcomeOK      = "ok"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

// audit writes what the other packages tell of into the audit log.
type audit struct{ *telemetry.Audit }

// newAudit opens the audit log that the configuration names.
func newAudit(cfg config.Log, metrics *telemetry.Metrics, logger *slog.Logger) (audit, error) {
	if cfg.AuditFile == "" {
		return audit{telemetry.NewAudit(logger)}, nil
	}
	opened, err := telemetry.OpenAudit(cfg.AuditFile, metrics, logger)
	if err != nil {
		return audit{}, usageError{auditFileFault(err)}
	}
	return audit{opened}, nil
}

// checkAuditFile returns why newAudit would fail.
func checkAuditFile(cfg config.Log) error {
	if cfg.AuditFile == "" {
		return nil
	}
	if err := telemetry.CheckAuditFile(cfg.AuditFile); err != nil {
		return auditFileFault(err)
	}
	return nil
}

func auditFileFault(err error) error {
	return fmt.Errorf("LOG_AUDIT_FILE: %w (name a file in a directory that this user may write to, or leave the variable out to have the lines in the log)", err)
}

// denied notes a request that was refused.
func (a audit) denied(d proxy.Denial) {
	a.Write(telemetry.AuditEvent{Event: telemetry.AuditDenial, Outcome: outcomeRefused,
		Client: d.Client, Subject: d.Subject, Address: peer.Of(d.Request).String(), RequestID: d.RequestID,
		Method: d.Request.Method, Path: d.Path, Rule: d.Rule, Code: d.Code, Reason: d.Reason.Error()})
}

// unknownUsername stands for one that is none of ours, since people type
// passwords there.
const unknownUsername = "(unknown)"

// attempted notes a login or a logout of a client.
func (a audit) attempted(l login.Attempt) {
	e := telemetry.AuditEvent{Event: telemetry.AuditLogin, Outcome: string(l.Outcome), Client: l.Client, Subject: l.Subject,
		Address: peer.Of(l.Request).String(), RequestID: l.RequestID, How: l.How, Username: l.Username}
	switch {
	case l.Logout:
		e.Event = telemetry.AuditLogout
	case l.Username == "":
		e.Username = unknownUsername
	}
	if l.Reason != nil {
		e.Reason = l.Reason.Error()
	}
	a.Write(e)
}

// grants returns grant with its results noted.
func (a audit) grants(grant auth.GrantFunc) auth.GrantFunc {
	return func(ctx context.Context, subject string) (*auth.Token, error) {
		token, err := grant(ctx, subject)
		e := telemetry.AuditEvent{Event: telemetry.AuditGrant, Outcome: outcomeOK, Subject: subject}
		if err == nil {
			e.Instance = token.InstanceURL.Host
			a.Write(e)
			return token, err
		}
		e.Outcome, e.Reason = outcomeFailed, err.Error()
		if auth.IsPermanent(err) {
			e.Outcome = outcomeRefused
		}
		if refusal, ok := errors.AsType[*auth.GrantError](err); ok {
			e.Code = refusal.Code
		}
		a.Write(e)
		return token, err
	}
}

// started notes what is in force.
func (a audit) started(cfg *config.Config, k keys, listen string) {
	a.Write(telemetry.AuditEvent{Event: telemetry.AuditStart, Outcome: outcomeOK, Subject: cfg.Salesforce.Username,
		LoginURL: cfg.Salesforce.LoginURL.String(), Listen: listen, Version: version(),
		Key: fingerprintOf(k.first), NextKey: fingerprintOf(k.nextSigner()), Settings: config.Settings(cfg.Proxy)})
	for _, c := range cfg.Clients {
		e := ofClient(c)
		e.Event = telemetry.AuditPolicy
		a.Write(e)
	}
}

// ofClient is an event about what holds for a client.
func ofClient(c config.Client) telemetry.AuditEvent {
	return telemetry.AuditEvent{Event: telemetry.AuditPolicyChange, Outcome: outcomeOK,
		Client: c.Name, Subject: c.Subject, Settings: config.Settings(c)}
}

// stopped notes the end; err is why, nil for a stop that was asked for.
func (a audit) stopped(err error) {
	e := telemetry.AuditEvent{Event: telemetry.AuditStop, Outcome: outcomeOK}
	if err != nil {
		e.Outcome, e.Reason = outcomeFailed, err.Error()
	}
	a.Write(e)
}

// clientsChanged notes, client by client, how they differ. refusal, if not nil,
// is why the new ones are not used.
func (a audit) clientsChanged(before, after []config.Client, refusal error) {
	note := func(e telemetry.AuditEvent) {
		if refusal != nil {
			e.Outcome, e.Reason = outcomeRefused, refusal.Error()
		}
		a.Write(e)
	}
	find := func(list []config.Client, name string) int {
		return slices.IndexFunc(list, func(c config.Client) bool { return c.Name == name })
	}
	for _, c := range before {
		if find(after, c.Name) < 0 {
			note(telemetry.AuditEvent{Event: telemetry.AuditPolicyChange, Outcome: outcomeOK, Client: c.Name, Subject: c.Subject, Change: "removed"})
		}
	}
	for _, c := range after {
		e := ofClient(c)
		if i := find(before, c.Name); i < 0 {
			e.Change = "added"
		} else if e.Change, e.Changed = "changed", config.Changed(before[i].Digest(), c.Digest()); len(e.Changed) == 0 {
			continue
		}
		note(e)
	}
}

// filesRefused notes that the files as they are now are not used.
func (a audit) filesRefused(fault string) {
	a.Write(telemetry.AuditEvent{Event: telemetry.AuditReload, Outcome: outcomeRefused, Reason: fault})
}

// keysConfigured notes that the files hold other private keys than before.
func (a audit) keysConfigured(k keys) {
	a.Write(telemetry.AuditEvent{Event: telemetry.AuditKeyChange, Outcome: outcomeOK, Scope: "org", Change: "configured",
		Key: fingerprintOf(k.first), NextKey: fingerprintOf(k.nextSigner())})
}

// keyChanged notes what has become of a private key, nil if it cannot be read.
// err, if not nil, is why it is not in use.
func (a audit) keyChanged(change string, key crypto.Signer, err error) {
	e := telemetry.AuditEvent{Event: telemetry.AuditKeyChange, Outcome: outcomeOK, Scope: "org", Change: change, Key: fingerprintOf(key)}
	if err != nil {
		e.Outcome, e.Reason = outcomeFailed, err.Error()
	}
	if auth.IsKeyRefusal(err) {
		e.Outcome = outcomeRefused
	}
	a.Write(e)
}

// certificateChanged notes a new certificate of the listener. err, if not nil,
// is why it is not in use.
func (a audit) certificateChanged(serial string, err error) {
	e := telemetry.AuditEvent{Event: telemetry.AuditKeyChange, Outcome: outcomeOK, Scope: "listener", Change: "in_use", Serial: serial}
	if err != nil {
		e.Outcome, e.Change, e.Reason = outcomeFailed, "unusable", err.Error()
	}
	a.Write(e)
}
