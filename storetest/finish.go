package storetest

import (
	"bytes"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

var finishPromises = []promise{
	{"done ends the job and keeps its result", finishDone},
	{"failed comes again later", finishFailed},
	{"failed without a pause comes again at once", finishFailedAtOnce},
	{"the job's own max attempts win", finishOwnMaxAttempts},
	{"the consumer's max attempts count otherwise", finishConsumersMaxAttempts},
	{"without any bound there are 20 attempts", finishDefaultMaxAttempts},
	{"failed for good ends the job", finishFinal},
	{"failures with the same cause share it", finishCause},
	{"release costs no failure", finishReleased},
	{"release without a delay keeps the place", finishReleasedKeepsPlace},
	{"release with a delay is scheduled", finishReleasedDelay},
	{"an attempt that never started leaves no trace but its fence", finishUnrun},
	{"only the holder reports", finishStale},
	{"an ended job takes no other outcome", finishEnded},
	{"a repeat of the recorded outcome gets the same answer", finishRepeats},
	{"a late answer counts until a sweep has moved the job", finishLate},
	{"new jobs are put with done", finishNew},
	{"a refused new job leaves all as it was", finishNewRefused},
	{"a job may hand its unique key to its successor", finishNewOwnKey},
	{"new jobs come with done alone", finishNewOnlyDone},
	{"a job may produce 1,000 jobs", finishNewMany},
	{"1,000 outcomes go in one step", finishMany},
	{"a stale outcome leaves its neighbours alone", finishBatch},
	{"of two outcomes of one lease the first counts", finishTwice},
	{"a cancel request makes failed and released cancelled", finishCancelled},
	{"done stays done though a cancel was asked", finishCancelledDone},
	{"the last part of each attempt's log is kept", finishLog},
	{"waited and took are told", finishTimes},
	{"a job that fails with a file is attached to it", finishAttached},
}

func finishDone(f *fixture) {
	d := f.takeNew()
	got := f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Took: 5 * time.Millisecond, Result: []byte(`{"ok":true}`)})
	f.equal("answer", got, holdfast.Finished{State: holdfast.Done, Last: true})
	i := f.state(d.Job, holdfast.Done, holdfast.ReasonNone)
	f.equal("result", string(i.Result), `{"ok":true}`)
	f.near("ended at", i.EndedAt, time.Now())
	f.equal("lease", i.LeaseUntil.IsZero(), true)
	a := f.attempts(d.Job)
	f.equal("attempts", len(a), 1)
	f.equal("outcome", a[0].Outcome, holdfast.OutcomeDone)
	f.equal("attempt has ended", a[0].EndedAt.IsZero(), false)
	c := f.counts(queue)
	f.equal("running, done", []int64{c.Of(holdfast.Running), c.Of(holdfast.Done)}, []int64{0, 1})
	f.none()
}

func finishFailed(f *fixture) {
	d := f.takeNew()
	got := f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", After: time.Hour})
	f.equal("answer", []any{got.State, got.Why, got.Last}, []any{holdfast.Scheduled, holdfast.ReasonRetry, false})
	i := f.state(d.Job, holdfast.Scheduled, holdfast.ReasonRetry)
	f.equal("answer's run at is the job's", got.RunAt.Equal(i.RunAt), true)
	f.near("run at", i.RunAt, time.Now().Add(time.Hour))
	f.equal("failures, error", []any{i.Failures, i.Error}, []any{1, "no luck"})
	a := f.attempts(d.Job)
	f.equal("attempt", []any{a[0].Outcome, a[0].Error}, []any{holdfast.OutcomeFailed, "no luck"})
	f.none()
	f.Shift(gap + time.Hour)
	d = f.take()
	f.equal("next attempt", []any{d.Info.Attempt, d.Info.Failures, d.Info.Error}, []any{2, 1, "no luck"})
}

func finishFailedAtOnce(f *fixture) {
	d := f.takeNew()
	got := f.fail(d, false)
	f.equal("answer", []any{got.State, got.Why, got.Last}, []any{holdfast.Waiting, holdfast.ReasonRetry, false})
	f.state(d.Job, holdfast.Waiting, holdfast.ReasonRetry)
	f.take()
}

// failUntilEnd fails the job again and again and says how many attempts it had.
func (f *fixture) failUntilEnd(id holdfast.ID, most int) int {
	f.Helper()
	for n := 1; n <= holdfast.MaxAttemptsBound; n++ {
		got := f.finished(holdfast.Outcome{Lease: f.take().Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", MaxAttempts: most})
		f.equal("last", got.Last, got.State == holdfast.Failed)
		if got.Last {
			f.equal("why", got.Why, holdfast.ReasonExhausted)
			i := f.state(id, holdfast.Failed, holdfast.ReasonExhausted)
			f.equal("failures", i.Failures, n)
			f.equal("it has ended", i.EndedAt.IsZero(), false)
			f.none()
			return n
		}
	}
	f.Fatal("it never ended")
	return 0
}

func finishOwnMaxAttempts(f *fixture) {
	f.equal("attempts", f.failUntilEnd(f.putOne(func(n *holdfast.NewJob) { n.MaxAttempts = 2 }), 5), 2)
	f.equal("attempts", f.failUntilEnd(f.putOne(func(n *holdfast.NewJob) { n.MaxAttempts = 4 }), 1), 4)
}

func finishConsumersMaxAttempts(f *fixture) {
	f.equal("attempts", f.failUntilEnd(f.putOne(nil), 3), 3)
	f.equal("attempts", f.failUntilEnd(f.putOne(nil), 1), 1)
}

func finishDefaultMaxAttempts(f *fixture) {
	f.equal("attempts", f.failUntilEnd(f.putOne(nil), 0), 20)
}

func finishFinal(f *fixture) {
	d := f.takeNew()
	got := f.fail(d, true)
	f.equal("answer", got, holdfast.Finished{State: holdfast.Failed, Why: holdfast.ReasonPermanent, Last: true})
	i := f.state(d.Job, holdfast.Failed, holdfast.ReasonPermanent)
	f.equal("failures, error", []any{i.Failures, i.Error}, []any{1, "no luck"})
	f.none()
}

func finishCause(f *fixture) {
	cause := func(text string) uint64 {
		d := f.takeNew()
		f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Final: true, Error: text})
		return f.show(d.Job).Cause
	}
	a, b, c := cause("user 48151623 not found"), cause("user 42108154 not found"), cause("disk full")
	f.equal("same", a == b && a != 0, true)
	f.equal("different", a != c, true)
	f.equal("it is the one of the root package", c, holdfast.CauseOf(queue, "disk full"))
}

func finishReleased(f *fixture) {
	d := f.takeNew()
	got := f.release(d)
	f.equal("answer", []any{got.State, got.Why, got.Last}, []any{holdfast.Waiting, holdfast.ReasonReleased, false})
	i := f.state(d.Job, holdfast.Waiting, holdfast.ReasonReleased)
	f.equal("failures, deaths", []int{i.Failures, i.Deaths}, []int{0, 0})
	f.equal("attempt", f.attempts(d.Job)[0].Outcome, holdfast.OutcomeReleased)
	for range 30 { // more often than there are attempts
		f.release(f.take())
	}
	f.equal("failures", f.show(d.Job).Failures, 0)
}

func finishReleasedKeepsPlace(f *fixture) {
	ids := f.put(jobs(3, nil)...)
	f.Shift(time.Second)
	f.release(f.take())
	f.equal("first again", f.take().Job, ids[0])
}

func finishReleasedDelay(f *fixture) {
	d := f.takeNew()
	got := f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeReleased, After: time.Hour})
	f.equal("answer", []any{got.State, got.Why, got.Last}, []any{holdfast.Scheduled, holdfast.ReasonReleased, false})
	i := f.state(d.Job, holdfast.Scheduled, holdfast.ReasonReleased)
	f.near("run at", i.RunAt, time.Now().Add(time.Hour))
	f.none()
	f.Shift(gap + time.Hour)
	f.equal("after the delay", f.take().Job, d.Job)
}

func finishUnrun(f *fixture) {
	d := f.takeNew()
	f.fail(d, false)
	d = f.take()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeReleased, Unrun: true})
	i := f.state(d.Job, holdfast.Waiting, holdfast.ReasonReleased)
	f.equal("fence, attempt, failures", []any{i.Fence, i.Attempt, i.Failures}, []any{int64(2), 1, 1})
	f.equal("attempts", len(f.attempts(d.Job)), 1)
	f.is("the holder", f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone}).Err, holdfast.ErrLeaseLost)
	d = f.take()
	f.equal("fence, attempt", []any{d.Fence, d.Info.Attempt}, []any{int64(3), 2})
	f.done(d)
	a := f.attempts(d.Job)
	f.equal("attempts", []any{len(a), a[0].Outcome, a[1].N, a[1].Outcome}, []any{2, holdfast.OutcomeFailed, 2, holdfast.OutcomeDone})
}

// finishStale lets a holder lose its job in each way there is, and then report.
func finishStale(f *fixture) {
	ways := map[string]func(d holdfast.Delivery){
		"it was released": func(d holdfast.Delivery) { f.release(d) },
		"it was released for later": func(d holdfast.Delivery) {
			f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeReleased, After: time.Hour})
		},
		"it had failed":     func(d holdfast.Delivery) { f.fail(d, false) },
		"its lease ended":   func(holdfast.Delivery) { f.Shift(gap); f.sweep(holdfast.Sweep{}) },
		"its consumer died": func(holdfast.Delivery) { f.die(f.consumer) },
		"a person retried it": func(d holdfast.Delivery) {
			f.fail(d, true)
			f.act(holdfast.ActionRetry, d.Job)
		},
		"another holds it": func(holdfast.Delivery) {
			f.Shift(gap)
			f.sweep(holdfast.Sweep{})
			f.takeBy(holdfast.NewID())
		},
		"a person retried it and another holds it": func(d holdfast.Delivery) {
			f.fail(d, true)
			f.act(holdfast.ActionRetry, d.Job)
			f.takeBy(holdfast.NewID())
		},
		"another has failed it": func(holdfast.Delivery) {
			f.Shift(gap)
			f.sweep(holdfast.Sweep{})
			f.fail(f.take(), false)
		},
		"it was deleted": func(d holdfast.Delivery) {
			f.release(d)
			f.act(holdfast.ActionDelete, d.Job)
		},
	}
	for way, lose := range ways {
		d := f.takeNew()
		lose(d)
		before, _, errBefore := f.Store.Show(f.ctx, d.Job)
		f.is(way+": done", f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, New: jobs(1, nil)}).Err, holdfast.ErrLeaseLost)
		f.is(way+": extend", f.extend(holdfast.Beat{Lease: d.Lease, Log: []byte("late"), Progress: 1}).Err, holdfast.ErrLeaseLost)
		after, _, errAfter := f.Store.Show(f.ctx, d.Job)
		f.equal(way+": the job", after, before)
		f.is(way+": found", errAfter, errBefore)
		f.amend(holdfast.Amend{Action: holdfast.ActionCancel}) // nothing of it for the next way
		f.die(f.consumer)
	}
	d := f.takeNew()
	for what, l := range map[string]holdfast.Lease{
		"a fence of the future": {Job: d.Job, Fence: d.Fence + 1},
		"no fence":              {Job: d.Job},
		"an unknown job":        {Job: holdfast.NewID(), Fence: 1},
	} {
		for _, kind := range []holdfast.OutcomeKind{holdfast.OutcomeDone, holdfast.OutcomeFailed, holdfast.OutcomeReleased} {
			f.is(what, f.finish(holdfast.Outcome{Lease: l, Kind: kind}).Err, holdfast.ErrLeaseLost)
		}
	}
	f.done(d)
}

func finishEnded(f *fixture) {
	d := f.takeNew()
	f.done(d)
	for _, kind := range []holdfast.OutcomeKind{holdfast.OutcomeFailed, holdfast.OutcomeReleased} {
		f.is(kind.String(), f.finish(holdfast.Outcome{Lease: d.Lease, Kind: kind, Error: "late"}).Err, holdfast.ErrLeaseLost)
	}
	f.is("extend", f.extend(holdfast.Beat{Lease: d.Lease}).Err, holdfast.ErrLeaseLost)
	f.state(d.Job, holdfast.Done, holdfast.ReasonNone)

	d = f.takeNew()
	f.fail(d, true)
	f.is("done after failed", f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone}).Err, holdfast.ErrLeaseLost)
	f.state(d.Job, holdfast.Failed, holdfast.ReasonPermanent)
}

func finishRepeats(f *fixture) {
	for what, o := range map[string]holdfast.Outcome{
		"done":                       {Kind: holdfast.OutcomeDone, Result: []byte("1"), New: jobs(1, func(n *holdfast.NewJob) { n.Queue = "fruit" })},
		"failed":                     {Kind: holdfast.OutcomeFailed, Error: "no luck", After: time.Hour},
		"failed for good":            {Kind: holdfast.OutcomeFailed, Error: "no luck", Final: true},
		"released":                   {Kind: holdfast.OutcomeReleased, After: time.Hour},
		"released before it started": {Kind: holdfast.OutcomeReleased, After: time.Hour, Unrun: true},
	} {
		o.Lease = f.takeNew().Lease
		first := f.finished(o)
		before := f.show(o.Lease.Job)
		again := f.finished(o)
		f.equal(what+": answer", again, first)
		f.equal(what+": the job", f.show(o.Lease.Job), before)
	}
	f.equal("new jobs", f.counts("fruit").Of(holdfast.Waiting), int64(1))
}

func finishLate(f *fixture) {
	d := f.takeNew()
	f.Shift(gap)
	f.done(d)
	f.sweep(holdfast.Sweep{})
	f.state(d.Job, holdfast.Done, holdfast.ReasonNone)

	d = f.takeNew()
	f.Shift(gap)
	f.must("a late heartbeat", f.extend(holdfast.Beat{Lease: d.Lease}).Err)
	f.sweep(holdfast.Sweep{})
	f.state(d.Job, holdfast.Running, holdfast.ReasonNone)
}

func finishNew(f *fixture) {
	d := f.takeNew()
	fruits := jobs(3, func(n *holdfast.NewJob) { n.Queue, n.Parent, n.Priority = "fruit", d.Job, 2 })
	fruits[2].After = time.Hour
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, New: fruits})
	c := f.counts("fruit")
	f.equal("waiting, scheduled", []int64{c.Of(holdfast.Waiting), c.Of(holdfast.Scheduled)}, []int64{2, 1})
	i := f.show(fruits[0].ID)
	f.equal("fruit", []any{i.Parent, i.Priority}, []any{d.Job, 2})
	f.equal("taken in order", f.claim(holdfast.Claim{Queues: []string{"fruit"}})[0].Job, fruits[0].ID)
}

func finishNewRefused(f *fixture) {
	key := func(n *holdfast.NewJob) { n.Queue, n.UniqueKey, n.OnDuplicate = "fruit", "key", holdfast.Refuse }
	f.putOne(key)
	d := f.takeNew()
	before := f.show(d.Job)
	fruits := []holdfast.NewJob{job(func(n *holdfast.NewJob) { n.Queue = "fruit" }), job(key)}
	got := f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Result: []byte("1"), New: fruits, Log: []byte("x")})
	f.is("answer", got.Err, holdfast.ErrDuplicate)
	f.equal("the job", f.show(d.Job), before)
	f.equal("fruits", f.counts("fruit").Of(holdfast.Waiting), int64(1))
	f.equal("attempt", f.attempts(d.Job)[0].Outcome, holdfast.OutcomeNone)
	f.fail(d, false) // its holder still holds it
}

func finishNewOwnKey(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse }
	id := f.putOne(key)
	next := job(key)
	f.finished(holdfast.Outcome{Lease: f.take().Lease, Kind: holdfast.OutcomeDone, New: []holdfast.NewJob{next}})
	f.state(id, holdfast.Done, holdfast.ReasonNone)
	f.state(next.ID, holdfast.Waiting, holdfast.ReasonNone)
	f.equal("the key is the successor's", f.insert(job(func(n *holdfast.NewJob) { n.UniqueKey = "key" }))[0].ID, next.ID)
}

func finishNewOnlyDone(f *fixture) {
	for _, kind := range []holdfast.OutcomeKind{holdfast.OutcomeFailed, holdfast.OutcomeReleased} {
		f.finished(holdfast.Outcome{Lease: f.takeNew().Lease, Kind: kind, New: jobs(1, nil), Final: true})
		f.act(holdfast.ActionDelete, f.all(holdfast.Filter{})[0].ID)
		f.equal("jobs", f.total(), int64(0))
	}
}

func finishNewMany(f *fixture) {
	d := f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, New: jobs(holdfast.MaxProduced, nil)})
	f.equal("waiting", f.counts(queue).Of(holdfast.Waiting), int64(holdfast.MaxProduced))
}

func finishMany(f *fixture) {
	f.put(jobs(1000, nil)...)
	var outcomes []holdfast.Outcome
	for _, d := range f.claim(holdfast.Claim{N: 1000}) {
		outcomes = append(outcomes, holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone})
	}
	answers, err := f.Store.Finish(f.ctx, outcomes)
	f.must("finish", err)
	for _, a := range answers {
		f.must("finish", a.Err)
	}
	f.equal("done", f.counts(queue).States, [6]int64{holdfast.Done: 1000})
}

// all lists the jobs that a filter names, newest first, without their data.
func (f *fixture) all(filter holdfast.Filter) []holdfast.Info {
	f.Helper()
	page, err := f.Store.List(f.ctx, holdfast.List{Filter: filter})
	f.must("list", err)
	return page.Jobs
}

func finishBatch(f *fixture) {
	f.put(jobs(3, nil)...)
	d := f.claim(holdfast.Claim{N: 3})
	stale := d[1].Lease
	stale.Fence++
	answers, err := f.Store.Finish(f.ctx, []holdfast.Outcome{
		{Lease: d[0].Lease, Kind: holdfast.OutcomeDone},
		{Lease: stale, Kind: holdfast.OutcomeDone},
		{Lease: d[2].Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", Final: true},
	})
	f.must("finish", err)
	f.is("first", answers[0].Err, nil)
	f.is("stale", answers[1].Err, holdfast.ErrLeaseLost)
	f.is("third", answers[2].Err, nil)
	f.state(d[0].Job, holdfast.Done, holdfast.ReasonNone)
	f.state(d[1].Job, holdfast.Running, holdfast.ReasonNone)
	f.state(d[2].Job, holdfast.Failed, holdfast.ReasonPermanent)
}

func finishTwice(f *fixture) {
	d := f.takeNew()
	answers, err := f.Store.Finish(f.ctx, []holdfast.Outcome{
		{Lease: d.Lease, Kind: holdfast.OutcomeDone},
		{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", Final: true},
		{Lease: d.Lease, Kind: holdfast.OutcomeDone},
	})
	f.must("finish", err)
	f.is("first", answers[0].Err, nil)
	f.is("another", answers[1].Err, holdfast.ErrLeaseLost)
	f.is("the first again", answers[2].Err, nil)
	f.state(d.Job, holdfast.Done, holdfast.ReasonNone)
	f.equal("attempts", len(f.attempts(d.Job)), 1)
}

func finishCancelled(f *fixture) {
	for what, o := range map[string]holdfast.Outcome{
		"failed":                     {Kind: holdfast.OutcomeFailed, Error: "cancelled", After: time.Hour},
		"failed for good":            {Kind: holdfast.OutcomeFailed, Error: "cancelled", Final: true},
		"released":                   {Kind: holdfast.OutcomeReleased, After: time.Hour},
		"released before it started": {Kind: holdfast.OutcomeReleased, Unrun: true},
	} {
		d := f.takeNew()
		f.act(holdfast.ActionCancel, d.Job)
		o.Lease = d.Lease
		f.equal(what, f.finished(o), holdfast.Finished{State: holdfast.Cancelled, Why: holdfast.ReasonRequested, Last: true})
		i := f.state(d.Job, holdfast.Cancelled, holdfast.ReasonRequested)
		f.equal(what+": it has ended", i.EndedAt.IsZero(), false)
	}
}

func finishCancelledDone(f *fixture) {
	d := f.takeNew()
	f.act(holdfast.ActionCancel, d.Job)
	f.equal("answer", f.done(d).State, holdfast.Done)
	f.state(d.Job, holdfast.Done, holdfast.ReasonNone)
}

func finishLog(f *fixture) {
	d := f.takeNew()
	f.extend(holdfast.Beat{Lease: d.Lease, Log: []byte("one\n")})
	f.extend(holdfast.Beat{Lease: d.Lease})
	f.extend(holdfast.Beat{Lease: d.Lease, Log: []byte("two\n")})
	f.equal("while it runs", string(f.attempts(d.Job)[0].Log), "one\ntwo\n")
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Log: []byte("three\n")})
	d = f.take()
	long := []byte(strings.Repeat("0123456789abcde\n", holdfast.MaxLogBytes/16))
	f.extend(holdfast.Beat{Lease: d.Lease, Log: []byte("gone")})
	f.extend(holdfast.Beat{Lease: d.Lease, Log: long})
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Log: []byte("end\n")})
	a := f.attempts(d.Job)
	f.equal("attempts", len(a), 2)
	f.equal("first", string(a[0].Log), "one\ntwo\nthree\n")
	f.equal("length of the second", len(a[1].Log), holdfast.MaxLogBytes)
	f.equal("its end", bytes.HasSuffix(a[1].Log, []byte("abcde\nend\n")), true)
}

func finishTimes(f *fixture) {
	id := f.putOne(nil)
	f.Shift(10 * time.Minute)
	d := f.take()
	f.equal("waited since its put", d.Info.Waited.Round(time.Minute), 10*time.Minute)
	f.Shift(30 * time.Second)
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Took: 20 * time.Second})
	i := f.show(id)
	f.equal("took", i.Took.Round(time.Second), 20*time.Second)
	f.equal("attempt took", f.attempts(id)[0].Took.Round(time.Second), 20*time.Second)
	f.equal("waited until the handler's start", i.Waited >= 10*time.Minute+9*time.Second && i.Waited < 11*time.Minute, true)

	f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	f.Shift(80 * time.Minute)
	f.equal("waited since it was due", f.take().Info.Waited.Round(time.Minute), 20*time.Minute)
}

func finishAttached(f *fixture) {
	d := f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Final: true, Attached: true, Result: []byte("in/a.failed")})
	i := f.state(d.Job, holdfast.Failed, holdfast.ReasonPermanent)
	f.equal("attached, result", []any{i.Attached, string(i.Result)}, []any{true, "in/a.failed"})
	f.act(holdfast.ActionRetry, d.Job)
	d = f.take()
	f.equal("after a retry its holder knows of the file", []any{d.Info.Attached, string(d.Info.Result)}, []any{true, "in/a.failed"})
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone})
	i = f.show(d.Job)
	f.equal("done: attached, result", []any{i.Attached, len(i.Result)}, []any{false, 0})

	d = f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Attached: true, Result: []byte("x"), After: time.Hour})
	f.equal("not while it has attempts left", f.show(d.Job).Attached, false)
}
