package holdfast_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// choosy is a store that cannot take outcomes of one job, nor any while it is out of reach.
type choosy struct {
	holdfast.Store
	bad atomic.Pointer[holdfast.ID]
	out atomic.Bool
}

func (c *choosy) Finish(ctx context.Context, outcomes []holdfast.Outcome) ([]holdfast.Finished, error) {
	if c.out.Load() {
		return nil, errors.New("out of reach")
	}
	for _, o := range outcomes {
		if bad := c.bad.Load(); bad != nil && o.Lease.Job == *bad {
			return nil, errors.New("cannot take this one")
		}
	}
	return c.Store.Finish(ctx, outcomes)
}

func TestOneOutcomeThatTheStoreCannotTakeHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &choosy{Store: memory.New()}
		q := holdfast.NewQueue[int](store, "q")
		bad := put(t, q, 0)
		store.bad.Store(&bad)
		var runs atomic.Int64
		h := consume(t, nil, quiet(), q.Handle(func(_ context.Context, j *holdfast.Job[int]) error {
			if j.ID == bad {
				runs.Add(1)
			}
			return nil
		}))
		for range 3 { // alone in its batch at first, then with others
			for range 20 {
				put(t, q, 1)
			}
			pass(10 * time.Second)
		}
		counts, err := store.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := counts[0].Of(holdfast.Done); got != 60 {
			t.Errorf("%d others are done, want 60", got)
		}
		pass(10 * time.Minute)
		store.bad.Store(nil)
		if info, err := q.Wait(t.Context(), bad); err != nil || info.State != holdfast.Done {
			t.Errorf("the store takes it again: got %v, %v, want done", info.State, err)
		}
		if runs.Load() != 1 {
			t.Errorf("it ran %d times, want once: its lease is kept until its outcome is on disk", runs.Load())
		}
		h.stop()
	})
}

func TestOutcomesWaitForAStoreThatIsOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &choosy{Store: memory.New()}
		q := holdfast.NewQueue[int](store, "q")
		store.out.Store(true)
		var ids []holdfast.ID
		for range 50 {
			ids = append(ids, put(t, q, 1))
		}
		h := consume(t, nil, quiet(), q.Handle(func(context.Context, *holdfast.Job[int]) error { return nil }))
		pass(time.Hour)
		store.out.Store(false)
		for _, id := range ids {
			info, err := q.Wait(t.Context(), id)
			if err != nil || info.State != holdfast.Done || info.Fence != 1 {
				t.Fatalf("got %v, fence %d, %v, want done at the first delivery", info.State, info.Fence, err)
			}
		}
		h.stop()
	})
}

func TestConsumeEndsWhenItsStoreIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memory.New()
		store := &choosy{Store: inner}
		q := holdfast.NewQueue[int](store, "q")
		store.out.Store(true) // reports are behind
		for range 500 {
			put(t, q, 1)
		}
		h := consume(t, nil, quiet(), q.Handle(func(context.Context, *holdfast.Job[int]) error { return nil }))
		pass(time.Minute)
		store.out.Store(false)
		if err := inner.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-h.ended; !errors.Is(err, holdfast.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

// slow is a store whose first heartbeat waits, as behind a frozen writer.
type slow struct {
	holdfast.Store
	gate chan struct{}
}

func (s *slow) Extend(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
	<-s.gate
	return s.Store.Extend(ctx, beats)
}

func TestHandlerThatBeginsDuringTheEndIsToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memory.New()
		store := &slow{inner, make(chan struct{})}
		q := holdfast.NewQueue[int](store, "q")
		put(t, q, 1)
		for range holdfast.SuspectDeaths { // its start is committed before its handler runs
			dead := holdfast.NewID()
			if _, err := inner.Claim(t.Context(), holdfast.Claim{Consumer: dead, Queues: []string{"q"}, N: 1, Lease: time.Minute}); err != nil {
				t.Fatal(err)
			}
			if _, err := inner.Sweep(t.Context(), holdfast.Sweep{Dead: []holdfast.ID{dead}, Lease: time.Minute, Limit: 10}); err != nil {
				t.Fatal(err)
			}
		}
		c := quiet()
		c.Grace = holdfast.No
		cause := make(chan error, 1)
		h := consume(t, nil, c, q.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return ctx.Err()
		}))
		synctest.Wait() // it waits for its start to be on disk
		h.end()
		pass(time.Second)
		close(store.gate)
		if got := <-cause; !errors.Is(got, holdfast.ErrStopping) {
			t.Errorf("cause: got %v, want ErrStopping", got)
		}
		if err := <-h.ended; err != nil {
			t.Errorf("Consume: got %v, want nil", err)
		}
	})
}
