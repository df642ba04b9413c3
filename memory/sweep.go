package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// Sweep implements holdfast.Store. This store sees no processes: whoever let a lease end counts as dead.
func (s *Store) Sweep(ctx context.Context, w holdfast.Sweep) (holdfast.Swept, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return holdfast.Swept{}, err
	}
	defer s.mu.Unlock()
	gap := now.Sub(s.sweptAt)
	if w.Every > 0 && gap < w.Every {
		return holdfast.Swept{Skipped: true}, nil
	}
	s.sweptAt = now
	w.Limit = bound(w.Limit)
	var swept holdfast.Swept
	if w.Lease > 0 && gap > w.Lease/3 {
		swept.Graced = true
		s.grace(w, now)
	}
	swept.Due = s.promote(now, w.Limit)
	ended := s.ended(w, now)
	for _, j := range ended {
		s.giveBack(j, w, &swept, now)
	}
	late := s.late(w, now)
	for _, j := range late {
		s.end(j, holdfast.Cancelled, holdfast.ReasonTooLate, now)
		swept.Cancelled++
	}
	swept.More = swept.Due == w.Limit || len(ended) == w.Limit || len(late) == w.Limit
	return swept, nil
}

// grace gives the leases of processes one lease from now: nobody could extend them while the store stood still.
func (s *Store) grace(w holdfast.Sweep, now time.Time) {
	until := truncate(now.Add(w.Lease))
	for _, j := range s.running {
		if !j.unattended && !slices.Contains(w.Dead, j.Consumer) && j.LeaseUntil.Before(until) {
			j.LeaseUntil = until
		}
	}
}

// ended gives the jobs whose consumer is dead and those whose lease has ended, the longest ago first.
func (s *Store) ended(w holdfast.Sweep, now time.Time) []*job {
	var list []*job
	for _, j := range s.running {
		if !j.LeaseUntil.After(now) || slices.Contains(w.Dead, j.Consumer) {
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(a, b *job) int {
		return cmp.Or(a.LeaseUntil.Compare(b.LeaseUntil), cmp.Compare(a.seq, b.seq))
	})
	return list[:min(len(list), w.Limit)]
}

// late gives the jobs that wait although their start-by time has passed.
func (s *Store) late(w holdfast.Sweep, now time.Time) []*job {
	var list []*job
	for _, j := range s.order {
		if (j.State == holdfast.Waiting || j.State == holdfast.Scheduled) && j.tooLate(now) {
			list = append(list, j)
		}
	}
	return list[:min(len(list), w.Limit)]
}

// giveBack takes a job from a consumer that is gone. That consumer's death is counted; it is the job's own doing, a
// crash, only if the job was claimed as a suspect and its handler had started. Of a holder without a process nobody can
// say that it died: its lease has ended, which counts the same but is not called so.
func (s *Store) giveBack(j *job, w holdfast.Sweep, swept *holdfast.Swept, now time.Time) {
	j.last = holdfast.OutcomeLost
	if slices.Contains(w.Dead, j.Consumer) && !j.Consumer.IsZero() {
		j.last = holdfast.OutcomeDied
	}
	own := j.Suspect() && j.started
	if own {
		j.Crashes++
		if j.last == holdfast.OutcomeDied || !j.unattended {
			j.last = holdfast.OutcomeCrashed
		}
	}
	j.Deaths++
	a := &j.attempts[len(j.attempts)-1]
	a.EndedAt, a.Outcome = now, j.last

	most := w.MaxCrashes
	if c := s.consumers[j.Consumer]; c != nil {
		most = c.MaxCrashes
	}
	switch {
	case !j.CancelRequested.IsZero():
		s.end(j, holdfast.Cancelled, holdfast.ReasonRequested, now)
		swept.Cancelled++
	case own && most > 0 && j.Crashes >= most:
		why := holdfast.ReasonCrashes
		j.Error = fmt.Sprintf("set aside: its consumer died %d times while it ran alone", j.Crashes)
		if j.last == holdfast.OutcomeLost {
			why = holdfast.ReasonAbandoned
			j.Error = fmt.Sprintf("set aside: its lease ended %d times without a report; take it with a longer lease, or extend it", j.Deaths)
		}
		j.Cause = holdfast.CauseOf(j.Queue, j.Error)
		a.Error = j.Error
		s.end(j, holdfast.Failed, why, now)
		swept.SetAside++
	default:
		s.lift(j)
		s.settle(j, holdfast.Waiting, holdfast.ReasonSwept, now) // its RunAt stays, and so its place
		j.due = now
		swept.Returned++
		s.rollup(j.Queue, now).Returned++
	}
}
