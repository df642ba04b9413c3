package histories

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// Beside does the same calls, one after another, to a store and to a model of it, and says where their answers differ:
// the first difference, nil if there is none. Both must be empty and see the same clock; wait lets time pass for both.
func Beside(ctx context.Context, store, model holdfast.Store, seed uint64, calls int, wait func(time.Duration)) error {
	b := &pair{ctx: ctx, luck: rand.New(rand.NewPCG(seed, 3)), stores: [2]holdfast.Store{store, model}, wait: wait}
	for range 3 {
		b.consumers = append(b.consumers, newID(b.luck))
	}
	for i := range calls {
		if err := b.move(); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	return nil
}

// pair is a store and its model, with what is known of both.
type pair struct {
	ctx       context.Context
	luck      *rand.Rand
	stores    [2]holdfast.Store
	wait      func(time.Duration)
	consumers []holdfast.ID
	claims    int64
	jobs      []holdfast.ID
	leases    []holdfast.Lease
}

// both asks both stores and compares what they say, as text.
func (b *pair) both(what string, ask func(holdfast.Store) (any, error)) error {
	var texts [2]string
	for i, s := range b.stores {
		answer, err := ask(s)
		texts[i] = fmt.Sprintf("%+v, %v", answer, kindOf(err))
	}
	if texts[0] != texts[1] {
		return fmt.Errorf("%s: the store says\n  %s\nthe model\n  %s", what, texts[0], texts[1])
	}
	return nil
}

// kindOf is what a caller branches on.
func kindOf(err error) error {
	for _, kind := range []error{holdfast.ErrDuplicate, holdfast.ErrLeaseLost, holdfast.ErrNotFound, holdfast.ErrConflict, holdfast.ErrInvalid} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return err
}

func (b *pair) move() error {
	switch at := b.luck.IntN(100); {
	case at < 20:
		return b.insert()
	case at < 42:
		return b.claim()
	case at < 62:
		return b.finish()
	case at < 72:
		return b.extend()
	case at < 80:
		return b.amend()
	case at < 85:
		return b.look()
	case at < 90:
		b.wait(time.Duration(b.luck.IntN(4)) * 100 * time.Second)
		return b.sweep()
	case at < 93:
		b.wait(time.Duration(b.luck.IntN(30)) * time.Minute)
		return b.purge()
	default:
		return b.counts()
	}
}

func (b *pair) newJobs(most int) []holdfast.NewJob {
	list := make([]holdfast.NewJob, 1+b.luck.IntN(most))
	for i := range list {
		n := holdfast.NewJob{
			ID: newID(b.luck), Queue: queues[b.luck.IntN(len(queues))], Data: []byte(fmt.Sprintf("a\x00%d", b.luck.IntN(3))),
			Priority: b.luck.IntN(10), MaxAttempts: b.luck.IntN(4),
		}
		if b.luck.IntN(3) == 0 {
			n.UniqueKey, n.OnDuplicate = fmt.Sprint("key", b.luck.IntN(4)), holdfast.OnDuplicate(b.luck.IntN(3))
		}
		switch b.luck.IntN(8) {
		case 0:
			n.After = time.Duration(b.luck.IntN(300)) * time.Second
		case 1:
			n.StartBy = time.Now().Add(time.Duration(b.luck.IntN(300)) * time.Second)
		case 2:
			if len(b.jobs) > 0 { // perhaps the same, perhaps another one with its id
				n.ID = b.jobs[b.luck.IntN(len(b.jobs))]
			}
		}
		list[i] = n
		b.jobs = append(b.jobs, n.ID)
	}
	return list
}

func (b *pair) insert() error {
	in := holdfast.Insert{Jobs: b.newJobs(3)}
	return b.both("insert", func(s holdfast.Store) (any, error) { return s.Insert(b.ctx, in) })
}

func (b *pair) claim() error {
	if b.luck.IntN(5) > 0 {
		b.claims++ // else the same number again
	}
	c := holdfast.Claim{
		Consumer: b.consumers[b.luck.IntN(len(b.consumers))], Number: b.claims, Queues: slices.Clone(queues), N: 1 + b.luck.IntN(4),
		Lease: 2 * time.Minute, Suspects: b.luck.IntN(3),
	}
	b.luck.Shuffle(len(c.Queues), func(i, j int) { c.Queues[i], c.Queues[j] = c.Queues[j], c.Queues[i] })
	return b.both("claim", func(s holdfast.Store) (any, error) {
		got, err := s.Claim(b.ctx, c)
		for _, d := range got.Jobs {
			b.leases = append(b.leases, d.Lease)
		}
		return got.Jobs, err
	})
}

// lease gives one of the latest leases, or one that was never given.
func (b *pair) lease() holdfast.Lease {
	if len(b.leases) == 0 {
		return holdfast.Lease{Job: newID(b.luck), Fence: 1}
	}
	l := b.leases[max(0, len(b.leases)-1-b.luck.IntN(16))]
	if b.luck.IntN(20) == 0 {
		l.Fence += int64(b.luck.IntN(3)) - 1
	}
	return l
}

func (b *pair) finish() error {
	o := holdfast.Outcome{Lease: b.lease(), Kind: holdfast.OutcomeDone, Log: []byte("a line\n"), Took: time.Duration(b.luck.IntN(1000)) * time.Millisecond}
	switch b.luck.IntN(5) {
	case 0, 1:
		o.Kind, o.Error, o.Final, o.MaxAttempts = holdfast.OutcomeFailed, "no luck", b.luck.IntN(5) == 0, b.luck.IntN(4)
		o.After = time.Duration(b.luck.IntN(3)) * time.Minute
	case 2:
		o.Kind, o.Unrun = holdfast.OutcomeReleased, b.luck.IntN(2) == 0
		o.After = time.Duration(b.luck.IntN(2)) * time.Minute
	default:
		o.Result = []byte("r\x00")
		if b.luck.IntN(4) == 0 {
			o.New = b.newJobs(2)
		}
	}
	return b.both("finish", func(s holdfast.Store) (any, error) {
		answers, err := s.Finish(b.ctx, []holdfast.Outcome{o})
		for i := range answers {
			answers[i].Err = kindOf(answers[i].Err)
		}
		return answers, err
	})
}

func (b *pair) extend() error {
	beat := holdfast.Beat{Lease: b.lease(), For: 2 * time.Minute, Started: b.luck.IntN(2) == 0, Progress: b.luck.Float64(), Note: "note", Log: []byte("beat\n")}
	return b.both("extend", func(s holdfast.Store) (any, error) { return s.Extend(b.ctx, []holdfast.Beat{beat}) })
}

func (b *pair) amend() error {
	actions := []holdfast.Action{holdfast.ActionRetry, holdfast.ActionCancel, holdfast.ActionDelete, holdfast.ActionRunNow, holdfast.ActionPause, holdfast.ActionResume, holdfast.ActionResume}
	a := holdfast.Amend{Action: actions[b.luck.IntN(len(actions))], Queue: queues[b.luck.IntN(len(queues))], Actor: "ada", Via: "test", Activity: newID(b.luck), Limit: 1 + b.luck.IntN(5)}
	if b.luck.IntN(3) == 0 {
		a.Filter = holdfast.Filter{Queues: []string{a.Queue}}
	} else if len(b.jobs) > 0 {
		a.Filter = holdfast.Filter{IDs: []holdfast.ID{b.jobs[max(0, len(b.jobs)-1-b.luck.IntN(20))]}}
	}
	return b.both(string(a.Action), func(s holdfast.Store) (any, error) {
		done, err := s.Amend(b.ctx, a)
		done.Next = ""
		for i := range done.Skipped {
			done.Skipped[i].Err = kindOf(done.Skipped[i].Err)
		}
		return done, err
	})
}

func (b *pair) sweep() error {
	w := holdfast.Sweep{Lease: time.Duration(b.luck.IntN(2)) * time.Hour, MaxCrashes: 2, Limit: 1000}
	if b.luck.IntN(3) == 0 {
		w.Dead = []holdfast.ID{b.consumers[b.luck.IntN(len(b.consumers))]}
	}
	return b.both("sweep", func(s holdfast.Store) (any, error) { return s.Sweep(b.ctx, w) })
}

func (b *pair) purge() error {
	p := holdfast.Purge{Keep: holdfast.Retention{Done: time.Duration(b.luck.IntN(2)) * time.Hour, Failed: time.Hour, Jobs: b.luck.IntN(20)}, Limit: 1 + b.luck.IntN(20)}
	return b.both("purge", func(s holdfast.Store) (any, error) { return s.Purge(b.ctx, p) })
}

// look shows one of the jobs, whole, and lists them all.
func (b *pair) look() error {
	if len(b.jobs) == 0 {
		return nil
	}
	id := b.jobs[max(0, len(b.jobs)-1-b.luck.IntN(30))]
	err := b.both("show", func(s holdfast.Store) (any, error) {
		info, attempts, err := s.Show(b.ctx, id)
		return []any{info, attempts}, err
	})
	if err != nil {
		return err
	}
	return b.both("list", func(s holdfast.Store) (any, error) {
		page, err := s.List(b.ctx, holdfast.List{Data: true, Limit: holdfast.MaxPage})
		return page.Jobs, err
	})
}

func (b *pair) counts() error {
	return b.both("counts", func(s holdfast.Store) (any, error) { return s.Counts(b.ctx) })
}

// Wakes says whether whoever waits for jobs of a store learns of each at once: nil, or how late it was. It is for a
// bubble of testing/synctest, where nothing takes time but waiting.
func Wakes(ctx context.Context, s holdfast.Store, seed uint64, rounds int) error {
	luck := rand.New(rand.NewPCG(seed, 4))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	got := make(chan holdfast.ID)
	go func() {
		defer close(got)
		for n := int64(1); ; n++ {
			claimed, err := s.Claim(ctx, holdfast.Claim{Consumer: holdfast.ID{1}, Number: n, Queues: queues, N: 1, Lease: time.Hour, Suspects: 1})
			if err != nil {
				return
			}
			for _, d := range claimed.Jobs {
				got <- d.Job
			}
			if len(claimed.Jobs) > 0 {
				continue
			}
			pauseFor(ctx, time.Duration(n%3)*time.Millisecond) // something may come between
			waiting, end := context.WithTimeout(ctx, holdfast.Poll)
			_, _ = s.Wait(waiting, holdfast.Wait{Queues: queues, Since: claimed.Tick})
			end()
		}
	}()
	for i := range rounds {
		pauseFor(ctx, time.Duration(luck.IntN(5_000))*time.Microsecond)
		put := time.Now()
		id := newID(luck)
		if _, err := s.Insert(ctx, holdfast.Insert{Jobs: []holdfast.NewJob{{ID: id, Queue: queues[i%len(queues)], Data: []byte(`1`)}}}); err != nil {
			return err
		}
		if taken := <-got; taken != id {
			return fmt.Errorf("round %d: job %v was taken, %v was put", i, taken, id)
		}
		if late := time.Since(put); late > time.Second {
			return fmt.Errorf("round %d: the job waited %v for somebody who was waiting for it", i, late)
		}
	}
	cancel()
	for range got {
	}
	return nil
}

func pauseFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
