package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sfproxy/sfproxy/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start watches files until the test ends, and returns once it does.
func start(t *testing.T, cfg watch.Config) *watch.Watcher {
	t.Helper()
	w := watch.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	wait(t, w, "it watches")
	return w
}

func wait(t *testing.T, w *watch.Watcher, what string) {
	t.Helper()
	select {
	case <-w.Changes():
	case <-time.After(10 * time.Second): // before the poll
		t.Fatalf("not told within 10 s: %s", what)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func link(t *testing.T, target, path string) {
	t.Helper()
	must(t, os.Symlink(target, path))
}

// relink makes a symbolic link lead elsewhere in one step, as Kubernetes does.
func relink(t *testing.T, target, path string) {
	t.Helper()
	link(t, target, path+".new")
	must(t, os.Rename(path+".new", path))
}

func TestWatcherTellsOfChanges(t *testing.T) {
	type step func(t *testing.T, dir string)
	for _, tt := range []struct {
		name    string
		file    string // watched; "" for "f"
		prepare step   // besides a file "f"
		changes []step // each of which is told
	}{
		{name: "written in place", changes: []step{
			func(t *testing.T, dir string) { write(t, dir+"/f", "2") },
			func(t *testing.T, dir string) { write(t, dir+"/f", "3") },
		}},
		{name: "moved over", changes: []step{
			func(t *testing.T, dir string) { write(t, dir+"/g", "2"); must(t, os.Rename(dir+"/g", dir+"/f")) },
			func(t *testing.T, dir string) { write(t, dir+"/g", "3"); must(t, os.Rename(dir+"/g", dir+"/f")) },
			func(t *testing.T, dir string) { write(t, dir+"/f", "4") },
		}},
		{name: "edited with a backup", changes: []step{
			func(t *testing.T, dir string) { must(t, os.Rename(dir+"/f", dir+"/f~")); write(t, dir+"/f", "2") },
			func(t *testing.T, dir string) { must(t, os.Remove(dir+"/f~")); write(t, dir+"/f", "3") },
		}},
		{name: "gone for a while", changes: []step{
			func(t *testing.T, dir string) { must(t, os.Remove(dir+"/f")) },
			func(t *testing.T, dir string) { write(t, dir+"/f", "1") },
			func(t *testing.T, dir string) { write(t, dir+"/f", "2") },
		}},
		{name: "appears with its directories", file: "a/b/c", changes: []step{
			func(t *testing.T, dir string) { write(t, dir+"/a/b/c", "1") },
			func(t *testing.T, dir string) { write(t, dir+"/a/b/c", "2") },
			func(t *testing.T, dir string) { must(t, os.RemoveAll(dir+"/a")) },
			func(t *testing.T, dir string) { write(t, dir+"/a/b/c", "3") },
		}},
		{name: "directory replaced", file: "a/f",
			prepare: func(t *testing.T, dir string) { write(t, dir+"/a/f", "1"); write(t, dir+"/b/f", "2") },
			changes: []step{
				func(t *testing.T, dir string) {
					must(t, os.Rename(dir+"/a", dir+"/old"))
					must(t, os.Rename(dir+"/b", dir+"/a"))
				},
				func(t *testing.T, dir string) { write(t, dir+"/a/f", "3") },
			}},
		{name: "link leads elsewhere", file: "link",
			prepare: func(t *testing.T, dir string) { write(t, dir+"/a/g", "2"); link(t, "f", dir+"/link") },
			changes: []step{
				func(t *testing.T, dir string) { relink(t, dir+"/a/g", dir+"/link") },
				func(t *testing.T, dir string) { write(t, dir+"/a/g", "3") },
				func(t *testing.T, dir string) { relink(t, "a/../f", dir+"/link") },
				func(t *testing.T, dir string) { write(t, dir+"/f", "4") },
			}},
		{name: "Kubernetes volume", file: "v/key",
			prepare: func(t *testing.T, dir string) {
				write(t, dir+"/v/..1/key", "1")
				link(t, "..1", dir+"/v/..data")
				link(t, "..data/key", dir+"/v/key")
			},
			changes: []step{
				func(t *testing.T, dir string) { write(t, dir+"/v/..2/key", "2"); relink(t, "..2", dir+"/v/..data") },
				func(t *testing.T, dir string) {
					must(t, os.RemoveAll(dir+"/v/..1"))
					write(t, dir+"/v/..3/key", "3")
					relink(t, "..3", dir+"/v/..data")
				},
			}},
		{name: "link to nothing", file: "link",
			prepare: func(t *testing.T, dir string) { link(t, "later/key", dir+"/link") },
			changes: []step{
				func(t *testing.T, dir string) { write(t, dir+"/later/key", "1") },
				func(t *testing.T, dir string) { write(t, dir+"/later/key", "2") },
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir+"/f", "1")
			if tt.prepare != nil {
				tt.prepare(t, dir)
			}
			file := tt.file
			if file == "" {
				file = "f"
			}
			w := start(t, watch.Config{Files: []string{filepath.Join(dir, file)}})
			for i, change := range tt.changes {
				change(t, dir)
				wait(t, w, "change "+string(rune('1'+i)))
			}
		})
	}
}

func TestWatcherFollowsRelativePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "f", "1")
	w := start(t, watch.Config{Files: []string{"f"}})
	write(t, "f", "2")
	wait(t, w, "a change to a relative path")
}

// TestWatcherTellsOfManyChangesAtOnce has files change in quick succession. On a
// machine that stalls they may be told of more than once, but not one by one.
func TestWatcherTellsOfManyChangesAtOnce(t *testing.T) {
	const changes, most = 20, 5
	dir := t.TempDir()
	files := []string{dir + "/key", dir + "/crt", dir + "/passphrase"}
	w := start(t, watch.Config{Files: files})
	told := 0
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range changes {
		write(t, files[i%len(files)], time.Now().String())
		select {
		case <-w.Changes():
			told++
		case <-tick.C:
		}
	}
	if told > most {
		t.Errorf("%d changes were told %d times, want %d at most", changes, told, most)
	}
	write(t, files[0], "last")
	wait(t, w, "the last of many changes")
}

func TestWatcherKeepsSilentWhereNothingChanges(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "1")
	link(t, "loop", dir+"/loop")
	w := start(t, watch.Config{Files: []string{dir + "/f", dir + "/loop"}})
	write(t, dir+"/f", "1")
	write(t, dir+"/neighbour", "2")
	checkSilence(t, w)
}

// checkSilence gives the watcher time to say something.
func checkSilence(t *testing.T, w *watch.Watcher) {
	t.Helper()
	select {
	case <-w.Changes():
		t.Error("a change was told where there was none")
	case <-time.After(600 * time.Millisecond):
	}
}

// TestWatcherIsNotHeldUpByNoise changes a file while its directory never rests.
func TestWatcherIsNotHeldUpByNoise(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "1")
	w := start(t, watch.Config{Files: []string{dir + "/f"}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-tick.C {
			os.WriteFile(dir+"/f", []byte(time.Now().String()), 0o600)
		}
	}()
	wait(t, w, "a file that is written all the time")
	cancel()
	<-ended
}
