package integration_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReadmeNamesRooms has the README say where things are, of every directory
// with Go files.
func TestReadmeNamesRooms(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "\n## Where things are\n")
	places, _, _ := strings.Cut(rest, "\n## ")
	files, err := filepath.Glob("../*/*.go")
	if !found || err != nil || len(files) == 0 {
		t.Fatalf("the README says where things are: %t; there are %d Go files, %v", found, len(files), err)
	}
	told := map[string]bool{}
	for _, file := range files {
		room := filepath.Base(filepath.Dir(file)) + "/"
		if !told[room] && !strings.Contains(places, " "+room+" ") {
			t.Errorf("the README does not say what %s is", room)
		}
		told[room] = true
	}
}

// builtOn are the packages of ours that a package may import besides auth, which
// all may but config and devorg.
var builtOn = map[string][]string{
	"keygen":    {"key"},
	"listen":    {"peer"},
	"login":     {"peer"},
	"proxy":     {"policy", "quota"},
	"telemetry": {"proxy", "quota"},
}

// TestReadmeImportsRunOneWay has each package import only what it builds on, as
// the README says.
func TestReadmeImportsRunOneWay(t *testing.T) {
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d Go files, %v", len(files), err)
	}
	for _, file := range files {
		room := filepath.Base(filepath.Dir(file))
		if strings.HasSuffix(file, "_test.go") || room == "bench" {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range tree.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			imported, ours := strings.CutPrefix(path, "github.com/sfproxy/sfproxy/")
			alone := room == "auth" || room == "config" || room == "devorg"
			if ours && (alone || imported != "auth") && !slices.Contains(builtOn[room], imported) {
				t.Errorf("%s imports %s: imports run one way, and builtOn has what a package may import", file, imported)
			}
		}
	}
}
