package histories

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// What a client does. Each move chooses at random, calls, and writes down what the answer means for each job.

func newJob(luck *rand.Rand) holdfast.NewJob {
	n := holdfast.NewJob{ID: newID(luck), Queue: queues[luck.IntN(len(queues))], Data: []byte(`{}`), MaxAttempts: 1 + luck.IntN(3), Priority: luck.IntN(3)}
	if luck.IntN(100) < 15 {
		n.After = delay
	}
	if luck.IntN(100) < 10 {
		n.StartBy = time.Now().Add(10 * time.Minute)
	}
	return n
}

// fruits are the jobs that a delivery produces: the same whoever reports it, since a second report is a repeat.
func fruits(l holdfast.Lease) []holdfast.NewJob {
	luck := rand.New(rand.NewPCG(binary.BigEndian.Uint64(l.Job[:8]), uint64(l.Fence)))
	var list []holdfast.NewJob
	for range max(luck.IntN(4)-1, 0) {
		list = append(list, newJob(luck))
	}
	return list
}

func specOf(n *holdfast.NewJob) spec {
	return spec{after: n.After > 0, startBy: !n.StartBy.IsZero(), most: n.MaxAttempts}
}

func (c *client) insert() {
	jobs := make([]holdfast.NewJob, 1+c.rng.IntN(2))
	for i := range jobs {
		jobs[i] = newJob(c.rng)
	}
	if old, ok := c.someJob(); ok && c.chance(10) {
		jobs[0] = old // a repeat, or the second life of a deleted job
	}
	for _, n := range jobs {
		c.rec.know(n.ID, n.Queue)
	}
	c.remember(jobs)
	var answers []holdfast.Inserted
	c.call(false, func(ctx context.Context, s holdfast.Store) (err error) {
		answers, err = s.Insert(ctx, holdfast.Insert{Jobs: jobs})
		return err
	}, func(call, ret int64, _ int, unknown bool) (ops []*op) {
		for i := range jobs {
			if !unknown && (!answers[i].Made || answers[i].Err != nil || answers[i].ID != jobs[i].ID) {
				c.complain("put of job %v was answered %+v", jobs[i].ID, answers[i])
			}
			ops = append(ops, &op{client: c.number, call: call, ret: ret, kind: opInsert, unknown: unknown, job: jobs[i].ID, spec: specOf(&jobs[i])})
		}
		return ops
	})
}

func (c *client) remember(jobs []holdfast.NewJob) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, jobs...)
}

// someJob gives a job that somebody tried to put, a late one rather than an early one.
func (c *client) someJob() (holdfast.NewJob, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.jobs) == 0 {
		return holdfast.NewJob{}, false
	}
	back := min(len(c.jobs), 60)
	if c.chance(10) {
		back = len(c.jobs)
	}
	return c.jobs[len(c.jobs)-1-c.rng.IntN(back)], true
}

func (c *client) claim() {
	c.claims++
	ask := holdfast.Claim{Consumer: c.consumer, Number: c.claims, N: 1 + c.rng.IntN(4), Lease: leaseFor, Suspects: 10}
	ask.Queues = slices.Clone(queues)
	c.rng.Shuffle(len(ask.Queues), func(i, j int) { ask.Queues[i], ask.Queues[j] = ask.Queues[j], ask.Queues[i] })
	if c.chance(30) {
		ask.Queues = ask.Queues[:1]
	}
	var got holdfast.Claimed
	c.call(true, func(ctx context.Context, s holdfast.Store) (err error) {
		got, err = s.Claim(ctx, ask)
		return err
	}, func(call, ret int64, try int, unknown bool) []*op {
		each := op{client: c.number, call: call, ret: ret, queues: ask.Queues, consumer: c.consumer, number: ask.Number}
		if unknown {
			each.kind, each.unknown = opMayClaim, true
			return []*op{&each}
		}
		var ops []*op
		each.except = map[holdfast.ID]bool{}
		for _, d := range got.Jobs {
			each.except[d.Job] = true
			ops = append(ops, &op{client: c.number, call: call, ret: ret, kind: opClaim, job: d.Job, fence: d.Fence, consumer: c.consumer, number: ask.Number, info: d.Info})
		}
		if len(got.Jobs) > ask.N {
			c.complain("a claim of %d jobs got %d", ask.N, len(got.Jobs))
		}
		if try > 0 {
			each.kind = opRepeatNone
			ops = append(ops, &each)
		} else if len(got.Jobs) < ask.N {
			each.kind = opClaimNone
			ops = append(ops, &each)
		}
		c.holding(got.Jobs)
		return ops
	})
}

// holding keeps leases where each client finds them, so that they are used by several at once, and when they are stale.
func (c *client) holding(jobs []holdfast.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range jobs {
		c.leases = append(c.leases, d.Lease)
	}
	if over := len(c.leases) - 48; over > 0 {
		c.leases = c.leases[over:]
	}
}

// someLeases gives up to n leases, and forgets most of them.
func (c *client) someLeases(n int, forget float64) []holdfast.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []holdfast.Lease
	for range min(n, len(c.leases)) {
		i := c.rng.IntN(len(c.leases))
		if !slices.Contains(list, c.leases[i]) {
			list = append(list, c.leases[i])
		}
		if c.chance(forget) {
			c.leases = slices.Delete(c.leases, i, i+1)
			if len(c.leases) == 0 {
				break
			}
		}
	}
	return list
}

func (c *client) finish() {
	leases := c.someLeases(1+c.rng.IntN(3), 80)
	if len(leases) == 0 {
		return
	}
	outcomes := make([]holdfast.Outcome, len(leases))
	for i, l := range leases {
		o := holdfast.Outcome{Lease: l, Kind: holdfast.OutcomeDone}
		switch {
		case c.chance(50):
			o.New = fruits(l)
			for _, n := range o.New {
				c.rec.know(n.ID, n.Queue)
			}
			c.remember(o.New)
		case c.chance(50):
			o.Kind, o.Final, o.Error = holdfast.OutcomeFailed, c.chance(20), "no luck"
		default:
			o.Kind, o.Unrun = holdfast.OutcomeReleased, c.chance(50)
		}
		if o.Kind != holdfast.OutcomeDone && c.chance(30) {
			o.After = delay
		}
		outcomes[i] = o
	}
	var answers []holdfast.Finished
	c.call(false, func(ctx context.Context, s holdfast.Store) (err error) {
		answers, err = s.Finish(ctx, outcomes)
		return err
	}, func(call, ret int64, _ int, unknown bool) (ops []*op) {
		for i, o := range outcomes {
			f := &op{client: c.number, call: call, ret: ret, kind: opFinish, unknown: unknown, job: o.Lease.Job, fence: o.Lease.Fence}
			f.report = report{kind: o.Kind, unrun: o.Unrun, final: o.Final, after: o.After > 0}
			if !unknown {
				f.lost = errors.Is(answers[i].Err, holdfast.ErrLeaseLost)
				f.info.State = answers[i].State
				if err := answers[i].Err; err != nil && !f.lost {
					c.complain("report of job %v was answered %v", o.Lease.Job, err)
				}
			}
			ops = append(ops, f)
			for j := range o.New {
				if !f.lost {
					ops = append(ops, &op{client: c.number, call: call, ret: ret, kind: opProduce, unknown: unknown, job: o.New[j].ID, spec: specOf(&o.New[j])})
				}
			}
		}
		return ops
	})
}

func (c *client) extend() {
	leases := c.someLeases(1+c.rng.IntN(4), 0)
	if len(leases) == 0 {
		return
	}
	beats := make([]holdfast.Beat, len(leases))
	for i, l := range leases {
		beats[i] = holdfast.Beat{Lease: l, For: leaseFor}
	}
	var answers []holdfast.Beaten
	c.call(false, func(ctx context.Context, s holdfast.Store) (err error) {
		answers, err = s.Extend(ctx, beats)
		return err
	}, func(call, ret int64, _ int, unknown bool) (ops []*op) {
		for i, l := range leases {
			o := &op{client: c.number, call: call, ret: ret, kind: opExtend, unknown: unknown, job: l.Job, fence: l.Fence}
			if !unknown {
				o.lost, o.asked, o.paused = answers[i].Err != nil, answers[i].CancelRequested, answers[i].Paused
			}
			ops = append(ops, o)
		}
		return ops
	})
}

func (c *client) show() {
	job, ok := c.someJob()
	if !ok {
		return
	}
	o := &op{client: c.number, kind: opShow, job: job.ID}
	c.call(false, func(ctx context.Context, s holdfast.Store) (err error) {
		o.info, _, err = s.Show(ctx, job.ID)
		if o.missing = errors.Is(err, holdfast.ErrNotFound); o.missing {
			return nil
		}
		return err
	}, func(call, ret int64, _ int, unknown bool) []*op {
		if unknown {
			return nil
		}
		o.call, o.ret = call, ret
		return []*op{o}
	})
}

func (c *client) amend() {
	job, ok := c.someJob()
	if !ok {
		return
	}
	action := holdfast.ActionCancel
	switch at := c.rng.IntN(100); {
	case at < 30:
		action = holdfast.ActionRetry
	case at < 45:
		action = holdfast.ActionDelete
	case at < 60:
		action = holdfast.ActionRunNow
	}
	ask := holdfast.Amend{Action: action, Filter: holdfast.Filter{IDs: []holdfast.ID{job.ID}}, Actor: "ada", Via: "test", Activity: c.id(), Limit: 10}
	var done holdfast.Amended
	c.call(false, func(ctx context.Context, s holdfast.Store) (err error) {
		done, err = s.Amend(ctx, ask)
		return err
	}, func(call, ret int64, _ int, unknown bool) []*op {
		o := &op{client: c.number, call: call, ret: ret, kind: opAmend, unknown: unknown, job: job.ID, action: action}
		if !unknown && done.Changed != 1 {
			if len(done.Skipped) != 1 {
				c.complain("%s of job %v was answered %+v", action, job.ID, done)
				return nil
			}
			o.missing = errors.Is(done.Skipped[0].Err, holdfast.ErrNotFound)
			o.refused = !o.missing
		}
		return []*op{o}
	})
}

// everywhere makes a call that concerns every job, and repeats it until it has happened.
func (c *client) everywhere(o op, do func(context.Context, holdfast.Store) (more bool, err error)) {
	more := false
	c.call(true, func(ctx context.Context, s holdfast.Store) (err error) {
		more, err = do(ctx, s)
		return err
	}, func(call, ret int64, _ int, unknown bool) []*op {
		o := o
		o.client, o.call, o.ret, o.unknown, o.more = c.number, call, ret, unknown, more && !unknown
		return []*op{&o}
	})
}

func (c *client) sweep() {
	ask := holdfast.Sweep{Lease: holdfast.MaxLease, Limit: everyJob}
	if c.chance(30) { // this consumer dies; the client goes on as another
		ask.Dead = []holdfast.ID{c.consumer}
		c.consumer, c.claims = c.id(), 0
	}
	c.everywhere(op{kind: opSweep, dead: ask.Dead}, func(ctx context.Context, s holdfast.Store) (bool, error) {
		swept, err := s.Sweep(ctx, ask)
		return swept.More, err
	})
}

func (c *client) purge() {
	c.everywhere(op{kind: opPurge}, func(ctx context.Context, s holdfast.Store) (bool, error) {
		purged, err := s.Purge(ctx, holdfast.Purge{Limit: everyJob})
		return purged.More, err
	})
}

func (c *client) pause() {
	queue := queues[c.rng.IntN(len(queues))]
	for _, action := range []holdfast.Action{holdfast.ActionPause, holdfast.ActionResume} {
		kind := opPause
		if action == holdfast.ActionResume {
			kind = opResume
		}
		ask := holdfast.Amend{Action: action, Queue: queue, Actor: "ada", Via: "test", Activity: c.id(), Limit: 1}
		c.everywhere(op{kind: kind, queues: []string{queue}}, func(ctx context.Context, s holdfast.Store) (bool, error) {
			_, err := s.Amend(ctx, ask)
			return false, err
		})
		for range 4 { // others meet the pause, and so does this client
			c.claim()
		}
	}
}

func (c *client) shift() {
	c.mu.Lock()
	c.shifts++
	enough := c.shifts > maxShifts
	c.mu.Unlock()
	if c.world.Shift == nil || enough {
		return
	}
	o := &op{client: c.number, kind: opShift, call: c.rec.now()}
	if err := c.world.Shift(shiftBy); err != nil {
		c.complain("shift: %v", err)
		return
	}
	o.ret = c.rec.now()
	c.rec.add(o)
}

func (c *client) reopen() {
	if c.world.Reopen == nil {
		return
	}
	i := c.rng.IntN(len(c.slots))
	slot := c.slots[i]
	slot.mu.Lock()
	defer slot.mu.Unlock()
	s, err := c.world.Reopen(i)
	if err != nil {
		c.complain("open again: %v", err)
		return
	}
	c.dress(slot, s, c.rng.Uint64(), uint64(i))
}
