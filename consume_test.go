package holdfast_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// quiet is a config for tests: nothing on the terminal, no jitter.
func quiet() holdfast.Config {
	return holdfast.Config{
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
		Backoff: func(failures int) time.Duration { return time.Duration(failures) * time.Second },
	}
}

// house is a store and a running Consume inside a synctest bubble.
type house struct {
	t     *testing.T
	store *memory.Store
	end   context.CancelFunc
	ended chan error
}

func consume(t *testing.T, store *memory.Store, c holdfast.Config, handlers ...holdfast.Handler) *house {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	h := &house{t: t, store: store, end: end, ended: make(chan error, 1)}
	go func() { h.ended <- holdfast.Consume(ctx, c, handlers...) }()
	t.Cleanup(end)
	return h
}

func (h *house) stop() {
	h.t.Helper()
	h.end()
	if err := <-h.ended; err != nil {
		h.t.Errorf("Consume: got %v, want nil", err)
	}
}

// pass lets time go by on a bubble's clock.
func pass(d time.Duration) { <-time.After(d) }

func show(t *testing.T, s holdfast.Store, id holdfast.ID) (holdfast.Info, []holdfast.Attempt) {
	t.Helper()
	info, attempts, err := s.Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return info, attempts
}

func put[T any](t *testing.T, q *holdfast.Queue[T], data T, opts ...holdfast.PutOption) holdfast.ID {
	t.Helper()
	id, err := q.Put(t.Context(), data, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantState(t *testing.T, info holdfast.Info, state holdfast.State, why holdfast.Reason) {
	t.Helper()
	if info.State != state || info.Why != why {
		t.Errorf("job %v: got %v %q, want %v %q (error %q)", info.ID, info.State, info.Why, state, why, info.Error)
	}
}

func TestHandlerOutcomes(t *testing.T) {
	broken := errors.New("broken")
	cases := []struct {
		name     string
		give     func(try int) error
		opts     []holdfast.PutOption
		state    holdfast.State
		why      holdfast.Reason
		attempts int
		failures int
		lasts    time.Duration // at least
	}{
		{name: "nil is done", give: func(int) error { return nil }, state: holdfast.Done, attempts: 1},
		{name: "an error is another attempt after backoff", give: func(try int) error {
			if try < 3 {
				return broken
			}
			return nil
		}, state: holdfast.Done, attempts: 3, failures: 2, lasts: 3 * time.Second},
		{name: "out of attempts", give: func(int) error { return broken }, opts: []holdfast.PutOption{holdfast.MaxAttempts(2)},
			state: holdfast.Failed, why: holdfast.ReasonExhausted, attempts: 2, failures: 2},
		{name: "permanent", give: func(int) error { return fmt.Errorf("wrapped: %w", holdfast.Permanent(broken)) },
			state: holdfast.Failed, why: holdfast.ReasonPermanent, attempts: 1, failures: 1},
		{name: "retry after", give: func(try int) error {
			if try == 1 {
				return holdfast.RetryAfter(broken, time.Hour)
			}
			return nil
		}, state: holdfast.Done, attempts: 2, failures: 1, lasts: time.Hour},
		{name: "release costs no failure", give: func(try int) error {
			if try < 4 {
				return holdfast.ReleaseAfter(time.Minute)
			}
			return nil
		}, opts: []holdfast.PutOption{holdfast.MaxAttempts(1)}, state: holdfast.Done, attempts: 4, lasts: 3 * time.Minute},
		{name: "a panic is a failure with its stack", give: func(int) error { panic("ouch") },
			opts: []holdfast.PutOption{holdfast.MaxAttempts(1)}, state: holdfast.Failed, why: holdfast.ReasonExhausted, attempts: 1, failures: 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				q := holdfast.NewQueue[string](store, "q")
				begin := time.Now()
				id := put(t, q, "x", c.opts...)
				var tries atomic.Int64
				h := consume(t, store, quiet(), q.Handle(func(ctx context.Context, j *holdfast.Job[string]) error {
					n := int(tries.Add(1))
					if j.Attempt != n || j.Data != "x" || j.Fence() != int64(n) {
						t.Errorf("got attempt %d, data %q, fence %d, want %d, x, %d", j.Attempt, j.Data, j.Fence(), n, n)
					}
					return c.give(n)
				}))
				info, err := q.Wait(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				wantState(t, info, c.state, c.why)
				if info.Attempt != c.attempts || info.Failures != c.failures {
					t.Errorf("got %d attempts, %d failures, want %d, %d", info.Attempt, info.Failures, c.attempts, c.failures)
				}
				if lasted := time.Since(begin); lasted < c.lasts {
					t.Errorf("took %v, want at least %v", lasted, c.lasts)
				}
				_, attempts := show(t, store, id)
				if len(attempts) != c.attempts {
					t.Errorf("got %d attempts recorded, want %d", len(attempts), c.attempts)
				}
				if strings.HasPrefix(c.name, "a panic") && (!strings.Contains(info.Error, "panic: ouch") || !strings.Contains(info.Error, "goroutine")) {
					t.Errorf("got error %q, want the panic and its stack", info.Error)
				}
				h.stop()
			})
		})
	}
}

func TestUndecodableDataFailsItsAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		id := put(t, holdfast.NewQueue[string](store, "q"), "no number", holdfast.MaxAttempts(2))
		good := put(t, holdfast.NewQueue[int](store, "q"), 7)
		q := holdfast.NewQueue[int](store, "q")
		h := consume(t, store, quiet(), q.Handle(func(context.Context, *holdfast.Job[int]) error { return nil }))
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
		if !strings.Contains(info.Error, "data is no int") {
			t.Errorf("got error %q, want it to say that the data is no int", info.Error)
		}
		if info, err = q.Wait(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Done, "")
		h.stop()
	})
}

func TestProducedJobsAreCommittedWithTheCompletionOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		first, next := holdfast.NewQueue[int](store, "first"), holdfast.NewQueue[int](store, "next")
		failing, done := put(t, first, 0, holdfast.MaxAttempts(1)), put(t, first, 1)
		h := consume(t, store, quiet(), first.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			if _, err := next.In(j).Put(ctx, j.Data); err != nil {
				return err
			}
			if j.Data == 0 {
				return errors.New("after the put")
			}
			return j.SetResult("fine")
		}))
		if _, err := first.Wait(t.Context(), failing); err != nil {
			t.Fatal(err)
		}
		info, err := first.Wait(t.Context(), done)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(info.Result), `"fine"`; got != want {
			t.Errorf("result: got %s, want %s", got, want)
		}
		h.stop()
		var parents []holdfast.ID
		for job, err := range holdfast.NewOperator(store, "test").Jobs(t.Context(), holdfast.Filter{Queues: []string{"next"}}) {
			if err != nil {
				t.Fatal(err)
			}
			parents = append(parents, job.Parent)
		}
		if len(parents) != 1 || parents[0] != done {
			t.Errorf("produced jobs have the parents %v, want only %v", parents, done)
		}
	})
}

func TestRefusedProductFailsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q, next := holdfast.NewQueue[int](store, "q"), holdfast.NewQueue[int](store, "next")
		put(t, next, 1, holdfast.Unique("k", holdfast.Refuse))
		id := put(t, q, 1, holdfast.MaxAttempts(1))
		h := consume(t, store, quiet(), q.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			_, err := next.In(j).Put(ctx, 2, holdfast.Unique("k", holdfast.Refuse))
			return err
		}))
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
		if !strings.Contains(info.Error, "duplicate") {
			t.Errorf("got error %q, want the duplicate", info.Error)
		}
		h.stop()
	})
}

func TestLongJobsKeepTheirLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		id := put(t, q, 1)
		var runs atomic.Int64
		handler := q.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			runs.Add(1)
			j.Progress(0.5, "half")
			j.Log().Info("hello", "n", 1)
			select {
			case <-time.After(50 * time.Minute):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		a, b := consume(t, store, quiet(), handler), consume(t, store, quiet(), handler)
		pass(20 * time.Minute) // of the bubble's clock
		info, attempts := show(t, store, id)
		if info.Progress != 0.5 || info.Note != "half" {
			t.Errorf("progress: got %v %q, want 0.5 half", info.Progress, info.Note)
		}
		if len(attempts) != 1 || !strings.Contains(string(attempts[0].Log), "msg=hello n=1") {
			t.Errorf("got attempts %+v, want one with its log", attempts)
		}
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Done, "")
		if runs.Load() != 1 || info.Fence != 1 {
			t.Errorf("ran %d times, fence %d, want 1, 1", runs.Load(), info.Fence)
		}
		if info.Took < 50*time.Minute || info.Took > 51*time.Minute {
			t.Errorf("took %v, want 50 min", info.Took)
		}
		a.stop()
		b.stop()
	})
}

func TestMaxRunCancelsTheHandlerAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q", holdfast.MaxRun(time.Minute), holdfast.MaxAttempts(2))
		id := put(t, q, 1)
		h := consume(t, store, quiet(), q.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), holdfast.ErrTimedOut) {
				t.Errorf("cause: got %v, want ErrTimedOut", context.Cause(ctx))
			}
			return ctx.Err()
		}))
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
		if !strings.Contains(info.Error, "timed out after 1m0s") {
			t.Errorf("error: got %q, want it to say timed out after 1m0s", info.Error)
		}
		h.stop()
	})
}

func TestHandlerThatIgnoresItsTimeOutLosesTheJobNotTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q", holdfast.MaxRun(time.Minute), holdfast.MaxAttempts(1))
		c := quiet()
		c.Concurrency = 2
		stuck := make(chan struct{})
		h := consume(t, store, c, q.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			if j.Data == 1 {
				<-stuck
			}
			return nil
		}))
		id := put(t, q, 1)
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
		if !strings.Contains(info.Error, "ignored the cancelled context") {
			t.Errorf("error: got %q", info.Error)
		}
		other := put(t, q, 2)
		if info, err = q.Wait(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Done, "")
		close(stuck)
		h.stop()
		info, _ = show(t, store, id)
		wantState(t, info, holdfast.Failed, holdfast.ReasonExhausted)
	})
}

func TestCancelReachesARunningHandlerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		id := put(t, q, 1)
		began := make(chan struct{})
		h := consume(t, store, quiet(), q.Handle(func(ctx context.Context, j *holdfast.Job[int]) error {
			close(began)
			<-ctx.Done()
			return context.Cause(ctx)
		}))
		<-began
		before := time.Now()
		if n, err := holdfast.NewOperator(store, "ana").Cancel(t.Context(), holdfast.Filter{IDs: []holdfast.ID{id}}); n != 1 || err != nil {
			t.Fatalf("cancel: got %d, %v, want 1, nil", n, err)
		}
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Cancelled, holdfast.ReasonRequested)
		if waited := time.Since(before); waited > time.Second {
			t.Errorf("cancel took %v, want less than a second", waited)
		}
		h.stop()
	})
}

func TestStopLetsHandlersFinishThenCancelsAndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[time.Duration](store, "q")
		c := quiet()
		c.Concurrency = 2
		quick, slow := put(t, q, 10*time.Second), put(t, q, time.Hour)
		waiting := put(t, q, time.Second)
		var began sync.WaitGroup
		began.Add(2)
		h := consume(t, store, c, q.Handle(func(ctx context.Context, j *holdfast.Job[time.Duration]) error {
			began.Done()
			select {
			case <-time.After(j.Data):
				return nil
			case <-ctx.Done():
				if !errors.Is(context.Cause(ctx), holdfast.ErrStopping) {
					t.Errorf("cause: got %v, want ErrStopping", context.Cause(ctx))
				}
				return ctx.Err()
			}
		}))
		began.Wait()
		h.stop()
		info, _ := show(t, store, quick)
		wantState(t, info, holdfast.Done, "")
		info, attempts := show(t, store, slow)
		wantState(t, info, holdfast.Waiting, holdfast.ReasonReleased)
		if info.Failures != 0 || len(attempts) != 1 {
			t.Errorf("given back: got %d failures, %d attempts, want 0, 1", info.Failures, len(attempts))
		}
		info, _ = show(t, store, waiting)
		wantState(t, info, holdfast.Waiting, "")
	})
}

func TestStopSaysWhichHandlersIgnoreIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		id := put(t, q, 1)
		began, release := make(chan struct{}), make(chan struct{})
		h := consume(t, store, quiet(), q.Handle(func(context.Context, *holdfast.Job[int]) error {
			close(began)
			<-release
			return nil
		}))
		<-began
		h.end()
		if err := <-h.ended; !errors.Is(err, holdfast.ErrStopping) {
			t.Errorf("got %v, want ErrStopping", err)
		}
		pass(10 * time.Minute) // its lease is kept all the while
		if _, err := store.Sweep(t.Context(), holdfast.Sweep{Lease: holdfast.DefaultLease, Limit: 10}); err != nil {
			t.Fatal(err)
		}
		info, _ := show(t, store, id)
		wantState(t, info, holdfast.Running, "")
		close(release)
		info, err := q.Wait(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, info, holdfast.Done, "")
		synctest.Wait()
	})
}

func TestSeveralQueuesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		full, small := holdfast.NewQueue[int](store, "full"), holdfast.NewQueue[int](store, "small")
		for i := range 200 {
			put(t, full, i)
		}
		id := put(t, small, 1)
		c := quiet()
		c.Concurrency = 1
		var before atomic.Int64
		var smallDone atomic.Bool
		h := consume(t, store, c,
			full.Handle(func(context.Context, *holdfast.Job[int]) error {
				if !smallDone.Load() {
					before.Add(1)
				}
				pass(2 * time.Second)
				return nil
			}),
			small.Handle(func(context.Context, *holdfast.Job[int]) error { smallDone.Store(true); return nil }))
		if _, err := small.Wait(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if before.Load() > 3 {
			t.Errorf("%d jobs of the full queue ran before the one of the small queue, want at most 3", before.Load())
		}
		h.stop()
	})
}

func TestNothingIsClaimedAheadOfLongJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		q := holdfast.NewQueue[int](store, "q")
		for i := range 50 {
			put(t, q, i)
		}
		c := quiet()
		c.Concurrency = 3
		h := consume(t, store, c, q.Handle(func(context.Context, *holdfast.Job[int]) error { pass(90 * time.Second); return nil }))
		pass(5 * time.Minute)
		counts, err := store.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := counts[0].Of(holdfast.Running); got != 3 {
			t.Errorf("%d jobs are held with 3 slots, want 3", got)
		}
		h.end()
		if err := <-h.ended; err == nil {
			t.Error("handlers of 90 s do not end in 30 s: want ErrStopping")
		}
		pass(2 * time.Minute)
		synctest.Wait()
	})
}

func TestQuickJobsAreClaimedAheadAndAllDone(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	const jobs = 20_000
	for i := 0; i < jobs; i += 10_000 {
		if _, err := q.PutMany(t.Context(), make([]int, 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var n atomic.Int64
	c := quiet()
	c.Concurrency = 100
	c.Finished = func(job holdfast.Info, f holdfast.Finished) {
		if f.State == holdfast.Done && n.Add(1) == jobs {
			end()
		}
	}
	if err := holdfast.Consume(ctx, c, q.Handle(func(context.Context, *holdfast.Job[int]) error { return nil })); err != nil {
		t.Fatal(err)
	}
	counts, err := store.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := counts[0].Of(holdfast.Done); got != jobs || n.Load() != jobs {
		t.Errorf("done: counted %d, told %d, want %d", got, n.Load(), jobs)
	}
}

// deaf is a store that never wakes anybody.
type deaf struct{ holdfast.Store }

func (d deaf) Wait(ctx context.Context, w holdfast.Wait) (holdfast.Tick, error) {
	<-ctx.Done()
	return holdfast.Tick{}, ctx.Err()
}

func TestLostWakeUpCostsOnePoll(t *testing.T) {
	for _, poll := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := memory.New()
			q := holdfast.NewQueue[int](deaf{store}, "q")
			c := quiet()
			c.Poll = poll
			ctx, end := context.WithCancel(t.Context())
			ended := make(chan error)
			taken := make(chan time.Time, 1)
			go func() {
				ended <- holdfast.Consume(ctx, c, q.Handle(func(context.Context, *holdfast.Job[int]) error { taken <- time.Now(); return nil }))
			}()
			synctest.Wait()
			begin := time.Now()
			put(t, q, 1)
			if waited, most := (<-taken).Sub(begin), max(poll, 0); waited > cmp.Or(most, holdfast.Poll) {
				t.Errorf("poll %v: taken after %v", poll, waited)
			}
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConsumeRefusesBadConfig(t *testing.T) {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	h := q.Handle(func(context.Context, *holdfast.Job[int]) error { return nil })
	cases := []struct {
		name     string
		config   holdfast.Config
		handlers []holdfast.Handler
	}{
		{"no handler", holdfast.Config{}, nil},
		{"two handlers of a queue", holdfast.Config{}, []holdfast.Handler{h, h}},
		{"two stores", holdfast.Config{}, []holdfast.Handler{h, holdfast.NewQueue[int](memory.New(), "r").Handle(nil)}},
		{"bad queue name", holdfast.Config{}, []holdfast.Handler{holdfast.NewQueue[int](store, "a b").Handle(nil)}},
		{"concurrency", holdfast.Config{Concurrency: -3}, []holdfast.Handler{h}},
		{"lease", holdfast.Config{Lease: time.Millisecond}, []holdfast.Handler{h}},
		{"poll", holdfast.Config{Poll: time.Minute}, []holdfast.Handler{h}},
		{"attempts", holdfast.Config{MaxAttempts: 1001}, []holdfast.Handler{h}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := holdfast.Consume(t.Context(), c.config, c.handlers...); !errors.Is(err, holdfast.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}
