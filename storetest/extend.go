package storetest

import (
	"time"

	"github.com/holdfastq/holdfast"
)

var extendPromises = []promise{
	{"a heartbeat moves the lease", extendMoves},
	{"a job with heartbeats is never given back, however long it runs", extendKeeps},
	{"a stale beat leaves its neighbours alone", extendBatch},
	{"progress and note are kept while it runs", extendProgress},
	{"the start of the handler is noted once", extendStart},
	{"a cancel request is told", extendCancel},
	{"a pause is told", extendPaused},
	{"a late beat changes nothing of the next holder", extendLost},
}

func extendMoves(f *fixture) {
	d := f.takeNew()
	f.Shift(50 * time.Second)
	f.equal("answer", f.extend(holdfast.Beat{Lease: d.Lease, For: 10 * time.Minute}), holdfast.Beaten{})
	i := f.show(d.Job)
	f.near("lease until", i.LeaseUntil, time.Now().Add(10*time.Minute))
	f.extend(holdfast.Beat{Lease: d.Lease, For: 5 * time.Minute})
	f.near("shorter from now", f.show(d.Job).LeaseUntil, time.Now().Add(5*time.Minute))
	f.equal("fence, attempt", []any{f.show(d.Job).Fence, f.show(d.Job).Attempt}, []any{int64(1), 1})
}

func extendKeeps(f *fixture) {
	d := f.takeNew()
	for range 40 {
		f.Shift(40 * time.Second)
		f.equal("swept", f.sweep(holdfast.Sweep{}).Returned, 0)
		f.must("extend", f.extend(holdfast.Beat{Lease: d.Lease}).Err)
	}
	f.done(d)
}

func extendBatch(f *fixture) {
	f.put(jobs(3, nil)...)
	d := f.claim(holdfast.Claim{N: 3})
	f.release(d[1])
	answers, err := f.Store.Extend(f.ctx, []holdfast.Beat{
		{Lease: d[0].Lease, For: time.Hour}, {Lease: d[1].Lease, For: time.Hour}, {Lease: d[2].Lease, For: time.Hour},
	})
	f.must("extend", err)
	f.is("first", answers[0].Err, nil)
	f.is("stale", answers[1].Err, holdfast.ErrLeaseLost)
	f.is("third", answers[2].Err, nil)
	f.Shift(gap)
	f.sweep(holdfast.Sweep{})
	f.equal("running", f.counts(queue).Of(holdfast.Running), int64(2))
}

func extendProgress(f *fixture) {
	d := f.takeNew()
	f.extend(holdfast.Beat{Lease: d.Lease, Progress: 0.25, Note: "first quarter"})
	i := f.show(d.Job)
	f.equal("progress, note", []any{i.Progress, i.Note}, []any{0.25, "first quarter"})
	f.extend(holdfast.Beat{Lease: d.Lease, Progress: 0.5, Note: "half"})
	i = f.show(d.Job)
	f.equal("progress, note", []any{i.Progress, i.Note}, []any{0.5, "half"})
	f.fail(d, false)
	i = f.take().Info
	f.equal("the next attempt begins anew", []any{i.Progress, i.Note}, []any{0.0, ""})
}

func extendStart(f *fixture) {
	id := f.putOne(nil)
	d := f.take()
	f.Shift(50 * time.Second)
	f.extend(holdfast.Beat{Lease: d.Lease})
	f.extend(holdfast.Beat{Lease: d.Lease, Started: true, Ran: 20 * time.Second})
	started := f.show(id).StartedAt
	f.equal("started since the claim", started.Sub(d.Info.StartedAt) > -25*time.Second, true)
	f.equal("started 20 s ago", time.Since(started).Round(10*time.Second), 20*time.Second)
	f.extend(holdfast.Beat{Lease: d.Lease, Started: true, Ran: 40 * time.Second})
	f.equal("noted once", f.show(id).StartedAt.Equal(started), true)
	f.equal("waited until then", f.show(id).Waited.Round(10*time.Second), 30*time.Second)
}

func extendCancel(f *fixture) {
	f.put(jobs(2, nil)...)
	d := f.claim(holdfast.Claim{N: 2})
	f.act(holdfast.ActionCancel, d[0].Job)
	f.equal("asked", f.extend(holdfast.Beat{Lease: d[0].Lease}), holdfast.Beaten{CancelRequested: true})
	f.equal("the other", f.extend(holdfast.Beat{Lease: d[1].Lease}), holdfast.Beaten{})
}

func extendPaused(f *fixture) {
	d := f.takeNew()
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: queue})
	f.equal("paused", f.extend(holdfast.Beat{Lease: d.Lease}), holdfast.Beaten{Paused: true})
	f.amend(holdfast.Amend{Action: holdfast.ActionResume, Queue: queue})
	f.equal("resumed", f.extend(holdfast.Beat{Lease: d.Lease}), holdfast.Beaten{})
}

func extendLost(f *fixture) {
	d := f.takeNew()
	f.Shift(gap)
	f.sweep(holdfast.Sweep{})
	next := f.takeBy(holdfast.NewID())
	f.is("the old holder", f.extend(holdfast.Beat{Lease: d.Lease, For: time.Hour, Progress: 1, Note: "late", Log: []byte("late")}).Err, holdfast.ErrLeaseLost)
	i, attempts, err := f.Store.Show(f.ctx, d.Job)
	f.must("show", err)
	f.equal("progress, note", []any{i.Progress, i.Note}, []any{0.0, ""})
	f.equal("the new holder's lease", i.LeaseUntil.Equal(next.Info.LeaseUntil), true)
	f.equal("the logs", []int{len(attempts[0].Log), len(attempts[1].Log)}, []int{0, 0})
}
