package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

// defaultMaxAttempts counts when neither the job nor the consumer says how many attempts there are.
const defaultMaxAttempts = 20

// Finish implements holdfast.Store.
func (s *Store) Finish(ctx context.Context, outcomes []holdfast.Outcome) ([]holdfast.Finished, error) {
	var answers []holdfast.Finished
	steps, size := len(outcomes), 0
	for i := range outcomes {
		o := &outcomes[i]
		steps += len(o.New)
		size += len(o.Result) + len(o.Log)
		for k := range o.New {
			size += len(o.New[k].Data)
		}
	}
	err := s.writer.do(ctx, turnFinish, steps, size, func(t *tx) (err error) {
		answers, err = t.finishAll(outcomes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finish: %w", err)
	}
	return answers, nil
}

func (t *tx) finishAll(outcomes []holdfast.Outcome) (answers []holdfast.Finished, err error) {
	answers = make([]holdfast.Finished, len(outcomes))
	for i := range outcomes {
		if answers[i], err = t.finish(&outcomes[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (t *tx) finish(o *holdfast.Outcome) (holdfast.Finished, error) {
	if finished, ok, err := t.doneFast(o); ok || err != nil {
		return finished, err
	}
	j, err := t.find(o.Lease.Job)
	if err != nil {
		return holdfast.Finished{}, err
	}
	if j == nil || j.Fence != o.Lease.Fence {
		return holdfast.Finished{Err: holdfast.ErrLeaseLost}, nil
	}
	if j.State != holdfast.Running {
		if j.outcome != o.Kind || o.Kind == holdfast.OutcomeNone {
			return holdfast.Finished{Err: holdfast.ErrLeaseLost}, nil
		}
		return j.finished(), nil // the answer to the first report may have been lost
	}
	switch o.Kind {
	case holdfast.OutcomeDone:
		return t.done(j, o)
	case holdfast.OutcomeFailed:
		err = t.fail(j, o)
	case holdfast.OutcomeReleased:
		err = t.release(j, o)
	default:
		return holdfast.Finished{Err: fmt.Errorf("%w: %v is no outcome to report", holdfast.ErrInvalid, o.Kind)}, nil
	}
	return j.finished(), err
}

const doneJob = `update holdfast_jobs
	set state = 3, lease_until = null, started = ?, started_at = ?, stopped_at = ?, waited = ?, took = ?, outcome = 1,
		ended_at = ?, progress = null, note = null, attempt = ?, filed = ?, attached = 0, form = ?, result = ?
	where seq = ?`

// done ends a job and puts its new ones, or does neither.
func (t *tx) done(j *job, o *holdfast.Outcome) (holdfast.Finished, error) {
	if len(o.New) == 0 {
		return t.endDone(j, o)
	}
	made := make([]holdfast.Inserted, len(o.New))
	ok, err := t.plan(o.New, made, j.seq)
	if err != nil {
		return holdfast.Finished{}, err
	}
	if !ok {
		return holdfast.Finished{Err: fmt.Errorf("new jobs of %s: %w", j.ID, refused(made))}, nil
	}
	finished, err := t.endDone(j, o)
	if err != nil {
		return holdfast.Finished{}, err
	}
	return finished, t.put(o.New, made, true)
}

func (t *tx) endDone(j *job, o *holdfast.Outcome) (holdfast.Finished, error) {
	if err := t.report(j, o); err != nil {
		return holdfast.Finished{}, err
	}
	t.lift(j)
	t.settle(j, holdfast.Done, holdfast.ReasonNone)
	t.sum(j.queue).done++
	result, err := t.placeResult(j, o.Result)
	if err != nil {
		return holdfast.Finished{}, err
	}
	j.Attached = false
	_, err = t.exec(doneJob, flag(j.started), moment(j.StartedAt), num(j.stoppedAt), num(int64(j.Waited/time.Millisecond)),
		num(int64(j.Took)), num(t.now), num(j.Attempt), flag(j.filed), num(j.form), result, num(j.seq))
	return j.finished(), err
}

// report ends the present attempt as its holder says. An attempt whose handler never started leaves nothing but the
// fence: its number is used again.
func (t *tx) report(j *job, o *holdfast.Outcome) error {
	j.outcome, j.stoppedAt = o.Kind, t.now
	if o.Unrun {
		if _, err := t.exec(deleteLog, num(j.seq), num(j.Attempt)); err != nil {
			return err
		}
		j.Attempt--
		j.filed = true
		return nil
	}
	if !j.started && o.Took > 0 {
		j.start(t.now - int64(o.Took/time.Millisecond))
	}
	j.Took = o.Took
	if j.Took == 0 {
		j.Took = time.Duration(t.now-j.StartedAt.UnixMilli()) * time.Millisecond
	}
	s := t.sum(j.queue)
	s.waited.Add(j.Waited)
	s.took.Add(j.Took)
	return t.log(j, o.Log)
}

// fail counts a failed attempt and decides whether another follows.
func (t *tx) fail(j *job, o *holdfast.Outcome) error {
	if err := t.report(j, o); err != nil {
		return err
	}
	j.Failures++
	j.Error, j.Cause = o.Error, holdfast.CauseOf(j.Queue, o.Error)
	j.Attached = false
	t.sum(j.queue).failed++
	most := j.MaxAttempts
	if most == 0 {
		most = o.MaxAttempts
	}
	if most == 0 {
		most = defaultMaxAttempts
	}
	var result []byte
	t.lift(j)
	switch {
	case !j.CancelRequested.IsZero():
		t.settle(j, holdfast.Cancelled, holdfast.ReasonRequested)
	case o.Final || j.Failures >= most:
		why := holdfast.ReasonExhausted
		if o.Final {
			why = holdfast.ReasonPermanent
		}
		if o.Attached {
			j.Attached, result = true, o.Result
		}
		t.settle(j, holdfast.Failed, why)
	default:
		j.RunAt = wall(t.now + int64(o.After/time.Millisecond))
		t.queueUp(j, holdfast.ReasonRetry)
	}
	if err := t.save(j); err != nil {
		return err
	}
	if result == nil && !j.hasResult() {
		return nil
	}
	return t.keepResult(j, result)
}

// release gives a job back. Without a delay it keeps its RunAt, and so its place in the queue.
func (t *tx) release(j *job, o *holdfast.Outcome) error {
	if err := t.report(j, o); err != nil {
		return err
	}
	t.lift(j)
	if !j.CancelRequested.IsZero() {
		t.settle(j, holdfast.Cancelled, holdfast.ReasonRequested)
		return t.save(j)
	}
	if o.After > 0 {
		j.RunAt = wall(t.now + int64(o.After/time.Millisecond))
	}
	t.queueUp(j, holdfast.ReasonReleased)
	return t.save(j)
}

// finished says what has become of a job.
func (j *job) finished() holdfast.Finished {
	f := holdfast.Finished{State: j.State, Why: j.Why, Last: j.State.Ended()}
	if !f.Last {
		f.RunAt = j.RunAt
	}
	return f
}

func refused(answers []holdfast.Inserted) error {
	for _, a := range answers {
		if a.Err != nil {
			return a.Err
		}
	}
	return nil
}
