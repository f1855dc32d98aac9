package proxy

import (
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRunningNeverExceedsItsLimit counts beside it what runs.
func TestRunningNeverExceedsItsLimit(t *testing.T) {
	const limit = 3
	var r running
	var inside, most, entered atomic.Int64
	var tries sync.WaitGroup
	for range 16 {
		tries.Go(func() {
			for range 2000 {
				if !r.enter(limit) {
					continue
				}
				entered.Add(1)
				n := inside.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				inside.Add(-1)
				r.leave()
			}
		})
	}
	tries.Wait()
	if entered.Load() == 0 || most.Load() > limit {
		t.Errorf("%d entered, %d of them at a time; want some, and %d at most", entered.Load(), most.Load(), limit)
	}
	if n := r.count.Load(); n != 0 {
		t.Errorf("%d are counted after all have left, want 0", n)
	}
}

func TestRunningWithoutLimit(t *testing.T) {
	var r running
	for range 10 {
		if !r.enter(0) {
			t.Fatal("refused, want no limit")
		}
	}
}

func TestLimitsAllocateNothing(t *testing.T) {
	var r running
	req := httptest.NewRequest("GET", "/services/data/v60.0/limits", nil)
	req.Header.Set("Authorization", "Bearer key")
	if n := testing.AllocsPerRun(100, func() {
		if over := headOver(req); over != nil || !r.enter(1) {
			t.Fatal("refused")
		}
		r.leave()
	}); n != 0 {
		t.Errorf("%v allocations for a request, want none", n)
	}
}

func TestNoticeIsDueOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Notice
		want := func(events int, due bool) {
			t.Helper()
			if got, isDue := n.Due(); got != events || isDue != due {
				t.Errorf("Due = %d, %t, want %d, %t", got, isDue, events, due)
			}
		}
		want(1, true)
		want(0, false)
		time.Sleep(time.Minute - time.Second)
		want(0, false)
		time.Sleep(time.Second)
		want(3, true)
		time.Sleep(time.Hour)
		want(1, true)
	})
}
