package storetest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

var claimPromises = []promise{
	{"the latest attempts are kept, a bounded number", claimKeepsAttempts},
	{"a delivery tells all of its job", claimTells},
	{"jobs come by priority, then time, then put order", claimOrder},
	{"a batch comes in the order of its put", claimBatchOrder},
	{"at most N are taken", claimAtMostN},
	{"queues are taken in turn", claimQueuesInTurn},
	{"other queues are left alone", claimOtherQueues},
	{"a taken job is not taken again", claimOnce},
	{"nothing comes early", claimNotEarly},
	{"what is due is taken without a sweep", claimPromotes},
	{"an empty queue is no error", claimEmpty},
	{"a step of nothing does nothing", claimNothing},
	{"a paused queue gives nothing", claimPaused},
	{"a claim stops at its bound of bytes", claimBytes},
	{"the fence goes up by one at every claim and never down", claimFence},
	{"a deleted job's fence is not handed out again", claimFenceAfterDelete},
	{"attempts are numbered without gaps", claimAttempts},
	{"a repeated claim gets what it still holds", claimRepeats},
	{"a claim without a number is never repeated", claimUnnumbered},
	{"a job past its start-by time is cancelled, not taken", claimTooLate},
	{"a job too late makes room for the next", claimTooLateMakesRoom},
	{"an ended lease is not taken before a sweep", claimNotEndedLeases},
	{"suspects are taken only as many as asked", claimSuspects},
	{"a suspect does not hold up the others", claimSuspectNoBlock},
}

func claimTells(f *fixture) {
	n := job(func(n *holdfast.NewJob) { n.Priority, n.MaxAttempts, n.UniqueKey = 4, 3, "key" })
	f.put(n)
	d := f.take()
	f.equal("lease", d.Lease, holdfast.Lease{Job: n.ID, Fence: 1})
	i := d.Info
	f.equal("state", i.State, holdfast.Running)
	f.equal("fence, attempt", []int{int(i.Fence), i.Attempt}, []int{1, 1})
	f.equal("consumer", i.Consumer, f.consumer)
	f.equal("data", string(i.Data), string(n.Data))
	f.equal("priority, max attempts, key", []any{i.Priority, i.MaxAttempts, i.UniqueKey}, []any{4, 3, "key"})
	f.near("started at", i.StartedAt, time.Now())
	f.equal("lease until", i.LeaseUntil.Sub(i.StartedAt).Round(time.Second), lease)

	shown := f.state(n.ID, holdfast.Running, holdfast.ReasonNone)
	f.equal("shown: fence, attempt, consumer", []any{shown.Fence, shown.Attempt, shown.Consumer}, []any{int64(1), 1, f.consumer})
	a := f.attempts(n.ID)
	f.equal("attempts", len(a), 1)
	f.equal("attempt", []any{a[0].N, a[0].Consumer, a[0].Outcome, a[0].EndedAt.IsZero()}, []any{1, f.consumer, holdfast.OutcomeNone, true})
	f.equal("running", f.counts(queue).Of(holdfast.Running), int64(1))
}

func claimOrder(f *fixture) {
	now := time.Now()
	add := func(priority int, before time.Duration) holdfast.ID {
		return f.putOne(func(n *holdfast.NewJob) { n.Priority, n.RunAt = priority, now.Add(-before) })
	}
	want := make([]holdfast.ID, 7)
	want[6] = add(0, time.Hour)
	want[4] = add(5, time.Minute)
	want[2] = add(5, time.Hour)
	want[3] = add(5, time.Hour)
	want[5] = add(4, 2*time.Hour)
	want[0] = add(9, time.Minute)
	want[1] = add(9, time.Second)
	var got []holdfast.ID
	for _, d := range f.claim(holdfast.Claim{N: 4}) {
		got = append(got, d.Job)
	}
	for _, d := range f.claim(holdfast.Claim{N: 9}) {
		got = append(got, d.Job)
	}
	f.equal("order", got, want)
}

func claimBatchOrder(f *fixture) {
	want := f.put(jobs(300, nil)...)
	for at := 0; at < len(want); at += 100 {
		for i, d := range f.claim(holdfast.Claim{N: 100}) {
			if d.Job != want[at+i] {
				f.Fatalf("job %d is not the one that was put there", at+i)
			}
		}
	}
	f.none()
}

func claimAtMostN(f *fixture) {
	f.put(jobs(5, nil)...)
	f.equal("first", len(f.claim(holdfast.Claim{N: 3})), 3)
	f.equal("second", len(f.claim(holdfast.Claim{N: 3})), 2)
	f.equal("third", len(f.claim(holdfast.Claim{N: 3})), 0)
}

func claimQueuesInTurn(f *fixture) {
	for _, q := range []string{"b", "a", "c", "b"} {
		f.putOne(func(n *holdfast.NewJob) { n.Queue, n.Priority = q, 1 })
	}
	var got []string
	for _, d := range f.claim(holdfast.Claim{Queues: []string{"b", "none", "a", "b", "c"}, N: 3}) {
		got = append(got, d.Info.Queue)
	}
	f.equal("queues", got, []string{"b", "b", "a"})
	f.equal("the rest", len(f.claim(holdfast.Claim{Queues: []string{"a", "b", "c"}, N: 3})), 1)
}

func claimOtherQueues(f *fixture) {
	for _, q := range []string{"Q", "q1", "q.", "other"} {
		f.putOne(func(n *holdfast.NewJob) { n.Queue = q })
	}
	f.none()
}

func claimOnce(f *fixture) {
	f.putOne(nil)
	f.take()
	f.none()
	f.equal("by another", len(f.claim(holdfast.Claim{Consumer: holdfast.NewID(), Number: 1})), 0)
}

func claimNotEarly(f *fixture) {
	f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	f.Shift(59 * time.Minute)
	f.sweep(holdfast.Sweep{})
	f.none()
}

func claimPromotes(f *fixture) {
	late := f.putOne(func(n *holdfast.NewJob) { n.After = 3 * time.Hour })
	early := f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	at := f.putOne(func(n *holdfast.NewJob) { n.RunAt = time.Now().Add(2 * time.Hour) })
	f.Shift(4 * time.Hour)
	var got []holdfast.ID
	for _, d := range f.claim(holdfast.Claim{N: 9}) {
		got = append(got, d.Job)
	}
	f.equal("by their times", got, []holdfast.ID{early, at, late})
}

func claimEmpty(f *fixture) {
	f.equal("unknown queue", len(f.claim(holdfast.Claim{})), 0)
	f.done(f.takeNew())
	f.equal("emptied queue", len(f.claim(holdfast.Claim{})), 0)
}

func claimNothing(f *fixture) {
	id := f.putOne(nil)
	f.equal("insert", len(f.insert()), 0)
	claimed, err := f.Store.Claim(f.ctx, holdfast.Claim{Consumer: f.consumer, Queues: []string{queue}, Lease: lease})
	f.must("claim of none", err)
	f.equal("claim of none", len(claimed.Jobs), 0)
	claimed, err = f.Store.Claim(f.ctx, holdfast.Claim{Consumer: f.consumer, N: 1, Lease: lease})
	f.must("claim from nowhere", err)
	f.equal("claim from nowhere", len(claimed.Jobs), 0)
	beaten, err := f.Store.Extend(f.ctx, nil)
	f.must("extend", err)
	f.equal("extend", len(beaten), 0)
	finished, err := f.Store.Finish(f.ctx, nil)
	f.must("finish", err)
	f.equal("finish", len(finished), 0)
	f.must("record", f.Store.Record(f.ctx, holdfast.Records{}))
	f.state(id, holdfast.Waiting, holdfast.ReasonNone)
}

// takeNew puts a job and takes it.
func (f *fixture) takeNew() holdfast.Delivery {
	f.Helper()
	id := f.putOne(nil)
	d := f.take()
	f.equal("taken", d.Job, id)
	return d
}

func claimPaused(f *fixture) {
	f.putOne(nil)
	f.putOne(func(n *holdfast.NewJob) { n.Queue = "other" })
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: queue})
	f.none()
	f.equal("the other queue", len(f.claim(holdfast.Claim{Queues: []string{queue, "other"}, N: 5})), 1)
	f.amend(holdfast.Amend{Action: holdfast.ActionResume, Queue: queue})
	f.take()
}

func claimBytes(f *fixture) {
	big := bytes.Repeat([]byte("x"), holdfast.MaxDataBytes)
	for range holdfast.MaxBatchBytes/len(big) + 2 {
		f.putOne(func(n *holdfast.NewJob) { n.Data = big })
	}
	f.equal("first", len(f.claim(holdfast.Claim{N: 100})), holdfast.MaxBatchBytes/len(big))
	f.equal("second", len(f.claim(holdfast.Claim{N: 100})), 2)
}

func claimFence(f *fixture) {
	id := f.putOne(nil)
	fence := int64(0)
	take := func() holdfast.Delivery {
		f.Helper()
		d := f.take()
		fence++
		f.equal("fence of the delivery", d.Fence, fence)
		return d
	}
	stays := func(after string) {
		f.Helper()
		f.equal("fence after "+after, f.show(id).Fence, fence)
	}
	f.release(take())
	stays("release")
	f.finished(holdfast.Outcome{Lease: take().Lease, Kind: holdfast.OutcomeReleased, Unrun: true})
	stays("a release before the start")
	f.fail(take(), false)
	stays("failure")
	take()
	f.die(f.consumer)
	stays("death")
	f.fail(take(), true)
	stays("the end")
	f.act(holdfast.ActionRetry, id)
	stays("retry")
	f.done(take())
	f.act(holdfast.ActionRetry, id)
	stays("retry of a done job")
	f.done(take())
}

func claimFenceAfterDelete(f *fixture) {
	n := job(nil)
	f.put(n)
	old := f.take()
	f.Shift(gap)
	f.sweep(holdfast.Sweep{})
	f.act(holdfast.ActionDelete, n.ID)
	f.put(n)
	d := f.take()
	f.equal("the fence is higher", d.Fence > old.Fence, true)
	f.is("the old holder", f.finish(holdfast.Outcome{Lease: old.Lease, Kind: holdfast.OutcomeDone}).Err, holdfast.ErrLeaseLost)
	f.done(d)
}

func claimAttempts(f *fixture) {
	id := f.putOne(nil)
	next := func(want int) holdfast.Delivery {
		f.Helper()
		d := f.take()
		f.equal("attempt", d.Info.Attempt, want)
		return d
	}
	f.fail(next(1), false)
	f.release(next(2))
	next(3)
	f.die(f.consumer)
	f.fail(next(4), true)
	f.act(holdfast.ActionRetry, id)
	f.done(next(5))
	var got []string
	for _, a := range f.attempts(id) {
		got = append(got, fmt.Sprint(a.N, " ", a.Outcome))
	}
	f.equal("attempts", got, []string{"1 failed", "2 released", "3 died", "4 failed", "5 done"})
}

func claimRepeats(f *fixture) {
	f.put(jobs(6, func(n *holdfast.NewJob) { n.Priority = len(n.ID) % 3 })...)
	c := holdfast.Claim{Consumer: f.consumer, Number: 7, N: 3}
	first := f.claim(c)
	f.equal("first", len(first), 3)
	again := f.claim(c)
	f.equal("repeated", leases(again), leases(first))
	f.equal("another number", len(f.claim(holdfast.Claim{Consumer: f.consumer, Number: 8})), 1)
	f.equal("another consumer", len(f.claim(holdfast.Claim{Consumer: holdfast.NewID(), Number: 7})), 1)
	f.done(first[0])
	f.equal("what it still holds", leases(f.claim(c)), leases(first[1:]))
	f.equal("waiting", f.counts(queue).Of(holdfast.Waiting), int64(1))
}

func leases(list []holdfast.Delivery) []holdfast.Lease {
	out := make([]holdfast.Lease, len(list))
	for i, d := range list {
		out[i] = d.Lease
	}
	return out
}

func claimUnnumbered(f *fixture) {
	f.put(jobs(2, nil)...)
	c := holdfast.Claim{Consumer: f.consumer}
	a, b := f.claim(c), f.claim(c)
	f.equal("both", []int{len(a), len(b)}, []int{1, 1})
	f.equal("different", a[0].Job != b[0].Job, true)
}

func claimTooLate(f *fixture) {
	late := f.putOne(func(n *holdfast.NewJob) { n.StartBy = time.Now().Add(time.Hour) })
	f.Shift(2 * time.Hour)
	f.none()
	i := f.state(late, holdfast.Cancelled, holdfast.ReasonTooLate)
	f.equal("it has ended", i.EndedAt.IsZero(), false)
	f.equal("fence, attempt", []any{i.Fence, i.Attempt}, []any{int64(0), 0})
	f.equal("cancelled", f.counts(queue).Of(holdfast.Cancelled), int64(1))
}

func claimTooLateMakesRoom(f *fixture) {
	f.put(jobs(20, func(n *holdfast.NewJob) { n.StartBy, n.Priority = time.Now().Add(time.Hour), 9 })...)
	timely := f.putOne(func(n *holdfast.NewJob) { n.StartBy = time.Now().Add(3 * time.Hour) })
	f.Shift(2 * time.Hour)
	f.equal("taken", f.take().Job, timely)
}

func claimNotEndedLeases(f *fixture) {
	d := f.takeNew()
	f.Shift(gap)
	f.none()
	f.state(d.Job, holdfast.Running, holdfast.ReasonNone)
}

// suspect makes a waiting job of which two consumers have died.
func (f *fixture) suspect() holdfast.ID {
	f.Helper()
	id := f.putOne(func(n *holdfast.NewJob) { n.Priority = 9 })
	for range holdfast.SuspectDeaths {
		consumer := holdfast.NewID()
		list := f.claim(holdfast.Claim{Consumer: consumer}) // no suspect of before
		f.equal("taken", []any{len(list), list[0].Job}, []any{1, id})
		f.die(consumer)
	}
	i := f.state(id, holdfast.Waiting, holdfast.ReasonSwept)
	f.equal("deaths, crashes", []int{i.Deaths, i.Crashes}, []int{holdfast.SuspectDeaths, 0})
	return id
}

func claimSuspects(f *fixture) {
	f.suspect()
	f.suspect()
	f.equal("none asked for", len(f.claim(holdfast.Claim{N: 5})), 0)
	f.equal("one asked for", len(f.claim(holdfast.Claim{N: 5, Suspects: 1})), 1)
	f.equal("the other", len(f.claim(holdfast.Claim{N: 5, Suspects: 1})), 1)
}

func claimSuspectNoBlock(f *fixture) {
	f.suspect()
	f.suspect()
	healthy := f.put(jobs(3, nil)...)
	var got []holdfast.ID
	for _, d := range f.claim(holdfast.Claim{N: 3}) {
		got = append(got, d.Job)
	}
	f.equal("the healthy ones", got, healthy)
}

func claimKeepsAttempts(f *fixture) {
	id := f.putOne(nil)
	for range holdfast.KeepAttempts + 5 {
		d := f.take()
		f.extend(holdfast.Beat{Lease: d.Lease, Log: []byte("a line\n")})
		f.release(d)
	}
	list := f.attempts(id)
	f.equal("attempts", len(list), holdfast.KeepAttempts)
	f.equal("the first kept", list[0].N, 6)
	f.equal("the last", list[len(list)-1].N, holdfast.KeepAttempts+5)
}
