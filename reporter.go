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
}

// reporter writes outcomes: those that come while one Finish is under way go together into the next.
type reporter struct {
	engine *engine
	wake   chan struct{}

	mu      sync.Mutex
	pending []report
	busy    bool
	idle    *sync.Cond
}

func newReporter(e *engine) *reporter {
	r := &reporter{engine: e, wake: make(chan struct{}, 1)}
	r.idle = sync.NewCond(&r.mu)
	return r
}

func (r *reporter) add(h *hold, o Outcome) {
	r.mu.Lock()
	r.pending = append(r.pending, report{h, o})
	r.mu.Unlock()
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

// send writes a batch, again and again until the store answers; false: ctx ended first.
func (r *reporter) send(ctx context.Context, batch []report) bool {
	e := r.engine
	for trouble, tries := time.Duration(0), 1; len(batch) > 0; tries++ {
		n := len(batch)
		if tries > 3 {
			n = 1 // one outcome that the store cannot take must not hold up the others
		}
		outcomes := make([]Outcome, n)
		for i := range outcomes {
			outcomes[i] = batch[i].outcome
		}
		finished, err := e.store.Finish(ctx, outcomes)
		if err == nil {
			for i, f := range finished {
				r.answered(batch[i], f)
			}
			batch, trouble = batch[n:], 0
			e.mu.Lock()
			e.poke()
			e.mu.Unlock()
			continue
		}
		if errors.Is(err, ErrClosed) {
			for _, b := range batch {
				e.keeper.drop(b.hold) // the lease gives them back
			}
			return true
		}
		if n == 1 && (errors.Is(err, ErrInvalid) || errors.Is(err, ErrTooLarge)) {
			r.answered(batch[0], Finished{Err: err})
			batch = batch[1:]
			continue
		}
		trouble = min(max(2*trouble, 50*time.Millisecond), 5*time.Second)
		e.config.Logger.Warn("report outcomes", "jobs", n, "error", err, "again_in", trouble)
		if sleep(ctx, trouble) != nil {
			return false
		}
	}
	return true
}

// answered takes the store's answer for one outcome.
func (r *reporter) answered(sent report, f Finished) {
	e, h := r.engine, sent.hold
	switch {
	case f.Err == nil:
		e.keeper.drop(h)
		e.logFinished(sent, f)
		if e.config.Finished != nil {
			e.config.Finished(h.info, f)
		}
	case errorIsLost(f.Err) && h.committing() && r.committed(h):
		e.keeper.drop(h)
		done := Finished{State: Done, Last: true}
		e.logFinished(report{h, Outcome{Kind: OutcomeDone, Took: sent.outcome.Took}}, done)
		if e.config.Finished != nil {
			e.config.Finished(h.info, done)
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
	for (len(r.pending) > 0 || r.busy) && !expired {
		r.idle.Wait()
	}
}
