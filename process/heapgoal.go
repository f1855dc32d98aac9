package process

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
)

// leastHeapGoal is how large the heap may grow at least before it is collected,
// in bytes. Go's own measure is twice what is alive: a few megabytes here, which
// under load are full dozens of times a second.
const leastHeapGoal = 32 << 20

// raiseHeapGoal has the heap collected less often while it is small, with no
// more of it than half of the memory limit, which must be set before. GOGC,
// which is Go's own, goes first.
func raiseHeapGoal(environ []string) {
	isSet := func(v string) bool { return strings.HasPrefix(v, "GOGC=") && v != "GOGC=" }
	if slices.ContainsFunc(environ, isSet) {
		return
	}
	goal := min(leastHeapGoal, debug.SetMemoryLimit(-1)/2)
	atCollections(func() { debug.SetGCPercent(collectionPercent(goal, lastCollection())) })
}

// atCollections calls f now and after each collection from now on.
func atCollections(f func()) {
	f()
	type sentinel struct{ _ *int } // with a pointer it shares its memory with nothing that lives on
	runtime.AddCleanup(new(sentinel), atCollections, f)
}

// collection is what a garbage collection has gone through, in bytes.
type collection struct{ live, roots int64 } // of the heap; stacks and globals

// lastCollection returns the last one, the zero value before the first.
func lastCollection() collection {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	read := func(i int) int64 { return int64(samples[i].Value.Uint64()) } // #nosec G115 -- no machine has so much memory
	return collection{live: read(0), roots: read(1) + read(2)}
}

// collectionPercent returns the GOGC with which the next collection comes at
// goal bytes of heap, or Go's own if that lets the heap grow larger. It is how
// much the heap grows, as a part of all that the last collection has gone
// through, and of 4 MiB how large it may become in any case
// (https://go.dev/doc/gc-guide).
func collectionPercent(goal int64, last collection) int {
	const own, least = 100, 4 << 20
	percent := goal * 100 / least
	if all := last.live + last.roots; all > 0 {
		percent = min(percent, (goal-last.live)*100/all)
	}
	return int(max(percent, own))
}
