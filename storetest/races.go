package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/holdfastq/holdfast"
)

var racePromises = []promise{
	{"16 consumers do 2,000 jobs, each once", raceConsumers},
	{"of two outcomes of one lease exactly one is recorded", raceFinish},
	{"a sweep and a finish never both win", raceSweepFinish},
	{"a heartbeat and a sweep agree on who holds the job", raceSweepExtend},
	{"many puts of one id make one job", raceSameID},
	{"many puts of one unique key make one job", raceSameKey},
	{"a repeated claim that races itself gets one answer", raceClaimRepeat},
	{"many sweeps give a job back once", raceSweeps},
	{"counts are exact under load", raceCounts},
}

// together runs n calls at once and gives the first error.
func together(n int, call func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}

func raceConsumers(f *fixture) {
	const consumers, total = 16, 2000
	var handled sync.Map
	var left atomic.Int64
	left.Store(total)
	var claims atomic.Int64
	ctx, enough := context.WithTimeout(f.ctx, 2*patience)
	defer enough()
	consume := func(i int) error {
		c := holdfast.Claim{Consumer: holdfast.NewID(), Queues: []string{queue}, N: 1 + i%7, Lease: lease}
		for left.Load() > 0 {
			c.Number++
			claimed, err := f.Store.Claim(ctx, c)
			if err != nil {
				return fmt.Errorf("claim: %w", err)
			}
			claims.Add(1)
			if len(claimed.Jobs) > c.N {
				return fmt.Errorf("claim of %d: got %d jobs", c.N, len(claimed.Jobs))
			}
			var outcomes []holdfast.Outcome
			for _, d := range claimed.Jobs {
				if _, twice := handled.LoadOrStore(d.Job, true); twice || d.Fence != 1 {
					return fmt.Errorf("job %v was delivered twice, fence %d", d.Job, d.Fence)
				}
				outcomes = append(outcomes, holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone})
			}
			if len(outcomes) > 0 {
				answers, err := f.Store.Finish(ctx, outcomes)
				if err != nil {
					return fmt.Errorf("finish: %w", err)
				}
				for _, a := range answers {
					if a.Err != nil {
						return fmt.Errorf("finish: %w", a.Err)
					}
				}
				if left.Add(-int64(len(outcomes))) <= 0 {
					enough() // whoever waits
				}
				continue
			}
			_, err = f.Store.Wait(ctx, holdfast.Wait{Queues: c.Queues, Consumer: c.Consumer, Since: claimed.Tick})
			if err != nil && left.Load() > 0 {
				return fmt.Errorf("wait: %w", err)
			}
		}
		return nil
	}
	produce := func(i int) error {
		for range total / 4 / 50 {
			if _, err := f.Store.Insert(f.ctx, holdfast.Insert{Jobs: jobs(50, nil)}); err != nil {
				return fmt.Errorf("insert: %w", err)
			}
		}
		return nil
	}
	err := together(consumers+4, func(i int) error {
		if i < consumers {
			err := consume(i)
			if left.Load() <= 0 && errors.Is(err, context.Canceled) {
				return nil // the others were through while it asked
			}
			return err
		}
		return produce(i)
	})
	f.must("race", err)
	f.equal("done", f.counts(queue).States, [6]int64{holdfast.Done: total})
	f.equal("figures", f.figures(), [6]int64{total, total, total, 0, total, 0})
}

func raceFinish(f *fixture) {
	for range 50 {
		d := f.takeNew()
		kinds := []holdfast.OutcomeKind{holdfast.OutcomeDone, holdfast.OutcomeFailed, holdfast.OutcomeReleased, holdfast.OutcomeFailed}
		errs := make([]error, len(kinds))
		f.must("race", together(len(kinds), func(i int) error {
			answers, err := f.Store.Finish(f.ctx, []holdfast.Outcome{{Lease: d.Lease, Kind: kinds[i], Error: "no luck", Final: true}})
			if err == nil {
				errs[i] = answers[0].Err
			}
			return err
		}))
		recorded := f.attempts(d.Job)[0].Outcome
		for i, err := range errs {
			if kinds[i] == recorded {
				f.is("the recorded", err, nil)
			} else {
				f.is("another", err, holdfast.ErrLeaseLost)
			}
		}
		f.equal("attempts", len(f.attempts(d.Job)), 1)
		f.amend(holdfast.Amend{Action: holdfast.ActionCancel})
	}
}

func raceSweepFinish(f *fixture) {
	for range 30 {
		f.put(jobs(8, nil)...)
		held := f.claim(holdfast.Claim{N: 8, Suspects: 8})
		f.Shift(gap)
		errs := make([]error, len(held))
		f.must("race", together(len(held)+1, func(i int) error {
			if i == len(held) {
				_, err := f.Store.Sweep(f.ctx, holdfast.Sweep{Lease: holdfast.MaxLease, Limit: 100})
				return err
			}
			answers, err := f.Store.Finish(f.ctx, []holdfast.Outcome{{Lease: held[i].Lease, Kind: holdfast.OutcomeDone}})
			if err == nil {
				errs[i] = answers[0].Err
			}
			return err
		}))
		for i, d := range held {
			a := f.attempts(d.Job)
			if errs[i] == nil {
				f.state(d.Job, holdfast.Done, holdfast.ReasonNone)
				f.equal("attempt", a[len(a)-1].Outcome, holdfast.OutcomeDone)
			} else {
				f.is("finish", errs[i], holdfast.ErrLeaseLost)
				f.state(d.Job, holdfast.Waiting, holdfast.ReasonSwept)
				f.equal("attempt", a[len(a)-1].Outcome, holdfast.OutcomeLost)
			}
		}
		f.amend(holdfast.Amend{Action: holdfast.ActionCancel})
	}
}

func raceSweepExtend(f *fixture) {
	for range 30 {
		d := f.takeNew()
		f.Shift(gap)
		var beaten error
		f.must("race", together(2, func(i int) error {
			if i == 1 {
				_, err := f.Store.Sweep(f.ctx, holdfast.Sweep{Lease: holdfast.MaxLease, Limit: 100})
				return err
			}
			answers, err := f.Store.Extend(f.ctx, []holdfast.Beat{{Lease: d.Lease, For: lease}})
			if err == nil {
				beaten = answers[0].Err
			}
			return err
		}))
		if beaten == nil {
			f.state(d.Job, holdfast.Running, holdfast.ReasonNone)
			f.done(d)
			continue
		}
		f.is("extend", beaten, holdfast.ErrLeaseLost)
		f.state(d.Job, holdfast.Waiting, holdfast.ReasonSwept)
		f.act(holdfast.ActionCancel, d.Job)
	}
}

func raceSameID(f *fixture) {
	n := job(nil)
	f.must("race", together(16, func(int) error {
		answers, err := f.Store.Insert(f.ctx, holdfast.Insert{Jobs: []holdfast.NewJob{n}})
		if err == nil && (!answers[0].Made || answers[0].Err != nil) {
			err = fmt.Errorf("answer: %+v", answers[0])
		}
		return err
	}))
	f.equal("jobs", f.total(), int64(1))
}

func raceSameKey(f *fixture) {
	var made, refused atomic.Int64
	f.must("race", together(16, func(i int) error {
		n := job(func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse })
		answers, err := f.Store.Insert(f.ctx, holdfast.Insert{Jobs: []holdfast.NewJob{n}})
		switch {
		case err != nil:
			return err
		case answers[0].Made:
			made.Add(1)
		case errors.Is(answers[0].Err, holdfast.ErrDuplicate):
			refused.Add(1)
		}
		return nil
	}))
	f.equal("made, refused", []int64{made.Load(), refused.Load()}, []int64{1, 15})
	f.equal("jobs", f.total(), int64(1))
}

func raceClaimRepeat(f *fixture) {
	f.put(jobs(20, nil)...)
	answers := make([][]holdfast.Delivery, 8)
	f.must("race", together(len(answers), func(i int) error {
		claimed, err := f.Store.Claim(f.ctx, holdfast.Claim{Consumer: f.consumer, Number: 1, Queues: []string{queue}, N: 3, Lease: lease})
		answers[i] = claimed.Jobs
		return err
	}))
	for _, a := range answers {
		f.equal("answer", leases(a), leases(answers[0]))
	}
	f.equal("running", f.counts(queue).Of(holdfast.Running), int64(3))
}

func raceSweeps(f *fixture) {
	f.put(jobs(50, nil)...)
	f.claim(holdfast.Claim{N: 50})
	f.Shift(gap)
	var returned atomic.Int64
	f.must("race", together(8, func(i int) error {
		swept, err := f.Store.Sweep(f.ctx, holdfast.Sweep{Lease: holdfast.MaxLease, Limit: 100, Dead: []holdfast.ID{f.consumer}})
		returned.Add(int64(swept.Returned))
		return err
	}))
	f.equal("returned", returned.Load(), int64(50))
	for _, i := range f.all(holdfast.Filter{}) {
		f.equal("deaths", i.Deaths, 1)
	}
}

func raceCounts(f *fixture) {
	f.must("race", together(8, func(i int) error {
		c := holdfast.Claim{Consumer: holdfast.NewID(), Queues: []string{queue}, N: 5, Lease: lease}
		for round := range 10 {
			if _, err := f.Store.Insert(f.ctx, holdfast.Insert{Jobs: jobs(5, nil)}); err != nil {
				return err
			}
			c.Number++
			claimed, err := f.Store.Claim(f.ctx, c)
			if err != nil {
				return err
			}
			kind := []holdfast.OutcomeKind{holdfast.OutcomeDone, holdfast.OutcomeFailed, holdfast.OutcomeReleased}[(i+round)%3]
			for _, d := range claimed.Jobs {
				if _, err := f.Store.Finish(f.ctx, []holdfast.Outcome{{Lease: d.Lease, Kind: kind, Final: round%2 == 0}}); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	var want [6]int64
	for l := (holdfast.List{}); ; {
		page, err := f.Store.List(f.ctx, l)
		f.must("list", err)
		for _, info := range page.Jobs {
			want[info.State]++
		}
		if l.After = page.Next; page.Next == "" {
			break
		}
	}
	f.equal("counts", f.counts(queue).States, want)
	f.equal("jobs", f.total(), int64(400))
}
