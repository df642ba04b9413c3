package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/holdfastq/holdfast"
)

// Wait implements holdfast.Store. It returns only if a read-only look finds something to claim in a queue that is not
// paused, or a cancel request, so that whoever waits in vain never writes.
func (s *Store) Wait(ctx context.Context, w holdfast.Wait) (holdfast.Tick, error) {
	if err := ctx.Err(); err != nil {
		return holdfast.Tick{}, err
	}
	one := &waiter{queues: w.Queues, consumer: w.Consumer, since: w.Since, news: make(chan holdfast.Tick, 1)}
	if err := s.watcher.add(one); err != nil {
		return holdfast.Tick{}, fmt.Errorf("wait: %w", err)
	}
	defer s.watcher.remove(one)
	// From here on nothing is missed; what was there before is found by a look of our own.
	var found bool
	var tick holdfast.Tick
	err := s.readers.read(ctx, func(c *conn) (err error) {
		l := look{c: c, clock: s.clock(), queues: map[string]queueLook{}}
		if tick, err = s.tick(); err != nil {
			return err
		}
		found, err = l.finds(one, tick)
		s.watcher.wakeAt(l.nextDue)
		return err
	})
	if err != nil {
		return holdfast.Tick{}, fmt.Errorf("wait: %w", err)
	}
	if found {
		return tick, nil
	}
	select {
	case tick := <-one.news:
		return tick, nil
	case <-ctx.Done():
		return tick, ctx.Err()
	case <-s.watcher.stop:
		return tick, holdfast.ErrClosed
	}
}

// waiter is one Wait.
type waiter struct {
	queues   []string
	consumer holdfast.ID
	since    holdfast.Tick
	news     chan holdfast.Tick // capacity 1
}

// look is one read-only look at queues, shared by all who wait.
type look struct {
	c       *conn
	clock   clock
	queues  map[string]queueLook
	nextDue int64 // of the queues looked at; 0: nothing is scheduled
	lost    bool  // the bell may have missed something
}

// queueLook is what can be claimed in a queue.
type queueLook struct {
	fresh    bool // a job that anybody may take
	suspects bool // only jobs that are claimed alone: news once, not for ever
}

// finds says whether the waiter has what it waits for.
func (l *look) finds(w *waiter, tick holdfast.Tick) (bool, error) {
	for _, name := range w.queues {
		q, err := l.queue(name)
		if err != nil {
			return false, err
		}
		if q.fresh || q.suspects && (l.lost || tick[0] != w.since[0]) {
			return true, nil
		}
	}
	if w.consumer.IsZero() || !l.lost && tick[1] == w.since[1] {
		return false, nil
	}
	return l.asked(w.consumer)
}

const lookQueue = `select no, scheduled, waiting from holdfast_queues where name = ? and paused_at is null`

const lookFresh = `select 1 from holdfast_jobs where queue = ? and state = 1 and deaths < 2 limit 1`

const lookDue = `select min(run_at) from holdfast_jobs where queue = ? and state = 0`

func (l *look) queue(name string) (queueLook, error) {
	q, ok := l.queues[name]
	if ok {
		return q, nil
	}
	var no, scheduled, waiting int64
	err := l.c.query(lookQueue, func(r row) error {
		no, scheduled, waiting = r.int(0), r.int(1), r.int(2)
		return nil
	}, text(name))
	if err != nil {
		return q, err
	}
	if waiting > 0 {
		q.suspects = true
		if err := l.c.query(lookFresh, func(row) error { q.fresh = true; return nil }, num(no)); err != nil {
			return q, err
		}
	}
	if scheduled > 0 {
		err := l.c.query(lookDue, func(r row) error {
			due := r.int(0)
			switch {
			case r.null(0):
			case due <= l.clock.now:
				q.fresh = true
			case l.nextDue == 0 || due < l.nextDue:
				l.nextDue = due
			}
			return nil
		}, num(no))
		if err != nil {
			return q, err
		}
	}
	l.queues[name] = q
	return q, nil
}

const lookAsked = `select 1 from holdfast_jobs j join holdfast_consumers c on c.no = j.consumer
	where c.id = ? and j.state = 2 and j.cancel_at is not null limit 1`

// asked says whether somebody asked something of the consumer's jobs.
func (l *look) asked(consumer holdfast.ID) (asked bool, err error) {
	err = l.c.query(lookAsked, func(row) error { asked = true; return nil }, blob(consumer[:]))
	return asked, err
}

const lookRepeated = `select 1 from holdfast_jobs j join holdfast_consumers c on c.no = j.consumer
	where c.id = ? and j.state = 2 and j.claim_no = ? limit 1`

// worthClaiming says, without writing, whether a claim would find anything to do.
func (s *Store) worthClaiming(ctx context.Context, c holdfast.Claim) (worth bool, err error) {
	if s.lately.full(c.Queues) {
		return true, nil
	}
	err = s.readers.read(ctx, func(db *conn) error {
		l := look{c: db, clock: s.clock(), queues: map[string]queueLook{}}
		for _, name := range c.Queues {
			q, err := l.queue(name)
			if err != nil {
				return err
			}
			if q.fresh || q.suspects && c.Suspects > 0 {
				worth = true
				return nil
			}
		}
		if c.Number == 0 || c.Consumer.IsZero() {
			return nil
		}
		return db.query(lookRepeated, func(row) error { worth = true; return nil }, blob(c.Consumer[:]), num(c.Number))
	})
	return worth, err
}

// lately remembers where the last claim found as much as it wanted: the next one need not look before it claims.
type lately struct {
	mu    sync.Mutex
	queue string
}

func (l *lately) full(queues []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue != "" && slices.Contains(queues, l.queue)
}

func (l *lately) found(c *holdfast.Claim, jobs []holdfast.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = ""
	if n := len(jobs); n > 0 && n == c.N {
		l.queue = jobs[n-1].Info.Queue
	}
}
