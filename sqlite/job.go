package sqlite

import (
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

// job is a row of holdfast_jobs: what its Info tells, and what it does not.
type job struct {
	holdfast.Info
	seq        int64
	queue      int64 // number of its queue
	due        int64 // since when it could be taken; Waited counts from here
	holder     int64 // number of the latest consumer
	claimNo    int64
	leaseUntil int64 // by the monotonic clock, while running
	unattended bool  // no process stands behind the holder
	started    bool  // the holder said that its handler has started
	stoppedAt  int64 // when the latest attempt ended
	outcome    holdfast.OutcomeKind
	filed      bool  // the latest attempt is in holdfast_attempts, or never was one
	form       int64 // what lies where
}

// What of a job lies where: in its row, or in holdfast_bodies because it is large.
const (
	largePayload = 1 << iota
	largeResult
	smallResult
)

// inline is the largest payload or result that is kept in the row itself.
const inline = 512

const jobColumns = `seq, id, queue, state, why, priority, run_at, due_at, made_at, fence,
	attempt, failures, deaths, crashes, max_attempts, max_run, consumer, claim_no, lease_until, unattended,
	started, started_at, stopped_at, waited, took, outcome, filed, ended_at, cancel_at, start_by,
	unique_key, parent, cause, error, progress, note, attached, form`

// dataColumn is the number of the first column after jobColumns.
const dataColumn = 38

// reasons are numbers on disk: a new one goes to the end.
var reasons = [...]holdfast.Reason{
	holdfast.ReasonNone, holdfast.ReasonRetry, holdfast.ReasonReleased, holdfast.ReasonSwept, holdfast.ReasonReopened,
	holdfast.ReasonRunNow, holdfast.ReasonExhausted, holdfast.ReasonPermanent, holdfast.ReasonCrashes,
	holdfast.ReasonRequested, holdfast.ReasonTooLate, holdfast.ReasonAbandoned,
}

func reasonNo(r holdfast.Reason) int64 {
	for i, known := range reasons {
		if r == known {
			return int64(i)
		}
	}
	panic("sqlite: reason without a number: " + string(r))
}

// clock is one reading of both clocks, in milliseconds.
type clock struct {
	now, mono int64
	offset    int64 // of the wall clock from the monotonic one, as a store shows it
}

// clockStep is the difference from which on the wall clock counts as set anew.
const clockStep = 50 // milliseconds

// clock reads the clocks. The offset between them stays what it was as long as it is about right, so that the same
// lease shows the same time each time it is looked at.
func (s *Store) clock() clock {
	c := clock{now: time.Now().UnixMilli(), mono: monotonicMS(), offset: s.offset.Load()}
	if fresh := c.now - c.mono; max(fresh-c.offset, c.offset-fresh) > clockStep {
		s.offset.Store(fresh)
		c.offset = fresh
	}
	return c
}

// wallOf gives the wall time of a reading of the monotonic clock.
func (c clock) wallOf(mono int64) time.Time { return wall(mono + c.offset) }

// names gives the names behind the numbers that rows carry.
type names interface {
	queueName(no int64) (string, error)
	consumerID(no int64) (holdfast.ID, error)
}

// scan reads jobColumns.
func (j *job) scan(r row, c clock, n names) error {
	state, why := r.int(3), r.int(4)
	if state < 0 || state > int64(holdfast.Cancelled) || why < 0 || why >= int64(len(reasons)) {
		return fmt.Errorf("%w: job %d has state %d and reason %d", holdfast.ErrCorrupt, r.int(0), state, why)
	}
	j.seq, j.ID, j.queue = r.int(0), r.id(1), r.int(2)
	j.State, j.Why = holdfast.State(state), reasons[why]
	j.Priority = int(r.int(5))
	runAt := r.int(6)
	j.RunAt, j.due = wall(runAt), runAt
	if !r.null(7) {
		j.due = r.int(7)
	}
	j.MadeAt, j.Fence = wall(r.int(8)), r.int(9)
	j.Attempt, j.Failures, j.Deaths, j.Crashes = int(r.int(10)), int(r.int(11)), int(r.int(12)), int(r.int(13))
	j.MaxAttempts, j.MaxRun = int(r.int(14)), time.Duration(r.int(15))
	j.holder, j.claimNo = r.int(16), r.int(17)
	j.LeaseUntil = time.Time{}
	if j.leaseUntil = 0; j.State == holdfast.Running {
		j.leaseUntil = r.int(18)
		j.LeaseUntil = c.wallOf(j.leaseUntil)
	}
	j.unattended, j.started = r.int(19) != 0, r.int(20) != 0
	j.StartedAt, j.stoppedAt = at(r, 21), r.int(22)
	j.Waited, j.Took = time.Duration(r.int(23))*time.Millisecond, time.Duration(r.int(24))
	j.outcome, j.filed = holdfast.OutcomeKind(r.int(25)), r.int(26) != 0
	j.EndedAt, j.CancelRequested, j.StartBy = at(r, 27), at(r, 28), at(r, 29)
	j.UniqueKey, j.Parent = r.text(30), r.id(31)
	j.Cause, j.Error = uint64(r.int(32)), r.text(33)
	j.Progress, j.Note = r.real(34), r.text(35)
	j.Attached, j.form = r.int(36) != 0, r.int(37)
	var err error
	if j.Queue, err = n.queueName(j.queue); err != nil {
		return err
	}
	j.Consumer, err = n.consumerID(j.holder)
	return err
}

const selectPayload = `select payload from holdfast_bodies where seq = ?`

const selectResult = `select result from holdfast_bodies where seq = ?`

// scanData reads payload and result, which follow jobColumns, and fetches those that are large.
func (j *job) scanData(r row) {
	j.Data, j.Result = r.blob(dataColumn), r.blob(dataColumn+1)
}

// fetchLarge fetches what does not lie in the row.
func (j *job) fetchLarge(s session) error {
	if j.form&largePayload != 0 {
		if err := s.query(selectPayload, func(r row) error { j.Data = r.blob(0); return nil }, num(j.seq)); err != nil {
			return err
		}
	}
	if j.form&largeResult != 0 {
		return s.query(selectResult, func(r row) error { j.Result = r.blob(0); return nil }, num(j.seq))
	}
	return nil
}

// dueAt is the column: null where it is run_at.
func (j *job) dueAt() value {
	if j.due == j.RunAt.UnixMilli() {
		return null
	}
	return num(j.due)
}

// tooLate says whether a job that has not started has passed its start-by time.
func (j *job) tooLate(now int64) bool {
	return !j.StartBy.IsZero() && j.StartBy.UnixMilli() < now
}

// start notes when the handler of the present attempt began, which is never before the claim.
func (j *job) start(at int64) {
	claimed := j.StartedAt.UnixMilli()
	if at <= claimed {
		return
	}
	j.StartedAt = wall(at)
	j.Waited += time.Duration(at-claimed) * time.Millisecond
}

// attemptError is the error of the latest attempt: what the row has may be of an earlier one.
func (j *job) attemptError() string {
	switch {
	case j.outcome == holdfast.OutcomeFailed,
		j.outcome == holdfast.OutcomeCrashed && j.Why == holdfast.ReasonCrashes,
		j.outcome == holdfast.OutcomeLost && j.Why == holdfast.ReasonAbandoned:
		return j.Error
	}
	return ""
}

const saveJob = `update holdfast_jobs
	set state = ?, why = ?, priority = ?, run_at = ?, due_at = ?, attempt = ?, failures = ?, deaths = ?, crashes = ?,
		max_attempts = ?, max_run = ?, lease_until = ?, started = ?, started_at = ?, stopped_at = ?, waited = ?, took = ?,
		outcome = ?, filed = ?, ended_at = ?, cancel_at = ?, start_by = ?, cause = ?, error = ?, progress = ?, note = ?,
		attached = ?
	where seq = ?`

// save writes all that may change but the claim's part, payload and result.
func (t *tx) save(j *job) error {
	lease, progress := null, null
	if j.State == holdfast.Running {
		lease = num(j.leaseUntil)
	}
	if j.Progress != 0 {
		progress = real64(j.Progress)
	}
	n, err := t.exec(saveJob,
		num(j.State), num(reasonNo(j.Why)), num(j.Priority), moment(j.RunAt), j.dueAt(), num(j.Attempt), num(j.Failures),
		num(j.Deaths), num(j.Crashes), num(j.MaxAttempts), num(int64(j.MaxRun)), lease, flag(j.started), moment(j.StartedAt),
		numOrNull(j.stoppedAt), num(int64(j.Waited/time.Millisecond)), num(int64(j.Took)), num(j.outcome), flag(j.filed),
		moment(j.EndedAt), moment(j.CancelRequested), moment(j.StartBy), numOrNull(j.Cause), textOrNull(j.Error),
		progress, textOrNull(j.Note), flag(j.Attached), num(j.seq))
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: job %s: %d rows changed instead of one", holdfast.ErrCorrupt, j.ID, n)
	}
	return err
}

// lift takes a job out of its state, settle puts it into another: counters, figures and wake-ups follow. Between the
// two its RunAt and priority may change; the caller saves it.
func (t *tx) lift(j *job) {
	t.sum(j.queue).states[j.State]--
	if j.State == holdfast.Running {
		j.leaseUntil, j.LeaseUntil, j.Progress, j.Note = 0, time.Time{}, 0, ""
	}
}

func (t *tx) settle(j *job, state holdfast.State, why holdfast.Reason) {
	s := t.sum(j.queue)
	j.State, j.Why = state, why
	s.states[state]++
	j.EndedAt = time.Time{}
	if state.Ended() {
		j.EndedAt = wall(t.now)
		s.ended++
	}
	if state == holdfast.Waiting {
		t.news(j.queue)
	}
	if state == holdfast.Scheduled {
		t.later(j.RunAt.UnixMilli())
	}
}

// queueUp settles a lifted job by its RunAt: scheduled, or waiting if it is due.
func (t *tx) queueUp(j *job, why holdfast.Reason) {
	state, runAt := holdfast.Waiting, j.RunAt.UnixMilli()
	j.due = t.now
	if runAt > t.now {
		state, j.due = holdfast.Scheduled, runAt
	}
	t.settle(j, state, why)
}

// end settles a job that has not ended, and saves it.
func (t *tx) end(j *job, state holdfast.State, why holdfast.Reason) error {
	t.lift(j)
	t.settle(j, state, why)
	return t.save(j)
}

const setResult = `update holdfast_jobs set result = ?, form = ? where seq = ?`

const setLargeResult = `insert into holdfast_bodies (seq, result) values (?, ?)
	on conflict (seq) do update set result = excluded.result`

// keepResult writes the result, nil for none.
func (t *tx) keepResult(j *job, result []byte) error {
	column, err := t.placeResult(j, result)
	if err == nil {
		_, err = t.exec(setResult, column, num(j.form), num(j.seq))
	}
	return err
}

// placeResult gives the row's column for a result, and writes a large one where those lie.
func (t *tx) placeResult(j *job, result []byte) (column value, err error) {
	before := j.form
	j.form &^= largeResult | smallResult
	j.Result = result
	switch {
	case len(result) > inline:
		j.form |= largeResult
		_, err = t.exec(setLargeResult, num(j.seq), blob(result))
		return null, err
	case result != nil:
		j.form |= smallResult
		column = blob(result)
	}
	if before&largeResult != 0 {
		_, err = t.exec(setLargeResult, num(j.seq), null)
	}
	return column, err
}

func (j *job) hasResult() bool { return j.form&(largeResult|smallResult) != 0 }
