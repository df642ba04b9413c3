package memory

import (
	"context"
	"time"

	"github.com/holdfastq/holdfast"
)

// Extend implements holdfast.Store. A lease that has ended is good until Sweep has moved its job.
func (s *Store) Extend(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	answers := make([]holdfast.Beaten, len(beats))
	for i := range beats {
		answers[i] = s.extend(&beats[i], now)
	}
	return answers, nil
}

func (s *Store) extend(b *holdfast.Beat, now time.Time) holdfast.Beaten {
	j, ok := s.held(b.Lease)
	if !ok {
		return holdfast.Beaten{Err: holdfast.ErrLeaseLost}
	}
	j.LeaseUntil = truncate(now.Add(b.For))
	j.Progress, j.Note = b.Progress, b.Note
	if b.Started && !j.started {
		j.started = true
		j.start(now.Add(-b.Ran))
	}
	j.log(b.Log)
	return holdfast.Beaten{CancelRequested: !j.CancelRequested.IsZero(), Paused: !s.queue(j.Queue).pausedAt.IsZero()}
}

// start notes when the handler of the present attempt began, which is never before the claim.
func (j *job) start(at time.Time) {
	at = truncate(at)
	if at.Before(j.claimedAt) {
		at = j.claimedAt
	}
	j.StartedAt, j.attempts[len(j.attempts)-1].StartedAt = at, at
	j.Waited = at.Sub(j.due)
}

// log adds to the log of the latest attempt and keeps its last part.
func (j *job) log(more []byte) {
	if len(more) == 0 || len(j.attempts) == 0 {
		return
	}
	a := &j.attempts[len(j.attempts)-1]
	a.Log = append(a.Log, more...)
	if over := len(a.Log) - holdfast.MaxLogBytes; over > 0 {
		a.Log = append([]byte(nil), a.Log[over:]...)
	}
}
