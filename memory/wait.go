package memory

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// announce says that there is news: whoever waits looks again.
func (s *Store) announce() {
	s.tick++
	close(s.news)
	s.news = make(chan struct{})
}

func (s *Store) now() holdfast.Tick { return holdfast.Tick{s.tick} }

// Wait implements holdfast.Store.
func (s *Store) Wait(ctx context.Context, w holdfast.Wait) (holdfast.Tick, error) {
	for {
		now, err := s.begin(ctx)
		if err != nil {
			return holdfast.Tick{}, err
		}
		s.promote(now, math.MaxInt)
		tick, found, news, due := s.now(), s.newsSince(w), s.news, s.nextDue(w.Queues)
		s.mu.Unlock()
		if found {
			return tick, nil
		}
		if err := pause(ctx, news, due); err != nil {
			return tick, err
		}
	}
}

// newsSince says whether anything that the waiter asks for has happened.
func (s *Store) newsSince(w holdfast.Wait) bool {
	for _, name := range w.Queues {
		if q := s.queues[name]; q != nil && q.news > w.Since[0] {
			return true
		}
	}
	if w.Consumer.IsZero() {
		return false
	}
	for _, j := range s.running {
		if j.Consumer == w.Consumer && j.asked > w.Since[0] {
			return true
		}
	}
	return false
}

// nextDue is when the next scheduled job of the queues is due; zero if there is none.
func (s *Store) nextDue(queues []string) time.Time {
	for _, j := range s.scheduled {
		if slices.Contains(queues, j.Queue) {
			return j.RunAt
		}
	}
	return time.Time{}
}

// pause returns nil at news or at the due time, else the context's error.
func pause(ctx context.Context, news <-chan struct{}, due time.Time) error {
	var timer <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-news:
	case <-timer:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
