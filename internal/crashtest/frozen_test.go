//go:build unix

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

const (
	frozenQueue = "frozen"
	shortLease  = 1200 * time.Millisecond
)

// hold is a role: a consumer that takes one job without the engine and says what its late answer gets.
func hold(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	me := holdfast.NewID()
	if err := store.Record(c.Ctx, holdfast.Records{Consumers: []holdfast.Consumer{{ID: me, PID: os.Getpid(), MaxCrashes: 3}}}); err != nil {
		return err
	}
	claimed, err := store.Claim(c.Ctx, holdfast.Claim{Consumer: me, Number: 1, Queues: []string{frozenQueue}, N: 1, Lease: shortLease})
	if err != nil || len(claimed.Jobs) != 1 {
		return fmt.Errorf("claim: %d jobs, %w", len(claimed.Jobs), err)
	}
	lease := claimed.Jobs[0].Lease
	c.Say("took %v", lease)
	for {
		if _, err := c.Hear(); err != nil {
			return nil
		}
		beaten, err := store.Extend(c.Ctx, []holdfast.Beat{{Lease: lease, For: shortLease, Started: true}})
		if err != nil {
			return err
		}
		finished, err := store.Finish(c.Ctx, []holdfast.Outcome{{Lease: lease, Kind: holdfast.OutcomeDone, Result: []byte(`"late"`)}})
		if err != nil {
			return err
		}
		c.Say("answers %v %v", errors.Is(beaten[0].Err, holdfast.ErrLeaseLost), errors.Is(finished[0].Err, holdfast.ErrLeaseLost))
	}
}

// work is a role: a program with Consume whose handler goes on when it is told to, and says how its context ended.
func work(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	queue := holdfast.NewQueue[int](store, frozenQueue)
	config := holdfast.Config{Lease: shortLease, Logger: quiet(), Grace: holdfast.No, Finished: func(_ holdfast.Info, f holdfast.Finished) { c.Say("finished %v", f.State) }}
	return holdfast.Consume(c.Ctx, config, queue.Handle(func(ctx context.Context, job *holdfast.Job[int]) error {
		c.Say("took %d", job.Fence())
		select {
		case <-ctx.Done():
			c.Say("cancelled lost=%v", errors.Is(context.Cause(ctx), holdfast.ErrLeaseLost))
			return context.Cause(ctx)
		case <-c.Heard:
			return nil
		}
	}))
}

// another is the consumer that takes over: this process, with a manager of its own.
type another struct {
	t     *testing.T
	store *sqlite.Store
	id    holdfast.ID
	job   holdfast.ID // the one that everything is about
}

func newAnother(t *testing.T, p place) *another {
	t.Helper()
	a := &another{t: t, store: p.open(t), id: holdfast.NewID()}
	if err := a.store.Record(t.Context(), holdfast.Records{Consumers: []holdfast.Consumer{{ID: a.id, PID: os.Getpid()}}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- holdfast.Maintain(ctx, a.store, holdfast.Config{Lease: shortLease, Logger: quiet()})
	}()
	t.Cleanup(func() { // before the store is closed
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	id, err := holdfast.NewQueue[int](a.store, frozenQueue).Put(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	a.job = id
	return a
}

// take waits until the job can be taken, and takes it.
func (a *another) take() holdfast.Lease {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	for {
		claimed, err := a.store.Claim(ctx, holdfast.Claim{Consumer: a.id, Queues: []string{frozenQueue}, N: 1, Lease: time.Minute, Suspects: 1})
		if err != nil {
			a.t.Fatal(err)
		}
		if len(claimed.Jobs) > 0 {
			return claimed.Jobs[0].Lease
		}
		if _, err := a.store.Wait(ctx, holdfast.Wait{Queues: []string{frozenQueue}, Since: claimed.Tick}); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *another) finish(o holdfast.Outcome) {
	a.t.Helper()
	got, err := a.store.Finish(a.t.Context(), []holdfast.Outcome{o})
	if err == nil {
		err = got[0].Err
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// show gives the job and the outcomes of its attempts.
func (a *another) show() (holdfast.Info, string) {
	a.t.Helper()
	info, attempts, err := a.store.Show(a.t.Context(), a.job)
	if err != nil {
		a.t.Fatal(err)
	}
	var words []string
	for _, at := range attempts {
		words = append(words, at.Outcome.String())
	}
	return info, strings.Join(words, " ")
}

// A consumer is stopped with a job in hand, its lease ends, another takes the job. Whatever has come of the job since:
// when the first one goes on, its answer is refused and changes nothing.
func TestLateAnswerIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*another)
		want      holdfast.State
		attempts  string
	}{
		"the other still runs": {
			func(a *another) { a.take() },
			holdfast.Running, "lost ",
		},
		"the other has done it": {
			func(a *another) {
				a.finish(holdfast.Outcome{Lease: a.take(), Kind: holdfast.OutcomeDone, Result: []byte(`"mine"`)})
			},
			holdfast.Done, "lost done",
		},
		"the other has released it with a delay": {
			func(a *another) {
				a.finish(holdfast.Outcome{Lease: a.take(), Kind: holdfast.OutcomeReleased, After: time.Hour})
			},
			holdfast.Scheduled, "lost released",
		},
		"an operator has retried it": {
			func(a *another) {
				a.finish(holdfast.Outcome{Lease: a.take(), Kind: holdfast.OutcomeFailed, Error: "broken", Final: true})
				if n, err := holdfast.NewOperator(a.store, "test").Retry(a.t.Context(), holdfast.Filter{IDs: []holdfast.ID{a.job}}); err != nil || n != 1 {
					a.t.Fatalf("retried %d, %v", n, err)
				}
			},
			holdfast.Waiting, "lost failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			a := newAnother(t, p)
			late := Start(t, "hold", p)
			late.Expect("took")
			late.Freeze()
			c.meanwhile(a)
			before, _ := a.show()
			late.Thaw()
			late.Say("answer")
			if got := late.Expect("answers"); strings.Join(got, " ") != "true true" {
				t.Errorf("heartbeat and answer were refused: %v, want both", got)
			}
			after, attempts := a.show()
			if after.State != c.want || attempts != c.attempts {
				t.Errorf("job is %v with attempts %q, want %v with %q", after.State, attempts, c.want, c.attempts)
			}
			if after.Fence != before.Fence || !after.RunAt.Equal(before.RunAt) || string(after.Result) != string(before.Result) {
				t.Errorf("the late answer has changed the job from %+v to %+v", before, after)
			}
			late.End()
		})
	}
}

// The same with Consume: its handler is told that the lease is lost.
func TestFrozenConsumerLetsGo(t *testing.T) {
	p := newPlace(t)
	a := newAnother(t, p)
	late := Start(t, "work", p)
	late.Expect("took")
	late.Freeze()
	lease := a.take()
	a.finish(holdfast.Outcome{Lease: lease, Kind: holdfast.OutcomeDone, Result: []byte(`"mine"`)})
	late.Thaw()
	if got := late.Expect("cancelled"); got[0] != "lost=true" {
		t.Errorf("the handler's context: %v, want lost=true", got)
	}
	late.End()
	if info, attempts := a.show(); info.State != holdfast.Done || info.Fence != lease.Fence || string(info.Result) != `"mine"` || attempts != "lost done" {
		t.Errorf("job is %v, fence %d, result %s, attempts %q", info.State, info.Fence, info.Result, attempts)
	}
}

// transact is a role: it begins a transaction, as a process of ours (with the turn) or a stranger, and ends it when told.
func transact(c *Child) error {
	var args struct {
		place
		Turn bool
	}
	if err := c.Args(&args); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, args.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	if args.Turn {
		turn, err := os.OpenFile(args.DB+"-holdfast/turn", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer turn.Close()
		if err := syscall.Flock(int(turn.Fd()), syscall.LOCK_EX); err != nil {
			return err
		}
	}
	conn, err := store.DB().Conn(c.Ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(c.Ctx, "begin immediate"); err != nil {
		return err
	}
	c.Say("inside")
	if _, err := c.Hear(); err != nil {
		return err
	}
	_, err = conn.ExecContext(c.Ctx, "commit")
	return err
}

// A process stands still inside a transaction for several leases: the others wait, nothing fails, and no lease ends
// that its holder would have kept alive.
func TestFrozenInATransaction(t *testing.T) {
	for name, turn := range map[string]bool{"a process of ours": true, "a stranger": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			a := newAnother(t, p)
			worker := Start(t, "work", p)
			worker.Expect("took")
			frozen := Start(t, "transact", struct {
				place
				Turn bool
			}{p, turn})
			frozen.Expect("inside")
			frozen.Freeze()

			put := make(chan error, 4)
			for range cap(put) {
				go func() {
					_, err := holdfast.NewQueue[int](a.store, "other").Put(t.Context(), 2)
					put <- err
				}()
			}
			<-time.After(3 * shortLease) // the time that the others must bear
			select {
			case err := <-put:
				t.Errorf("a Put got through a held lock: %v", err)
			default:
			}
			frozen.Thaw()
			frozen.Say("commit")
			for range cap(put) {
				if err := <-put; err != nil {
					t.Errorf("a Put that had to wait: %v", err)
				}
			}
			frozen.End()
			<-time.After(shortLease) // whoever would end the lease does it now
			worker.Say("go on")
			worker.Expect("finished")
			worker.End()
			if info, attempts := a.show(); info.State != holdfast.Done || info.Fence != 1 || attempts != "done" {
				t.Errorf("job is %v, fence %d, attempts %q; want done at once", info.State, info.Fence, attempts)
			}
			if complaints := worker.Stderr(); strings.Contains(complaints, "locked") {
				t.Errorf("the worker was told of locks:\n%s", complaints)
			}
		})
	}
}
