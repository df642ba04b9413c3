package holdfast_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// nilText is an error whose text panics.
type nilText struct{ text string }

func (n *nilText) Error() string { return n.text }

func TestHandlersMisbehaveAtTheirOwnCost(t *testing.T) {
	cases := map[string]struct {
		handler func(context.Context, *holdfast.Job[int]) error
		says    string
	}{
		"runtime.Goexit": {func(context.Context, *holdfast.Job[int]) error { runtime.Goexit(); return nil }, "runtime.Goexit"},
		"an error whose text panics": {func(context.Context, *holdfast.Job[int]) error {
			var e *nilText
			return e
		}, "panic: "},
		"a panic with an error": {func(context.Context, *holdfast.Job[int]) error { panic(errors.New("ouch")) }, "panic: ouch"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				bad, good := holdfast.NewQueue[int](store, "bad", holdfast.MaxAttempts(1)), holdfast.NewQueue[int](store, "good")
				id := put(t, bad, 1)
				config := quiet()
				config.Concurrency = 1
				h := consume(t, store, config, bad.Handle(c.handler), good.Handle(func(context.Context, *holdfast.Job[int]) error { return nil }))
				info, err := bad.Wait(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
				if !strings.Contains(info.Error, c.says) {
					t.Errorf("error: got %q, want %q in it", info.Error, c.says)
				}
				if info, err = good.Wait(t.Context(), put(t, good, 1)); err != nil { // the slot is free again
					t.Fatal(err)
				}
				wantState(t, info, holdfast.Done, "")
				h.stop()
			})
		})
	}
}

func TestNothingJoinsAJobThatWasReported(t *testing.T) {
	store := memory.New()
	q, next := holdfast.NewQueue[int](store, "q"), holdfast.NewQueue[int](store, "next")
	put(t, q, 1)
	job, err := q.TryGet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := next.In(job).Put(t.Context(), 1); !errors.Is(err, holdfast.ErrConflict) {
		t.Errorf("put: got %v, want ErrConflict", err)
	}
	if err := job.SetResult(1); !errors.Is(err, holdfast.ErrConflict) {
		t.Errorf("result: got %v, want ErrConflict", err)
	}
}

func TestScopesThatCannotKeepTheirWordAreRefused(t *testing.T) {
	store, other := memory.New(), memory.New()
	q := holdfast.NewQueue[int](store, "q")
	put(t, q, 1)
	job, err := q.TryGet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, scoped := range map[string]*holdfast.Queue[int]{
		"a job of another store": holdfast.NewQueue[int](other, "q").In(job),
		"no scope":               q.In(nil),
		"an empty Tx":            q.In(holdfast.Tx{}),
		"no store":               holdfast.NewQueue[int](nil, "q"),
		"an id for all":          holdfast.NewQueue[int](store, "q", holdfast.WithID(holdfast.NewID())),
	} {
		if _, err := scoped.Put(t.Context(), 1); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := job.DoneIn(t.Context(), holdfast.Tx{}); !errors.Is(err, holdfast.ErrInvalid) {
		t.Errorf("DoneIn: got %v, want ErrInvalid", err)
	}
	if err := holdfast.Consume(t.Context(), quiet(), q.Handle(nil)); !errors.Is(err, holdfast.ErrInvalid) {
		t.Errorf("no function: got %v, want ErrInvalid", err)
	}
}

func TestAnEmptyListOfIDsIsNotAllJobs(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	put(t, q, 1)
	if n, err := holdfast.NewOperator(store, "ana").Delete(t.Context(), holdfast.Filter{IDs: []holdfast.ID{}}); n != 0 || err != nil {
		t.Errorf("got %d, %v, want nothing deleted", n, err)
	}
}

func TestConsumeToldToEndAtItsStartEndsClean(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := holdfast.Consume(ctx, quiet(), q.Handle(func(context.Context, *holdfast.Job[int]) error { return nil })); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	all, err := store.Records(t.Context(), holdfast.RecordsQuery{Consumers: true})
	if err != nil || len(all.Consumers) != 0 {
		t.Errorf("got %+v, %v, want no consumer", all.Consumers, err)
	}
}

func TestClosedStoreLosesWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		put(t, q, 1)
		job, err := q.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begin := time.Now()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		<-job.Lost()
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("lost after %v, want at once", waited)
		}
	})
}

func TestLogSurvivesAReportThatFailed(t *testing.T) {
	store := &refusing{Store: memory.New()}
	q := holdfast.NewQueue[int](store, "q")
	id := put(t, q, 1)
	job, err := q.TryGet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	job.Log().Info("before")
	store.refuse(true)
	if err := job.Done(t.Context()); err == nil {
		t.Fatal("the store refuses, and Done is nil")
	}
	store.refuse(false)
	if err := job.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, attempts := show(t, store, id); !strings.Contains(string(attempts[0].Log), "msg=before") {
		t.Errorf("log: got %q", attempts[0].Log)
	}
}

// refusing is a store whose Finish can be made to fail.
type refusing struct {
	holdfast.Store
	mu  sync.Mutex
	not bool
}

func (r *refusing) refuse(not bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.not = not
}

func (r *refusing) Finish(ctx context.Context, o []holdfast.Outcome) ([]holdfast.Finished, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.not {
		return nil, errors.New("not now")
	}
	return r.Store.Finish(ctx, o)
}

func TestQueuesThatAreGarbageSignOff(t *testing.T) {
	store := memory.New()
	for range 3 {
		if _, err := holdfast.NewQueue[int](store, "q").TryGet(t.Context()); !errors.Is(err, holdfast.ErrEmpty) {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; runtime.GC() {
		all, err := store.Records(t.Context(), holdfast.RecordsQuery{Consumers: true})
		if err != nil {
			t.Fatal(err)
		}
		signedOff := 0
		for _, c := range all.Consumers {
			if c.Ended {
				signedOff++
			}
		}
		if signedOff == len(all.Consumers) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d consumers have signed off", signedOff, len(all.Consumers))
		}
	}
}
