package memory

import (
	"time"

	"github.com/holdfastq/holdfast"
)

// Shift moves all stored times back by d, as if d had passed. Tests move time so; the product has no clock to set.
func (s *Store) Shift(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	back := func(times ...*time.Time) {
		for _, t := range times {
			if !t.IsZero() {
				*t = t.Add(-d)
			}
		}
	}
	back(&s.sweptAt)
	for _, j := range s.jobs { // all by the same, so the sorted lists stay sorted
		back(&j.due, &j.claimedAt, &j.MadeAt, &j.RunAt, &j.StartBy, &j.StartedAt, &j.EndedAt, &j.LeaseUntil, &j.CancelRequested)
		for i := range j.attempts {
			back(&j.attempts[i].StartedAt, &j.attempts[i].EndedAt)
		}
	}
	for _, q := range s.queues {
		back(&q.pausedAt)
	}
	for _, c := range s.consumers {
		back(&c.StartedAt, &c.SeenAt)
	}
	for i := range s.activity {
		back(&s.activity[i].At)
	}
	for id, t := range s.fences {
		back(&t.at)
		s.fences[id] = t
	}
	moved := map[rollupKey]*holdfast.Rollup{}
	for k, r := range s.rollups {
		k.minute = (k.minute*60 - int64(d/time.Second)) / 60
		if moved[k] == nil {
			moved[k] = &holdfast.Rollup{Queue: k.queue}
		}
		merge(moved[k], r)
	}
	s.rollups = moved
	s.announce()
}
