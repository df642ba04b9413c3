package histories

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// A check is one of the ways in which this package looks at a store; "" is: nothing is wrong.
type check struct {
	name string
	look func(t *testing.T, m mutant, seed uint64) string
}

var (
	concurrent = check{"histories", lookAtHistory}
	sequential = check{"beside the model", lookBeside}
	waking     = check{"wake-ups", lookAtWakes}
)

// A mutant is a store with one planted bug, and the checks that must see it.
type mutant struct {
	name   string
	plant  func(*honest)
	above  bool // between the callers and the bad line
	checks []check
}

var mutants = []mutant{
	{name: "the fence is not checked", plant: fenceUnchecked, checks: []check{concurrent, sequential}},
	{name: "a put is answered before its commit", plant: insertAnsweredEarly, checks: []check{concurrent}},
	{name: "a completion is answered before its commit", plant: doneAnsweredEarly, checks: []check{concurrent}},
	{name: "sweep takes healthy leases", plant: healthySwept, checks: []check{concurrent, sequential}},
	{name: "every second sweep does nothing", plant: sweepSkips, checks: []check{concurrent, sequential}},
	{name: "a repeated claim takes other jobs", plant: claimRenumbered, checks: []check{concurrent, sequential}},
	{name: "a job is handed out twice", plant: givenTwice(func(*holdfast.Info) bool { return true }), checks: []check{concurrent, sequential}},
	{name: "a scheduled job is handed out twice", plant: givenTwice(func(i *holdfast.Info) bool { return i.RunAt.Sub(i.MadeAt) > time.Minute }), checks: []check{concurrent, sequential}},
	{name: "retention takes waiting jobs", plant: waitingPurged, checks: []check{concurrent, sequential}},
	{name: "a retry forgets the unique key", plant: keyForgotten, checks: []check{sequential}},
	{name: "fruits are put before the completion", plant: fruitsFirst, checks: []check{concurrent, sequential}},
	{name: "the bell rings before the commit", plant: bellEarly, checks: []check{waking}},
	{name: "what is put between claim and wait is missed", plant: bellMissed, checks: []check{waking}},
	{name: "the bell does not ring", plant: bellSilent, checks: []check{waking}},
	{name: "fences begin anew after a retry", plant: fenceRestarts, checks: []check{concurrent, sequential}},
	{name: "a failed attempt does not count", plant: changedFinish(func(_ context.Context, _ holdfast.Store, o *holdfast.Outcome) {
		if o.Kind == holdfast.OutcomeFailed && !o.Final {
			o.Kind = holdfast.OutcomeReleased
		}
	}), checks: []check{concurrent, sequential}},
	{name: "a release counts as a failure", plant: changedFinish(func(_ context.Context, _ holdfast.Store, o *holdfast.Outcome) {
		if o.Kind == holdfast.OutcomeReleased {
			o.Kind, o.Unrun = holdfast.OutcomeFailed, false
		}
	}), checks: []check{concurrent, sequential}},
	{name: "a cancel overrides done", plant: cancelWins, checks: []check{concurrent, sequential}},
	{name: "counters drift", plant: countersDrift, checks: []check{concurrent, sequential}},
	{name: "the start-by time is ignored", plant: changedInsert(func(n *holdfast.NewJob) { n.StartBy = time.Time{} }), checks: []check{concurrent, sequential}},
	{name: "a paused queue gives jobs", plant: pauseIgnored, checks: []check{concurrent, sequential}},
	{name: "a late answer is accepted after the sweep", plant: staleAccepted, checks: []check{concurrent, sequential}},
	{name: "the repeat of a report is refused", plant: repeatRefused, checks: []check{concurrent, sequential}},
	{name: "a heartbeat extends nothing", plant: heartbeatLies, checks: []check{concurrent, sequential}},
	{name: "unknown is called failed", plant: unknownCalledFailed, above: true, checks: []check{concurrent}},
	{name: "max attempts are ignored", plant: changedInsert(func(n *holdfast.NewJob) { n.MaxAttempts = 0 }), checks: []check{concurrent, sequential}},
	{name: "delays are ignored", plant: changedInsert(func(n *holdfast.NewJob) { n.After = 0 }), checks: []check{concurrent, sequential}},
	{name: "the priority is ignored", plant: changedInsert(func(n *holdfast.NewJob) { n.Priority = 0 }), checks: []check{sequential}},
	{name: "data ends at a zero byte", plant: changedInsert(cutAtZero), checks: []check{sequential}},
	{name: "a put is done by halves", plant: insertByHalves, checks: []check{sequential}},
	{name: "the log is lost", plant: changedFinish(func(_ context.Context, _ holdfast.Store, o *holdfast.Outcome) { o.Log = nil }), checks: []check{sequential}},
	{name: "the result is lost", plant: changedFinish(func(_ context.Context, _ holdfast.Store, o *holdfast.Outcome) { o.Result = nil }), checks: []check{sequential}},
}

// caughtWithin is how long a check may need to see a planted bug.
const caughtWithin = 10 * time.Second

// TestPlantedBugsAreCaught plants each bug and has every check that should see it look, each from the same seeds; first
// of all the store without a bug must pass them.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, m := range []mutant{
		{name: "no bug", plant: func(*honest) {}, checks: []check{concurrent, sequential, waking}},
		{name: "a bell of its own that rings in time", plant: ownBell(false, func(ring, insert func()) { insert(); ring() }), checks: []check{concurrent, sequential, waking}},
	} {
		for _, c := range m.checks {
			for seed := range uint64(3) {
				if text := c.look(t, m, seed); text != "" {
					t.Fatalf("control: %s: %s, seed %d, says that it is wrong: %s", m.name, c.name, seed, text)
				}
			}
		}
	}
	for _, m := range mutants {
		for _, c := range m.whichever() {
			start := time.Now()
			caught := ""
			seed := uint64(0)
			for ; caught == "" && (time.Since(start) < caughtWithin || raceDetector && seed < 10); seed++ {
				caught = c.look(t, m, seed)
			}
			took := time.Since(start)
			if caught == "" {
				t.Errorf("%s: not seen by %s in %v, %d seeds", m.name, c.name, took, seed)
				continue
			}
			if took > caughtWithin && !raceDetector {
				t.Errorf("%s: seen by %s only after %v", m.name, c.name, took)
			}
			t.Logf("%-45s → %-17s %6.2f s, seed %d", m.name, c.name, took.Seconds(), seed-1)
		}
	}
}

func (m mutant) wrap(s holdfast.Store) holdfast.Store {
	if m.plant == nil {
		return s
	}
	h := &honest{Store: s}
	m.plant(h)
	return h
}

// whichever gives the checks of a mutant, of which the race detector needs but one.
func (m mutant) whichever() []check {
	if raceDetector {
		return m.checks[len(m.checks)-1:]
	}
	return m.checks
}

// lookAtHistory plays a shorter history than usual, on one store as three, since a bug's own memory is in its wrapper.
func lookAtHistory(t *testing.T, m mutant, seed uint64) string {
	w := openSQLite(t)
	defer w.close()
	w.Reopen = nil
	s := m.wrap(w.Stores[0])
	w.Stores = []holdfast.Store{s, s, s}
	if m.above {
		w.Stores = []holdfast.Store{w.stores[0], w.stores[1], w.stores[2]}
		w.Above = m.wrap
	}
	ops := 2_500
	if raceDetector {
		ops = 500
	}
	r, err := Play(t.Context(), w.World, Plan{Seed: seed, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Wrong) == 0 {
		return ""
	}
	return r.Wrong[0]
}

func lookBeside(t *testing.T, m mutant, seed uint64) (text string) {
	synctest.Test(t, func(t *testing.T) {
		store, model := m.wrap(memory.New()), memory.New()
		if err := Beside(t.Context(), store, model, seed, 2_000, time.Sleep); err != nil {
			text = fmt.Sprint(err)
		}
	})
	return text
}

func lookAtWakes(t *testing.T, m mutant, seed uint64) (text string) {
	synctest.Test(t, func(t *testing.T) {
		if err := Wakes(t.Context(), m.wrap(memory.New()), seed, 200); err != nil {
			text = fmt.Sprint(err)
		}
	})
	return text
}
