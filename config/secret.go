package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that shows itself to nobody but [Secret.Reveal]: fmt with
// any verb, JSON, XML, text marshalling and slog print a placeholder. The zero
// value is no secret.
//
// The value lies behind a pointer since fmt does not call the methods of what
// it finds in an unexported field; it prints an address there. Two Secrets are
// therefore not to be compared with ==.
type Secret struct{ value *string }

// NewSecret returns a Secret that holds value. An empty value is no secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value, "" if there is none.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == nil }

// String returns a placeholder that tells only whether there is a secret.
func (s Secret) String() string {
	if s.IsZero() {
		return "[none]"
	}
	return "[redacted]"
}

// Format implements [fmt.Formatter], and with it every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler], which JSON, XML and the
// like use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
