package integration_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
)

var update = flag.Bool("update", false, "rewrite what is generated in the README")

// TestReadmeSettings compares the README's table with the settings there are.
func TestReadmeSettings(t *testing.T) {
	const name, begin, end = "../README.md", "<!-- settings", "<!-- /settings -->"
	readme, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begin)
	marker, rest, foundLine := strings.Cut(rest, "\n")
	table, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundLine || !foundEnd {
		t.Fatalf("the README has no lines %q and %q", begin, end)
	}
	var want bytes.Buffer
	config.Markdown(&want)
	if table == want.String() {
		return
	}
	if !*update {
		t.Fatalf("the README's table of settings is not that of the program: run go test ./integration_test -run TestReadme -update\ngot:\n%s\nwant:\n%s", table, &want)
	}
	text := before + begin + marker + "\n" + want.String() + end + after
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
