package storetest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/holdfastq/holdfast"
)

var joinPromises = []promise{
	{"a put in the caller's transaction happens with its commit", joinPut},
	{"done in the caller's transaction happens with its commit", joinDone},
	{"done in a transaction that is rolled back did not happen", joinRollback},
	{"a handler whose transaction was rolled back has failed", joinHandler},
	{"a stale lease is refused in a transaction too", joinStale},
}

// joins skips the case aloud on a store that has no transactions of its callers.
func (f *fixture) joins() {
	f.Helper()
	if f.Begin == nil {
		f.Skip("this store knows no transactions of its callers (Harness.Begin is nil)")
	}
}

// greeting is what these cases put.
type greeting struct{ To string }

func (f *fixture) typed() *holdfast.Queue[greeting] {
	return holdfast.NewQueue[greeting](f.Store, queue)
}

func (f *fixture) get(q *holdfast.Queue[greeting]) *holdfast.Job[greeting] {
	f.Helper()
	_, err := q.Put(f.ctx, greeting{"Ada"})
	f.must("put", err)
	j, err := q.Get(f.ctx)
	f.must("get", err)
	return j
}

func joinPut(f *fixture) {
	f.joins()
	q := f.typed()
	for _, commit := range []bool{false, true} {
		tx, end := f.Begin(f.T)
		id, err := q.In(tx).Put(f.ctx, greeting{"Ada"})
		f.must("put", err)
		f.equal("seen before the end", f.gone(id), true)
		end(commit)
		f.equal("seen after the end", !f.gone(id), commit)
	}
	f.equal("waiting", f.counts(queue).Of(holdfast.Waiting), int64(1))
	f.take()
}

func joinDone(f *fixture) {
	f.joins()
	q := f.typed()
	j := f.get(q)
	f.must("set result", j.SetResult("fine"))
	fruit, err := q.In(j).Put(f.ctx, greeting{"Grace"})
	f.must("put", err)
	tx, end := f.Begin(f.T)
	f.must("done", j.DoneIn(f.ctx, tx))
	f.state(j.ID, holdfast.Running, holdfast.ReasonNone)
	f.equal("its fruit before the commit", f.gone(fruit), true)
	end(true)
	f.equal("result", string(f.state(j.ID, holdfast.Done, holdfast.ReasonNone).Result), `"fine"`)
	f.state(fruit, holdfast.Waiting, holdfast.ReasonNone)
	f.equal("waiting, done", f.counts(queue).States, [6]int64{holdfast.Waiting: 1, holdfast.Done: 1})
}

func joinRollback(f *fixture) {
	f.joins()
	j := f.get(f.typed())
	tx, end := f.Begin(f.T)
	f.must("done", j.DoneIn(f.ctx, tx))
	end(false)
	f.state(j.ID, holdfast.Running, holdfast.ReasonNone)
	tx, end = f.Begin(f.T)
	f.must("done again", j.DoneIn(f.ctx, tx))
	end(true)
	f.state(j.ID, holdfast.Done, holdfast.ReasonNone)
	f.equal("attempts", len(f.attempts(j.ID)), 1)
}

func joinHandler(f *fixture) {
	f.joins()
	q := f.typed()
	id, err := q.Put(f.ctx, greeting{"Ada"})
	f.must("put", err)
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	var runs atomic.Int32
	config := holdfast.Config{Backoff: func(int) time.Duration { return 0 }, Logger: slog.New(slog.DiscardHandler)}
	err = holdfast.Consume(ctx, config, q.Handle(func(ctx context.Context, j *holdfast.Job[greeting]) error {
		tx, end := f.Begin(f.T)
		if err := j.DoneIn(ctx, tx); err != nil {
			end(false)
			return err
		}
		second := runs.Add(1) == 2
		if end(second); second {
			stop()
		}
		return nil
	}))
	f.must("consume", err)
	f.state(id, holdfast.Done, holdfast.ReasonNone)
	a := f.attempts(id)
	f.equal("attempts", len(a), 2)
	f.equal("outcomes", []holdfast.OutcomeKind{a[0].Outcome, a[1].Outcome}, []holdfast.OutcomeKind{holdfast.OutcomeFailed, holdfast.OutcomeDone})
	f.equal("failures", f.show(id).Failures, 1)
}

func joinStale(f *fixture) {
	f.joins()
	j := f.get(f.typed())
	f.must("release by another hand", f.finish(holdfast.Outcome{Lease: holdfast.Lease{Job: j.ID, Fence: j.Fence()}, Kind: holdfast.OutcomeReleased}).Err)
	next := f.take()
	tx, end := f.Begin(f.T)
	f.is("done", j.DoneIn(f.ctx, tx), holdfast.ErrLeaseLost)
	end(true)
	f.state(j.ID, holdfast.Running, holdfast.ReasonNone)
	f.done(next)
}
