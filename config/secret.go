package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that shows itself to nobody but [Secret.Reveal]: fmt with any
// verb, JSON, XML, text marshalling and slog print a placeholder. The zero value
// is no secret. It is safe for concurrent use, but for Wipe.
//
// The value lies behind two pointers since fmt does not call the methods of what
// it finds in an unexported field, and follows one to a struct; of the other it
// prints the address. Two Secrets are therefore not to be compared with ==, see
// [Secret.Digest].
type Secret struct{ value **secret }

type secret struct {
	text []byte            // nil once it is wiped
	sum  [sha256.Size]byte // see sumOf
}

// NewSecret returns a Secret that holds value. An empty value is no secret.
func NewSecret(value string) Secret { return secretOf([]byte(value)) }

// secretOf returns a Secret that holds text itself, which belongs to it from then
// on.
func secretOf(text []byte) Secret {
	if len(text) == 0 {
		return Secret{}
	}
	return newSecret(secret{text: text, sum: sumOf(text)})
}

func newSecret(s secret) Secret {
	value := &s
	return Secret{&value}
}

// sumOf returns a hash of text. A hash keeps its last block, which may be all of
// the text, so that there is another one after it.
func sumOf(text []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(text)
	h.Write(make([]byte, sha256.BlockSize))
	return [sha256.Size]byte(h.Sum(nil))
}

// Reveal returns the text itself, nil if there is none or it was wiped. It is
// not to be changed, and whoever keeps it keeps it from being wiped: copy it.
func (s Secret) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return (*s.value).text
}

// Wipe zeroes the text, also that of the copies of s. Digest stays the same.
func (s Secret) Wipe() {
	if s.value != nil {
		clear((*s.value).text)
		(*s.value).text = nil
	}
}

// Digest returns s without its text: digests are equal, as [reflect.DeepEqual]
// sees them, if the texts are or were.
func (s Secret) Digest() Secret {
	if s.value == nil {
		return Secret{}
	}
	return newSecret(secret{sum: (*s.value).sum})
}

// IsZero reports whether there is no secret. One that was wiped is one.
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
