package holdfast

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// reportBatch bounds the outcomes in one Finish.
const reportBatch = 4_096

// report is an outcome on its way to the store.
type report struct {
	hold    *hold
	outcome Outcome
	alone   bool // the store could not take it with others
}

// reporter writes outcomes: those that come while one Finish is under way go together into the next.
type reporter struct {
	engine *engine
	wake   chan struct{}

	trouble time.Duration // the last pause before trying again; 0: all is well. Only run's goroutine has it

	mu      sync.Mutex
	pending []report
	busy    bool
	delayed int // outcomes that come again later
	idle    *sync.Cond
}

func newReporter(e *engine) *reporter {
	r := &reporter{engine: e, wake: make(chan struct{}, 1)}
	r.idle = sync.NewCond(&r.mu)
	return r
}

func (r *reporter) add(h *hold, o Outcome) {
	r.mu.Lock()
	r.pending = append(r.pending, report{hold: h, outcome: o})
	r.mu.Unlock()
	r.knock()
}

func (r *reporter) knock() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take gives the next batch, bounded in number and bytes.
func (r *reporter) take() []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, bytes := 0, 0
	for n < len(r.pending) && n < reportBatch {
		o := &r.pending[n].outcome
		if r.pending[n].alone {
			n = max(n, 1)
			break
		}
		bytes += len(o.Result) + len(o.Log)
		for i := range o.New {
			bytes += len(o.New[i].Data)
		}
		if n > 0 && bytes > MaxBatchBytes {
			break
		}
		n++
	}
	batch := r.pending[:n:n]
	r.pending = r.pending[n:]
	if len(r.pending) == 0 {
		r.pending = nil
	}
	r.busy = n > 0
	if !r.busy {
		r.idle.Broadcast()
	}
	return batch
}

func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for batch := r.take(); len(batch) > 0; batch = r.take() {
			if !r.send(ctx, batch) {
				return
			}
		}
	}
}

// send writes a batch; what does not get through comes again. False: ctx ended first.
func (r *reporter) send(ctx context.Context, batch []report) bool {
	for tries := 1; ; tries++ {
		err := r.finish(ctx, batch)
		if err == nil {
			r.trouble = 0
			return true
		}
		if errors.Is(err, ErrClosed) {
			for _, b := range batch {
				r.engine.keeper.drop(b.hold) // the lease gives them back
			}
			r.engine.look()
			return true
		}
		if batch[0].alone {
			r.later(batch)
			return true
		}
		r.trouble = min(max(2*r.trouble, 50*time.Millisecond), 5*time.Second)
		r.engine.config.Logger.Warn("report outcomes", "jobs", len(batch), "error", err, "again_in", r.trouble)
		if sleep(ctx, r.trouble) != nil {
			return false
		}
		if tries < wholeTries {
			continue
		}
		// One outcome that the store cannot take must not hold up the others.
		if left := r.oneByOne(ctx, batch); len(left) < len(batch) {
			r.later(left)
		} else {
			r.again(batch)
		}
		return true
	}
}

// again puts a batch of which nothing got through before what has come meanwhile, with another outcome first.
func (r *reporter) again(batch []report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	turned := append(batch[1:len(batch):len(batch)], batch[0])
	r.pending = append(turned, r.pending...)
}

// How often a batch is tried whole, and how many single failures in a row mean that the store is out of reach.
const (
	wholeTries = 3
	outOfReach = 8
)

// finish writes outcomes in one call and takes the answers.
func (r *reporter) finish(ctx context.Context, batch []report) error {
	outcomes := make([]Outcome, len(batch))
	for i := range outcomes {
		outcomes[i] = batch[i].outcome
	}
	finished, err := r.engine.store.Finish(ctx, outcomes)
	if err != nil {
		return err
	}
	for i, f := range finished {
		r.answered(batch[i], f)
	}
	r.engine.look()
	return nil
}

// oneByOne writes outcomes in a call each and gives those that did not get through.
func (r *reporter) oneByOne(ctx context.Context, batch []report) (left []report) {
	for i, b := range batch {
		err := r.finish(ctx, []report{b})
		if err == nil {
			continue
		}
		if errors.Is(err, ErrInvalid) || errors.Is(err, ErrTooLarge) {
			r.answered(b, Finished{Err: err})
			continue
		}
		if left = append(left, b); len(left) == i+1 && len(left) >= outOfReach {
			return append(left, batch[i+1:]...)
		}
	}
	return left
}

// later tries outcomes again, each alone, after a while in which the others go on.
func (r *reporter) later(left []report) {
	for _, b := range left {
		b.alone = true
		r.mu.Lock()
		r.delayed++
		r.mu.Unlock()
		time.AfterFunc(5*time.Second, func() {
			r.mu.Lock()
			r.delayed--
			r.pending = append(r.pending, b)
			r.mu.Unlock()
			r.knock()
		})
	}
}

// answered takes the store's answer for one outcome.
func (r *reporter) answered(sent report, f Finished) {
	e, h := r.engine, sent.hold
	switch {
	case f.Err == nil:
		e.keeper.drop(h)
		e.logFinished(sent, f)
		if e.config.Finished != nil {
			e.config.Finished(*h.info, f)
		}
	case errorIsLost(f.Err) && h.committing() && r.committed(h):
		e.keeper.drop(h)
		done := Finished{State: Done, Last: true}
		e.logFinished(report{hold: h, outcome: Outcome{Kind: OutcomeDone, Took: sent.outcome.Took}}, done)
		if e.config.Finished != nil {
			e.config.Finished(*h.info, done)
		}
	case errorIsLost(f.Err):
		e.config.Logger.Warn("late outcome refused: lease lost", "job", h.lease.Job, "queue", h.info.Queue, "fence", h.lease.Fence, "outcome", sent.outcome.Kind)
		h.lose()
		e.keeper.drop(h)
	case sent.outcome.Kind == OutcomeDone:
		// A job that it produced, or its result, was refused: then this attempt has failed.
		r.add(h, h.outcome(&e.config, fmt.Errorf("completion refused: %w", f.Err)))
	default:
		e.config.Logger.Error("outcome refused", "job", h.lease.Job, "queue", h.info.Queue, "error", f.Err)
		e.keeper.drop(h)
	}
}

// committed says whether the caller's own transaction has recorded the completion.
func (r *reporter) committed(h *hold) bool {
	info, _, err := r.engine.store.Show(r.engine.base, h.lease.Job)
	return err == nil && info.State == Done && info.Fence == h.lease.Fence
}

// drain waits until all is written, at most so long.
func (r *reporter) drain(most time.Duration) {
	expired := false
	timer := time.AfterFunc(most, func() {
		r.mu.Lock()
		expired = true
		r.idle.Broadcast()
		r.mu.Unlock()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for (len(r.pending)+r.delayed > 0 || r.busy) && !expired {
		r.idle.Wait()
	}
}
