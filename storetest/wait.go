package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/holdfastq/holdfast"
)

var waitPromises = []promise{
	{"a put wakes a waiter", waitPut},
	{"what was put before the wait is not missed", waitPutBefore},
	{"a job that waits already is news to the zero tick", waitZeroTick},
	{"a job becoming due wakes a waiter", waitDue},
	{"a failure or release wakes a waiter", waitGivenBack},
	{"a sweep wakes a waiter", waitSwept},
	{"a new job of a done one wakes a waiter", waitNew},
	{"retry, run-now and resume wake a waiter", waitOperator},
	{"a cancel request wakes the holder", waitCancel},
	{"without news it waits until its context ends", waitNothing},
	{"closing ends a wait", waitClosed},
	{"after close every call says so", waitCallsAfterClose},
	{"a call whose context has ended does nothing", waitEndedContext},
}

// tick is the moment after an empty claim.
func (f *fixture) tick() holdfast.Tick {
	f.Helper()
	claimed, err := f.Store.Claim(f.ctx, holdfast.Claim{Consumer: f.consumer, Queues: []string{queue}, N: 1, Lease: lease})
	f.must("claim", err)
	if len(claimed.Jobs) > 0 {
		f.Fatal("there was a job to claim")
	}
	return claimed.Tick
}

// wakes runs act while another waits since tick, and says that the wait must return for it.
func (f *fixture) wakes(what string, since holdfast.Tick, act func()) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := f.Store.Wait(ctx, holdfast.Wait{Queues: []string{"other", queue}, Consumer: f.consumer, Since: since})
		result <- err
	}()
	act()
	if err := <-result; err != nil {
		f.Fatalf("wait for %s: %v", what, err)
	}
}

func waitPut(f *fixture) {
	for range 20 { // before, while and after the wait begins
		f.wakes("a put", f.tick(), func() { f.putOne(nil) })
		f.done(f.take())
	}
}

func waitPutBefore(f *fixture) {
	since := f.tick()
	f.putOne(nil)
	f.wakes("a put before", since, func() {})
	f.take()
}

func waitZeroTick(f *fixture) {
	f.putOne(nil)
	f.wakes("what is there", holdfast.Tick{}, func() {})
}

func waitDue(f *fixture) {
	soon := func(n *holdfast.NewJob) { n.After = 50 * time.Millisecond }
	f.putOne(soon)
	f.takeWhenReady(f.ctx)
	put := make(chan struct{})
	go func() {
		defer close(put)
		f.Store.Insert(f.ctx, holdfast.Insert{Jobs: jobs(1, soon)})
	}()
	f.takeWhenReady(f.ctx)
	<-put
}

// takeWhenReady claims and waits in turn, as a consumer does.
func (f *fixture) takeWhenReady(ctx context.Context) holdfast.Delivery {
	f.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		claimed, err := f.Store.Claim(ctx, holdfast.Claim{Consumer: f.consumer, Queues: []string{queue}, N: 1, Lease: lease})
		f.must("claim", err)
		if len(claimed.Jobs) > 0 {
			return claimed.Jobs[0]
		}
		_, err = f.Store.Wait(ctx, holdfast.Wait{Queues: []string{queue}, Since: claimed.Tick})
		f.must("wait", err)
	}
}

func waitGivenBack(f *fixture) {
	d := f.takeNew()
	f.wakes("a failure", f.tick(), func() { f.fail(d, false) })
	d = f.take()
	f.wakes("a release", f.tick(), func() { f.release(d) })
	f.take()
}

func waitSwept(f *fixture) {
	f.takeNew()
	since := f.tick()
	f.wakes("a death", since, func() { f.die(f.consumer) })
	f.take()
	since = f.tick()
	f.Shift(gap)
	f.wakes("the end of a lease", since, func() { f.sweep(holdfast.Sweep{}) })
	f.take()
}

func waitNew(f *fixture) {
	d := f.takeNew()
	f.wakes("a new job", f.tick(), func() {
		f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, New: jobs(1, nil)})
	})
	f.take()
}

func waitOperator(f *fixture) {
	d := f.takeNew()
	f.done(d)
	f.wakes("a retry", f.tick(), func() { f.act(holdfast.ActionRetry, d.Job) })
	f.done(f.take())
	id := f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	f.wakes("a run-now", f.tick(), func() { f.act(holdfast.ActionRunNow, id) })
	f.done(f.take())
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: queue})
	f.putOne(nil)
	f.wakes("a resume", f.tick(), func() { f.amend(holdfast.Amend{Action: holdfast.ActionResume, Queue: queue}) })
	f.take()
}

func waitCancel(f *fixture) {
	d := f.takeNew()
	since := f.tick()
	f.wakes("a cancel request", since, func() { f.act(holdfast.ActionCancel, d.Job) })
	f.wakes("a cancel request before", since, func() {})
}

func waitNothing(f *fixture) {
	since := f.tick()
	ctx, cancel := context.WithCancelCause(f.ctx)
	result := make(chan error, 1)
	go func() {
		for {
			tick, err := f.Store.Wait(ctx, holdfast.Wait{Queues: []string{queue}, Since: since})
			if err != nil { // it may return too often
				result <- err
				return
			}
			since = tick
		}
	}()
	cancel(errors.New("enough"))
	f.is("wait", <-result, context.Canceled)
}

func waitClosed(f *fixture) {
	since := f.tick()
	result := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		for {
			tick, err := f.Store.Wait(f.ctx, holdfast.Wait{Queues: []string{queue}, Since: since})
			if err != nil {
				result <- err
				return
			}
			since = tick
		}
	}()
	<-begun
	f.must("close", f.Store.Close())
	f.is("wait", <-result, holdfast.ErrClosed)
}

func waitCallsAfterClose(f *fixture) {
	f.must("close", f.Store.Close())
	f.must("close again", f.Store.Close())
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	for what, err := range f.everyCall(ctx) {
		f.is(what, err, holdfast.ErrClosed)
	}
}

func waitEndedContext(f *fixture) {
	n := job(nil)
	f.put(n)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for what, err := range f.everyCall(ctx) {
		f.is(what, err, context.Canceled)
	}
	f.equal("jobs", f.total(), int64(1))
	f.state(n.ID, holdfast.Waiting, holdfast.ReasonNone)
}

// everyCall makes each call of a store once and gives its error.
func (f *fixture) everyCall(ctx context.Context) map[string]error {
	s := f.Store
	errs := map[string]error{}
	_, errs["insert"] = s.Insert(ctx, holdfast.Insert{Jobs: jobs(1, nil)})
	_, errs["claim"] = s.Claim(ctx, holdfast.Claim{Consumer: f.consumer, Number: 1, Queues: []string{queue}, N: 1, Lease: lease})
	_, errs["extend"] = s.Extend(ctx, []holdfast.Beat{{Lease: holdfast.Lease{Job: holdfast.NewID(), Fence: 1}, For: lease}})
	_, errs["finish"] = s.Finish(ctx, []holdfast.Outcome{{Lease: holdfast.Lease{Job: holdfast.NewID(), Fence: 1}, Kind: holdfast.OutcomeDone}})
	_, errs["sweep"] = s.Sweep(ctx, holdfast.Sweep{Lease: lease, Limit: 10})
	_, errs["purge"] = s.Purge(ctx, holdfast.Purge{Limit: 10})
	_, errs["amend"] = s.Amend(ctx, holdfast.Amend{Action: holdfast.ActionCancel, Limit: 10, Actor: "ada"})
	_, _, errs["show"] = s.Show(ctx, holdfast.NewID())
	_, errs["list"] = s.List(ctx, holdfast.List{})
	_, errs["counts"] = s.Counts(ctx)
	_, errs["stats"] = s.Stats(ctx, holdfast.StatsQuery{})
	errs["record"] = s.Record(ctx, holdfast.Records{Marks: []holdfast.Mark{{Name: "a", Value: []byte("b")}}})
	_, errs["records"] = s.Records(ctx, holdfast.RecordsQuery{Consumers: true})
	_, errs["wait"] = s.Wait(ctx, holdfast.Wait{Queues: []string{queue}})
	return errs
}
