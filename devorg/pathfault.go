package devorg

import (
	"maps"
	"strings"
)

// FailPath answers every request on the instance host whose path begins with prefix with f,
// until EndPathFaults.
func (o *Org) FailPath(prefix string, f Fault) {
	o.set(func(c *controls) {
		paths := maps.Clone(c.paths)
		if paths == nil {
			paths = make(map[string]Fault)
		}
		paths[prefix] = f
		c.paths = paths
	})
}

// EndPathFaults takes back what FailPath has set.
func (o *Org) EndPathFaults() { o.set(func(c *controls) { c.paths = nil }) }

func (o *Org) pathFault(path string) (Fault, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for prefix, fault := range o.controls.paths {
		if strings.HasPrefix(path, prefix) {
			return fault, true
		}
	}
	return Fault{}, false
}
