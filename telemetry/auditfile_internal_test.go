package telemetry

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// TestAuditFileTakesBack has half a line at the end of the file, as a full disk
// leaves it: alone, and with what another program has written after it.
func TestAuditFileTakesBack(t *testing.T) {
	for _, tt := range []struct{ foreign, want string }{
		{"", "first\nnext\n"},
		{"foreign\n", "first\nhalfforeign\n\nnext\n"},
	} {
		path := filepath.Join(t.TempDir(), "audit.log")
		f, err := openAuditFile(path, NewMetrics("test"), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.close() })
		f.Write([]byte("first\n"))
		f.file.WriteString("half")
		other, err := appendTo(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		other.WriteString(tt.foreign)
		f.torn = !f.takeBack(int64(len("half")))
		f.Write([]byte("next\n"))
		if got, err := os.ReadFile(path); err != nil || string(got) != tt.want {
			t.Errorf("with %q after it, the file holds %q (%v), want %q", tt.foreign, got, err, tt.want)
		}
	}
}
