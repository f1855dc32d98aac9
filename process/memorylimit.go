package process

import (
	"io/fs"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// limitMemory has the garbage collector keep to the memory that the control
// group allows, a container's limit for one: without, the heap may double before
// it is collected, and the kernel ends the process that crosses the limit.
// GOMEMLIMIT, which is Go's own, goes first.
func limitMemory(environ []string, logger *slog.Logger) {
	isSet := func(v string) bool { return strings.HasPrefix(v, "GOMEMLIMIT=") && v != "GOMEMLIMIT=" }
	if slices.ContainsFunc(environ, isSet) {
		return
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return // not Linux, or no /proc
	}
	limit, ok := controlGroupMemory(os.DirFS("/sys/fs/cgroup"), string(groups))
	if !ok {
		return
	}
	target := heapTarget(limit)
	debug.SetMemoryLimit(target)
	logger.Info("memory limit taken from the control group", "limit_bytes", limit, "target_bytes", target)
}

// heapTarget leaves a tenth of a limit, and 16 MiB at least, to what Go does not
// count: the program itself, and what connections hold in the kernel.
func heapTarget(limit int64) int64 { return max(limit-max(limit/10, 16<<20), limit/2) }

// unlimited is from where on a limit is none: version 1 has a number near 2^63.
const unlimited = 1 << 60

// controlGroupMemory returns the least memory limit, in bytes, of the control
// groups that a process is in and of those above them, and false if none has
// one. hierarchy is /sys/fs/cgroup, groups the content of /proc/self/cgroup
// (cgroups(7)), whose lines are number:controllers:path. In a container the
// path may be the host's, of which only the root is to be found.
func controlGroupMemory(hierarchy fs.FS, groups string) (limit int64, ok bool) {
	limit = unlimited
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[1] == "": // version 2
			limit = min(limit, leastLimit(hierarchy, ".", fields[2], "memory.max", "memory.high"))
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			limit = min(limit, leastLimit(hierarchy, "memory", fields[2], "memory.limit_in_bytes"))
		}
	}
	return limit, limit < unlimited
}

// leastLimit returns the least number in the files of the group, which is a
// path below mount, and of all groups above it.
func leastLimit(hierarchy fs.FS, mount, group string, files ...string) int64 {
	least := int64(unlimited)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		for _, file := range files {
			text, err := fs.ReadFile(hierarchy, path.Join(mount, group, file))
			if err != nil {
				continue
			}
			// "max" stands for no limit.
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
				least = min(least, n)
			}
		}
		if group == "/" {
			return least
		}
	}
}
