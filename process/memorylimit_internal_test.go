package process

import (
	"testing"
	"testing/fstest"
)

func TestControlGroupMemory(t *testing.T) {
	const none = 0
	for _, tt := range []struct {
		name   string
		groups string
		files  map[string]string
		want   int64
	}{
		{"container, version 2", "0::/\n", map[string]string{"memory.max": "67108864\n"}, 64 << 20},
		{"container without a limit", "0::/\n", map[string]string{"memory.max": "max\n", "memory.high": "max\n"}, none},
		{"unit", "0::/system.slice/sfproxy.service\n",
			map[string]string{"system.slice/sfproxy.service/memory.max": "268435456\n"}, 256 << 20},
		{"slice above the unit", "0::/system.slice/sfproxy.service\n",
			map[string]string{"system.slice/sfproxy.service/memory.max": "max\n", "system.slice/memory.max": "134217728\n"}, 128 << 20},
		{"throttled before it is full", "0::/\n", map[string]string{"memory.max": "67108864\n", "memory.high": "33554432\n"}, 32 << 20},
		{"container, version 1, path of the host", "4:memory:/docker/c0ffee\n0::/\n",
			map[string]string{"memory/memory.limit_in_bytes": "67108864\n"}, 64 << 20},
		{"version 1 with two controllers", "4:cpu,memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "1000\n"}, 1000},
		{"version 1 without a limit", "4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, none},
		{"another controller", "3:cpuset:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "1000\n"}, none},
		{"path that leads out", "0::/../../b\n", map[string]string{"b/memory.max": "1000\n"}, 1000},
		{"no such file", "0::/a/b\n", nil, none},
		{"nonsense", "x\n:\n", nil, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hierarchy := fstest.MapFS{}
			for name, content := range tt.files {
				hierarchy[name] = &fstest.MapFile{Data: []byte(content)}
			}
			got, ok := controlGroupMemory(hierarchy, tt.groups)
			if ok != (tt.want != none) || ok && got != tt.want {
				t.Errorf("controlGroupMemory(%q) = %d, %t, want %d", tt.groups, got, ok, tt.want)
			}
		})
	}
}

func TestHeapTarget(t *testing.T) {
	for limit, want := range map[int64]int64{1 << 30: 1<<30 - 1<<30/10, 64 << 20: 48 << 20, 20 << 20: 10 << 20} {
		if got := heapTarget(limit); got != want {
			t.Errorf("heapTarget(%d) = %d, want %d", limit, got, want)
		}
	}
}
