package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holdfastq/holdfast"
)

// Claim implements holdfast.Store. Who finds nothing writes nothing.
func (s *Store) Claim(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
	tick, err := s.tick()
	if err != nil {
		return holdfast.Claimed{}, fmt.Errorf("claim: %w", err)
	}
	if some, err := s.worthClaiming(ctx, c); err != nil || !some {
		return holdfast.Claimed{Tick: tick}, err
	}
	var claimed holdfast.Claimed
	err = s.writer.do(ctx, turnClaim, max(c.N, 1), 0, func(t *tx) (err error) {
		claimed, err = t.claim(c)
		return err
	})
	if err != nil {
		return holdfast.Claimed{}, fmt.Errorf("claim: %w", err)
	}
	s.lately.found(&c, claimed.Jobs)
	return claimed, nil
}

func (t *tx) claim(c holdfast.Claim) (claimed holdfast.Claimed, err error) {
	if claimed.Tick, err = t.store.tick(); err != nil {
		return claimed, err
	}
	if err := t.promoteFor(c.Queues); err != nil {
		return claimed, err
	}
	jobs, err := t.repeated(c)
	if err != nil {
		return claimed, err
	}
	if len(jobs) == 0 {
		if jobs, err = t.take(c); err != nil {
			return claimed, err
		}
	}
	claimed.Jobs = make([]holdfast.Delivery, len(jobs))
	for i, j := range jobs {
		claimed.Jobs[i] = holdfast.Delivery{Lease: holdfast.Lease{Job: j.ID, Fence: j.Fence}, Info: j.Info}
	}
	return claimed, nil
}

// promoteStep is how many due jobs of a queue a claim makes waiting at most: more than it can take.
const promoteStep = holdfast.MaxBatchJobs

const selectScheduled = `select 1 from holdfast_queues where no = ? and scheduled > 0`

const promoteQueue = `update holdfast_jobs set state = 1
	where seq in (select seq from holdfast_jobs where queue = ? and state = 0 and run_at <= ? order by run_at limit ?)`

// promoteFor makes waiting what is due in the queues.
func (t *tx) promoteFor(queues []string) error {
	for _, name := range queues {
		queue, err := t.findQueue(name)
		if err != nil {
			return err
		}
		if queue == 0 {
			continue
		}
		if _, err := t.promote(queue, promoteStep); err != nil {
			return err
		}
	}
	return nil
}

// promote makes waiting what is due in a queue, at most limit jobs, and says how many.
func (t *tx) promote(queue int64, limit int) (int, error) {
	some := t.sum(queue).states[holdfast.Scheduled] > 0
	if err := t.query(selectScheduled, func(row) error { some = true; return nil }, num(queue)); err != nil || !some {
		return 0, err
	}
	n, err := t.exec(promoteQueue, num(queue), num(t.now), num(limit))
	if err != nil || n == 0 {
		return 0, err
	}
	s := t.sum(queue)
	s.states[holdfast.Scheduled] -= n
	s.states[holdfast.Waiting] += n
	t.news(queue)
	return int(n), nil
}

const selectRepeated = `select ` + jobColumns + `, payload, result from holdfast_jobs
	where consumer = ? and state = 2 and claim_no = ?`

// repeated gives the jobs that the consumer holds from the claim of this number, in the order of that claim.
func (t *tx) repeated(c holdfast.Claim) ([]*job, error) {
	if c.Number == 0 {
		return nil, nil
	}
	consumer, err := t.findConsumer(c.Consumer)
	if err != nil || consumer == 0 {
		return nil, err
	}
	var jobs []*job
	err = t.query(selectRepeated, func(r row) error {
		j := new(job)
		jobs = append(jobs, j)
		j.scanData(r)
		return j.scan(r, t.clock, t)
	}, num(consumer), num(c.Number))
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if err := j.fetchLarge(t); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		return cmp.Or(
			cmp.Compare(slices.Index(c.Queues, a.Queue), slices.Index(c.Queues, b.Queue)), inTurn(a, b))
	})
	return jobs, nil
}

// The claim reads along holdfast_jobs_ready: one range, in its order, as far as jobs are taken; and along
// holdfast_jobs_suspect, of which it takes few: they may be thousands after a series of deaths.
const (
	selectReady = `select ` + jobColumns + `, payload, result from holdfast_jobs
	where queue = ? and state = 1 and deaths < 2
	order by priority desc, run_at, seq`

	selectSuspects = `select ` + jobColumns + `, payload, result from holdfast_jobs
	where queue = ? and state = 1 and deaths >= 2
	order by priority desc, run_at, seq`
)

const selectPaused = `select paused_at is not null from holdfast_queues where no = ?`

// maxLate is how many late jobs a claim cancels: the next one goes on.
const maxLate = 1000

// errEnough ends a query early.
var errEnough = errors.New("enough")

// choice is what a claim has chosen so far.
type choice struct {
	jobs, late []*job
	bytes      int
	suspects   int
}

// take chooses the jobs to take, cancels those that it meets too late, and hands out the others.
func (t *tx) take(c holdfast.Claim) ([]*job, error) {
	var chosen choice
	for i, name := range c.Queues {
		if len(chosen.jobs) >= c.N {
			break
		}
		if slices.Contains(c.Queues[:i], name) {
			continue
		}
		full, err := t.choose(name, c, &chosen)
		if err != nil {
			return nil, err
		}
		if full {
			break
		}
	}
	for _, j := range chosen.late {
		if err := t.end(j, holdfast.Cancelled, holdfast.ReasonTooLate); err != nil {
			return nil, err
		}
	}
	return chosen.jobs, t.deliver(c, chosen.jobs)
}

// choose takes from one queue, in the order of both ranges together; true: nothing more fits into the claim.
func (t *tx) choose(name string, c holdfast.Claim, chosen *choice) (full bool, err error) {
	queue, err := t.findQueue(name)
	if err != nil || queue == 0 {
		return false, err
	}
	paused := false
	if err := t.query(selectPaused, func(r row) error { paused = r.int(0) != 0; return nil }, num(queue)); err != nil || paused {
		return false, err
	}
	suspects, err := t.suspects(queue, c, chosen)
	if err != nil {
		return false, err
	}
	err = t.query(selectReady, func(r row) error {
		if len(chosen.jobs) >= c.N || len(chosen.late) >= maxLate {
			full = true
			return errEnough
		}
		j := new(job)
		if err := j.scan(r, t.clock, t); err != nil {
			return err
		}
		if j.tooLate(t.now) {
			chosen.late = append(chosen.late, j)
			return nil
		}
		for len(suspects) > 0 && inTurn(suspects[0], j) < 0 {
			if full = !chosen.fits(suspects[0], c); full {
				return errEnough
			}
			suspects = suspects[1:]
		}
		j.scanData(r)
		if err := j.fetchLarge(t); err != nil {
			return err
		}
		if full = !chosen.fits(j, c); full {
			return errEnough
		}
		return nil
	}, num(queue))
	if err != nil && !errors.Is(err, errEnough) {
		return false, err
	}
	for _, j := range suspects {
		if full = full || !chosen.fits(j, c); full {
			break
		}
	}
	return full, nil
}

// suspects gives those that the claim may take from a queue.
func (t *tx) suspects(queue int64, c holdfast.Claim, chosen *choice) (found []*job, err error) {
	left := c.Suspects - chosen.suspects
	if left <= 0 {
		return nil, nil
	}
	err = t.query(selectSuspects, func(r row) error {
		if len(chosen.late) >= maxLate {
			t.news(queue) // who waits next finds more
			return errEnough
		}
		j := new(job)
		if err := j.scan(r, t.clock, t); err != nil {
			return err
		}
		if j.tooLate(t.now) {
			chosen.late = append(chosen.late, j)
			return nil
		}
		j.scanData(r)
		if err := j.fetchLarge(t); err != nil {
			return err
		}
		if found = append(found, j); len(found) >= min(left, c.N) {
			return errEnough
		}
		return nil
	}, num(queue))
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// fits takes a job, unless the claim has enough without it.
func (chosen *choice) fits(j *job, c holdfast.Claim) bool {
	if len(chosen.jobs) >= c.N || len(chosen.jobs) > 0 && chosen.bytes+len(j.Data) > holdfast.MaxBatchBytes {
		return false
	}
	chosen.bytes += len(j.Data)
	if j.Suspect() {
		chosen.suspects++
	}
	chosen.jobs = append(chosen.jobs, j)
	return true
}

// inTurn is the order of the jobs of one queue.
func inTurn(a, b *job) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.RunAt.Compare(b.RunAt), cmp.Compare(a.seq, b.seq))
}

// All that a claim hands out changes in one statement: it opens the table and its indexes once.
const claimJobs = `update holdfast_jobs
	set state = 2, why = 0, due_at = null, fence = fence + 1, attempt = attempt + 1, consumer = ?1, claim_no = ?2,
		lease_until = ?3, unattended = ?4, started = ?5, started_at = ?6, stopped_at = null,
		waited = max(?6 - coalesce(due_at, run_at), 0), took = 0, outcome = 0, filed = 0, cancel_at = null
	where seq in (select value from json_each(?7)) and state = 1`

// deliver hands waiting jobs to a consumer. Here alone fences go up.
func (t *tx) deliver(c holdfast.Claim, jobs []*job) error {
	if len(jobs) == 0 {
		return nil
	}
	consumer, err := t.consumerNo(c.Consumer)
	if err != nil {
		return err
	}
	if err := t.beginHolding(); err != nil {
		return err
	}
	until := t.mono + int64(c.Lease/time.Millisecond)
	unattended := c.Unattended || c.Consumer.IsZero()
	list := make([]byte, 0, 16+12*len(jobs))
	for i, j := range jobs {
		if err := t.file(j); err != nil {
			return err
		}
		t.lift(j)
		j.Fence++
		j.Attempt++
		j.Consumer, j.holder, j.claimNo, j.unattended = c.Consumer, consumer, c.Number, unattended
		j.started, j.StartedAt, j.stoppedAt = c.Unattended, wall(t.now), 0
		j.Took, j.Waited = 0, time.Duration(max(t.now-j.due, 0))*time.Millisecond
		j.CancelRequested, j.outcome, j.filed = time.Time{}, holdfast.OutcomeNone, false
		t.settle(j, holdfast.Running, holdfast.ReasonNone)
		j.leaseUntil, j.LeaseUntil = until, t.wallOf(until)
		t.sum(j.queue).started++
		list = appendJSON(list, i, j.seq)
	}
	n, err := t.exec(claimJobs, num(consumer), num(c.Number), num(until), flag(unattended), flag(c.Unattended), num(t.now),
		text(closeJSON(list)))
	if err == nil && n != int64(len(jobs)) {
		err = fmt.Errorf("%w: %d jobs were waiting, %d could be claimed", holdfast.ErrCorrupt, len(jobs), n)
	}
	t.handed = append(t.handed, jobs...)
	return err
}

// appendJSON and closeJSON make a list of numbers for json_each.
func appendJSON(list []byte, i int, n int64) []byte {
	if i == 0 {
		list = append(list, '[')
	} else {
		list = append(list, ',')
	}
	return strconv.AppendInt(list, n, 10)
}

func closeJSON(list []byte) string { return string(append(list, ']')) }

const anyHeld = `select 1 from holdfast_jobs where state = 2 limit 1`

const writeSweptAt = `update holdfast_meta set swept_at = ? where swept_at < ?`

// beginHolding notes, when nobody held anything, that no sweep was missed up to now: idle stores are not swept.
func (t *tx) beginHolding() error {
	held := false
	if err := t.query(anyHeld, func(row) error { held = true; return nil }); err != nil || held {
		return err
	}
	_, err := t.exec(writeSweptAt, num(t.mono), num(t.mono-sweptSlack))
	return err
}

// sweptSlack is how old the time of the latest sweep may be in a store where nothing is held.
const sweptSlack = 100 // milliseconds

const insertAttempt = `insert into holdfast_attempts (seq, n, consumer, started_at, stopped_at, took, outcome, error)
	values (?, ?, ?, ?, ?, ?, ?, ?)`

var forgetAttempts = []string{
	`delete from holdfast_attempts where seq = ? and n <= ?`,
	`delete from holdfast_logs where seq = ? and n <= ?`,
}

// file moves the latest attempt out of the job's row, because another follows, and forgets what is too long ago.
func (t *tx) file(j *job) error {
	if old := j.Attempt + 1 - holdfast.KeepAttempts; old > 0 {
		for _, sql := range forgetAttempts {
			if _, err := t.exec(sql, num(j.seq), num(old)); err != nil {
				return err
			}
		}
	}
	if j.Attempt == 0 || j.filed {
		return nil
	}
	j.filed = true
	_, err := t.exec(insertAttempt, num(j.seq), num(j.Attempt), num(j.holder), moment(j.StartedAt), numOrNull(j.stoppedAt),
		num(int64(j.Took)), num(j.outcome), textOrNull(j.attemptError()))
	return err
}
