package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// keepConsumer is how long the record of a consumer that has ended, or was not heard of, is kept; keepFence how long the
// fence of a job that a person deleted.
const (
	keepConsumer = 7 * 24 * time.Hour
	keepFence    = holdfast.MaxLease
)

// Purge implements holdfast.Store.
func (s *Store) Purge(ctx context.Context, p holdfast.Purge) (holdfast.Purged, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return holdfast.Purged{}, err
	}
	defer s.mu.Unlock()
	s.forget(now)
	old := s.old(p, now)
	more := len(old) > bound(p.Limit)
	old = old[:min(len(old), bound(p.Limit))]
	s.remove(old)
	return holdfast.Purged{Jobs: len(old), More: more}, nil
}

// old gives the jobs that were kept long enough, the longest ended first.
func (s *Store) old(p holdfast.Purge, now time.Time) []*job {
	ended := slices.DeleteFunc(slices.Clone(s.order), func(j *job) bool { return !j.State.Ended() })
	slices.SortFunc(ended, func(a, b *job) int { return cmp.Or(a.EndedAt.Compare(b.EndedAt), cmp.Compare(a.seq, b.seq)) })
	left := map[string]int{} // ended jobs of each queue
	for _, j := range ended {
		left[j.Queue]++
	}
	var old []*job
	for _, j := range ended {
		keep, ok := p.Queues[j.Queue]
		if !ok {
			keep = p.Keep
		}
		age := now.Sub(j.EndedAt)
		tooMany := keep.Jobs > 0 && left[j.Queue] > keep.Jobs
		if !j.Attached && age >= holdfast.MinKept && (tooMany || age >= kept(keep, j.State)) {
			old = append(old, j)
			left[j.Queue]--
		}
	}
	return old
}

// kept is how long jobs in an ended state are kept; a Forever is longer than any age.
func kept(r holdfast.Retention, s holdfast.State) time.Duration {
	switch s {
	case holdfast.Done:
		return r.Done
	case holdfast.Failed:
		return r.Failed
	default:
		return r.Cancelled
	}
}

// forget drops what was only kept for a while.
func (s *Store) forget(now time.Time) {
	for id, t := range s.fences {
		if now.Sub(t.at) > keepFence {
			delete(s.fences, id)
		}
	}
	for k := range s.rollups {
		if k.minute < now.Add(-holdfast.KeepStats).Unix()/60 {
			delete(s.rollups, k)
		}
	}
	holds := map[holdfast.ID]bool{}
	for _, j := range s.running {
		holds[j.Consumer] = true
	}
	for id, c := range s.consumers {
		if now.Sub(c.SeenAt) > keepConsumer && !holds[id] {
			delete(s.consumers, id)
		}
	}
}
