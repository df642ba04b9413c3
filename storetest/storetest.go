// Package storetest is the suite that every store of package holdfast passes: each promise of docs/guarantees.md that a
// store can keep by itself, and each rule of a job's life, is a case with its name.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Harness {
//			s := open(t)
//			return storetest.Harness{Store: s, Shift: s.shift}
//		})
//	}
//
// No case waits for time to pass: what depends on time is moved by Harness.Shift.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

// Harness is a store under test, empty and newly made. Whoever opens it also closes it (t.Cleanup); a case may have
// closed it before.
type Harness struct {
	Store holdfast.Store

	// Shift moves all times that the store has stored back by d, so that the store finds d has passed. Required.
	Shift func(d time.Duration)

	// Reopen closes the store and opens the same data again, as after a restart. Shift then works on the new store. Nil:
	// this store keeps nothing, and the cases about it are skipped aloud.
	Reopen func(t *testing.T) holdfast.Store

	// Begin begins a transaction of a caller on the store's database, in which jobs can be put and done, and gives what
	// commits it or rolls it back. Nil: this store knows none, and the cases about it are skipped aloud.
	Begin func(t *testing.T) (tx holdfast.Tx, end func(commit bool))
}

// promise is one case: a sentence that must be true of every store.
type promise struct {
	name string
	test func(f *fixture)
}

// groups are all cases, by the noun that they are about.
var groups = []struct {
	noun     string
	promises []promise
}{
	{"insert", insertPromises},
	{"claim", claimPromises},
	{"finish", finishPromises},
	{"extend", extendPromises},
	{"sweep", sweepPromises},
	{"purge", purgePromises},
	{"amend", amendPromises},
	{"list", listPromises},
	{"records", recordsPromises},
	{"wait", waitPromises},
	{"race", racePromises},
	{"durable", durablePromises},
	{"join", joinPromises},
	{"histories", historyPromises},
}

// Run runs the whole suite, each case on a store of its own.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, g := range groups {
		t.Run(g.noun, func(t *testing.T) {
			for _, p := range g.promises {
				t.Run(p.name, func(t *testing.T) { p.test(newFixture(t, open)) })
			}
		})
	}
}

// patience is how long a case waits for what must happen at once, and caseTime how long it may take in all; only a
// failure waits so long.
const (
	patience = 3 * holdfast.Poll
	caseTime = 3 * time.Minute
)

// fixture is what a case works with: a store, and the calls that fail the test where the store gives an error.
type fixture struct {
	*testing.T
	Harness
	ctx      context.Context
	open     func(t *testing.T) Harness
	consumer holdfast.ID // the usual one; no record of it is in the store
	number   int64       // of its latest claim
}

func newFixture(t *testing.T, open func(t *testing.T) Harness) *fixture {
	h := open(t)
	if h.Store == nil || h.Shift == nil {
		t.Fatal("the harness needs Store and Shift")
	}
	ctx, cancel := context.WithTimeout(t.Context(), caseTime)
	t.Cleanup(cancel)
	return &fixture{T: t, Harness: h, ctx: ctx, open: open, consumer: holdfast.NewID()}
}

const (
	queue = "q"             // the usual queue
	lease = time.Minute     // the usual lease
	gap   = 2 * time.Minute // longer than the usual lease
)

// job makes a new job for the usual queue; change, if not nil, changes it.
func job(change func(*holdfast.NewJob)) holdfast.NewJob {
	n := holdfast.NewJob{ID: holdfast.NewID(), Queue: queue, Data: []byte(`{"n":1}`)}
	if change != nil {
		change(&n)
	}
	return n
}

// jobs makes n new jobs alike.
func jobs(n int, change func(*holdfast.NewJob)) []holdfast.NewJob {
	list := make([]holdfast.NewJob, n)
	for i := range list {
		list[i] = job(change)
	}
	return list
}

func (f *fixture) must(what string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// equal compares what a case got with what it wants.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// is says that an error must be a sentinel; nil stands for none.
func (f *fixture) is(what string, got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func (f *fixture) insert(list ...holdfast.NewJob) []holdfast.Inserted {
	f.Helper()
	answers, err := f.Store.Insert(f.ctx, holdfast.Insert{Jobs: list})
	f.must("insert", err)
	if len(answers) != len(list) {
		f.Fatalf("insert of %d jobs: got %d answers", len(list), len(answers))
	}
	return answers
}

// put inserts jobs that must be made, and gives their ids.
func (f *fixture) put(list ...holdfast.NewJob) []holdfast.ID {
	f.Helper()
	ids := make([]holdfast.ID, len(list))
	for i, a := range f.insert(list...) {
		if want := (holdfast.Inserted{ID: list[i].ID, Made: true}); a != want {
			f.Fatalf("put of job %d: got %+v, want %+v", i, a, want)
		}
		ids[i] = a.ID
	}
	return ids
}

// putOne inserts one job for the usual queue.
func (f *fixture) putOne(change func(*holdfast.NewJob)) holdfast.ID {
	f.Helper()
	return f.put(job(change))[0]
}

// claim fills in what the caller left out: the usual consumer and its next number, queue and lease, one job.
func (f *fixture) claim(c holdfast.Claim) []holdfast.Delivery {
	f.Helper()
	if c.Consumer.IsZero() && !c.Unattended {
		f.number++
		c.Consumer, c.Number = f.consumer, f.number
	}
	if c.Queues == nil {
		c.Queues = []string{queue}
	}
	if c.N == 0 {
		c.N = 1
	}
	if c.Lease == 0 {
		c.Lease = lease
	}
	claimed, err := f.Store.Claim(f.ctx, c)
	f.must("claim", err)
	return claimed.Jobs
}

// take claims one job, which must be there; a suspect too.
func (f *fixture) take() holdfast.Delivery {
	f.Helper()
	return f.takeBy(f.consumer)
}

func (f *fixture) takeBy(consumer holdfast.ID) holdfast.Delivery {
	f.Helper()
	list := f.claim(holdfast.Claim{Consumer: consumer, Suspects: 1})
	if len(list) != 1 {
		f.Fatalf("claim: got %d jobs, want 1", len(list))
	}
	return list[0]
}

// none says that nothing may be claimable in the usual queue.
func (f *fixture) none() {
	f.Helper()
	if list := f.claim(holdfast.Claim{N: 10, Suspects: 10}); len(list) != 0 {
		f.Fatalf("claim: got %d jobs, the first is %+v; want none", len(list), list[0].Info)
	}
}

func (f *fixture) finish(o holdfast.Outcome) holdfast.Finished {
	f.Helper()
	answers, err := f.Store.Finish(f.ctx, []holdfast.Outcome{o})
	f.must("finish", err)
	if len(answers) != 1 {
		f.Fatalf("finish of 1 outcome: got %d answers", len(answers))
	}
	return answers[0]
}

// finished reports an outcome that must be accepted.
func (f *fixture) finished(o holdfast.Outcome) holdfast.Finished {
	f.Helper()
	answer := f.finish(o)
	f.must("finish", answer.Err)
	return answer
}

func (f *fixture) done(d holdfast.Delivery) holdfast.Finished {
	f.Helper()
	return f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone})
}

func (f *fixture) fail(d holdfast.Delivery, final bool) holdfast.Finished {
	f.Helper()
	return f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", Final: final})
}

func (f *fixture) release(d holdfast.Delivery) holdfast.Finished {
	f.Helper()
	return f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeReleased})
}

func (f *fixture) extend(b holdfast.Beat) holdfast.Beaten {
	f.Helper()
	if b.For == 0 {
		b.For = lease
	}
	answers, err := f.Store.Extend(f.ctx, []holdfast.Beat{b})
	f.must("extend", err)
	if len(answers) != 1 {
		f.Fatalf("extend of 1 beat: got %d answers", len(answers))
	}
	return answers[0]
}

// start reports that the handler of a delivery has started.
func (f *fixture) start(d holdfast.Delivery) {
	f.Helper()
	f.must("extend", f.extend(holdfast.Beat{Lease: d.Lease, Started: true}).Err)
}

// sweep fills in what the caller left out. The lease that it names is long, so that no shift of a case is a gap.
func (f *fixture) sweep(s holdfast.Sweep) holdfast.Swept {
	f.Helper()
	if s.Lease == 0 {
		s.Lease = holdfast.MaxLease
	}
	if s.Limit == 0 {
		s.Limit = 1000
	}
	swept, err := f.Store.Sweep(f.ctx, s)
	f.must("sweep", err)
	return swept
}

// die lets a consumer die and sweeps.
func (f *fixture) die(consumer holdfast.ID) holdfast.Swept {
	f.Helper()
	return f.sweep(holdfast.Sweep{Dead: []holdfast.ID{consumer}, MaxCrashes: 3})
}

// amend fills in what the caller left out.
func (f *fixture) amend(a holdfast.Amend) holdfast.Amended {
	f.Helper()
	if a.Actor == "" {
		a.Actor, a.Via = "ada", "test"
	}
	if a.Activity.IsZero() {
		a.Activity = holdfast.NewID()
	}
	if a.Limit == 0 {
		a.Limit = 1000
	}
	amended, err := f.Store.Amend(f.ctx, a)
	f.must(string(a.Action), err)
	return amended
}

// act does an action to jobs by their ids; each must be changed.
func (f *fixture) act(action holdfast.Action, ids ...holdfast.ID) {
	f.Helper()
	got := f.amend(holdfast.Amend{Action: action, Filter: holdfast.Filter{IDs: ids}})
	if got.Changed != len(ids) || len(got.Skipped) != 0 {
		f.Fatalf("%s of %d jobs: got %+v", action, len(ids), got)
	}
}

func (f *fixture) show(id holdfast.ID) holdfast.Info {
	f.Helper()
	info, _, err := f.Store.Show(f.ctx, id)
	f.must("show", err)
	return info
}

func (f *fixture) attempts(id holdfast.ID) []holdfast.Attempt {
	f.Helper()
	_, attempts, err := f.Store.Show(f.ctx, id)
	f.must("show", err)
	return attempts
}

// state checks a job's state and reason.
func (f *fixture) state(id holdfast.ID, state holdfast.State, why holdfast.Reason) holdfast.Info {
	f.Helper()
	info := f.show(id)
	if info.State != state || info.Why != why {
		f.Fatalf("job is %v %q, want %v %q", info.State, info.Why, state, why)
	}
	return info
}

// counts gives the numbers of a queue; all zero for one that the store does not know.
func (f *fixture) counts(name string) holdfast.Counts {
	f.Helper()
	list, err := f.Store.Counts(f.ctx)
	f.must("counts", err)
	for _, c := range list {
		if c.Queue == name {
			return c
		}
	}
	return holdfast.Counts{Queue: name}
}

// total is the number of jobs in the usual queue.
func (f *fixture) total() (n int64) {
	f.Helper()
	for _, c := range f.counts(queue).States {
		n += c
	}
	return n
}

// near says that two times are at most a minute apart: for what a store wrote while a case ran.
func (f *fixture) near(what string, got, want time.Time) {
	f.Helper()
	if d := got.Sub(want); d.Abs() > time.Minute {
		f.Errorf("%s: got %v, want about %v", what, got, want)
	}
}
