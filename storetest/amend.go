package storetest

import (
	"time"

	"github.com/holdfastq/holdfast"
)

var amendPromises = []promise{
	{"an empty list names no job, nil names all", amendNone},
	{"each action changes the states that it says and no other", amendStates},
	{"a retry begins anew", amendRetryForgets},
	{"a retry makes the next attempt due now", amendRetryScheduled},
	{"a retry by filter means failed and cancelled jobs", amendRetryFilter},
	{"a retry whose key is taken is reported and hurts no other", amendRetryKeyTaken},
	{"run-now makes a scheduled job due", amendRunNow},
	{"cancel asks the holder of a running job", amendCancelRunning},
	{"an ended job cannot be cancelled", amendCancelEnded},
	{"delete takes the history along", amendDelete},
	{"a running job is not deleted", amendDeleteRunning},
	{"an unknown id is reported once", amendNotFound},
	{"an action by filter leaves the others alone", amendFilter},
	{"a bulk action goes in steps", amendSteps},
	{"a bulk action is one line of activity", amendActivity},
	{"pause and resume are told once", amendPause},
}

// amendStates tries each action on a job of each state, named by its id.
func amendStates(f *fixture) {
	born := map[holdfast.State]func() holdfast.ID{
		holdfast.Scheduled: func() holdfast.ID { return f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour }) },
		holdfast.Waiting:   func() holdfast.ID { return f.putOne(nil) },
		holdfast.Running:   func() holdfast.ID { return f.takeNew().Job },
		holdfast.Done:      func() holdfast.ID { d := f.takeNew(); f.done(d); return d.Job },
		holdfast.Failed:    func() holdfast.ID { d := f.takeNew(); f.fail(d, true); return d.Job },
		holdfast.Cancelled: func() holdfast.ID {
			id := f.putOne(nil)
			f.act(holdfast.ActionCancel, id)
			return id
		},
	}
	const no, gone = holdfast.State(100), holdfast.State(101)
	table := map[holdfast.Action][6]holdfast.State{ // by the state before: the state after
		holdfast.ActionRetry:  {no, no, no, holdfast.Waiting, holdfast.Waiting, holdfast.Waiting},
		holdfast.ActionCancel: {holdfast.Cancelled, holdfast.Cancelled, holdfast.Running, no, no, no},
		holdfast.ActionDelete: {gone, gone, no, gone, gone, gone},
		holdfast.ActionRunNow: {holdfast.Waiting, no, no, no, no, no},
	}
	for action, after := range table {
		for _, before := range holdfast.States {
			id := born[before]()
			was := f.show(id)
			got := f.amend(holdfast.Amend{Action: action, Filter: holdfast.Filter{IDs: []holdfast.ID{id}}})
			what := string(action) + " of a job that is " + before.String()
			switch want := after[before]; want {
			case no:
				f.equal(what+": changed, skipped", []int{got.Changed, len(got.Skipped)}, []int{0, 1})
				f.equal(what+": id", got.Skipped[0].ID, id)
				f.is(what, got.Skipped[0].Err, holdfast.ErrConflict)
				f.equal(what+": a reason for people", got.Skipped[0].Reason != "", true)
				f.equal(what+": the job", f.show(id), was)
			case gone:
				f.equal(what, []any{got.Changed, len(got.Skipped), f.gone(id)}, []any{1, 0, true})
			default:
				f.equal(what, []any{got.Changed, len(got.Skipped), f.show(id).State}, []any{1, 0, want})
			}
			f.amend(holdfast.Amend{Action: holdfast.ActionCancel}) // so that the next take is of the next job
			f.die(f.consumer)
		}
	}
}

func amendRetryForgets(f *fixture) {
	id := f.putOne(func(n *holdfast.NewJob) { n.MaxAttempts, n.StartBy, n.Priority = 2, time.Now().Add(time.Hour), 3 })
	f.fail(f.take(), false)
	f.fail(f.take(), false)
	f.state(id, holdfast.Failed, holdfast.ReasonExhausted)
	f.Shift(2 * time.Hour)
	f.act(holdfast.ActionRetry, id)
	i := f.state(id, holdfast.Waiting, holdfast.ReasonReopened)
	f.equal("failures, deaths, crashes", []int{i.Failures, i.Deaths, i.Crashes}, []int{0, 0, 0})
	f.equal("start-by, ended at", []bool{i.StartBy.IsZero(), i.EndedAt.IsZero()}, []bool{true, true})
	f.near("run at", i.RunAt, time.Now())
	f.equal("priority", i.Priority, 3)
	f.fail(f.take(), false) // it has its attempts again
	f.equal("last", f.fail(f.take(), false).Last, true)
	f.equal("attempts", len(f.attempts(id)), 4)
}

func amendRetryScheduled(f *fixture) {
	d := f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", After: time.Hour})
	f.act(holdfast.ActionRetry, d.Job)
	i := f.show(d.Job)
	f.equal("state", i.State, holdfast.Waiting)
	f.equal("its failures still count", i.Failures, 1)
	f.take()
}

func amendRetryFilter(f *fixture) {
	done, failed, cancelled := f.endings()
	f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	got := f.amend(holdfast.Amend{Action: holdfast.ActionRetry, Filter: holdfast.Filter{Queues: []string{queue}}})
	f.equal("amended", got, holdfast.Amended{Changed: 2})
	f.state(done, holdfast.Done, holdfast.ReasonNone)
	f.state(failed, holdfast.Waiting, holdfast.ReasonReopened)
	f.state(cancelled, holdfast.Waiting, holdfast.ReasonReopened)
	got = f.amend(holdfast.Amend{Action: holdfast.ActionRetry, Filter: holdfast.Filter{States: []holdfast.State{holdfast.Done}}})
	f.equal("done jobs when asked", got, holdfast.Amended{Changed: 1})
}

func amendRetryKeyTaken(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey = "key" }
	ids := make([]holdfast.ID, 3)
	for i := range ids {
		ids[i] = f.putOne(key)
		f.fail(f.take(), true)
	}
	other := f.takeNew()
	f.fail(other, true)
	got := f.amend(holdfast.Amend{Action: holdfast.ActionRetry, Filter: holdfast.Filter{Queues: []string{queue}}})
	f.equal("changed, skipped", []int{got.Changed, len(got.Skipped)}, []int{2, 2})
	for i, s := range got.Skipped {
		f.equal("skipped in the order of their puts", s.ID, ids[i+1])
		f.is("skipped", s.Err, holdfast.ErrDuplicate)
	}
	f.state(ids[0], holdfast.Waiting, holdfast.ReasonReopened)
	f.state(ids[1], holdfast.Failed, holdfast.ReasonPermanent)
	f.state(other.Job, holdfast.Waiting, holdfast.ReasonReopened)
	f.equal("the first holds the key again", f.insert(job(key))[0].ID, ids[0])
}

func amendRunNow(f *fixture) {
	id := f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	f.act(holdfast.ActionRunNow, id)
	i := f.state(id, holdfast.Waiting, holdfast.ReasonRunNow)
	f.near("run at", i.RunAt, time.Now())
	d := f.take()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", After: time.Hour})
	f.equal("by filter", f.amend(holdfast.Amend{Action: holdfast.ActionRunNow}), holdfast.Amended{Changed: 1})
	f.equal("its failures still count", f.take().Info.Failures, 1)
}

func amendCancelRunning(f *fixture) {
	d := f.takeNew()
	f.act(holdfast.ActionCancel, d.Job)
	i := f.state(d.Job, holdfast.Running, holdfast.ReasonNone)
	f.near("cancel requested", i.CancelRequested, time.Now())
	f.Shift(20 * time.Second)
	f.act(holdfast.ActionCancel, d.Job)
	f.equal("the first request counts", time.Since(f.show(d.Job).CancelRequested) > 15*time.Second, true)
	f.release(d)
	f.state(d.Job, holdfast.Cancelled, holdfast.ReasonRequested)
	f.act(holdfast.ActionRetry, d.Job)
	i = f.take().Info
	f.equal("a retry forgets the request", i.CancelRequested.IsZero(), true)
}

func amendCancelEnded(f *fixture) {
	f.endings()
	got := f.amend(holdfast.Amend{Action: holdfast.ActionCancel, Filter: holdfast.Filter{States: []holdfast.State{holdfast.Done}}})
	f.equal("changed, skipped", []int{got.Changed, len(got.Skipped)}, []int{0, 1})
	f.is("skipped", got.Skipped[0].Err, holdfast.ErrConflict)
	got = f.amend(holdfast.Amend{Action: holdfast.ActionCancel})
	f.equal("a filter without states means jobs that have not ended", got, holdfast.Amended{})
}

func amendDelete(f *fixture) {
	id := f.putOne(func(n *holdfast.NewJob) { n.UniqueKey = "key" })
	f.fail(f.take(), false)
	f.act(holdfast.ActionDelete, id)
	f.equal("gone", f.gone(id), true)
	f.equal("jobs", f.total(), int64(0))
	f.none()
	f.equal("its key is free", f.insert(job(func(n *holdfast.NewJob) { n.UniqueKey = "key" }))[0].Made, true)
}

func amendDeleteRunning(f *fixture) {
	d := f.takeNew()
	f.putOne(nil)
	got := f.amend(holdfast.Amend{Action: holdfast.ActionDelete, Filter: holdfast.Filter{Queues: []string{queue}}})
	f.equal("changed, skipped", []int{got.Changed, len(got.Skipped)}, []int{1, 1})
	f.is("skipped", got.Skipped[0].Err, holdfast.ErrConflict)
	f.done(d)
}

func amendNotFound(f *fixture) {
	id, unknown := f.putOne(nil), holdfast.NewID()
	got := f.amend(holdfast.Amend{Action: holdfast.ActionCancel, Filter: holdfast.Filter{IDs: []holdfast.ID{unknown, id, unknown, id}}})
	f.equal("changed, skipped", []int{got.Changed, len(got.Skipped)}, []int{1, 1})
	f.equal("skipped", got.Skipped[0].ID, unknown)
	f.is("skipped", got.Skipped[0].Err, holdfast.ErrNotFound)
}

func amendFilter(f *fixture) {
	mine := f.put(jobs(3, nil)...)
	others := f.put(jobs(3, func(n *holdfast.NewJob) { n.Queue = "other" })...)
	got := f.amend(holdfast.Amend{Action: holdfast.ActionCancel, Filter: holdfast.Filter{
		Queues: []string{"other"}, IDs: []holdfast.ID{mine[0], others[0], others[1]},
	}})
	f.equal("amended", got, holdfast.Amended{Changed: 2})
	c := f.counts("other")
	f.equal("other", []int64{c.Of(holdfast.Waiting), c.Of(holdfast.Cancelled)}, []int64{1, 2})
	f.equal("mine", f.counts(queue).Of(holdfast.Waiting), int64(3))
}

func amendSteps(f *fixture) {
	for range 23 {
		f.fail(f.takeNew(), true)
	}
	a := holdfast.Amend{Action: holdfast.ActionRetry, Filter: holdfast.Filter{States: []holdfast.State{holdfast.Failed}}, Limit: 10, Activity: holdfast.NewID()}
	n, steps := 0, 0
	for {
		got := f.amend(a)
		if got.Changed > 10 {
			f.Fatalf("step of %d jobs, limit 10", got.Changed)
		}
		n += got.Changed
		if steps++; got.Next == "" {
			break
		}
		a.After = got.Next
		f.fail(f.take(), true) // what fails again meanwhile is not retried again
	}
	f.equal("changed", n, 23)
	f.equal("steps", steps, 3)
	f.equal("failed, waiting", []int64{f.counts(queue).Of(holdfast.Failed), f.counts(queue).Of(holdfast.Waiting)}, []int64{2, 21})
	f.equal("lines", f.records(holdfast.RecordsQuery{Activity: 10}).Activity[0].Changed, int64(23))
}

func amendActivity(f *fixture) {
	f.put(jobs(5, nil)...)
	f.take()
	a := holdfast.Amend{Action: holdfast.ActionDelete, Filter: holdfast.Filter{Queues: []string{queue}}, Limit: 2, Activity: holdfast.NewID(), Actor: "ada", Via: "panel"}
	for {
		got := f.amend(a)
		if a.After = got.Next; got.Next == "" {
			break
		}
	}
	list := f.records(holdfast.RecordsQuery{Activity: 10}).Activity
	f.equal("lines", len(list), 1)
	l := list[0]
	f.equal("line", []any{l.ID, l.Actor, l.Via, l.Action, l.What, l.Changed, l.Skipped},
		[]any{a.Activity, "ada", "panel", holdfast.ActionDelete, "queue:q", int64(4), int64(1)})
}

func amendPause(f *fixture) {
	change := func(action holdfast.Action, actor string) int {
		return f.amend(holdfast.Amend{Action: action, Queue: queue, Actor: actor}).Changed
	}
	f.equal("pause", change(holdfast.ActionPause, "ada"), 1)
	f.equal("pause again", change(holdfast.ActionPause, "grace"), 0)
	f.equal("paused by the first", f.counts(queue).PausedBy, "ada")
	f.equal("resume", change(holdfast.ActionResume, "grace"), 1)
	f.equal("resume again", change(holdfast.ActionResume, "ada"), 0)
	f.equal("not paused", f.counts(queue).PausedAt.IsZero(), true)
	f.putOne(nil)
	f.take()
}

func amendNone(f *fixture) {
	f.put(jobs(3, nil)...)
	for _, none := range []holdfast.Filter{{IDs: []holdfast.ID{}}, {Queues: []string{}}, {States: []holdfast.State{}}} {
		done, err := f.Store.Amend(f.ctx, holdfast.Amend{Action: holdfast.ActionDelete, Filter: none, Actor: "ana", Activity: holdfast.NewID(), Limit: 10})
		f.must("delete", err)
		f.equal("deleted", done, holdfast.Amended{})
		f.equal("listed", len(f.all(none)), 0)
	}
	f.equal("all", len(f.all(holdfast.Filter{})), 3)
}
