package holdfast_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

func TestPutRefusesWhatIsOutOfBounds(t *testing.T) {
	store := memory.New()
	long := strings.Repeat("x", 2<<20)
	soon := time.Now().Add(time.Hour)
	cases := []struct {
		name  string
		queue string
		data  any
		opts  []holdfast.PutOption
		want  error
		says  string
	}{
		{"no queue name", "", 1, nil, holdfast.ErrInvalid, "needs a name"},
		{"queue name with a space", "a b", 1, nil, holdfast.ErrInvalid, `"a b"`},
		{"queue name with markup", "<b>", 1, nil, holdfast.ErrInvalid, "letters, digits"},
		{"queue name with a newline", "a\nb", 1, nil, holdfast.ErrInvalid, `"a\nb"`},
		{"long queue name", strings.Repeat("q", 129), 1, nil, holdfast.ErrInvalid, "129"},
		{"data over 1 MiB", "q", long, nil, holdfast.ErrTooLarge, "1048576"},
		{"data that is no JSON", "q", make(chan int), nil, holdfast.ErrInvalid, "JSON"},
		{"priority", "q", 1, []holdfast.PutOption{holdfast.Priority(10)}, holdfast.ErrInvalid, "priority 10"},
		{"negative priority", "q", 1, []holdfast.PutOption{holdfast.Priority(-1)}, holdfast.ErrInvalid, "priority -1"},
		{"no attempts", "q", 1, []holdfast.PutOption{holdfast.MaxAttempts(0)}, holdfast.ErrInvalid, "max attempts 0"},
		{"too many attempts", "q", 1, []holdfast.PutOption{holdfast.MaxAttempts(1001)}, holdfast.ErrInvalid, "1001"},
		{"negative delay", "q", 1, []holdfast.PutOption{holdfast.After(-1)}, holdfast.ErrInvalid, "delay"},
		{"eleven years", "q", 1, []holdfast.PutOption{holdfast.After(11 * 366 * 24 * time.Hour)}, holdfast.ErrInvalid, "ten years"},
		{"far future", "q", 1, []holdfast.PutOption{holdfast.At(time.Now().AddDate(11, 0, 0))}, holdfast.ErrInvalid, "ten years"},
		{"no time to run", "q", 1, []holdfast.PutOption{holdfast.MaxRun(0)}, holdfast.ErrInvalid, "max run"},
		{"empty key", "q", 1, []holdfast.PutOption{holdfast.Unique("", holdfast.Refuse)}, holdfast.ErrInvalid, "unique key"},
		{"long key", "q", 1, []holdfast.PutOption{holdfast.Unique(strings.Repeat("k", 257), holdfast.Refuse)}, holdfast.ErrInvalid, "257"},
		{"zero id", "q", 1, []holdfast.PutOption{holdfast.WithID(holdfast.ID{})}, holdfast.ErrInvalid, "NewID"},
		{"the last of delay and time wins", "q", 1, []holdfast.PutOption{holdfast.After(time.Hour), holdfast.At(soon)}, nil, ""},
		{"an option that is the zero value", "q", 1, []holdfast.PutOption{{}}, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := holdfast.NewQueue[any](store, c.queue).Put(t.Context(), c.data, c.opts...)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, want it to say %q", err, c.says)
			}
		})
	}
	q := holdfast.NewQueue[int](store, "many")
	if _, err := q.PutMany(t.Context(), make([]int, 10_001)); !errors.Is(err, holdfast.ErrTooLarge) {
		t.Errorf("10,001 jobs: got %v, want ErrTooLarge", err)
	}
	if _, err := q.PutMany(t.Context(), []int{1, 2}, holdfast.WithID(holdfast.NewID())); !errors.Is(err, holdfast.ErrInvalid) {
		t.Errorf("PutMany with an id: got %v, want ErrInvalid", err)
	}
	if ids, err := q.PutMany(t.Context(), nil); len(ids) != 0 || err != nil {
		t.Errorf("nothing to put: got %v, %v, want nothing", ids, err)
	}
	counts, err := store.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Queue != "q" || c.Of(holdfast.Scheduled)+c.Of(holdfast.Waiting) != 2 {
			t.Errorf("got %+v, want only the two good jobs of q", c)
		}
	}
}

func TestPutRepeatedWithItsIDCountsOnce(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[string](store, "q")
	id := holdfast.NewID()
	for range 3 {
		got, err := q.Put(t.Context(), "x", holdfast.WithID(id))
		if got != id || err != nil {
			t.Fatalf("got %v, %v, want %v, nil", got, err, id)
		}
	}
	if _, err := q.Put(t.Context(), "other", holdfast.WithID(id)); !errors.Is(err, holdfast.ErrDuplicate) {
		t.Errorf("other data with the same id: got %v, want ErrDuplicate", err)
	}
}

func TestUniqueKeyAnswersAreNeverSilent(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	first := put(t, q, 1, holdfast.Unique("k", holdfast.KeepFirst))
	if got := put(t, q, 2, holdfast.Unique("k", holdfast.KeepFirst)); got != first {
		t.Errorf("keep first: got %v, want %v", got, first)
	}
	if _, err := q.Put(t.Context(), 3, holdfast.Unique("k", holdfast.Refuse)); !errors.Is(err, holdfast.ErrDuplicate) || !strings.Contains(err.Error(), first.String()) {
		t.Errorf("refuse: got %v, want ErrDuplicate that names %v", err, first)
	}
	if got := put(t, q, 4, holdfast.Unique("k", holdfast.Replace)); got != first {
		t.Errorf("replace: got %v, want %v", got, first)
	}
	job, err := q.TryGet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if job.Data != 4 {
		t.Errorf("after replace: got data %d, want 4", job.Data)
	}
	if _, err := q.Put(t.Context(), 5, holdfast.Unique("k", holdfast.Replace)); !errors.Is(err, holdfast.ErrDuplicate) {
		t.Errorf("replace of a running job: got %v, want ErrDuplicate", err)
	}
	if err := job.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := put(t, q, 6, holdfast.Unique("k", holdfast.Refuse)); got == first {
		t.Error("the key is still held after the job was done")
	}
}

func TestGetHoldsUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		if _, err := q.TryGet(t.Context()); !errors.Is(err, holdfast.ErrEmpty) {
			t.Fatalf("empty queue: got %v, want ErrEmpty", err)
		}
		got := make(chan *holdfast.Job[int])
		go func() {
			job, err := q.Get(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- job
		}()
		synctest.Wait()
		id := put(t, q, 7)
		job := <-got
		if job == nil || job.ID != id || job.Data != 7 {
			t.Fatalf("got %+v, want job %v with 7", job, id)
		}
		pass(30 * time.Minute)
		if _, err := store.Sweep(t.Context(), holdfast.Sweep{Lease: holdfast.DefaultLease, Limit: 10}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // repeating is harmless
			if err := job.Done(t.Context()); err != nil {
				t.Errorf("done: got %v, want nil", err)
			}
		}
		if err := job.Fail(t.Context(), errors.New("late")); !errors.Is(err, holdfast.ErrLeaseLost) {
			t.Errorf("fail after done: got %v, want ErrLeaseLost", err)
		}
		info, _ := show(t, store, id)
		wantState(t, info, holdfast.Done, "")
	})
}

func TestGetGivesBackWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		id := put(t, q, 7)
		ctx, cancel := context.WithCancel(t.Context())
		job, err := q.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-job.Lost()
		info, _ := show(t, store, id)
		wantState(t, info, holdfast.Waiting, holdfast.ReasonReleased)
		if info.Failures != 0 {
			t.Errorf("got %d failures, want 0", info.Failures)
		}
		if err := job.Done(t.Context()); !errors.Is(err, holdfast.ErrLeaseLost) {
			t.Errorf("done: got %v, want ErrLeaseLost", err)
		}
	})
}

func TestGetFailsTheAttemptAfterItsMaxRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q", holdfast.MaxRun(time.Minute), holdfast.MaxAttempts(1))
		id := put(t, q, 7)
		job, err := q.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		<-job.Lost()
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("lost after %v, want 1 min", took)
		}
		info, _ := show(t, store, id)
		wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
	})
}

func TestHeldJobIsLostWhenSweptAndToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		put(t, q, 7)
		job, err := q.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Another process declares our consumer dead.
		if _, err := store.Sweep(t.Context(), holdfast.Sweep{Dead: []holdfast.ID{job.Consumer}, Lease: holdfast.DefaultLease, Limit: 10}); err != nil {
			t.Fatal(err)
		}
		other, err := holdfast.NewQueue[int](store, "q").Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if other.Fence() != job.Fence()+1 {
			t.Errorf("fence: got %d, want %d", other.Fence(), job.Fence()+1)
		}
		<-job.Lost() // the next heartbeat learns of it
		if err := job.Done(t.Context()); !errors.Is(err, holdfast.ErrLeaseLost) {
			t.Errorf("done: got %v, want ErrLeaseLost", err)
		}
		if err := other.Done(t.Context()); err != nil {
			t.Errorf("done of the holder: got %v, want nil", err)
		}
	})
}

func TestScheduledJobIsTakenWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		begin := time.Now()
		put(t, q, 1, holdfast.After(90*time.Second))
		job, err := q.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited < 90*time.Second || waited > 91*time.Second {
			t.Errorf("taken after %v, want 90 s", waited)
		}
		if err := job.Done(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOperatorReopensOnlyWhatFailedUnlessNamed(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	op := holdfast.NewOperator(store, "ana")
	finish := func(cause error) holdfast.ID {
		id := put(t, q, 1)
		job, err := q.TryGet(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if cause == nil {
			err = job.Done(t.Context())
		} else {
			err = job.Fail(t.Context(), cause)
		}
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	done, failed := finish(nil), finish(holdfast.Permanent(errors.New("no")))
	if n, err := op.Retry(t.Context(), holdfast.Filter{Queues: []string{"q"}}); n != 1 || err != nil {
		t.Errorf("retry of the queue: got %d, %v, want 1, nil", n, err)
	}
	info, _ := show(t, store, failed)
	wantState(t, info, holdfast.Waiting, holdfast.ReasonReopened)
	if info.Failures != 0 || info.Fence != 1 {
		t.Errorf("reopened: got %d failures, fence %d, want 0, 1", info.Failures, info.Fence)
	}
	info, _ = show(t, store, done)
	wantState(t, info, holdfast.Done, "")
	if n, err := op.Retry(t.Context(), holdfast.Filter{IDs: []holdfast.ID{done}}); n != 1 || err != nil {
		t.Errorf("retry by id: got %d, %v, want 1, nil", n, err)
	}
	missing := holdfast.NewID()
	if _, err := op.Retry(t.Context(), holdfast.Filter{IDs: []holdfast.ID{missing}}); !errors.Is(err, holdfast.ErrNotFound) {
		t.Errorf("retry of a job that is not there: got %v, want ErrNotFound", err)
	}
	records, err := store.Records(t.Context(), holdfast.RecordsQuery{Activity: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(records.Activity) != 3 || records.Activity[2].Actor != "ana" || records.Activity[2].Changed != 1 {
		t.Errorf("activity: got %+v, want three lines, the first by ana with one change", records.Activity)
	}
}

func TestPausedQueueGivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		op := holdfast.NewOperator(store, "ana")
		if err := op.Pause(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		put(t, q, 1)
		if _, err := q.TryGet(t.Context()); !errors.Is(err, holdfast.ErrEmpty) {
			t.Errorf("paused: got %v, want ErrEmpty", err)
		}
		taken := make(chan struct{})
		go func() {
			if job, err := q.Get(t.Context()); err != nil {
				t.Error(err)
			} else if err := job.Done(t.Context()); err != nil {
				t.Error(err)
			}
			close(taken)
		}()
		synctest.Wait()
		if err := op.Resume(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		<-taken
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("taken %v after resume, want at once", waited)
		}
	})
}
