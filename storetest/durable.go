package storetest

import (
	"time"

	"github.com/holdfastq/holdfast"
)

var durablePromises = []promise{
	{"everything is there after a restart", durableAll},
	{"a lease goes on after a restart", durableLease},
	{"a claim can be repeated after a restart", durableClaim},
	{"a put can be repeated after a restart", durablePut},
}

// restart closes the store and opens its data again; a store that keeps nothing skips the case aloud.
func (f *fixture) restart() {
	f.Helper()
	if f.Reopen == nil {
		f.Skip("this store keeps nothing beyond its process (Harness.Reopen is nil)")
	}
	f.Store = f.Reopen(f.T)
}

// picture is everything that a store tells.
type picture struct {
	jobs     []holdfast.Info
	attempts map[holdfast.ID][]holdfast.Attempt
	counts   []holdfast.Counts
	stats    []holdfast.Rollup
	records  holdfast.Records
}

func (f *fixture) picture() (p picture) {
	f.Helper()
	page, err := f.Store.List(f.ctx, holdfast.List{Data: true})
	f.must("list", err)
	p.jobs, p.attempts = page.Jobs, map[holdfast.ID][]holdfast.Attempt{}
	for _, i := range p.jobs {
		p.attempts[i.ID] = f.attempts(i.ID)
	}
	p.counts, err = f.Store.Counts(f.ctx)
	f.must("counts", err)
	p.stats, err = f.Store.Stats(f.ctx, holdfast.StatsQuery{})
	f.must("stats", err)
	p.records = f.records(holdfast.RecordsQuery{Activity: 100, Marks: []string{"a", "b"}, Consumer: f.consumer})
	return p
}

func durableAll(f *fixture) {
	own := aConsumer("one")
	f.consumer = own.ID
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{own}, Marks: []holdfast.Mark{{Name: "a", Value: []byte{0, 1, 255}}}})
	f.zoo()
	f.suspect()
	f.put(job(func(n *holdfast.NewJob) {
		n.Priority, n.MaxAttempts, n.MaxRun, n.UniqueKey, n.Parent = 7, 3, time.Minute, "key", holdfast.NewID()
		n.StartBy, n.Data = time.Now().Add(time.Hour), make([]byte, 100_000)
	}))
	d := f.take()
	f.extend(holdfast.Beat{Lease: d.Lease, For: time.Hour, Started: true, Progress: 0.5, Note: "half", Log: []byte("a line\n")})
	f.act(holdfast.ActionCancel, d.Job)
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: queue, Actor: "grace"})
	before := f.picture()
	f.restart()
	after := f.picture()
	f.equal("jobs", len(after.jobs), len(before.jobs))
	for i := range before.jobs {
		was, is := before.jobs[i], after.jobs[i]
		if d := is.LeaseUntil.Sub(was.LeaseUntil).Abs(); d < time.Second { // it may be kept by another clock
			is.LeaseUntil = was.LeaseUntil
		}
		f.equal("job", is, was)
		f.equal("attempts", after.attempts[is.ID], before.attempts[was.ID])
	}
	f.equal("counts", after.counts, before.counts)
	f.equal("stats", after.stats, before.stats)
	f.equal("records", after.records, before.records)
	f.none() // it is still paused
}

func durableLease(f *fixture) {
	f.put(jobs(2, nil)...)
	held := f.claim(holdfast.Claim{N: 2})
	f.restart()
	f.sweep(holdfast.Sweep{})
	f.must("extend", f.extend(holdfast.Beat{Lease: held[0].Lease}).Err)
	f.done(held[0])
	f.Shift(gap)
	f.equal("swept", f.sweep(holdfast.Sweep{}).Returned, 1)
	f.is("too late", f.finish(holdfast.Outcome{Lease: held[1].Lease, Kind: holdfast.OutcomeDone}).Err, holdfast.ErrLeaseLost)
	f.equal("fence", f.take().Fence, int64(2))
}

func durableClaim(f *fixture) {
	f.put(jobs(5, nil)...)
	c := holdfast.Claim{Consumer: f.consumer, Number: 3, N: 2}
	first := f.claim(c)
	f.restart()
	f.equal("repeated", leases(f.claim(c)), leases(first))
	o := holdfast.Outcome{Lease: first[0].Lease, Kind: holdfast.OutcomeDone, Result: []byte("1")}
	answer := f.finished(o)
	f.restart()
	f.equal("outcome repeated", f.finished(o), answer)
	f.equal("what is still held", leases(f.claim(c)), leases(first[1:]))
}

func durablePut(f *fixture) {
	n := job(func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse })
	f.put(n)
	f.restart()
	f.put(n)
	f.equal("jobs", f.total(), int64(1))
	f.is("its key is held", f.insert(job(func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse }))[0].Err, holdfast.ErrDuplicate)
}
