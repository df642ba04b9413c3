package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

const selectCounts = `select no, name, paused_at, paused_by, scheduled, waiting, running, done, failed, cancelled
	from holdfast_queues order by name`

const selectOldest = `select min(run_at) from
	(select min(run_at) as run_at from holdfast_jobs where queue = ?1 and state = 1 and deaths < 2 and priority = ?2
	union all
	select min(run_at) from holdfast_jobs where queue = ?1 and state = 1 and deaths >= 2 and priority = ?2)`

// Counts implements holdfast.Store: it reads the counters, and two index entries for each priority.
func (s *Store) Counts(ctx context.Context) ([]holdfast.Counts, error) {
	list := []holdfast.Counts{}
	err := s.readers.read(ctx, func(c *conn) error {
		return c.query(selectCounts, func(r row) error {
			q := holdfast.Counts{Queue: r.text(1), PausedAt: at(r, 2), PausedBy: r.text(3)}
			for i := range q.States {
				q.States[i] = r.int(4 + i)
			}
			for p := 0; p <= holdfast.MaxPriority && q.Of(holdfast.Waiting) > 0; p++ {
				err := c.query(selectOldest, func(r row) error {
					if t := at(r, 0); !t.IsZero() && (q.Oldest.IsZero() || t.Before(q.Oldest)) {
						q.Oldest = t
					}
					return nil
				}, num(r.int(0)), num(p))
				if err != nil {
					return err
				}
			}
			list = append(list, q)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("counts: %w", err)
	}
	return list, nil
}

const selectRollups = `select q.name, r.minute, r.made, r.started, r.done, r.failed, r.ended, r.returned, r.waited, r.took
	from holdfast_queues q cross join holdfast_rollups r on r.queue = q.no
	where (?1 = '' or q.name = ?1) and r.minute >= ?2 and r.minute < ?3
	order by q.name, r.minute`

// Stats implements holdfast.Store. Steps begin at whole multiples of Step since 1970.
func (s *Store) Stats(ctx context.Context, q holdfast.StatsQuery) ([]holdfast.Rollup, error) {
	step := max(int64(q.Step/time.Minute), 1)
	since, until := int64(0), int64(1)<<50
	if !q.Since.IsZero() {
		since = q.Since.UnixMilli() / 60_000
	}
	if !q.Until.IsZero() {
		until = (ceilMS(q.Until) + 59_999) / 60_000
	}
	list := []holdfast.Rollup{}
	err := s.readers.read(ctx, func(c *conn) error {
		return c.query(selectRollups, func(r row) error {
			name, minute := r.text(0), r.int(1)
			at := wall((minute - minute%step) * 60_000)
			if n := len(list); n == 0 || list[n-1].Queue != name || !list[n-1].At.Equal(at) {
				list = append(list, holdfast.Rollup{Queue: name, At: at})
			}
			return addFigures(&list[len(list)-1], r)
		}, text(q.Queue), num(since), num(until))
	})
	if err != nil {
		return nil, fmt.Errorf("stats: %w", err)
	}
	return list, nil
}

func addFigures(sum *holdfast.Rollup, r row) error {
	sum.Made += r.int(2)
	sum.Started += r.int(3)
	sum.Done += r.int(4)
	sum.Failed += r.int(5)
	sum.Ended += r.int(6)
	sum.Returned += r.int(7)
	var waited, took holdfast.Histogram
	if err := waited.UnmarshalBinary(r.blob(8)); err != nil {
		return err
	}
	if err := took.UnmarshalBinary(r.blob(9)); err != nil {
		return err
	}
	sum.Waited.Merge(waited)
	sum.Took.Merge(took)
	return nil
}
