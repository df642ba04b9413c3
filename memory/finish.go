package memory

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
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	answers := make([]holdfast.Finished, len(outcomes))
	for i := range outcomes {
		answers[i] = s.finish(&outcomes[i], now)
	}
	return answers, nil
}

func (s *Store) finish(o *holdfast.Outcome, now time.Time) holdfast.Finished {
	j, ok := s.held(o.Lease)
	if !ok {
		if j == nil || j.Fence != o.Lease.Fence || j.last != o.Kind || o.Kind == holdfast.OutcomeNone {
			return holdfast.Finished{Err: holdfast.ErrLeaseLost}
		}
		return j.finished() // the answer to the first report may have been lost
	}
	switch o.Kind {
	case holdfast.OutcomeDone:
		made, ok := s.plan(o.New, j)
		if !ok {
			return holdfast.Finished{Err: fmt.Errorf("new jobs of %s: %w", j.ID, refused(made))}
		}
		s.report(j, o, now)
		s.end(j, holdfast.Done, holdfast.ReasonNone, now)
		j.Result, j.Attached = clone(o.Result), false
		s.rollup(j.Queue, now).Done++
		s.put(o.New, made, now)
	case holdfast.OutcomeFailed:
		s.report(j, o, now)
		s.fail(j, o, now)
	case holdfast.OutcomeReleased:
		s.report(j, o, now)
		s.release(j, o, now)
	default:
		return holdfast.Finished{Err: fmt.Errorf("%w: %v is no outcome to report", holdfast.ErrInvalid, o.Kind)}
	}
	return j.finished()
}

// report ends the present attempt as its holder says. An attempt whose handler never started leaves nothing but the
// fence: its number is used again.
func (s *Store) report(j *job, o *holdfast.Outcome, now time.Time) {
	j.last = o.Kind
	if o.Unrun {
		j.Attempt--
		j.attempts = j.attempts[:len(j.attempts)-1]
		return
	}
	if !j.started && o.Took > 0 {
		j.start(now.Add(-o.Took))
	}
	took := o.Took
	if took == 0 {
		took = now.Sub(j.StartedAt)
	}
	j.log(o.Log)
	j.Took = took
	a := &j.attempts[len(j.attempts)-1]
	a.EndedAt, a.Took, a.Outcome = now, took, o.Kind
	if o.Kind == holdfast.OutcomeFailed {
		a.Error = o.Error
	}
	r := s.rollup(j.Queue, now)
	r.Waited.Add(j.Waited)
	r.Took.Add(took)
}

// fail counts a failed attempt and decides whether another follows.
func (s *Store) fail(j *job, o *holdfast.Outcome, now time.Time) {
	j.Failures++
	j.Error, j.Cause = o.Error, holdfast.CauseOf(j.Queue, o.Error)
	j.Result, j.Attached = nil, false
	s.rollup(j.Queue, now).Failed++
	most := j.MaxAttempts
	if most == 0 {
		most = o.MaxAttempts
	}
	if most == 0 {
		most = defaultMaxAttempts
	}
	switch {
	case !j.CancelRequested.IsZero():
		s.end(j, holdfast.Cancelled, holdfast.ReasonRequested, now)
	case o.Final || j.Failures >= most:
		why := holdfast.ReasonExhausted
		if o.Final {
			why = holdfast.ReasonPermanent
		}
		if o.Attached {
			j.Attached, j.Result = true, clone(o.Result)
		}
		s.end(j, holdfast.Failed, why, now)
	default:
		s.lift(j)
		j.RunAt = truncate(now.Add(o.After))
		s.queueUp(j, holdfast.ReasonRetry, now)
	}
}

// release gives a job back. Without a delay it keeps its RunAt, and so its place in the queue.
func (s *Store) release(j *job, o *holdfast.Outcome, now time.Time) {
	if !j.CancelRequested.IsZero() {
		s.end(j, holdfast.Cancelled, holdfast.ReasonRequested, now)
		return
	}
	s.lift(j)
	if o.After > 0 {
		j.RunAt = truncate(now.Add(o.After))
	}
	s.queueUp(j, holdfast.ReasonReleased, now)
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

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
