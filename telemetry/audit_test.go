package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sfproxy/sfproxy/telemetry"
)

// auditRig is an audit file and the log beside it.
type auditRig struct {
	*telemetry.Audit
	path    string
	log     bytes.Buffer
	metrics *telemetry.Metrics
}

func openAudit(t *testing.T) *auditRig {
	t.Helper()
	r := &auditRig{path: filepath.Join(t.TempDir(), "audit.log"), metrics: telemetry.NewMetrics("test")}
	var err error
	if r.Audit, err = telemetry.OpenAudit(r.path, r.metrics, telemetry.NewLogger(&r.log, slog.LevelInfo, "json")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// denials returns the paths of the lines in a file, each of which has to be whole.
func denials(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for line := range strings.Lines(string(text)) {
		var e struct{ Path string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Errorf("%q is no whole line of JSON: %v", line, err)
		}
		paths = append(paths, e.Path)
	}
	return paths
}

func (r *auditRig) deny(path string) {
	r.Write(telemetry.AuditEvent{Event: telemetry.AuditDenial, Outcome: "refused", Path: path})
}

func (r *auditRig) want(t *testing.T, path, want string) {
	t.Helper()
	if got := strings.Join(denials(t, path), " "); got != want {
		t.Errorf("%s has the lines of %q, want %q", filepath.Base(path), got, want)
	}
}

func TestAuditLine(t *testing.T) {
	r := openAudit(t)
	r.Write(telemetry.AuditEvent{Event: telemetry.AuditDenial, Outcome: "refused", Client: "billing", Method: "GET",
		Path: "/" + strings.Repeat("é", 2000), Changed: []string{"API_KEY"}, Settings: map[string]any{"READ_ONLY": true}, Reason: "a\nline"})
	text, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	want := `^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","schema":1,"event":"denial","outcome":"refused","client":"billing","method":"GET",` +
		`"path":"/é{511}…","changed":\["API_KEY"\],"settings":\{"READ_ONLY":true\},"reason":"a\\nline"\}` + "\n$"
	if !regexp.MustCompile(want).Match(text) {
		t.Errorf("line = %s, want %s", text, want)
	}
	if info, err := os.Stat(r.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode())
	}
}

// TestAuditInTheLog has audit lines come out whatever the level of the log is.
func TestAuditInTheLog(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelError} {
			var b bytes.Buffer
			logger := telemetry.NewLogger(&b, level, format)
			audit := telemetry.NewAudit(logger)
			audit.Write(telemetry.AuditEvent{Event: telemetry.AuditStop, Outcome: "ok"})
			audit.Reopen()
			if err := audit.Close(); err != nil {
				t.Error(err)
			}
			for _, want := range []string{"audit", "schema", "stop"} {
				if !strings.Contains(b.String(), want) {
					t.Errorf("log at %v in %s = %q, want an audit line", level, format, b.String())
				}
			}
		}
	}
	var none *telemetry.Audit
	none.Write(telemetry.AuditEvent{})
	none.Reopen()
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

// TestAuditFileRotation has the file moved away, removed and cut to nothing.
func TestAuditFileRotation(t *testing.T) {
	r := openAudit(t)
	r.deny("/a")
	if err := os.Rename(r.path, r.path+".1"); err != nil {
		t.Fatal(err)
	}
	r.deny("/b")
	r.want(t, r.path+".1", "/a")
	r.want(t, r.path, "/b")

	if err := os.Rename(r.path, r.path+".2"); err != nil {
		t.Fatal(err)
	}
	r.Reopen()
	r.want(t, r.path, "") // is there before there is a line

	r.deny("/c")
	if err := os.Truncate(r.path, 0); err != nil {
		t.Fatal(err)
	}
	r.deny("/d")
	r.want(t, r.path, "/d")

	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.deny("/e")
	r.want(t, r.path, "/e")
	if r.log.Len() > 0 {
		t.Errorf("log = %s, want nothing", &r.log)
	}
}

// TestAuditFileMovedForGood keeps on writing to a file whose place is taken.
func TestAuditFileMovedForGood(t *testing.T) {
	r := openAudit(t)
	if err := os.Rename(r.path, r.path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.path, 0o700); err != nil {
		t.Fatal(err)
	}
	r.deny("/a")
	r.deny("/b")
	r.want(t, r.path+".1", "/a /b")
	if n := strings.Count(r.log.String(), "cannot be opened anew"); n != 1 {
		t.Errorf("the log tells of it %d times, want once a minute:\n%s", n, &r.log)
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.deny("/c")
	r.want(t, r.path, "/c")
}

// TestAuditFileRemovedForGood has the directory go, and the file with it: what
// nobody can read any more is lost, and is counted.
func TestAuditFileRemovedForGood(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open cannot be removed here")
	}
	r := openAudit(t)
	if err := os.RemoveAll(filepath.Dir(r.path)); err != nil {
		t.Fatal(err)
	}
	r.Reopen()
	r.deny("/a")
	r.deny("/b")
	if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"msg":"audit lines cannot be written and are lost"`) || !strings.Contains(log, "was removed") {
		t.Errorf("log = %s, want one warning of lines that are lost", log)
	}
	page := httptest.NewRecorder()
	telemetry.NewAdmin(&telemetry.Health{}, r.metrics).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(page.Body.String(), "\nsfproxy_audit_lines_lost_total 2\n") {
		t.Errorf("metrics = %s, want 2 audit lines lost", page.Body)
	}
	if err := os.Mkdir(filepath.Dir(r.path), 0o700); err != nil {
		t.Fatal(err)
	}
	r.deny("/c")
	r.want(t, r.path, "/c")
	if log := r.log.String(); !strings.Contains(log, `"msg":"audit lines are written again"`) || !strings.Contains(log, `"lost":2`) {
		t.Errorf("log = %s, want it to say that 2 lines were lost", log)
	}
}

func TestAuditFileRefused(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none", "audit.log"), os.DevNull} {
		if err := telemetry.CheckAuditFile(path); err == nil || !strings.Contains(err.Error(), "open "+path+": ") {
			t.Errorf("%s: the check says %v, want why it cannot be opened", path, err)
		}
		if a, err := telemetry.OpenAudit(path, nil, slog.New(slog.DiscardHandler)); err == nil {
			a.Close()
			t.Errorf("%s can be opened, want an error", path)
		} else if _, ok := errors.AsType[*os.PathError](err); !ok || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error = %v, want one with the path", path, err)
		}
	}
}

// TestCheckAuditFile leaves a file that is there as it is, and makes none.
func TestCheckAuditFile(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(there, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{there, filepath.Join(dir, "new.log")} {
		if err := telemetry.CheckAuditFile(path); err != nil {
			t.Errorf("%s: %v, want no fault", path, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v (%v), want the file that was there alone", left, err)
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "a line\n" {
		t.Errorf("the file holds %q (%v), want what it held", text, err)
	}
}

// TestAuditFileFromManySides writes, and moves the file away, all at once.
func TestAuditFileFromManySides(t *testing.T) {
	r := openAudit(t)
	const writers, each, moves = 8, 200, 20
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for range each {
				r.deny("/a")
			}
		})
	}
	running.Go(func() {
		for i := range moves {
			os.Rename(r.path, r.path+"."+string(rune('a'+i)))
			r.Reopen()
		}
	})
	running.Wait()
	files, err := filepath.Glob(r.path + "*")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, file := range files {
		total += len(denials(t, file))
	}
	if total != writers*each {
		t.Errorf("%d lines in %d files, want %d", total, len(files), writers*each)
	}
}

// TestAuditFieldsAreDocumented compares the table in docs/audit.md with a line
// that has every field.
func TestAuditFieldsAreDocumented(t *testing.T) {
	var e telemetry.AuditEvent
	for i, v := 0, reflect.ValueOf(&e).Elem(); i < v.NumField(); i++ {
		switch v.Field(i).Kind() {
		case reflect.String:
			v.Field(i).SetString("x")
		case reflect.Slice:
			v.Field(i).Set(reflect.ValueOf([]string{"x"}))
		case reflect.Map:
			v.Field(i).Set(reflect.ValueOf(map[string]any{}))
		}
	}
	r := openAudit(t)
	r.Write(e)
	line, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| field | meaning |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	names := func(text, pattern string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		return found
	}
	got, want := names(table, "(?m)^\\| `([a-z_]+)` \\|"), names(string(line), `"([a-z_]+)":`)
	if n := reflect.TypeFor[telemetry.AuditEvent]().NumField() + len([]string{"time", "schema"}); len(want) != n {
		t.Errorf("the line has the fields %q, want %d", want, n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/audit.md has the fields %q, a line has %q", got, want)
	}
}
