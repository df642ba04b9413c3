package histories

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// honest is a store as it is; each planted bug is one with some methods put in its way.
type honest struct {
	holdfast.Store
	insert func(context.Context, holdfast.Insert) ([]holdfast.Inserted, error)
	claim  func(context.Context, holdfast.Claim) (holdfast.Claimed, error)
	extend func(context.Context, []holdfast.Beat) ([]holdfast.Beaten, error)
	finish func(context.Context, []holdfast.Outcome) ([]holdfast.Finished, error)
	sweep  func(context.Context, holdfast.Sweep) (holdfast.Swept, error)
	purge  func(context.Context, holdfast.Purge) (holdfast.Purged, error)
	amend  func(context.Context, holdfast.Amend) (holdfast.Amended, error)
	show   func(context.Context, holdfast.ID) (holdfast.Info, []holdfast.Attempt, error)
	counts func(context.Context) ([]holdfast.Counts, error)
	wait   func(context.Context, holdfast.Wait) (holdfast.Tick, error)
}

func (h *honest) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	return or(h.insert, h.Store.Insert)(ctx, in)
}
func (h *honest) Claim(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
	return or(h.claim, h.Store.Claim)(ctx, c)
}
func (h *honest) Extend(ctx context.Context, b []holdfast.Beat) ([]holdfast.Beaten, error) {
	return or(h.extend, h.Store.Extend)(ctx, b)
}
func (h *honest) Finish(ctx context.Context, o []holdfast.Outcome) ([]holdfast.Finished, error) {
	return or(h.finish, h.Store.Finish)(ctx, o)
}
func (h *honest) Sweep(ctx context.Context, s holdfast.Sweep) (holdfast.Swept, error) {
	return or(h.sweep, h.Store.Sweep)(ctx, s)
}
func (h *honest) Purge(ctx context.Context, p holdfast.Purge) (holdfast.Purged, error) {
	return or(h.purge, h.Store.Purge)(ctx, p)
}
func (h *honest) Amend(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
	return or(h.amend, h.Store.Amend)(ctx, a)
}
func (h *honest) Wait(ctx context.Context, w holdfast.Wait) (holdfast.Tick, error) {
	return or(h.wait, h.Store.Wait)(ctx, w)
}
func (h *honest) Show(ctx context.Context, id holdfast.ID) (holdfast.Info, []holdfast.Attempt, error) {
	if h.show != nil {
		return h.show(ctx, id)
	}
	return h.Store.Show(ctx, id)
}
func (h *honest) Counts(ctx context.Context) ([]holdfast.Counts, error) {
	if h.counts != nil {
		return h.counts(ctx)
	}
	return h.Store.Counts(ctx)
}

func or[A, B any](lie, truth func(context.Context, A) (B, error)) func(context.Context, A) (B, error) {
	if lie != nil {
		return lie
	}
	return truth
}

// changed plants a bug that changes what a call says before the store hears it.
func changedInsert(change func(*holdfast.NewJob)) func(*honest) {
	return func(h *honest) {
		h.insert = func(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
			in.Jobs = slices.Clone(in.Jobs)
			for i := range in.Jobs {
				change(&in.Jobs[i])
			}
			return h.Store.Insert(ctx, in)
		}
	}
}

func changedFinish(change func(context.Context, holdfast.Store, *holdfast.Outcome)) func(*honest) {
	return func(h *honest) {
		h.finish = func(ctx context.Context, list []holdfast.Outcome) ([]holdfast.Finished, error) {
			list = slices.Clone(list)
			for i := range list {
				change(ctx, h.Store, &list[i])
			}
			return h.Store.Finish(ctx, list)
		}
	}
}

// currentFence makes a stale lease a good one.
func currentFence(ctx context.Context, s holdfast.Store, l *holdfast.Lease) {
	if i, _, err := s.Show(ctx, l.Job); err == nil && i.State == holdfast.Running {
		l.Fence = i.Fence
	}
}

func fenceUnchecked(h *honest) {
	changedFinish(func(ctx context.Context, s holdfast.Store, o *holdfast.Outcome) { currentFence(ctx, s, &o.Lease) })(h)
	h.extend = func(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
		beats = slices.Clone(beats)
		for i := range beats {
			currentFence(ctx, h.Store, &beats[i].Lease)
		}
		return h.Store.Extend(ctx, beats)
	}
}

// insertAnsweredEarly does each insert only when the next one comes.
func insertAnsweredEarly(h *honest) {
	var mu sync.Mutex
	var owed *holdfast.Insert
	h.insert = func(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
		mu.Lock()
		defer mu.Unlock()
		if owed != nil {
			if _, err := h.Store.Insert(context.WithoutCancel(ctx), *owed); err != nil {
				return nil, err
			}
		}
		owed = &in
		answers := make([]holdfast.Inserted, len(in.Jobs))
		for i := range answers {
			answers[i] = holdfast.Inserted{ID: in.Jobs[i].ID, Made: true}
		}
		return answers, nil
	}
}

// doneAnsweredEarly says done at once and reports at the next opportunity.
func doneAnsweredEarly(h *honest) {
	var mu sync.Mutex
	var owed []holdfast.Outcome
	h.finish = func(ctx context.Context, list []holdfast.Outcome) ([]holdfast.Finished, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(owed) > 0 {
			if _, err := h.Store.Finish(context.WithoutCancel(ctx), owed); err != nil {
				return nil, err
			}
			owed = nil
		}
		for _, o := range list {
			if o.Kind != holdfast.OutcomeDone {
				return h.Store.Finish(ctx, list)
			}
		}
		answers := make([]holdfast.Finished, len(list))
		for i, o := range list {
			answers[i] = holdfast.Finished{State: holdfast.Done, Last: true}
			if info, _, err := h.Store.Show(ctx, o.Lease.Job); err != nil || info.State != holdfast.Running || info.Fence != o.Lease.Fence {
				return h.Store.Finish(ctx, list)
			}
		}
		owed = list
		return answers, nil
	}
}

// healthySwept gives back what anybody holds.
func healthySwept(h *honest) {
	h.sweep = func(ctx context.Context, s holdfast.Sweep) (holdfast.Swept, error) {
		page, err := h.Store.List(ctx, holdfast.List{Filter: holdfast.Filter{States: []holdfast.State{holdfast.Running}}})
		if err != nil {
			return holdfast.Swept{}, err
		}
		for _, i := range page.Jobs {
			s.Dead = append(s.Dead, i.Consumer)
		}
		return h.Store.Sweep(ctx, s)
	}
}

// givenTwice hands out again what another claim got, if which says so.
func givenTwice(which func(*holdfast.Info) bool) func(*honest) {
	return func(h *honest) {
		var mu sync.Mutex
		var kept *holdfast.Delivery
		h.claim = func(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
			got, err := h.Store.Claim(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if kept != nil && len(got.Jobs) < c.N && err == nil {
				got.Jobs = append(slices.Clone(got.Jobs), *kept)
				kept = nil
				return got, nil
			}
			for _, d := range got.Jobs {
				if which(&d.Info) {
					kept = &d
				}
			}
			return got, err
		}
	}
}

func waitingPurged(h *honest) {
	h.purge = func(ctx context.Context, p holdfast.Purge) (holdfast.Purged, error) {
		waiting := holdfast.Amend{Action: holdfast.ActionDelete, Filter: holdfast.Filter{States: []holdfast.State{holdfast.Waiting}}, Limit: 2}
		if _, err := h.Store.Amend(ctx, waiting); err != nil {
			return holdfast.Purged{}, err
		}
		return h.Store.Purge(ctx, p)
	}
}

// keyForgotten lets another job have the unique key of one that waits for its next attempt.
func keyForgotten(h *honest) {
	h.insert = func(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
		page, err := h.Store.List(ctx, holdfast.List{Filter: holdfast.Filter{States: []holdfast.State{holdfast.Scheduled, holdfast.Waiting}}})
		if err != nil {
			return nil, err
		}
		in.Jobs = slices.Clone(in.Jobs)
		for i := range in.Jobs {
			n := &in.Jobs[i]
			for _, j := range page.Jobs {
				if j.Failures > 0 && j.Queue == n.Queue && j.UniqueKey == n.UniqueKey {
					n.UniqueKey = ""
				}
			}
		}
		return h.Store.Insert(ctx, in)
	}
}

// fruitsFirst puts what a job produces before it is known whether the job completes.
func fruitsFirst(h *honest) {
	changedFinish(func(ctx context.Context, s holdfast.Store, o *holdfast.Outcome) {
		if len(o.New) > 0 {
			s.Insert(context.WithoutCancel(ctx), holdfast.Insert{Jobs: o.New})
		}
	})(h)
}

// bell is a wake-up of a bug's own.
type bell struct {
	mu   sync.Mutex
	tick uint64
	rung chan struct{}
}

func (b *bell) read() (uint64, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.tick, b.rung
}

func (b *bell) ring() {
	b.read()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick++
	close(b.rung)
	b.rung = make(chan struct{})
}

// ownBell lets a store be waited for by another bell, which is rung by put. Deaf waiters hear only what is rung while
// they wait.
func ownBell(deaf bool, put func(ring func(), insert func())) func(*honest) {
	return func(h *honest) {
		var b bell
		h.claim = func(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
			tick, _ := b.read()
			got, err := h.Store.Claim(ctx, c)
			got.Tick = holdfast.Tick{tick}
			return got, err
		}
		h.insert = func(ctx context.Context, in holdfast.Insert) (answers []holdfast.Inserted, err error) {
			put(b.ring, func() { answers, err = h.Store.Insert(ctx, in) })
			return answers, err
		}
		h.wait = func(ctx context.Context, w holdfast.Wait) (holdfast.Tick, error) {
			tick, rung := b.read()
			if tick > w.Since[0] && !deaf {
				return holdfast.Tick{tick}, nil
			}
			select {
			case <-rung:
				tick, _ := b.read()
				return holdfast.Tick{tick}, nil
			case <-ctx.Done():
				return holdfast.Tick{tick}, ctx.Err()
			}
		}
	}
}

func bellEarly(h *honest) {
	ownBell(false, func(ring, insert func()) {
		ring()
		pauseFor(context.Background(), 5*time.Millisecond) // as long as a commit takes
		insert()
	})(h)
}

func bellMissed(h *honest) {
	ownBell(true, func(ring, insert func()) { insert(); ring() })(h)
}

// bellSilent never rings for what another put.
func bellSilent(h *honest) {
	ownBell(false, func(_, insert func()) { insert() })(h)
}

// fenceRestarts counts fences from 0 again when an operator retries a job.
func fenceRestarts(h *honest) {
	var mu sync.Mutex
	from := map[holdfast.ID]int64{}
	out := func(id holdfast.ID, fence int64) int64 { mu.Lock(); defer mu.Unlock(); return fence - from[id] }
	in := func(l holdfast.Lease) holdfast.Lease {
		mu.Lock()
		defer mu.Unlock()
		l.Fence += from[l.Job]
		return l
	}
	h.amend = func(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
		done, err := h.Store.Amend(ctx, a)
		if err == nil && done.Changed == 1 && a.Action == holdfast.ActionRetry && len(a.Filter.IDs) == 1 {
			if i, _, err := h.Store.Show(ctx, a.Filter.IDs[0]); err == nil {
				mu.Lock()
				from[i.ID] = i.Fence
				mu.Unlock()
			}
		}
		return done, err
	}
	h.claim = func(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
		got, err := h.Store.Claim(ctx, c)
		for i := range got.Jobs {
			d := &got.Jobs[i]
			d.Fence = out(d.Job, d.Fence)
			d.Info.Fence = d.Fence
		}
		return got, err
	}
	h.show = func(ctx context.Context, id holdfast.ID) (holdfast.Info, []holdfast.Attempt, error) {
		i, attempts, err := h.Store.Show(ctx, id)
		i.Fence = out(id, i.Fence)
		return i, attempts, err
	}
	changedFinish(func(_ context.Context, _ holdfast.Store, o *holdfast.Outcome) { o.Lease = in(o.Lease) })(h)
	h.extend = func(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
		beats = slices.Clone(beats)
		for i := range beats {
			beats[i].Lease = in(beats[i].Lease)
		}
		return h.Store.Extend(ctx, beats)
	}
}

func cancelWins(h *honest) {
	changedFinish(func(ctx context.Context, s holdfast.Store, o *holdfast.Outcome) {
		if i, _, err := s.Show(ctx, o.Lease.Job); err == nil && !i.CancelRequested.IsZero() && o.Kind == holdfast.OutcomeDone {
			o.Kind, o.New = holdfast.OutcomeReleased, nil
		}
	})(h)
}

func countersDrift(h *honest) {
	var mu sync.Mutex
	retried := int64(0)
	h.amend = func(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
		done, err := h.Store.Amend(ctx, a)
		if a.Action == holdfast.ActionRetry {
			mu.Lock()
			retried += int64(done.Changed)
			mu.Unlock()
		}
		return done, err
	}
	h.counts = func(ctx context.Context) ([]holdfast.Counts, error) {
		list, err := h.Store.Counts(ctx)
		mu.Lock()
		defer mu.Unlock()
		for i := range list {
			list[i].States[holdfast.Failed] += retried
		}
		return list, err
	}
}

// pauseIgnored takes from paused queues too.
func pauseIgnored(h *honest) {
	h.claim = func(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
		counts, err := h.Store.Counts(ctx)
		if err != nil {
			return holdfast.Claimed{}, err
		}
		for _, q := range counts {
			if !q.PausedAt.IsZero() {
				pause := holdfast.Amend{Action: holdfast.ActionResume, Queue: q.Queue, Actor: q.PausedBy, Activity: holdfast.NewID(), Limit: 1}
				h.Store.Amend(ctx, pause)
				pause.Action = holdfast.ActionPause
				defer h.Store.Amend(context.WithoutCancel(ctx), pause)
			}
		}
		return h.Store.Claim(ctx, c)
	}
}

// staleAccepted thanks for a late answer.
func staleAccepted(h *honest) {
	h.finish = func(ctx context.Context, list []holdfast.Outcome) ([]holdfast.Finished, error) {
		answers, err := h.Store.Finish(ctx, list)
		for i := range answers {
			if errors.Is(answers[i].Err, holdfast.ErrLeaseLost) {
				answers[i] = holdfast.Finished{State: holdfast.Done, Last: true}
			}
		}
		return answers, err
	}
}

// repeatRefused calls the repeat of an accepted report a stale one.
func repeatRefused(h *honest) {
	h.finish = func(ctx context.Context, list []holdfast.Outcome) ([]holdfast.Finished, error) {
		over := make([]bool, len(list))
		for i, o := range list {
			info, _, err := h.Store.Show(ctx, o.Lease.Job)
			over[i] = err == nil && info.State != holdfast.Running
		}
		answers, err := h.Store.Finish(ctx, list)
		for i := range answers {
			if over[i] {
				answers[i] = holdfast.Finished{Err: holdfast.ErrLeaseLost}
			}
		}
		return answers, err
	}
}

// heartbeatLies says that leases are extended, and leaves them as they are.
func heartbeatLies(h *honest) {
	h.extend = func(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
		answers := make([]holdfast.Beaten, len(beats))
		for i, b := range beats {
			info, _, err := h.Store.Show(ctx, b.Lease.Job)
			if err != nil || info.State != holdfast.Running || info.Fence != b.Lease.Fence {
				answers[i].Err = holdfast.ErrLeaseLost
			}
			answers[i].CancelRequested = !info.CancelRequested.IsZero()
		}
		return answers, nil
	}
}

// sweepSkips does every second sweep by saying that it did.
func sweepSkips(h *honest) {
	var mu sync.Mutex
	n := 0
	h.sweep = func(ctx context.Context, s holdfast.Sweep) (holdfast.Swept, error) {
		mu.Lock()
		n++
		skip := n%2 == 0
		mu.Unlock()
		if skip {
			return holdfast.Swept{}, nil
		}
		return h.Store.Sweep(ctx, s)
	}
}

// insertByHalves puts the jobs of a call one by one.
func insertByHalves(h *honest) {
	h.insert = func(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
		var all []holdfast.Inserted
		for _, n := range in.Jobs {
			answers, err := h.Store.Insert(ctx, holdfast.Insert{Jobs: []holdfast.NewJob{n}})
			if err != nil {
				return nil, err
			}
			all = append(all, answers...)
		}
		return all, nil
	}
}

func claimRenumbered(h *honest) {
	h.claim = func(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
		c.Number = 0
		return h.Store.Claim(ctx, c)
	}
}

// unknownCalledFailed says of a call whose answer was lost that it did not happen.
func unknownCalledFailed(h *honest) {
	certain := func(err error) error {
		if errors.Is(err, holdfast.ErrUnknown) {
			return context.DeadlineExceeded
		}
		return err
	}
	h.insert = func(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
		answers, err := h.Store.Insert(ctx, in)
		return answers, certain(err)
	}
	h.claim = func(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
		got, err := h.Store.Claim(ctx, c)
		return got, certain(err)
	}
	h.finish = func(ctx context.Context, list []holdfast.Outcome) ([]holdfast.Finished, error) {
		answers, err := h.Store.Finish(ctx, list)
		return answers, certain(err)
	}
}

func cutAtZero(n *holdfast.NewJob) { n.Data, _, _ = bytes.Cut(n.Data, []byte{0}) }
