package watch

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// trails are the ways that paths lead, through symbolic links, to their files.
type trails struct {
	// entries are the names on the way that decide where it leads: the links,
	// the file itself, or the first name that is missing.
	entries map[string]bool
	// watched are the directories of the entries, and the files: a file that is
	// mounted into a directory by itself changes without the directory's notice.
	watched map[string]bool
}

func newTrails(paths []string) trails {
	t := trails{entries: map[string]bool{}, watched: map[string]bool{}}
	for _, path := range paths {
		t.walk(path)
	}
	return t
}

// concerns reports whether what happened to name may change what is read.
func (t trails) concerns(name string) bool { return t.entries[name] || t.watched[name] }

func (t trails) equal(other trails) bool {
	return maps.Equal(t.entries, other.entries) && maps.Equal(t.watched, other.watched)
}

// maxLinks is where a chain of symbolic links counts as a loop, as on Linux.
const maxLinks = 40

// walk adds the way that path leads.
func (t trails) walk(path string) {
	at, names := start(path)
	for links := 0; len(names) > 0 && links < maxLinks; {
		next := filepath.Join(at, names[0]) // also where it is "..", since at has no links
		names = names[1:]
		info, err := os.Lstat(next)
		isLink := err == nil && info.Mode()&fs.ModeSymlink != 0
		if err == nil && !isLink && len(names) > 0 {
			at = next // a directory, or the reason why there is no such file
			continue
		}
		t.entries[next], t.watched[at] = true, true
		if !isLink {
			if err == nil && info.Mode().IsRegular() {
				t.watched[next] = true
			}
			return
		}
		links++
		target, err := os.Readlink(next)
		if err != nil {
			return // gone again; the directory is watched
		}
		if filepath.IsAbs(target) {
			at, _ = start(target)
		}
		names = append(split(target), names...)
	}
}

// start returns the directory from which path is walked, and the names to walk.
func start(path string) (at string, names []string) {
	if !filepath.IsAbs(path) {
		at, _ = os.Getwd()
		return at, split(path)
	}
	volume := filepath.VolumeName(path)
	return volume + string(filepath.Separator), split(path[len(volume):])
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
}
