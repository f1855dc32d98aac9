package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// profile writes profiles of sfproxy and the reference under load, of CPU time
// and of allocations, for go tool pprof.
func (b *benchmark) profile(ctx context.Context) error {
	for _, s := range b.shapes {
		for _, r := range b.running {
			t := b.taskFor(r, s)
			t.Duration = max(t.Duration, 10*time.Second)
			path := filepath.Join(b.profiles, r.name+"-"+s.name)
			if err := profileOne(ctx, t, path); err != nil {
				return fmt.Errorf("profiling %s, %s: %w", r.name, s.name, err)
			}
		}
	}
	return nil
}

// profileOne writes the profiles path.cpu and path.allocs of a second less than
// the load lasts.
func profileOne(ctx context.Context, t task, path string) error {
	base := strings.TrimSuffix(t.Metrics, "/metrics") + "/debug/pprof/"
	query := fmt.Sprintf("?seconds=%d", int(t.Duration.Seconds())-1)
	var failures [2]error
	var pages sync.WaitGroup
	for i, page := range []string{"profile", "allocs"} {
		pages.Go(func() { failures[i] = download(base+page+query, path+[]string{".cpu", ".allocs"}[i]) })
	}
	m, err := runTask(ctx, t)
	if err != nil {
		return err
	}
	progress("%s: %.0f µs of CPU and %.0f allocations a request", path, m.perRequest(float64(m.CPU)/float64(time.Microsecond)), m.perRequest(m.Allocations))
	pages.Wait()
	return errors.Join(failures[:]...)
}

// download writes a page to a file.
func download(url, file string) error {
	text, err := get(url)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
