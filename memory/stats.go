package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

type rollupKey struct {
	queue  string
	minute int64 // since 1970
}

// rollup gives the figures of a queue's present minute, to be added to.
func (s *Store) rollup(queue string, now time.Time) *holdfast.Rollup {
	k := rollupKey{queue, now.Unix() / 60}
	r := s.rollups[k]
	if r == nil {
		r = &holdfast.Rollup{Queue: queue}
		s.rollups[k] = r
	}
	return r
}

// Stats implements holdfast.Store. Steps begin at whole multiples of Step since 1970.
func (s *Store) Stats(ctx context.Context, q holdfast.StatsQuery) ([]holdfast.Rollup, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	step := max(int64(q.Step/time.Minute), 1)
	sums := map[rollupKey]*holdfast.Rollup{}
	for k, r := range s.rollups {
		at := time.Unix(k.minute*60, 0).UTC()
		if q.Queue != "" && k.queue != q.Queue ||
			!q.Since.IsZero() && at.Before(q.Since.Truncate(time.Minute)) ||
			!q.Until.IsZero() && !at.Before(q.Until) {
			continue
		}
		k.minute -= k.minute % step
		sum := sums[k]
		if sum == nil {
			sum = &holdfast.Rollup{Queue: k.queue, At: time.Unix(k.minute*60, 0).UTC()}
			sums[k] = sum
		}
		merge(sum, r)
	}
	list := []holdfast.Rollup{}
	for _, sum := range sums {
		list = append(list, *sum)
	}
	slices.SortFunc(list, func(a, b holdfast.Rollup) int { return cmp.Or(cmp.Compare(a.Queue, b.Queue), a.At.Compare(b.At)) })
	return list, nil
}

func merge(sum, r *holdfast.Rollup) {
	sum.Made += r.Made
	sum.Started += r.Started
	sum.Done += r.Done
	sum.Failed += r.Failed
	sum.Ended += r.Ended
	sum.Returned += r.Returned
	sum.Waited.Merge(r.Waited)
	sum.Took.Merge(r.Took)
}
