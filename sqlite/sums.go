package sqlite

import (
	"fmt"

	"github.com/holdfastq/holdfast"
)

// sum is what one transaction changes in the counters and figures of one queue: written once, at its end.
type sum struct {
	states                                       [6]int64
	made, started, done, failed, ended, returned int64
	waited, took                                 holdfast.Histogram
	queue                                        int64
}

// sum gives the sums of a queue, to be added to.
func (t *tx) sum(queue int64) *sum {
	if t.last != nil && t.last.queue == queue {
		return t.last
	}
	s := t.sums[queue]
	if s == nil {
		s = &sum{queue: queue}
		t.sums[queue] = s
	}
	t.last = s
	return s
}

// swapSums begins new sums and gives those of before.
func (t *tx) swapSums() map[int64]*sum {
	before := t.sums
	t.sums, t.last = map[int64]*sum{}, nil
	return before
}

// mergeSums adds the present sums to those of before.
func (t *tx) mergeSums(before map[int64]*sum) {
	now := t.sums
	t.sums, t.last = before, nil
	for queue, s := range now {
		into := t.sum(queue)
		for i, n := range s.states {
			into.states[i] += n
		}
		into.made += s.made
		into.started += s.started
		into.done += s.done
		into.failed += s.failed
		into.ended += s.ended
		into.returned += s.returned
		into.waited.Merge(s.waited)
		into.took.Merge(s.took)
	}
}

const addCounts = `update holdfast_queues
	set scheduled = scheduled + ?, waiting = waiting + ?, running = running + ?, done = done + ?, failed = failed + ?,
		cancelled = cancelled + ?
	where no = ?`

// writeSums writes counters and figures, once in a transaction and for each queue.
func (t *tx) writeSums() error {
	for queue, s := range t.sums {
		if s.states != [6]int64{} {
			n, err := t.exec(addCounts, num(s.states[0]), num(s.states[1]), num(s.states[2]), num(s.states[3]),
				num(s.states[4]), num(s.states[5]), num(queue))
			if err == nil && n != 1 {
				err = fmt.Errorf("%w: queue %d is gone", holdfast.ErrCorrupt, queue)
			}
			if err != nil {
				return fmt.Errorf("count: %w", err)
			}
		}
		if s.figures() {
			if err := t.rollUp(queue, s); err != nil {
				return fmt.Errorf("figures: %w", err)
			}
		}
	}
	return nil
}

func (s *sum) figures() bool {
	return s.made|s.started|s.done|s.failed|s.ended|s.returned != 0 || len(s.waited)+len(s.took) > 0
}

const selectRollup = `select waited, took from holdfast_rollups where queue = ? and minute = ?`

const addRollup = `insert into holdfast_rollups
	(queue, minute, made, started, done, failed, ended, returned, waited, took)
	values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	on conflict (queue, minute) do update set
		made = made + excluded.made, started = started + excluded.started, done = done + excluded.done,
		failed = failed + excluded.failed, ended = ended + excluded.ended, returned = returned + excluded.returned,
		waited = excluded.waited, took = excluded.took`

func (t *tx) rollUp(queue int64, s *sum) error {
	minute := t.now / 60_000
	var waited, took holdfast.Histogram
	err := t.query(selectRollup, func(r row) error {
		if err := waited.UnmarshalBinary(r.blob(0)); err != nil {
			return err
		}
		return took.UnmarshalBinary(r.blob(1))
	}, num(queue), num(minute))
	if err != nil {
		return err
	}
	waited.Merge(s.waited)
	took.Merge(s.took)
	waitedBytes, _ := waited.MarshalBinary()
	tookBytes, _ := took.MarshalBinary()
	_, err = t.exec(addRollup, num(queue), num(minute), num(s.made), num(s.started), num(s.done), num(s.failed),
		num(s.ended), num(s.returned), blob(waitedBytes), blob(tookBytes))
	return err
}
