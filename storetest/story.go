package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

// play does one step and gives all that the store then tells, as text: its answers, its jobs, its counts; now and then,
// and at the end, the jobs' attempts and the figures too.
func (p *player) play(s step, end bool) string {
	p.told = p.told[:0]
	if now := time.Now().Truncate(time.Millisecond); now.Equal(p.at) {
		p.shift(time.Millisecond) // no two steps at the same time: their order is that of their times
	}
	p.at = time.Now().Truncate(time.Millisecond)
	operations[s.Op].play(p, s)
	p.tellJobs(end || s.C == 0)
	p.tellCounts()
	if end {
		p.tellFigures()
	}
	return strings.Join(p.told, "\n")
}

// word is an error in one word: stores word them differently.
func word(err error) string {
	for name, sentinel := range map[string]error{
		"lost": holdfast.ErrLeaseLost, "duplicate": holdfast.ErrDuplicate, "not found": holdfast.ErrNotFound, "conflict": holdfast.ErrConflict,
	} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func (p *player) tellJobs(attempts bool) {
	l := holdfast.List{Limit: 100, Data: true}
	for {
		page, err := p.store.List(p.ctx, l)
		if err != nil {
			p.tell("list: %v", err)
			return
		}
		for i := range page.Jobs {
			p.tellJob(&page.Jobs[i])
			if attempts {
				p.tellAttempts(page.Jobs[i].ID)
			}
		}
		if l.After = page.Next; l.After == "" {
			return
		}
	}
}

// tellJob tells of a job what both stores must agree on: no wall times, and nothing that its state gives no meaning.
func (p *player) tellJob(i *holdfast.Info) {
	p.tell("%v %s %v %q data=%s priority=%d max=%d key=%q fence=%d attempt=%d failures=%d deaths=%d crashes=%d start-by=%v attached=%v",
		i.ID, i.Queue, i.State, i.Why, i.Data, i.Priority, i.MaxAttempts, i.UniqueKey, i.Fence, i.Attempt, i.Failures, i.Deaths, i.Crashes,
		!i.StartBy.IsZero(), i.Attached)
	switch {
	case i.State == holdfast.Running:
		p.tell("  held by %v progress=%.3f cancel=%v", i.Consumer, i.Progress, !i.CancelRequested.IsZero())
	case i.State == holdfast.Failed && (i.Why == holdfast.ReasonCrashes || i.Why == holdfast.ReasonAbandoned):
		p.tell("  error=%v", i.Error != "") // each store words it
	case i.State == holdfast.Failed, i.Why == holdfast.ReasonRetry:
		p.tell("  error=%q cause=%x", i.Error, i.Cause)
	}
	if i.State == holdfast.Done || i.Attached {
		p.tell("  result=%s", i.Result)
	}
	if i.EndedAt.IsZero() == i.State.Ended() || i.LeaseUntil.IsZero() == (i.State == holdfast.Running) {
		p.tell("  its times do not fit its state: %v %v", i.EndedAt, i.LeaseUntil)
	}
}

func (p *player) tellAttempts(id holdfast.ID) {
	_, attempts, err := p.store.Show(p.ctx, id)
	if err != nil {
		p.tell("show: %v", err)
	}
	for _, a := range attempts {
		text := a.Error
		if a.Outcome == holdfast.OutcomeCrashed || a.Outcome == holdfast.OutcomeLost {
			text = ""
		}
		p.tell("  attempt %d by %v %v %q ended=%v log=%q", a.N, a.Consumer, a.Outcome, text, !a.EndedAt.IsZero(), a.Log)
	}
}

func (p *player) tellCounts() {
	list, err := p.store.Counts(p.ctx)
	if err != nil {
		p.tell("counts: %v", err)
	}
	for _, c := range list {
		if c.States != [6]int64{} || !c.PausedAt.IsZero() { // a queue without jobs may be told or not
			p.tell("%s: %v paused=%v by=%q oldest=%v", c.Queue, c.States, !c.PausedAt.IsZero(), c.PausedBy, !c.Oldest.IsZero())
		}
	}
}

func (p *player) tellFigures() {
	list, err := p.store.Stats(p.ctx, holdfast.StatsQuery{})
	if err != nil {
		p.tell("stats: %v", err)
	}
	sums := map[string]*[8]int64{"a": {}, "b": {}}
	for _, r := range list {
		for i, n := range []int64{r.Made, r.Started, r.Done, r.Failed, r.Ended, r.Returned, r.Waited.Count(), r.Took.Count()} {
			sums[r.Queue][i] += n
		}
	}
	p.tell("figures: a %v b %v", *sums["a"], *sums["b"])
}
