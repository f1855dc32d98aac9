package config_test

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
)

var update = flag.Bool("update", false, "write the golden files")

// tagged returns the name of every variable in the tags of t as help shows it.
func tagged(t reflect.Type, prefix string) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map:
		return tagged(t.Elem(), prefix)
	case reflect.Slice:
		return tagged(t.Elem(), prefix+"_<n>_")
	case reflect.Struct:
	default:
		return nil
	}
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		switch {
		case name == "-":
		case name != "" && field.Type == reflect.TypeFor[config.Secret]():
			names = append(names, prefix+name+"[_FILE]")
		case name != "":
			names = append(names, prefix+name)
		default:
			names = append(names, tagged(field.Type, prefix+field.Tag.Get("envPrefix"))...)
		}
	}
	return names
}

func TestUsageHasEveryVariable(t *testing.T) {
	var usage, markdown bytes.Buffer
	config.Usage(&usage)
	config.Markdown(&markdown)
	names := tagged(reflect.TypeFor[config.Config](), "")
	if len(names) < 25 {
		t.Fatalf("the tags name %d variables: %q", len(names), names)
	}
	rows := map[string]string{}
	for line := range strings.Lines(usage.String()) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rows[name] = strings.TrimSpace(rest)
	}
	if len(rows) != len(names) {
		t.Errorf("Usage has %d rows, want %d", len(rows), len(names))
	}
	for _, name := range names {
		if rows[name] == "" {
			t.Errorf("Usage has no row, or no meaning, for %s", name)
		}
		if !strings.Contains(markdown.String(), "| `"+name+"` | ") {
			t.Errorf("Markdown has no row for %s", name)
		}
	}
	if strings.Contains(markdown.String(), "|  |\n") {
		t.Errorf("Markdown has a row without a meaning:\n%s", markdown.String())
	}
}

func TestUsageHasTheGroupsAskedFor(t *testing.T) {
	var out bytes.Buffer
	config.Usage(&out, "SF_", "LOG_")
	if got := out.String(); !strings.Contains(got, "SF_LOGIN_URL") || !strings.Contains(got, "LOG_LEVEL") || strings.Contains(got, "  PROXY_") {
		t.Errorf("Usage of SF_ and LOG_ =\n%s", got)
	}
}

func TestUsageGolden(t *testing.T) {
	var usage, markdown bytes.Buffer
	config.Usage(&usage)
	config.Markdown(&markdown)
	for path, got := range map[string]string{"testdata/usage.txt": usage.String(), "testdata/usage.md": markdown.String()} {
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s has changed (go test ./config -update writes it):\n%s", path, got)
		}
	}
}
