package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// sweepStep bounds a sweep that names no bound itself.
const sweepStep = 1000

// Sweep implements holdfast.Store. A consumer that holds its lock lives: a lease of its own that has ended goes back,
// but nobody has died. One whose lock is free is dead, whatever its leases say. Of consumers without a lock only time
// tells. A store in which there is nothing to do is not written.
func (s *Store) Sweep(ctx context.Context, w holdfast.Sweep) (holdfast.Swept, error) {
	if w.Limit <= 0 {
		w.Limit = sweepStep
	}
	look, err := s.lookSweep(ctx, w)
	if err != nil {
		return holdfast.Swept{}, fmt.Errorf("sweep: %w", err)
	}
	if look.skip || look.idle && w.Every > 0 {
		return holdfast.Swept{Skipped: look.skip}, nil
	}
	var swept holdfast.Swept
	err = s.writer.do(ctx, turnSweep, 1, 0, func(t *tx) (err error) {
		swept, err = t.sweep(w, look.holders)
		return err
	})
	if err != nil {
		return holdfast.Swept{}, fmt.Errorf("sweep: %w", err)
	}
	s.tidyHouse(look.holders)
	return swept, nil
}

// holder is who holds jobs, as its record and its lock say.
type holder struct {
	no         int64
	id         holdfast.ID
	recorded   bool
	maxCrashes int
	boot       string // not "": it holds a lock since that boot
	alive      bool   // it holds its lock
	dead       bool   // it does not, or somebody said so
	reboot     bool   // it ended with the machine, which is no death
}

// sweepLook is what a read-only look says before a sweep.
type sweepLook struct {
	skip    bool // another sweep was done lately
	idle    bool // there is nothing to do
	holders map[int64]*holder
}

const selectSweptAt = `select swept_at from holdfast_meta`

const anyLate = `select 1 from holdfast_jobs where start_by < ? and start_by is not null and state <= 1 limit 1`

const anyDue = `select 1 from holdfast_queues q where q.scheduled > 0 and exists
	(select 1 from holdfast_jobs j where j.queue = q.no and j.state = 0 and j.run_at <= ?)
	limit 1`

func (s *Store) lookSweep(ctx context.Context, w holdfast.Sweep) (look sweepLook, err error) {
	c := s.clock()
	look.idle = len(w.Dead) == 0
	err = s.readers.read(ctx, func(db *conn) error {
		err := db.query(selectSweptAt, func(r row) error {
			look.skip = w.Every > 0 && c.mono-r.int(0) < int64(w.Every/time.Millisecond)
			return nil
		})
		if err != nil || look.skip {
			return err
		}
		busy := func(row) error { look.idle = false; return nil }
		if err := db.query(anyLate, busy, num(c.now)); err != nil {
			return err
		}
		if err := db.query(anyDue, busy, num(c.now)); err != nil {
			return err
		}
		look.holders, err = holders(db, s.boot)
		return err
	})
	if err != nil {
		return look, err
	}
	if len(look.holders) > 0 {
		look.idle = false
	}
	for _, h := range look.holders {
		if slices.Contains(w.Dead, h.id) {
			h.dead = true
		}
		if h.boot == "" || h.reboot {
			continue
		}
		if h.alive, err = testConsumer(s.house, h.id); err != nil {
			return look, err
		}
		h.dead = h.dead || !h.alive
	}
	return look, nil
}

const nextHolder = `select min(consumer) from holdfast_jobs where state = 2 and consumer > ?`

const selectHolder = `select id, seen_at is not null, max_crashes, coalesce(boot_id, ''), ended from holdfast_consumers where no = ?`

// holders gives those who hold jobs, by number: one seek each.
func holders(on session, boot string) (map[int64]*holder, error) {
	found := map[int64]*holder{}
	for no := int64(-1); ; {
		var h *holder
		err := on.query(nextHolder, func(r row) error {
			if !r.null(0) {
				h = &holder{no: r.int(0)}
			}
			return nil
		}, num(no))
		if err != nil || h == nil {
			return found, err
		}
		no = h.no
		found[no] = h
		err = on.query(selectHolder, func(r row) error {
			h.id, h.recorded, h.maxCrashes = r.id(0), r.int(1) != 0, int(r.int(2))
			if r.int(4) == 0 {
				h.boot = r.text(3)
				h.reboot = h.boot != "" && restarted(h.boot, boot)
			}
			return nil
		}, num(no))
		if err != nil {
			return nil, err
		}
	}
}

func (t *tx) sweep(w holdfast.Sweep, holders map[int64]*holder) (swept holdfast.Swept, err error) {
	var sweptAt int64
	if err := t.query(selectSweptAt, func(r row) error { sweptAt = r.int(0); return nil }); err != nil {
		return swept, err
	}
	gap := t.mono - sweptAt
	if w.Every > 0 && gap < int64(w.Every/time.Millisecond) {
		return holdfast.Swept{Skipped: true}, nil
	}
	if _, err := t.exec(writeSweptAt, num(t.mono), num(t.mono)); err != nil {
		return swept, err
	}
	if err := t.store.lookAgain(w, holders); err != nil {
		return swept, err
	}
	if w.Lease > 0 && gap > int64(w.Lease/3/time.Millisecond) {
		swept.Graced = true
		if err := t.grace(w, holders); err != nil {
			return swept, err
		}
	}
	if swept.Due, err = t.promoteAll(w.Limit); err != nil {
		return swept, err
	}
	ended, err := t.sweepHolders(w, holders, &swept)
	if err != nil {
		return swept, err
	}
	late, err := t.cancelLate(w.Limit)
	swept.Cancelled += late
	swept.More = swept.Due == w.Limit || ended == w.Limit || late == w.Limit
	return swept, err
}

// lookAgain tests, inside the transaction, the locks of those who were found dead by them before it.
func (s *Store) lookAgain(w holdfast.Sweep, holders map[int64]*holder) (err error) {
	for _, h := range holders {
		if !h.dead || h.alive || h.reboot || h.boot == "" {
			continue
		}
		if h.alive, err = testConsumer(s.house, h.id); err != nil {
			return err
		}
		h.dead = !h.alive || slices.Contains(w.Dead, h.id)
	}
	return nil
}

const graceHolder = `update holdfast_jobs set lease_until = ?
	where consumer = ? and state = 2 and lease_until < ? and unattended = 0`

// grace gives the leases of processes one lease from now: nobody could extend them while the store stood still.
func (t *tx) grace(w holdfast.Sweep, holders map[int64]*holder) error {
	until := t.mono + int64(w.Lease/time.Millisecond)
	for no, h := range holders {
		if h.dead || h.reboot {
			continue
		}
		if _, err := t.exec(graceHolder, num(until), num(no), num(until)); err != nil {
			return err
		}
	}
	return nil
}

const selectScheduledQueues = `select no from holdfast_queues where scheduled > 0`

// promoteAll makes waiting what is due in all queues.
func (t *tx) promoteAll(limit int) (n int, err error) {
	var queues []int64
	err = t.query(selectScheduledQueues, func(r row) error { queues = append(queues, r.int(0)); return nil })
	for _, queue := range queues {
		if err != nil || n >= limit {
			break
		}
		var more int
		more, err = t.promote(queue, limit-n)
		n += more
	}
	return n, err
}

const selectHeld = `select ` + jobColumns + ` from holdfast_jobs
	where consumer = ? and state = 2 and lease_until <= ?
	order by lease_until, seq limit ?`

// forever is later than any lease.
const forever = int64(1) << 62

// sweepHolders gives back the jobs of the dead, and those whose lease has ended; it says how many.
func (t *tx) sweepHolders(w holdfast.Sweep, holders map[int64]*holder, swept *holdfast.Swept) (n int, err error) {
	for no, h := range holders {
		until := t.mono
		if h.dead || h.reboot {
			until = forever
		}
		var jobs []*job
		err := t.query(selectHeld, func(r row) error {
			j := new(job)
			jobs = append(jobs, j)
			return j.scan(r, t.clock, t)
		}, num(no), num(until), num(w.Limit-n))
		if err != nil {
			return n, err
		}
		for _, j := range jobs {
			if err := t.giveBack(j, h, w.MaxCrashes, swept); err != nil {
				return n, err
			}
		}
		if n += len(jobs); n >= w.Limit {
			break
		}
		if h.dead && h.boot != "" && !h.alive { // nothing of it is left
			if _, err := t.exec(endConsumer, blob(h.id[:])); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// giveBack takes a job from a holder that is gone. If that one died, its death is counted; it is the job's own doing, a
// crash, only if the job was claimed as a suspect and its handler had started. Of a holder without a process nobody can
// say that it died: its lease has ended, which counts the same but is not called so.
func (t *tx) giveBack(j *job, h *holder, maxCrashes int, swept *holdfast.Swept) error {
	if h.recorded {
		maxCrashes = h.maxCrashes
	}
	own := false // the job's own doing
	j.outcome, j.stoppedAt = holdfast.OutcomeLost, t.now
	if died := h.dead || !h.alive && !h.reboot; died {
		if h.dead && h.no != 0 {
			j.outcome = holdfast.OutcomeDied
		}
		if own = j.Suspect() && j.started; own {
			j.Crashes++
			if h.dead || !j.unattended {
				j.outcome = holdfast.OutcomeCrashed
			}
		}
		j.Deaths++
	}
	t.lift(j)
	switch {
	case !j.CancelRequested.IsZero():
		t.settle(j, holdfast.Cancelled, holdfast.ReasonRequested)
		swept.Cancelled++
	case own && maxCrashes > 0 && j.Crashes >= maxCrashes:
		why := holdfast.ReasonCrashes
		j.Error = fmt.Sprintf("set aside: its consumer died %d times while it ran alone", j.Crashes)
		if j.outcome == holdfast.OutcomeLost {
			why = holdfast.ReasonAbandoned
			j.Error = fmt.Sprintf("set aside: its lease ended %d times without a report; take it with a longer lease, or extend it", j.Deaths)
		}
		j.Cause = holdfast.CauseOf(j.Queue, j.Error)
		t.settle(j, holdfast.Failed, why)
		swept.SetAside++
	default:
		j.due = t.now // its RunAt stays, and so its place
		t.settle(j, holdfast.Waiting, holdfast.ReasonSwept)
		swept.Returned++
		t.sum(j.queue).returned++
	}
	return t.save(j)
}

const selectLate = `select ` + jobColumns + ` from holdfast_jobs
	where start_by < ? and start_by is not null and state <= 1
	order by start_by limit ?`

// cancelLate cancels what was not started by its start-by time.
func (t *tx) cancelLate(limit int) (int, error) {
	var jobs []*job
	err := t.query(selectLate, func(r row) error {
		j := new(job)
		jobs = append(jobs, j)
		return j.scan(r, t.clock, t)
	}, num(t.now), num(limit))
	if err != nil {
		return 0, err
	}
	for _, j := range jobs {
		if err := t.end(j, holdfast.Cancelled, holdfast.ReasonTooLate); err != nil {
			return 0, err
		}
	}
	return len(jobs), nil
}
