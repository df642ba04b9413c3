package storetest

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

var historyPromises = []promise{
	{"random histories agree with the model", historiesAgree},
}

// step is one operation of a history. Its numbers are taken modulo what there is, so that each step means something in
// any history, and a failing history shrinks well.
type step struct {
	Op      string
	A, B, C int
	Flag    bool
}

func (s step) String() string { return fmt.Sprintf("%s %d %d %d %v", s.Op, s.A, s.B, s.C, s.Flag) }

// operations are what a history is made of, each as often as it is to come.
var operations = map[string]struct {
	weight int
	play   func(p *player, s step)
}{
	"insert":        {6, (*player).insert},
	"insert unique": {5, (*player).insertUnique},
	"insert again":  {1, (*player).insertAgain},
	"claim":         {9, (*player).claim},
	"claim again":   {1, (*player).claimAgain},
	"done":          {4, (*player).done},
	"fail":          {5, (*player).fail},
	"release":       {3, (*player).release},
	"stale":         {2, (*player).stale},
	"extend":        {4, (*player).extend},
	"die":           {5, (*player).die},
	"shift":         {5, (*player).pass},
	"purge":         {1, (*player).purge},
	"act":           {6, (*player).act},
	"bulk":          {2, (*player).bulk},
	"pause":         {1, (*player).pause},
	"resume":        {2, (*player).resume},
}

func steps() *rapid.Generator[step] {
	var names []string
	for name, o := range operations {
		names = append(names, slices.Repeat([]string{name}, o.weight)...)
	}
	slices.Sort(names) // the same seed draws the same history
	number := rapid.IntRange(0, 11)
	return rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(names).Draw(t, "op"), number.Draw(t, "a"), number.Draw(t, "b"), number.Draw(t, "c"), rapid.Bool().Draw(t, "flag")}
	})
}

// historiesAgree plays each history first on the model (package memory, on a fake clock), then on the store; after every
// step both must have answered the same and tell the same of every job.
func historiesAgree(f *fixture) {
	if checks := flag.Lookup("rapid.checks"); testing.Short() && checks.Value.String() == checks.DefValue {
		checks.Value.Set("20")
		defer checks.Value.Set(checks.DefValue)
	}
	rapid.Check(f.T, func(t *rapid.T) {
		var history []step
		for range 8 { // rapid likes short lists: about six steps each
			history = append(history, rapid.SliceOfN(steps(), 0, 15).Draw(t, "history")...)
		}
		ids := make([]holdfast.ID, 1000)
		for i := range ids {
			ids[i] = holdfast.NewID()
		}
		var want []string
		synctest.Test(f.T, func(t *testing.T) {
			model := memory.New()
			defer model.Close()
			p := newPlayer(t.Context(), model, time.Sleep, ids)
			for i, s := range history {
				want = append(want, p.play(s, i == len(history)-1))
			}
		})
		h := f.open(f.T)
		defer h.Store.Close()
		p := newPlayer(f.ctx, h.Store, h.Shift, ids)
		for i, s := range history {
			if got := p.play(s, i == len(history)-1); got != want[i] {
				t.Fatalf("step %d of %d, %v: the store told\n%s\nthe model told\n%s", i+1, len(history), s, got, want[i])
			}
		}
	})
}

// player plays a history on one store. It never decides by anything but the steps and the store's answers, so two
// players of the same history do the same until their stores differ.
//
// Leases, delays and ages are whole minutes and a half, shifts are whole minutes: no step falls on the edge of a time,
// where two clocks a millisecond apart would decide differently.
type player struct {
	ctx       context.Context
	store     holdfast.Store
	shift     func(time.Duration)
	ids       []holdfast.ID
	put       []holdfast.NewJob
	removed   map[holdfast.ID]bool // by a person
	consumers [3]holdfast.ID
	number    int64
	last      holdfast.Claim
	held      []holdfast.Lease // as far as the player knows
	past      []holdfast.Lease
	told      []string // of the present step
	at        time.Time
}

func newPlayer(ctx context.Context, s holdfast.Store, shift func(time.Duration), ids []holdfast.ID) *player {
	p := &player{ctx: ctx, store: s, shift: shift, ids: ids, removed: map[holdfast.ID]bool{}}
	for i := range p.consumers {
		p.consumers[i] = p.newID()
	}
	return p
}

// newID gives the next of the ids, the same for every player of a history.
func (p *player) newID() holdfast.ID {
	id := p.ids[0]
	p.ids = p.ids[1:]
	return id
}

func minutes(n int) time.Duration { return time.Duration(n)*time.Minute + 30*time.Second }

// delay is none, or some minutes and a half.
func delay(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return minutes(n)
}

// tell notes what the store has said.
func (p *player) tell(format string, args ...any) {
	p.told = append(p.told, fmt.Sprintf(format, args...))
}

func (p *player) newJob(s step) holdfast.NewJob {
	n := holdfast.NewJob{
		ID: p.newID(), Queue: []string{"a", "b"}[s.A%2], Data: fmt.Appendf(nil, "%d", len(p.put)),
		Priority: []int{0, 5, 9}[s.A%3], MaxAttempts: s.B % 4, After: delay(s.C % 3),
	}
	if s.Flag && s.C > 5 {
		n.StartBy = time.Now().Add(minutes(s.B))
	}
	p.put = append(p.put, n)
	return n
}

func (p *player) insert(s step) {
	list := make([]holdfast.NewJob, 1+s.B%3)
	for i := range list {
		list[i] = p.newJob(s)
	}
	p.insertAll(list)
}

func (p *player) insertUnique(s step) {
	list := make([]holdfast.NewJob, 1+s.A%2)
	for i := range list {
		list[i] = p.newJob(s)
		list[i].UniqueKey, list[i].OnDuplicate = []string{"x", "y"}[s.B%2], holdfast.OnDuplicate(s.C%3)
	}
	p.insertAll(list)
}

// insertAgain repeats a put, unless retention has removed its job: that one's fence may be forgotten.
func (p *player) insertAgain(s step) {
	if len(p.put) == 0 {
		return
	}
	n := p.put[s.A%len(p.put)]
	n.After, n.StartBy = 0, time.Time{}
	if _, _, err := p.store.Show(p.ctx, n.ID); err == nil || p.removed[n.ID] {
		p.insertAll([]holdfast.NewJob{n})
	}
}

func (p *player) insertAll(list []holdfast.NewJob) {
	answers, err := p.store.Insert(p.ctx, holdfast.Insert{Jobs: list})
	p.tell("insert: %v", word(err))
	for _, a := range answers {
		p.tell("  %v made=%v replaced=%v %v", a.ID, a.Made && a.Err == nil, a.Replaced, word(a.Err))
	}
}

func (p *player) claim(s step) {
	p.number++
	p.last = holdfast.Claim{
		Consumer: p.consumers[s.A%3], Number: p.number, Queues: [][]string{{"a", "b"}, {"a"}, {"b"}, {"b", "a"}}[s.C%4],
		N: 1 + s.B%4, Lease: minutes(1 + s.C%5), Suspects: s.A % 3,
	}
	if s.Flag && s.B > 8 {
		p.last.Consumer, p.last.Unattended = holdfast.ID{}, true
	}
	p.claimAgain(s)
}

func (p *player) claimAgain(step) {
	if p.number == 0 {
		return
	}
	claimed, err := p.store.Claim(p.ctx, p.last)
	p.tell("claim: %v", word(err))
	for _, d := range claimed.Jobs {
		p.tell("  %v attempt=%d data=%s", d.Lease, d.Info.Attempt, d.Info.Data)
		if !slices.Contains(p.held, d.Lease) {
			p.held = append(p.held, d.Lease)
		}
	}
}

// finish reports on one of the leases that the player holds, or believes to hold.
func (p *player) finish(n int, o holdfast.Outcome) {
	if len(p.held) == 0 {
		return
	}
	n %= len(p.held)
	o.Lease = p.held[n]
	answers, err := p.store.Finish(p.ctx, []holdfast.Outcome{o})
	p.tell("%v: %v", o.Kind, word(err))
	for _, a := range answers {
		p.tell("  %v %v last=%v %v", a.State, a.Why, a.Last, word(a.Err))
		if word(a.Err) != "duplicate" {
			p.held = slices.Delete(p.held, n, n+1)
			p.past = append(p.past, o.Lease)
		}
	}
}

func (p *player) done(s step) {
	o := holdfast.Outcome{Kind: holdfast.OutcomeDone, Result: []byte("r"), Took: time.Second}
	if s.Flag && len(p.held) > 0 {
		n := p.newJob(s)
		n.UniqueKey, n.OnDuplicate = []string{"", "x"}[s.B%2], holdfast.OnDuplicate(s.C%3)
		o.New = []holdfast.NewJob{n}
	}
	p.finish(s.A, o)
}

func (p *player) fail(s step) {
	p.finish(s.A, holdfast.Outcome{
		Kind: holdfast.OutcomeFailed, Error: []string{"no luck", "disk full"}[s.B%2], Took: time.Second,
		Final: s.C == 0, MaxAttempts: 3, After: delay(s.B % 3), Attached: s.Flag, Result: []byte("file"),
	})
}

func (p *player) release(s step) {
	p.finish(s.A, holdfast.Outcome{Kind: holdfast.OutcomeReleased, Unrun: s.Flag, After: delay(s.B % 3), Took: time.Second})
}

// stale reports on a lease that is over: at most the recorded outcome may be repeated.
func (p *player) stale(s step) {
	if len(p.past) == 0 {
		return
	}
	l := p.past[s.A%len(p.past)]
	kind := []holdfast.OutcomeKind{holdfast.OutcomeDone, holdfast.OutcomeFailed, holdfast.OutcomeReleased}[s.B%3]
	answers, err := p.store.Finish(p.ctx, []holdfast.Outcome{{Lease: l, Kind: kind}})
	p.tell("stale %v: %v", kind, word(err))
	for _, a := range answers {
		p.tell("  %v", word(a.Err))
	}
}

func (p *player) extend(s step) {
	if len(p.held) == 0 {
		return
	}
	answers, err := p.store.Extend(p.ctx, []holdfast.Beat{{
		Lease: p.held[s.A%len(p.held)], For: minutes(1 + s.B%5), Started: s.Flag, Progress: float64(s.C) / 11, Log: []byte("beat\n"),
	}})
	p.tell("extend: %v", word(err))
	for _, a := range answers {
		p.tell("  %v %v %v", a.CancelRequested, a.Paused, word(a.Err))
	}
}

func (p *player) die(s step) {
	p.sweep(holdfast.Sweep{Dead: []holdfast.ID{p.consumers[s.A%3]}, MaxCrashes: s.B % 3, Lease: holdfast.MaxLease})
}

// pass lets time pass and sweeps: whether the next step promotes what is due or this one is the store's own affair.
func (p *player) pass(s step) {
	d := time.Duration(1+s.A%4) * time.Minute
	if s.Flag {
		d *= 4
	}
	p.shift(d)
	sweep := holdfast.Sweep{Lease: holdfast.MaxLease, MaxCrashes: 2}
	if s.B == 0 {
		sweep.Lease = minutes(1) // the shift was a gap
	}
	p.sweep(sweep)
}

// sweep sweeps twice: what the first has given back may be past its start-by time, and whether the same sweep sees that
// is the store's own affair.
func (p *player) sweep(s holdfast.Sweep) {
	s.Limit = 1000
	first, err := p.store.Sweep(p.ctx, s)
	second, err2 := p.store.Sweep(p.ctx, s)
	p.tell("sweep: graced=%v due=%d returned=%d aside=%d cancelled=%d more=%v %v %v", first.Graced, first.Due+second.Due,
		first.Returned+second.Returned, first.SetAside+second.SetAside, first.Cancelled+second.Cancelled, first.More, word(err), word(err2))
}

func (p *player) purge(s step) {
	r := keep(minutes(10 + s.A%3))
	r.Jobs = s.B % 4
	purged, err := p.store.Purge(p.ctx, holdfast.Purge{Keep: r, Limit: 1000})
	p.tell("purge: %d %v %v", purged.Jobs, purged.More, word(err))
}

var actions = []holdfast.Action{holdfast.ActionRetry, holdfast.ActionCancel, holdfast.ActionRetry, holdfast.ActionRunNow, holdfast.ActionCancel, holdfast.ActionDelete}

func (p *player) act(s step) {
	if len(p.put) == 0 {
		return
	}
	p.amend(holdfast.Amend{Action: actions[s.B%len(actions)], Filter: holdfast.Filter{IDs: []holdfast.ID{p.put[s.A%len(p.put)].ID}}})
}

func (p *player) bulk(s step) {
	a := holdfast.Amend{Action: actions[s.B%len(actions)], Filter: holdfast.Filter{Queues: []string{"a", "b"}[s.A%2:]}, Limit: 1 + s.C%4}
	if s.Flag {
		a.Filter.States = []holdfast.State{holdfast.States[s.A%6], holdfast.States[s.C%6]}
	}
	p.amend(a)
}

func (p *player) amend(a holdfast.Amend) {
	a.Activity, a.Actor = p.newID(), "ada"
	if a.Limit == 0 {
		a.Limit = 100
	}
	for range 1000 {
		got, err := p.store.Amend(p.ctx, a)
		p.tell("%v %v: changed=%d %v", a.Action, a.Filter, got.Changed, word(err))
		for _, s := range got.Skipped {
			p.tell("  skipped %v %v", s.ID, word(s.Err))
		}
		if a.After = got.Next; a.After == "" {
			break
		}
	}
	if a.Action == holdfast.ActionDelete {
		for _, n := range p.put {
			if _, _, err := p.store.Show(p.ctx, n.ID); err != nil {
				p.removed[n.ID] = true
			}
		}
	}
}

func (p *player) pause(s step) {
	p.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: []string{"a", "b"}[s.A%2]})
}

func (p *player) resume(s step) {
	p.amend(holdfast.Amend{Action: holdfast.ActionResume, Queue: []string{"a", "b"}[s.A%2]})
}
