package storetest

import (
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

var sweepPromises = []promise{
	{"what is due waits", sweepDue},
	{"an ended lease gives the job back", sweepEnded},
	{"a running lease is left alone", sweepLeavesRunning},
	{"a dead consumer's jobs are given back at once", sweepDead},
	{"the job given back keeps its place", sweepKeepsPlace},
	{"sweeping again does nothing", sweepTwice},
	{"a sweep within Every is skipped", sweepEvery},
	{"after a gap without a sweep every process gets one more lease", sweepGrace},
	{"grace does not help the dead", sweepGraceDead},
	{"a lease of no process ends by time alone", sweepUnattended},
	{"a sweep is bounded and says that there is more", sweepLimit},
	{"healthy leases do not hide an ended one", sweepManyHealthy},
	{"a cancel request makes a lost job cancelled", sweepCancelled},
	{"what passed its start-by time is cancelled", sweepTooLate},
	{"a job running past its start-by time is left alone", sweepStartedInTime},
	{"the first deaths are not the job's fault", sweepDeaths},
	{"a suspect whose handler had not started has not crashed", sweepNotStarted},
	{"at the third crash the job is set aside", sweepCrashes},
	{"the neighbours of a suspect have not crashed", sweepNeighbours},
	{"an unattended suspect counts as started", sweepUnattendedSuspect},
	{"the dead consumer's own bound of crashes counts", sweepOwnMaxCrashes},
	{"without a bound of crashes nothing is set aside", sweepNoMaxCrashes},
	{"release and failure are no deaths", sweepNoDeaths},
	{"a retry forgets deaths and crashes", sweepRetryForgets},
}

func sweepDue(f *fixture) {
	soon := f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	later := f.putOne(func(n *holdfast.NewJob) { n.After = 3 * time.Hour })
	f.Shift(2 * time.Hour)
	f.equal("swept", f.sweep(holdfast.Sweep{}), holdfast.Swept{Due: 1})
	f.state(soon, holdfast.Waiting, holdfast.ReasonNone)
	f.state(later, holdfast.Scheduled, holdfast.ReasonNone)
	c := f.counts(queue)
	f.equal("scheduled, waiting", []int64{c.Of(holdfast.Scheduled), c.Of(holdfast.Waiting)}, []int64{1, 1})
}

func sweepEnded(f *fixture) {
	d := f.takeNew()
	f.Shift(gap)
	f.equal("swept", f.sweep(holdfast.Sweep{}), holdfast.Swept{Returned: 1})
	i := f.state(d.Job, holdfast.Waiting, holdfast.ReasonSwept)
	f.equal("failures, deaths", []int{i.Failures, i.Deaths}, []int{0, 1})
	f.equal("lease", i.LeaseUntil.IsZero(), true)
	a := f.attempts(d.Job)[0]
	f.equal("attempt", []any{a.Outcome, a.EndedAt.IsZero()}, []any{holdfast.OutcomeLost, false})
	f.is("the old holder", f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone}).Err, holdfast.ErrLeaseLost)
	f.equal("taken again", f.take().Lease, holdfast.Lease{Job: d.Job, Fence: 2})
}

func sweepLeavesRunning(f *fixture) {
	d := f.takeNew()
	f.Shift(lease - 10*time.Second)
	f.equal("swept", f.sweep(holdfast.Sweep{Dead: []holdfast.ID{holdfast.NewID()}}), holdfast.Swept{})
	f.done(d)
}

func sweepDead(f *fixture) {
	f.put(jobs(4, nil)...)
	dead, alive := holdfast.NewID(), holdfast.NewID()
	lost := f.claim(holdfast.Claim{Consumer: dead, N: 2})
	kept := f.claim(holdfast.Claim{Consumer: alive, N: 2})
	f.equal("swept", f.die(dead), holdfast.Swept{Returned: 2})
	for _, d := range lost {
		i := f.state(d.Job, holdfast.Waiting, holdfast.ReasonSwept)
		f.equal("deaths", i.Deaths, 1)
		f.equal("attempt", f.attempts(d.Job)[0].Outcome, holdfast.OutcomeDied)
	}
	for _, d := range kept {
		f.done(d)
	}
}

func sweepKeepsPlace(f *fixture) {
	ids := f.put(jobs(3, nil)...)
	f.Shift(time.Second)
	f.take()
	f.die(f.consumer)
	f.equal("first again", f.take().Job, ids[0])
}

func sweepTwice(f *fixture) {
	d := f.takeNew()
	f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	f.Shift(2 * time.Hour)
	f.equal("first", f.sweep(holdfast.Sweep{}), holdfast.Swept{Due: 1, Returned: 1})
	before := f.show(d.Job)
	f.equal("second", f.sweep(holdfast.Sweep{}), holdfast.Swept{})
	f.equal("the job", f.show(d.Job), before)
}

func sweepEvery(f *fixture) {
	every := holdfast.Sweep{Every: 10 * time.Minute}
	f.sweep(holdfast.Sweep{})
	f.takeNew()
	f.Shift(gap)
	f.equal("within", f.sweep(every), holdfast.Swept{Skipped: true})
	f.Shift(9 * time.Minute)
	f.equal("after", f.sweep(every), holdfast.Swept{Returned: 1})
	f.equal("within again", f.sweep(every), holdfast.Swept{Skipped: true})
}

func sweepGrace(f *fixture) {
	f.sweep(holdfast.Sweep{})
	d := f.takeNew()
	f.Shift(gap)
	f.equal("after the gap", f.sweep(holdfast.Sweep{Lease: lease}), holdfast.Swept{Graced: true})
	i := f.state(d.Job, holdfast.Running, holdfast.ReasonNone)
	f.near("lease until", i.LeaseUntil, time.Now().Add(lease))
	for range 4 { // nobody beats: four steps of a quarter of a lease are no gap
		f.Shift(lease / 4)
		f.equal("no gap", f.sweep(holdfast.Sweep{Lease: lease}).Graced, false)
	}
	f.state(d.Job, holdfast.Waiting, holdfast.ReasonSwept)
}

func sweepGraceDead(f *fixture) {
	f.sweep(holdfast.Sweep{})
	f.put(jobs(2, nil)...)
	dead, silent := holdfast.NewID(), holdfast.NewID()
	lost, kept := f.takeBy(dead), f.takeBy(silent)
	f.Shift(gap)
	f.equal("swept", f.sweep(holdfast.Sweep{Lease: lease, Dead: []holdfast.ID{dead}}), holdfast.Swept{Graced: true, Returned: 1})
	f.state(lost.Job, holdfast.Waiting, holdfast.ReasonSwept)
	f.state(kept.Job, holdfast.Running, holdfast.ReasonNone)
}

func sweepUnattended(f *fixture) {
	f.sweep(holdfast.Sweep{})
	f.put(jobs(2, nil)...)
	consumer := holdfast.NewID()
	a := f.claim(holdfast.Claim{Consumer: consumer, Unattended: true})[0]
	b := f.claim(holdfast.Claim{Unattended: true})[0]
	f.Shift(lease / 2)
	f.equal("before the end", f.sweep(holdfast.Sweep{Lease: lease}).Returned, 0)
	f.Shift(gap)
	f.equal("after it", f.sweep(holdfast.Sweep{Lease: lease}), holdfast.Swept{Graced: true, Returned: 2})
	f.state(a.Job, holdfast.Waiting, holdfast.ReasonSwept)
	f.state(b.Job, holdfast.Waiting, holdfast.ReasonSwept)
}

func sweepLimit(f *fixture) {
	f.put(jobs(25, nil)...)
	f.claim(holdfast.Claim{N: 25})
	f.put(jobs(15, func(n *holdfast.NewJob) { n.After = time.Minute })...)
	f.Shift(gap)
	var sum holdfast.Swept
	for more, n := true, 0; more; n++ {
		s := f.sweep(holdfast.Sweep{Limit: 10})
		if s.Due > 10 || s.Returned > 10 {
			f.Fatalf("over the limit: %+v", s)
		}
		sum.Due += s.Due
		sum.Returned += s.Returned
		if more = s.More; n > 20 {
			f.Fatal("it never ends")
		}
	}
	f.equal("in all", sum, holdfast.Swept{Due: 15, Returned: 25})
	f.equal("waiting", f.counts(queue).Of(holdfast.Waiting), int64(40))
}

func sweepManyHealthy(f *fixture) {
	f.put(jobs(201, nil)...)
	healthy := f.claim(holdfast.Claim{N: 200, Lease: time.Hour})
	ended := f.take()
	f.Shift(gap)
	f.equal("swept", f.sweep(holdfast.Sweep{Limit: 10}), holdfast.Swept{Returned: 1})
	f.state(ended.Job, holdfast.Waiting, holdfast.ReasonSwept)
	f.state(healthy[0].Job, holdfast.Running, holdfast.ReasonNone)
}

func sweepCancelled(f *fixture) {
	f.put(jobs(2, nil)...)
	dead := holdfast.NewID()
	a, b := f.takeBy(dead), f.take()
	f.act(holdfast.ActionCancel, a.Job, b.Job)
	f.equal("death", f.die(dead), holdfast.Swept{Cancelled: 1})
	f.Shift(gap)
	f.equal("end of the lease", f.sweep(holdfast.Sweep{}), holdfast.Swept{Cancelled: 1})
	for _, d := range []holdfast.Delivery{a, b} {
		f.state(d.Job, holdfast.Cancelled, holdfast.ReasonRequested)
		f.is("its holder", f.finish(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone}).Err, holdfast.ErrLeaseLost)
	}
}

func sweepTooLate(f *fixture) {
	by := func(after time.Duration) func(*holdfast.NewJob) {
		return func(n *holdfast.NewJob) { n.StartBy, n.After = time.Now().Add(time.Hour), after }
	}
	waiting, scheduled, timely := f.putOne(by(0)), f.putOne(by(5*time.Hour)), f.putOne(nil)
	f.Shift(2 * time.Hour)
	f.equal("swept", f.sweep(holdfast.Sweep{}), holdfast.Swept{Cancelled: 2})
	f.state(waiting, holdfast.Cancelled, holdfast.ReasonTooLate)
	f.state(scheduled, holdfast.Cancelled, holdfast.ReasonTooLate)
	f.state(timely, holdfast.Waiting, holdfast.ReasonNone)
}

func sweepStartedInTime(f *fixture) {
	f.putOne(func(n *holdfast.NewJob) { n.StartBy = time.Now().Add(time.Hour) })
	d := f.claim(holdfast.Claim{Lease: 5 * time.Hour})[0]
	f.Shift(2 * time.Hour)
	f.equal("swept", f.sweep(holdfast.Sweep{}), holdfast.Swept{})
	f.done(d)
}

func sweepDeaths(f *fixture) {
	id := f.putOne(nil)
	for n := 1; n <= 2; n++ {
		consumer := holdfast.NewID()
		f.start(f.takeBy(consumer))
		f.equal("swept", f.sweep(holdfast.Sweep{Dead: []holdfast.ID{consumer}, MaxCrashes: 1}), holdfast.Swept{Returned: 1})
		i := f.show(id)
		f.equal("deaths, crashes, failures", []int{i.Deaths, i.Crashes, i.Failures}, []int{n, 0, 0})
		f.equal("suspect", i.Suspect(), n == 2)
	}
}

func sweepNotStarted(f *fixture) {
	id := f.suspect()
	for range 5 {
		f.take()
		f.equal("swept", f.die(f.consumer), holdfast.Swept{Returned: 1})
	}
	i := f.state(id, holdfast.Waiting, holdfast.ReasonSwept)
	f.equal("deaths, crashes", []int{i.Deaths, i.Crashes}, []int{7, 0})
}

func sweepCrashes(f *fixture) {
	id := f.suspect()
	for n := 1; n <= 3; n++ {
		f.start(f.take())
		swept := f.die(f.consumer)
		i := f.show(id)
		f.equal("deaths, crashes", []int{i.Deaths, i.Crashes}, []int{2 + n, n})
		a := f.attempts(id)
		f.equal("attempt", a[len(a)-1].Outcome, holdfast.OutcomeCrashed)
		if n < 3 {
			f.equal("swept", swept, holdfast.Swept{Returned: 1})
		} else {
			f.equal("swept", swept, holdfast.Swept{SetAside: 1})
		}
	}
	i := f.state(id, holdfast.Failed, holdfast.ReasonCrashes)
	f.equal("an error says so", i.Error != "", true)
	f.equal("it has a cause", i.Cause != 0, true)
	f.equal("failures", i.Failures, 0)
	f.equal("it has ended", i.EndedAt.IsZero(), false)
	f.equal("failed", f.counts(queue).Of(holdfast.Failed), int64(1))
	f.none()
}

func sweepNeighbours(f *fixture) {
	id := f.suspect()
	mates := f.put(jobs(5, nil)...)
	for _, d := range f.claim(holdfast.Claim{N: 6, Suspects: 1}) {
		f.start(d)
	}
	f.equal("swept", f.die(f.consumer), holdfast.Swept{Returned: 6})
	f.equal("crashes of the suspect", f.show(id).Crashes, 1)
	for _, mate := range mates {
		i := f.show(mate)
		f.equal("deaths, crashes of a neighbour", []int{i.Deaths, i.Crashes}, []int{1, 0})
	}
}

func sweepUnattendedSuspect(f *fixture) {
	id := f.suspect()
	f.claim(holdfast.Claim{Unattended: true, Suspects: 1})
	f.Shift(gap)
	f.equal("swept", f.sweep(holdfast.Sweep{MaxCrashes: 1}), holdfast.Swept{SetAside: 1})
	i := f.state(id, holdfast.Failed, holdfast.ReasonAbandoned) // nobody died that anybody knows of
	f.equal("an error says so", strings.Contains(i.Error, "its lease ended 3 times"), true)
	a := f.attempts(id)
	f.equal("attempt", a[len(a)-1].Outcome, holdfast.OutcomeLost)
	f.equal("its error", a[len(a)-1].Error, i.Error)
}

func sweepOwnMaxCrashes(f *fixture) {
	f.must("record", f.Store.Record(f.ctx, holdfast.Records{Consumers: []holdfast.Consumer{{ID: f.consumer, Name: "strict", MaxCrashes: 1}}}))
	id := f.suspect()
	f.start(f.take())
	f.equal("swept", f.sweep(holdfast.Sweep{Dead: []holdfast.ID{f.consumer}, MaxCrashes: 5}), holdfast.Swept{SetAside: 1})
	f.state(id, holdfast.Failed, holdfast.ReasonCrashes)

	lax := holdfast.NewID()
	f.must("record", f.Store.Record(f.ctx, holdfast.Records{Consumers: []holdfast.Consumer{{ID: lax, Name: "lax", MaxCrashes: 0}}}))
	f.suspect()
	f.start(f.takeBy(lax))
	f.equal("swept", f.sweep(holdfast.Sweep{Dead: []holdfast.ID{lax}, MaxCrashes: 1}), holdfast.Swept{Returned: 1})
}

func sweepNoMaxCrashes(f *fixture) {
	id := f.suspect()
	for range 10 {
		f.start(f.take())
		f.equal("swept", f.sweep(holdfast.Sweep{Dead: []holdfast.ID{f.consumer}}), holdfast.Swept{Returned: 1})
	}
	f.equal("crashes", f.show(id).Crashes, 10)
}

func sweepNoDeaths(f *fixture) {
	d := f.takeNew()
	f.release(d)
	f.fail(f.take(), false)
	f.finished(holdfast.Outcome{Lease: f.take().Lease, Kind: holdfast.OutcomeReleased, Unrun: true})
	f.sweep(holdfast.Sweep{Dead: []holdfast.ID{f.consumer}})
	f.equal("deaths", f.show(d.Job).Deaths, 0)
}

func sweepRetryForgets(f *fixture) {
	id := f.suspect()
	f.start(f.take())
	f.sweep(holdfast.Sweep{Dead: []holdfast.ID{f.consumer}, MaxCrashes: 1})
	f.act(holdfast.ActionRetry, id)
	i := f.state(id, holdfast.Waiting, holdfast.ReasonReopened)
	f.equal("failures, deaths, crashes", []int{i.Failures, i.Deaths, i.Crashes}, []int{0, 0, 0})
	f.equal("no suspect", len(f.claim(holdfast.Claim{})), 1)
}
