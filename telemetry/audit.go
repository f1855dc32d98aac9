package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// AuditSchema is the version of the schema of audit lines. It changes when a
// field is renamed, dropped or means something else; new fields and new events
// may come at any time. docs/audit.md has the schema.
const AuditSchema = 1

// What an audit line is about.
const (
	AuditStart        = "start"         // the proxy serves
	AuditStop         = "stop"          // it has ended
	AuditPolicy       = "policy"        // what holds for a client, at start
	AuditPolicyChange = "policy_change" // what holds for a client has changed
	AuditKeyChange    = "key_change"    // a private key was replaced, taken by the org or refused
	AuditReload       = "reload"        // files were read again and are not used
	AuditGrant        = "grant"         // a login of the proxy at Salesforce
	AuditLogin        = "login"         // a login of a client at the proxy
	AuditLogout       = "logout"
	AuditDenial       = "denial" // a request that was refused
)

// AuditEvent is one audit line. What is empty is left out. No field is for
// secrets.
type AuditEvent struct {
	Event   string
	Outcome string // "ok", "refused" by a decision, or "failed"

	Client    string // a configured client's name
	Subject   string // the Salesforce user
	Address   string // the peer's IP address; "unix" for one at a Unix socket
	RequestID string

	Method, Path string // of a request; the path in its canonical form, without the query
	Rule, Code   string // why a request was denied, or Salesforce's OAuth error

	How      string // a client logs in
	Username string // that it logs in with, if it is one of ours

	Scope        string // "org" or "listener": where the key or certificate is used
	Key, NextKey string // fingerprints
	Serial       string // of the listener's certificate

	Change   string         // what has become of a key, or of a client
	Settings map[string]any // what is set, by variable
	Changed  []string       // variables

	Instance string // the instance URL's host
	LoginURL string
	Listen   string // the proxy's own address
	Version  string

	Reason string
}

// attrs returns the fields of the line in their order.
func (e *AuditEvent) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.Int("schema", AuditSchema), slog.String("event", e.Event), slog.String("outcome", e.Outcome)}
	for _, field := range []struct{ name, value string }{
		{"client", e.Client}, {"subject", e.Subject}, {"address", e.Address}, {"request_id", e.RequestID},
		{"method", e.Method}, {"path", e.Path}, {"rule", e.Rule}, {"code", e.Code},
		{"how", e.How}, {"username", e.Username},
		{"scope", e.Scope}, {"change", e.Change}, {"key", e.Key}, {"next_key", e.NextKey}, {"serial", e.Serial},
		{"instance", e.Instance}, {"login_url", e.LoginURL}, {"listen", e.Listen}, {"version", e.Version},
	} {
		if field.value != "" {
			attrs = append(attrs, slog.String(field.name, clip(field.value)))
		}
	}
	if len(e.Changed) > 0 {
		attrs = append(attrs, slog.Any("changed", e.Changed))
	}
	if e.Settings != nil {
		attrs = append(attrs, slog.Any("settings", e.Settings))
	}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", clip(e.Reason)))
	}
	return attrs
}

const maxValue = 1024 // bytes of what a client may have made up

// clip bounds a value, so that nobody fills the disk or the memory with long
// paths, and makes it text.
func clip(value string) string {
	if len(value) > maxValue {
		value = strings.ToValidUTF8(value[:maxValue], "") + "…"
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}

// Audit writes the audit log: whole lines, whatever the level of the log is. A
// nil Audit writes nothing. Safe for concurrent use.
type Audit struct {
	handler slog.Handler
	file    *auditFile // nil if the lines go into the log
}

// NewAudit returns an Audit whose lines are lines of the log, with the message
// "audit".
func NewAudit(logger *slog.Logger) *Audit { return &Audit{handler: logger.Handler()} }

// OpenAudit returns an Audit that appends JSON lines to the file at path, which
// it makes for its owner alone if it is not there. Lines that cannot be written
// are lost, are counted in m, and are warned of on logger, once a minute at most.
func OpenAudit(path string, m *Metrics, logger *slog.Logger) (*Audit, error) {
	file, err := openAuditFile(path, m, logger)
	if err != nil {
		return nil, err
	}
	handler := slog.NewJSONHandler(file, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case len(groups) > 0:
		case a.Key == slog.LevelKey || a.Key == slog.MessageKey:
			return slog.Attr{}
		case a.Key == slog.TimeKey:
			a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
		}
		return a
	}})
	return &Audit{handler, file}, nil
}

// Write writes one line.
func (a *Audit) Write(e AuditEvent) {
	if a == nil {
		return
	}
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "audit", 0)
	record.AddAttrs(e.attrs()...)
	// Not by a Logger, which would leave the line out where the level is higher.
	_ = a.handler.Handle(context.Background(), record)
}

// Reopen opens the file at the path anew if it is not the one that is open, as
// after a rotation. Write sees that by itself, but only when there is a line.
func (a *Audit) Reopen() {
	if a != nil && a.file != nil {
		a.file.reopen()
	}
}

// Close closes the file, if there is one.
func (a *Audit) Close() error {
	if a == nil || a.file == nil {
		return nil
	}
	return a.file.close()
}
