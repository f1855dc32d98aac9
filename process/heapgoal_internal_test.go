package process

import "testing"

func TestCollectionPercent(t *testing.T) {
	for _, tt := range []struct {
		goal int64
		last collection
		want int
	}{
		{32 << 20, collection{}, 800}, // before the first one
		{32 << 20, collection{live: 2 << 20, roots: 1 << 20}, 800},
		{32 << 20, collection{live: 8 << 20}, 300},
		{32 << 20, collection{live: 6 << 20, roots: 2 << 20}, 325},
		{32 << 20, collection{live: 16 << 20}, 100},
		{32 << 20, collection{live: 12 << 20, roots: 12 << 20}, 100},
		{32 << 20, collection{live: 1 << 30}, 100},
		{1 << 20, collection{}, 100}, // a memory limit that is hardly one
	} {
		if got := collectionPercent(tt.goal, tt.last); got != tt.want {
			t.Errorf("collectionPercent(%d, %+v) = %d, want %d", tt.goal, tt.last, got, tt.want)
		}
	}
}
