package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

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
		if q.fresh || q.suspects && tick[0] != w.since[0] {
			return true, nil
		}
	}
	if w.consumer.IsZero() || tick[1] == w.since[1] {
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

// maxRecheck is the last of the pauses after which a change of the WAL is looked at again: its commit is seen later.
const maxRecheck = 64 * time.Millisecond

// watcher is the one goroutine of a Store that wakes those who wait: after commits of our own, when the bell is rung by
// others, when a stranger's commit is seen, when a job is due, and every holdfast.Poll in case all that was lost. It
// runs from the first Wait on.
type watcher struct {
	store *Store

	mu      sync.Mutex
	waiters map[*waiter]struct{}
	due     int64 // when to look next because something is due; 0: not
	closed  bool
	running bool

	kicks chan struct{} // capacity 1
	stop  chan struct{}
	ended chan struct{}
}

func newWatcher(s *Store) *watcher {
	return &watcher{
		store: s, waiters: map[*waiter]struct{}{},
		kicks: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// add has a waiter told from now on.
func (w *watcher) add(one *waiter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return holdfast.ErrClosed
	}
	if !w.running {
		if err := w.start(); err != nil {
			return err
		}
		w.running = true
	}
	w.waiters[one] = struct{}{}
	return nil
}

func (w *watcher) remove(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiters, one)
}

func (w *watcher) start() error {
	c, err := openReader(w.store.path)
	if err != nil {
		return translate(w.store.path, err)
	}
	events, unwatch, err := w.store.bell.watch(w.store.path + "-wal")
	if err != nil {
		c.close()
		return err
	}
	go w.run(c, events, unwatch)
	return nil
}

// close ends the watcher; who waits gets ErrClosed.
func (w *watcher) close() {
	w.mu.Lock()
	running := w.running
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()
	if running {
		<-w.ended
	}
}

// kick says that a commit of our own may be news.
func (w *watcher) kick() {
	select {
	case w.kicks <- struct{}{}:
	default:
	}
}

// wakeAt has the watcher look when a job is due.
func (w *watcher) wakeAt(due int64) {
	w.mu.Lock()
	earlier := due != 0 && (w.due == 0 || due < w.due)
	if earlier {
		w.due = due
	}
	w.mu.Unlock()
	if earlier {
		w.kick()
	}
}

func (w *watcher) run(c *conn, events <-chan bellEvent, unwatch func()) {
	defer close(w.ended)
	defer c.close()
	defer unwatch()
	poll := time.NewTicker(holdfast.Poll)
	defer poll.Stop()
	due, again := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer due.Stop()
	defer again.Stop()
	again.Stop()
	var pause time.Duration
	seen := dataVersion(c)
	for {
		w.setTimer(due)
		select {
		case <-w.stop:
			return
		case <-w.kicks:
		case <-poll.C:
		case <-due.C:
		case e := <-events:
			if e.WAL {
				pause = time.Millisecond
				again.Reset(pause)
			}
			if !e.Bell {
				continue
			}
		case <-again.C:
			if pause *= 2; pause <= maxRecheck {
				again.Reset(pause)
			}
			if v := dataVersion(c); v != seen {
				seen = v
				break
			}
			continue
		}
		w.tell(c)
	}
}

// setTimer sets the timer for the next due job.
func (w *watcher) setTimer(t *time.Timer) {
	w.mu.Lock()
	due := w.due
	w.mu.Unlock()
	if due == 0 {
		t.Reset(time.Hour)
		return
	}
	t.Reset(max(time.UnixMilli(due).Sub(time.Now()), 0))
}

// dataVersion changes with the commits of others that a connection can see; -1 if it cannot be read.
func dataVersion(c *conn) int64 {
	v := int64(-1)
	c.query("pragma data_version", func(r row) error { v = r.int(0); return nil })
	return v
}

// tell looks once and wakes those who have something to find.
func (w *watcher) tell(c *conn) {
	w.mu.Lock()
	waiters := make([]*waiter, 0, len(w.waiters))
	for one := range w.waiters {
		waiters = append(waiters, one)
	}
	w.due = 0
	w.mu.Unlock()
	if len(waiters) == 0 {
		return
	}
	l := look{c: c, clock: w.store.clock(), queues: map[string]queueLook{}}
	snapshot(c, func(*conn) error {
		tick, err := w.store.tick()
		if err != nil {
			return err
		}
		for _, one := range waiters {
			found, err := l.finds(one, tick)
			if err != nil {
				return err
			}
			if found {
				select {
				case one.news <- tick:
				default: // told already
				}
			}
		}
		return nil
	})
	w.wakeAt(l.nextDue)
}
