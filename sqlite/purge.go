package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// How long the record of a consumer that has ended or was not heard of is kept, and the fence of a job that a person
// deleted.
const (
	keepConsumer = 7 * 24 * time.Hour
	keepFence    = holdfast.MaxLease
)

// Purge implements holdfast.Store.
func (s *Store) Purge(ctx context.Context, p holdfast.Purge) (holdfast.Purged, error) {
	var worth bool
	err := s.readers.read(ctx, func(c *conn) (err error) {
		worth, err = worthPurging(c, p)
		return err
	})
	if err != nil || !worth {
		return holdfast.Purged{}, err
	}
	var purged holdfast.Purged
	err = s.writer.do(ctx, turnPurge, max(p.Limit, 1), 0, func(t *tx) (err error) {
		purged, err = t.purge(p)
		return err
	})
	if err != nil {
		return holdfast.Purged{}, fmt.Errorf("purge: %w", err)
	}
	return purged, nil
}

// worthPurging says, without writing, whether there is anything to remove.
func worthPurging(c *conn, p holdfast.Purge) (bool, error) {
	now := time.Now().UnixMilli()
	shelves, err := shelves(c, p, now)
	if err != nil {
		return false, err
	}
	for _, s := range shelves {
		old, err := s.first(c, 1)
		if err != nil || len(old) > 0 {
			return true, err
		}
	}
	worth := false
	some := func(row) error { worth = true; return nil }
	if err := c.query(anyOldFence, some, num(now-keepFence.Milliseconds())); err != nil {
		return false, err
	}
	if err := c.query(anyOldRollup, some, num(oldestMinute(now))); err != nil {
		return false, err
	}
	err = c.query(anyOldConsumer, some, num(now-keepConsumer.Milliseconds()))
	return worth, err
}

// shelf is the ended jobs of one queue and state. Those that ended before old go, and so do the first over of them
// that ended before new.
type shelf struct {
	queue, state int64
	old, new     int64
	over         *int64 // shared by the shelves of a queue
}

const selectEndedCounts = `select no, name, done, failed, cancelled from holdfast_queues where done + failed + cancelled > 0`

// shelves gives what retention says of each queue and state.
func shelves(on session, p holdfast.Purge, now int64) ([]shelf, error) {
	var list []shelf
	err := on.query(selectEndedCounts, func(r row) error {
		keep, ok := p.Queues[r.text(1)]
		if !ok {
			keep = p.Keep
		}
		over := new(int64)
		if keep.Jobs > 0 {
			*over = max(r.int(2)+r.int(3)+r.int(4)-int64(keep.Jobs), 0)
		}
		for i, age := range []time.Duration{keep.Done, keep.Failed, keep.Cancelled} {
			if r.int(2+i) > 0 {
				list = append(list, shelf{
					queue: r.int(0), state: int64(holdfast.Done) + int64(i), over: over,
					old: now - max(age, holdfast.MinKept).Milliseconds(), new: now - holdfast.MinKept.Milliseconds(),
				})
			}
		}
		return nil
	})
	return list, err
}

// ended is a job that may go.
type ended struct {
	seq, at, state, queue int64
	over                  *int64
	old                   bool // by its age; else only if its queue has too many
}

const selectEnded = `select seq, ended_at from holdfast_jobs
	where queue = ? and state = ? and state >= 3 and ended_at <= ? and attached = 0
	order by ended_at, seq limit ?`

// first gives the first jobs of a shelf that may go, the longest ended first.
func (s shelf) first(on session, limit int) ([]ended, error) {
	until := s.old
	if *s.over > 0 {
		until = s.new
	}
	var list []ended
	err := on.query(selectEnded, func(r row) error {
		list = append(list, ended{r.int(0), r.int(1), s.state, s.queue, s.over, r.int(1) <= s.old})
		return nil
	}, num(s.queue), num(s.state), num(until), num(limit))
	return list, err
}

func (t *tx) purge(p holdfast.Purge) (purged holdfast.Purged, err error) {
	if err := t.forgetOld(); err != nil {
		return purged, err
	}
	shelves, err := shelves(t, p, t.now)
	if err != nil {
		return purged, err
	}
	var list []ended
	for _, s := range shelves {
		some, err := s.first(t, p.Limit+1)
		if err != nil {
			return purged, err
		}
		list = append(list, some...)
	}
	slices.SortFunc(list, func(a, b ended) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
	for _, e := range list {
		if !e.old && *e.over <= 0 {
			continue
		}
		if purged.Jobs == p.Limit {
			purged.More = true
			break
		}
		*e.over--
		if err := t.remove(e.seq, e.queue, e.state); err != nil {
			return purged, err
		}
		purged.Jobs++
	}
	return purged, t.shrink(purged.Jobs)
}

var removeFrom = []string{
	`delete from holdfast_attempts where seq = ?`,
	`delete from holdfast_logs where seq = ?`,
	`delete from holdfast_bodies where seq = ?`,
}

const deleteJob = `delete from holdfast_jobs where seq = ?`

// remove takes a job that is not running out of the store, with all that belongs to it.
func (t *tx) remove(seq, queue, state int64) error {
	for _, sql := range removeFrom {
		if _, err := t.exec(sql, num(seq)); err != nil {
			return err
		}
	}
	n, err := t.exec(deleteJob, num(seq))
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: job %d is gone", holdfast.ErrCorrupt, seq)
	}
	t.sum(queue).states[state]--
	return err
}

// freePages is the number of empty pages that a database keeps for what comes next.
const freePages = 4096

// shrink gives empty pages back to the file system, a few for each job removed.
func (t *tx) shrink(jobs int) error {
	if jobs == 0 {
		return nil
	}
	var free int64
	if err := t.query(`pragma freelist_count`, func(r row) error { free = r.int(0); return nil }); err != nil {
		return err
	}
	if free <= freePages {
		return nil
	}
	return t.query(`pragma incremental_vacuum(512)`, func(row) error { return nil })
}

const anyOldFence = `select 1 from holdfast_fences where at < ? limit 1`

const deleteOldFences = `delete from holdfast_fences where at < ?`

const anyOldConsumer = `select 1 from holdfast_consumers c
	where seen_at < ? and (ended = 1 or boot_id is null) and not exists (select 1 from holdfast_jobs j where j.consumer = c.no and j.state = 2) limit 1`

// A consumer's number stays, since the jobs that it has had still carry it. One with a lock is not forgotten before it is
// known to have ended: it may claim again at any time, however long it has said nothing.
const forgetConsumers = `update holdfast_consumers
	set seen_at = null, name = '', pid = 0, version = '', queues = '[]', boot_id = null
	where seen_at < ? and (ended = 1 or boot_id is null) and not exists
		(select 1 from holdfast_jobs j where j.consumer = holdfast_consumers.no and j.state = 2)`

// oldestMinute is the first whose figures are kept.
func oldestMinute(now int64) int64 { return (now - holdfast.KeepStats.Milliseconds()) / 60_000 }

const anyOldRollup = `select 1 from holdfast_queues q
	where exists (select 1 from holdfast_rollups r where r.queue = q.no and r.minute < ?) limit 1`

// A day of a queue at once, so that the step stays small after a long absence too. The first minute of a queue is a seek.
const deleteOldRollups = `delete from holdfast_rollups
	where queue = ? and minute < min(?, (select min(minute) + 1440 from holdfast_rollups where queue = ?))`

const selectQueueNos = `select no from holdfast_queues`

func (t *tx) forgetRollups() error {
	var queues []int64
	if err := t.query(selectQueueNos, func(r row) error { queues = append(queues, r.int(0)); return nil }); err != nil {
		return err
	}
	for _, queue := range queues {
		if _, err := t.exec(deleteOldRollups, num(queue), num(oldestMinute(t.now)), num(queue)); err != nil {
			return err
		}
	}
	return nil
}

// forgetOld drops what was only kept for a while.
func (t *tx) forgetOld() error {
	if _, err := t.exec(deleteOldFences, num(t.now-keepFence.Milliseconds())); err != nil {
		return err
	}
	if err := t.forgetRollups(); err != nil {
		return err
	}
	_, err := t.exec(forgetConsumers, num(t.now-keepConsumer.Milliseconds()))
	return err
}
