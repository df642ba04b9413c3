package holdfast

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Job is one delivery of a job: in a handler, or taken with Get. Its methods report to the store under its lease; once
// another may hold the job they change nothing and give ErrLeaseLost.
type Job[T any] struct {
	Info
	Data T // decoded; Info.Data has the bytes

	hold *hold
}

// Done says that the job is processed, with its result and the jobs put with In(job), in one step. In a handler return
// nil instead. Repeating is harmless. ErrUnknown: repeat. ErrLeaseLost: keep nothing. ErrDuplicate: a job put with
// In(job) was refused and nothing happened.
func (j *Job[T]) Done(ctx context.Context) error { return j.hold.report(ctx, nil) }

// Fail says that this attempt failed: the job is tried again after the default backoff, or failed if it was the last
// attempt. In a handler return the error instead. cause may be made by Permanent or RetryAfter. ErrUnknown: repeat.
func (j *Job[T]) Fail(ctx context.Context, cause error) error {
	if cause == nil {
		return fmt.Errorf("%w: Fail needs a cause; use Done for success", ErrInvalid)
	}
	return j.hold.report(ctx, cause)
}

// Release gives the job back, due again after so long: no attempt is spent. In a handler return ReleaseAfter instead.
// ErrUnknown: repeat.
func (j *Job[T]) Release(ctx context.Context, after time.Duration) error {
	return j.hold.report(ctx, ReleaseAfter(after))
}

// DoneIn says that the job is processed, in the caller's own transaction on the store's database: its commit records
// the completion, with its result and the jobs put with In(job), together with whatever else it wrote. So the effect is
// exactly once. If it is not committed, the attempt failed when the handler returns (or what the handler returns is its
// outcome); DoneIn may also be called again in another transaction. Commit soon: on SQLite every writer of the file waits
// for it, and from DoneIn on the job gets no more heartbeats. With Get, call Done after the commit, which answers nil and
// lets go of the job, or Fail or Release after a rollback. ErrLeaseLost: roll back.
func (j *Job[T]) DoneIn(ctx context.Context, tx Tx) error {
	h := j.hold
	if tx.store == nil {
		return fmt.Errorf("%w: DoneIn needs a Tx made by the store's Join", ErrInvalid)
	}
	o := h.outcome(&h.keeper.config, nil)
	h.unsent(o.Log) // if it is rolled back, the failure tells it
	finished, err := tx.store.Finish(ctx, []Outcome{o})
	if err != nil {
		return err
	}
	if err := finished[0].Err; err != nil {
		return err
	}
	h.mu.Lock()
	h.inTx = true
	h.mu.Unlock()
	return nil
}

// SetResult keeps v, as JSON of at most 1 MiB, with the job when it is done. The last call counts. ErrInvalid, ErrTooLarge;
// ErrConflict: the job was reported already.
func (j *Job[T]) SetResult(v any) error {
	result, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: result of job %v: %w", ErrInvalid, j.ID, err)
	}
	if len(result) > MaxDataBytes {
		return fmt.Errorf("%w: result of job %v has %d bytes, at most %d are allowed", ErrTooLarge, j.ID, len(result), MaxDataBytes)
	}
	j.hold.mu.Lock()
	defer j.hold.mu.Unlock()
	if err := j.hold.closed(); err != nil {
		return err
	}
	j.hold.result = result
	return nil
}

// closed says why nothing can be added to the completion any more. Callers hold mu.
func (h *hold) closed() error {
	if h.gone {
		return fmt.Errorf("job %v: %w", h.lease.Job, ErrLeaseLost)
	}
	if h.over || h.inTx {
		return fmt.Errorf("%w: job %v was reported already; its result and what it produces come before", ErrConflict, h.lease.Job)
	}
	return nil
}

// Progress says how far the attempt is, 0 to 1, with a note for people (at most 256 bytes; more is cut). It is sent with
// the next heartbeat and costs nothing until then.
func (j *Job[T]) Progress(part float64, note string) {
	j.hold.mu.Lock()
	defer j.hold.mu.Unlock()
	if part == part { // not NaN
		j.hold.progress = min(max(part, 0), 1)
	}
	j.hold.note = cut(note, MaxNoteBytes)
}

// Log is the attempt's own log: its last 64 KB are kept with the job and shown with it.
func (j *Job[T]) Log() *slog.Logger { return j.hold.logger() }

// LogWriter is the same log for text that is kept as it is, such as what a child prints.
func (j *Job[T]) LogWriter() io.Writer { return j.hold }

// Fence is the number of this delivery: up by one at each, never down. Keep it with what you write elsewhere and refuse
// smaller ones there; then a consumer that was cut off cannot overwrite what its successor wrote.
func (j *Job[T]) Fence() int64 { return j.hold.lease.Fence }

// Lost is closed when another may hold the job: stop, and keep nothing. In a handler the context ends as well, with
// ErrLeaseLost as its cause.
func (j *Job[T]) Lost() <-chan struct{} { return j.hold.lostChan() }

// keptBy is the store that the job is in.
func (j *Job[T]) keptBy() Store { return j.hold.keeper.store }

// put makes the job a Scope: what is put with In(job) waits for its completion.
func (j *Job[T]) put(_ context.Context, jobs []NewJob) ([]Inserted, error) {
	h := j.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.closed(); err != nil {
		return nil, err
	}
	if len(h.produced)+len(jobs) > MaxProduced {
		return nil, fmt.Errorf("%w: job %v produces more than %d jobs", ErrTooLarge, j.ID, MaxProduced)
	}
	out := make([]Inserted, len(jobs))
	for i := range jobs {
		jobs[i].Parent = j.ID
		out[i] = Inserted{ID: jobs[i].ID, Made: true}
	}
	h.produced = append(h.produced, jobs...)
	return out, nil
}

// report finishes the job by hand.
func (h *hold) report(ctx context.Context, cause error) error {
	o := h.outcome(&h.keeper.config, cause)
	finished, err := h.keeper.store.Finish(ctx, []Outcome{o})
	if err != nil {
		h.unsent(o.Log)
		return fmt.Errorf("job %v: %w", h.lease.Job, err)
	}
	if err := finished[0].Err; err != nil {
		h.unsent(o.Log)
		if errorIsLost(err) {
			h.lose()
			h.keeper.drop(h)
		}
		return fmt.Errorf("job %v: %w", h.lease.Job, err)
	}
	h.finish()
	h.keeper.drop(h)
	return nil
}
