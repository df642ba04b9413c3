package storetest

import (
	"time"

	"github.com/holdfastq/holdfast"
)

var purgePromises = []promise{
	{"each ended state has its own age", purgeAges},
	{"an ended job is kept at least ten minutes", purgeMinKept},
	{"forever is forever", purgeForever},
	{"a queue can have its own retention", purgeQueues},
	{"the oldest go first when there are too many", purgeTooMany},
	{"what has not ended is never touched", purgeOnlyEnded},
	{"jobs with a file are left to who knows it", purgeAttached},
	{"a purge is bounded and says that there is more", purgeLimit},
	{"figures outlive their jobs", purgeKeepsFigures},
	{"figures are kept for a month", purgeOldFigures},
	{"a purged job is gone whole", purgeWhole},
}

func (f *fixture) purge(p holdfast.Purge) holdfast.Purged {
	f.Helper()
	if p.Limit == 0 {
		p.Limit = 1000
	}
	purged, err := f.Store.Purge(f.ctx, p)
	f.must("purge", err)
	return purged
}

// keep is a retention with one age for all states.
func keep(age time.Duration) holdfast.Retention {
	return holdfast.Retention{Done: age, Failed: age, Cancelled: age}
}

// endings makes a job of each ended state.
func (f *fixture) endings() (done, failed, cancelled holdfast.ID) {
	f.Helper()
	d := f.takeNew()
	f.done(d)
	done = d.Job
	d = f.takeNew()
	f.fail(d, true)
	failed = d.Job
	cancelled = f.putOne(nil)
	f.act(holdfast.ActionCancel, cancelled)
	return done, failed, cancelled
}

func (f *fixture) gone(id holdfast.ID) bool {
	f.Helper()
	_, _, err := f.Store.Show(f.ctx, id)
	if err != nil {
		f.is("show", err, holdfast.ErrNotFound)
	}
	return err != nil
}

func purgeAges(f *fixture) {
	done, failed, cancelled := f.endings()
	p := holdfast.Purge{Keep: holdfast.Retention{Done: time.Hour, Cancelled: 2 * time.Hour, Failed: 3 * time.Hour}}
	f.equal("at once", f.purge(p), holdfast.Purged{})
	for hour, id := range []holdfast.ID{done, cancelled, failed} {
		f.Shift(time.Hour + time.Minute)
		f.equal("purged", f.purge(p), holdfast.Purged{Jobs: 1})
		f.equal("the right one", f.gone(id), true)
		f.equal("left", f.total(), int64(2-hour))
	}
}

func purgeMinKept(f *fixture) {
	d := f.takeNew()
	f.done(d)
	f.Shift(holdfast.MinKept - time.Minute)
	f.equal("before", f.purge(holdfast.Purge{}), holdfast.Purged{})
	f.is("its answer can be repeated", f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone}).Err, nil)
	f.Shift(2 * time.Minute)
	f.equal("after", f.purge(holdfast.Purge{}), holdfast.Purged{Jobs: 1})
}

func purgeForever(f *fixture) {
	f.endings()
	f.Shift(10 * 365 * 24 * time.Hour)
	f.equal("purged", f.purge(holdfast.Purge{Keep: keep(holdfast.Forever)}), holdfast.Purged{})
}

func purgeQueues(f *fixture) {
	f.done(f.takeNew())
	f.putOne(func(n *holdfast.NewJob) { n.Queue = "short" })
	short := f.claim(holdfast.Claim{Queues: []string{"short"}})[0]
	f.done(short)
	f.Shift(2 * time.Hour)
	p := holdfast.Purge{Keep: keep(24 * time.Hour), Queues: map[string]holdfast.Retention{"short": keep(time.Hour)}}
	f.equal("purged", f.purge(p), holdfast.Purged{Jobs: 1})
	f.equal("of the queue", f.gone(short.Job), true)
	p = holdfast.Purge{Keep: keep(time.Hour), Queues: map[string]holdfast.Retention{queue: keep(holdfast.Forever)}}
	f.equal("purged", f.purge(p), holdfast.Purged{})
}

func purgeTooMany(f *fixture) {
	var ids []holdfast.ID
	for n := range 6 {
		d := f.takeNew()
		if n%2 == 0 {
			f.done(d)
		} else {
			f.fail(d, true)
		}
		ids = append(ids, d.Job)
		f.Shift(time.Minute)
	}
	r := keep(holdfast.Forever)
	r.Jobs = 4
	f.equal("too young", f.purge(holdfast.Purge{Keep: r}), holdfast.Purged{})
	f.Shift(holdfast.MinKept)
	f.equal("purged", f.purge(holdfast.Purge{Keep: r}), holdfast.Purged{Jobs: 2})
	for n, id := range ids {
		f.equal("gone", f.gone(id), n < 2)
	}
	f.equal("again", f.purge(holdfast.Purge{Keep: r}), holdfast.Purged{})
}

func purgeOnlyEnded(f *fixture) {
	scheduled := f.putOne(func(n *holdfast.NewJob) { n.After = 1000 * time.Hour })
	d := f.takeNew()
	waiting := f.putOne(nil)
	f.Shift(500 * time.Hour)
	f.equal("purged", f.purge(holdfast.Purge{Keep: holdfast.Retention{Jobs: 1}}), holdfast.Purged{})
	f.state(scheduled, holdfast.Scheduled, holdfast.ReasonNone)
	f.state(d.Job, holdfast.Running, holdfast.ReasonNone)
	f.state(waiting, holdfast.Waiting, holdfast.ReasonNone)
}

func purgeAttached(f *fixture) {
	d := f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Final: true, Attached: true, Result: []byte("a.failed")})
	f.Shift(time.Hour)
	f.equal("purged", f.purge(holdfast.Purge{}), holdfast.Purged{})
	f.equal("found by its file", f.all(holdfast.Filter{Attached: true})[0].ID, d.Job)
	f.act(holdfast.ActionDelete, d.Job)
	f.equal("gone", f.gone(d.Job), true)
}

func purgeLimit(f *fixture) {
	f.put(jobs(25, nil)...)
	for _, d := range f.claim(holdfast.Claim{N: 25}) {
		f.done(d)
	}
	f.Shift(time.Hour)
	n := 0
	for more := true; more; {
		p := f.purge(holdfast.Purge{Limit: 10})
		if p.Jobs > 10 || p.More && p.Jobs == 0 {
			f.Fatalf("purged %+v with limit 10", p)
		}
		n += p.Jobs
		more = p.More
	}
	f.equal("in all", n, 25)
	f.equal("left", f.total(), int64(0))
}

func purgeKeepsFigures(f *fixture) {
	f.endings()
	before := f.figures()
	f.Shift(holdfast.MinKept + time.Minute)
	f.equal("purged", f.purge(holdfast.Purge{}), holdfast.Purged{Jobs: 3})
	f.equal("figures", f.figures(), before)
}

func purgeOldFigures(f *fixture) {
	f.endings()
	f.Shift(holdfast.KeepStats - time.Hour)
	f.purge(holdfast.Purge{Keep: keep(holdfast.Forever)})
	f.equal("within the month, jobs that ended", f.figures()[4], int64(3))
	f.Shift(2 * time.Hour)
	f.purge(holdfast.Purge{Keep: keep(holdfast.Forever)})
	f.equal("figures after a month", f.figures(), [6]int64{})
}

func purgeWhole(f *fixture) {
	id := f.putOne(func(n *holdfast.NewJob) { n.Data = make([]byte, 10_000) })
	f.fail(f.take(), false)
	d := f.take()
	f.extend(holdfast.Beat{Lease: d.Lease, Log: []byte("a line\n")})
	f.done(d)
	f.Shift(time.Hour)
	f.purge(holdfast.Purge{})
	f.equal("gone", f.gone(id), true)
	f.equal("listed", len(f.all(holdfast.Filter{})), 0)
	f.put(holdfast.NewJob{ID: id, Queue: queue}) // an id that is gone is free
	f.equal("nothing of the old one", len(f.attempts(id)), 0)
}
