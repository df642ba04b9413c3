package holdfast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// work is one slot: it handles jobs in hand until there are none.
func (e *engine) work() {
	for h := e.next(); h != nil; h = e.next() {
		e.handle(h)
		if e.config.Pace != nil {
			e.rest(e.config.Pace())
		}
	}
}

// rest is the slot's pause after a job; the end of Consume cuts it short.
func (e *engine) rest(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-e.ending:
	case <-time.After(d):
	}
}

// handle runs one attempt.
func (e *engine) handle(h *hold) {
	defer func() {
		e.mu.Lock()
		e.settled(h)
		e.mu.Unlock()
	}()
	ctx, cancel := context.WithCancelCause(e.base)
	defer cancel(nil)
	if err := e.keeper.begin(e.base, h, cancel); err != nil {
		if errorIsLost(err) {
			e.keeper.lost(h)
		} else {
			e.config.Logger.Warn("start of a suspect", "job", h.lease.Job, "queue", h.info.Queue, "error", err)
			e.letGo(h)
		}
		return
	}
	maxRun := orDefault(h.info.MaxRun, e.config.MaxRun)
	var limit *time.Timer
	if maxRun > 0 {
		limit = time.AfterFunc(maxRun, func() {
			h.stop(ErrTimedOut)
			time.AfterFunc(e.config.Grace+killAfter, func() { e.giveUp(h, maxRun) }) // nothing, if it has ended by then
		})
	}
	err := errGoexit
	defer func() {
		if limit != nil {
			limit.Stop()
		}
		e.paceOf(h).add(time.Since(h.startedAt()))
		e.settle(h, err, context.Cause(ctx), maxRun)
		if err == errGoexit {
			e.working.Go(e.work) // nothing keeps this goroutine from ending: another takes its slot
		}
	}()
	err = call(ctx, h, e.handlers[h.info.Queue].run)
}

var errGoexit = errors.New("the handler ended its goroutine (runtime.Goexit, as t.FailNow does) instead of returning")

// settle reports what a handler returned.
func (e *engine) settle(h *hold, err, cause error, maxRun time.Duration) {
	if !h.finish() {
		e.keeper.drop(h) // lost, given up, or reported by hand
		return
	}
	var v *verdict
	switch {
	case err == nil, errors.As(err, &v):
	case errors.Is(cause, ErrStopping):
		err = ReleaseAfter(0)
	case errors.Is(cause, ErrTimedOut):
		err = fmt.Errorf("%w after %v: %w", ErrTimedOut, maxRun, err)
	}
	if h.committing() && err == nil {
		// If the caller committed, done is recorded and this failure gets ErrLeaseLost; if not, the attempt failed.
		err = errors.New("the transaction with the job's completion was not committed")
	}
	e.reports.add(h, h.outcome(&e.config, err))
}

// giveUp fails an attempt whose handler ignores its time-out: its slot is stuck until it returns, its job goes on.
func (e *engine) giveUp(h *hold, maxRun time.Duration) {
	if !h.finish() {
		return
	}
	e.config.Logger.Error("handler ignores its cancelled context: slot is stuck", "job", h.lease.Job, "queue", h.info.Queue, "max_run", maxRun)
	e.reports.add(h, h.outcome(&e.config, fmt.Errorf("%w after %v; its handler ignored the cancelled context", ErrTimedOut, maxRun)))
	h.lose()
}

func (e *engine) paceOf(h *hold) *pace { return e.paces[h.info.Queue] }

// startedAt is when the handler started; committing whether DoneIn was called.
func (h *hold) startedAt() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.started
}

func (h *hold) committing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.inTx
}

// logFinished writes one line for an attempt whose outcome is on disk.
func (e *engine) logFinished(r report, f Finished) {
	level, message := slog.LevelDebug, "job finished"
	switch {
	case f.State == Failed:
		level, message = slog.LevelWarn, "job failed for good"
	case r.outcome.Kind == OutcomeFailed:
		level, message = slog.LevelInfo, "attempt failed"
	case r.outcome.Kind == OutcomeReleased:
		message = "job given back"
	}
	if !e.config.Logger.Enabled(e.base, level) {
		return
	}
	attrs := []any{"job", r.hold.lease.Job, "queue", r.hold.info.Queue, "attempt", r.hold.info.Attempt, "state", f.State, "took", r.outcome.Took}
	if r.outcome.Error != "" {
		attrs = append(attrs, "error", r.outcome.Error)
	}
	if !f.RunAt.IsZero() {
		attrs = append(attrs, "again_at", f.RunAt)
	}
	e.config.Logger.Log(e.base, level, message, attrs...)
}
