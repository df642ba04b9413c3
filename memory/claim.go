package memory

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// Claim implements holdfast.Store.
func (s *Store) Claim(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return holdfast.Claimed{}, err
	}
	defer s.mu.Unlock()
	s.promote(now, math.MaxInt)
	claimed := holdfast.Claimed{Tick: s.now()}
	taken := s.repeated(c)
	if len(taken) == 0 {
		taken = s.next(c, now)
		for _, j := range taken {
			s.deliver(j, c, now)
		}
	}
	for _, j := range taken {
		claimed.Jobs = append(claimed.Jobs, holdfast.Delivery{Lease: holdfast.Lease{Job: j.ID, Fence: j.Fence}, Info: j.info(true)})
	}
	return claimed, nil
}

// repeated gives the jobs that the consumer holds from the claim of this number, in the order of that claim.
func (s *Store) repeated(c holdfast.Claim) []*job {
	if c.Number == 0 || c.Consumer.IsZero() {
		return nil
	}
	var held []*job
	for _, j := range s.running {
		if j.Consumer == c.Consumer && j.claim == c.Number {
			held = append(held, j)
		}
	}
	slices.SortFunc(held, func(a, b *job) int {
		return cmp.Or(
			cmp.Compare(slices.Index(c.Queues, a.Queue), slices.Index(c.Queues, b.Queue)),
			cmp.Compare(b.Priority, a.Priority),
			byRunAt(a, b))
	})
	return held
}

// next chooses the jobs to take, and cancels those that it meets too late.
func (s *Store) next(c holdfast.Claim, now time.Time) []*job {
	var take, late []*job
	bytes, suspects := 0, 0
	defer func() {
		for _, j := range late {
			s.end(j, holdfast.Cancelled, holdfast.ReasonTooLate, now)
		}
	}()
	for i, name := range c.Queues {
		q := s.queues[name]
		if q == nil || !q.pausedAt.IsZero() || slices.Contains(c.Queues[:i], name) {
			continue
		}
		for p := holdfast.MaxPriority; p >= 0; p-- {
			for _, j := range q.waiting[p] {
				switch {
				case len(take) >= c.N:
					return take
				case j.tooLate(now):
					late = append(late, j)
				case j.Suspect() && suspects >= c.Suspects:
				case bytes+len(j.Data) > holdfast.MaxBatchBytes && len(take) > 0:
					return take
				default:
					take = append(take, j)
					bytes += len(j.Data)
					if j.Suspect() {
						suspects++
					}
				}
			}
		}
	}
	return take
}

// deliver hands one waiting job to a consumer. Here alone the fence goes up.
func (s *Store) deliver(j *job, c holdfast.Claim, now time.Time) {
	s.lift(j)
	j.Fence++
	j.Attempt++
	j.Consumer, j.claim, j.unattended = c.Consumer, c.Number, c.Unattended || c.Consumer.IsZero()
	j.claimedAt, j.StartedAt, j.started = now, now, c.Unattended
	j.Took, j.Waited = 0, now.Sub(j.due)
	j.CancelRequested, j.asked = time.Time{}, 0
	j.last = holdfast.OutcomeNone
	host := ""
	if consumer := s.consumers[c.Consumer]; consumer != nil {
		host = consumer.Host
	}
	j.attempts = append(j.attempts, holdfast.Attempt{N: j.Attempt, Consumer: c.Consumer, Host: host, StartedAt: now})
	j.attempts = j.attempts[max(len(j.attempts)-holdfast.KeepAttempts, 0):]
	s.settle(j, holdfast.Running, holdfast.ReasonNone, now)
	j.LeaseUntil = truncate(now.Add(c.Lease))
	s.rollup(j.Queue, now).Started++
}
