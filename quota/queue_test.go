package quota_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfproxy/sfproxy/quota"
)

// wait has a request of the client wait for q and then adds its name to order.
func wait(t *testing.T, q *quota.Queue, client, name string, order *[]string) {
	go func() {
		if err := q.Acquire(t.Context(), client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		*order = append(*order, name) // one at a time, since one slot is all there is
		q.Release()
	}()
	synctest.Wait()
}

func TestQueueTakesClientsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.NewQueue(1)
		if err := q.Acquire(t.Context(), "etl"); err != nil {
			t.Fatal(err)
		}
		var order []string
		for i := range 3 {
			wait(t, q, "etl", fmt.Sprint("etl", i), &order)
		}
		wait(t, q, "billing", "billing0", &order)
		wait(t, q, "crm", "crm0", &order)
		wait(t, q, "billing", "billing1", &order)
		if n := q.Waiting(); n != 6 {
			t.Errorf("Waiting = %d, want 6", n)
		}
		q.Release()
		synctest.Wait()
		if want := []string{"etl0", "billing0", "crm0", "etl1", "billing1", "etl2"}; !slices.Equal(order, want) {
			t.Errorf("order = %v, want %v", order, want)
		}
		if n := q.Waiting(); n != 0 {
			t.Errorf("Waiting = %d at the end", n)
		}
	})
}

func TestQueueForgetsWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota.NewQueue(1)
		if err := q.Acquire(t.Context(), "etl"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Acquire(ctx, "billing"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Acquire = %v", err)
		}
		q.Release()
		if err := q.Acquire(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
	})
}

// Never more than the limit run at a time, none is lost, and who gives up at the
// moment of its turn hands it on.
func TestQueueUnderLoad(t *testing.T) {
	const limit, requests = 4, 2000
	q := quota.NewQueue(limit)
	var all sync.WaitGroup
	running := make(chan struct{}, limit)
	for i := range requests {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*100*time.Microsecond)
			defer cancel()
			if i%2 == 0 {
				ctx = t.Context()
			}
			if q.Acquire(ctx, fmt.Sprint(i%5)) != nil {
				return
			}
			defer q.Release()
			select {
			case running <- struct{}{}:
				<-running
			default:
				t.Error("more than the limit run at a time")
			}
		})
	}
	all.Wait()
	for range limit {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := q.Acquire(ctx, "last"); err != nil {
			t.Fatal("a place was lost")
		}
		cancel()
	}
}
