package integration_test

import (
	"os"
	"path/filepath"
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
